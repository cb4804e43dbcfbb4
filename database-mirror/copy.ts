/**
 * Copies Trivy's databases to a registry, if there are new builds that are good, and ends: 0, or 1 when one could not be copied or was refused.
 *
 * The builds are also tagged with the time at which they were built: these tags say which build is the newest, and an earlier one can be used again by
 * its tag.
 *
 * Environment: COPY_CONFIGURATION (default /etc/mirror/copy.json), TMPDIR with space for a database, packed and unpacked; DOCKER_CONFIG; optionally
 * EXPORTER_URL and EXPORTER_TOKEN of the exporter to report the results to.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CopyResult } from "../monitoring/programs/configuration.ts";
import { type ArtifactName, artifacts } from "./artifacts.ts";
import { type CopyConfiguration, readConfiguration } from "./configuration.ts";
import { fetchBuild } from "./fetch.ts";
import { Refusal } from "./refusal.ts";
import { RegistryClient, withoutTag } from "./registry-client.ts";

async function main({ COPY_CONFIGURATION: path = "/etc/mirror/copy.json", ...environment }: NodeJS.ProcessEnv): Promise<void> {
  const { sources, to, plainHttp } = readConfiguration<CopyConfiguration>(path);
  const client = new RegistryClient(plainHttp);
  for (const { artifact, repositories } of sources) {
    const target = to[artifact];
    if (target === undefined) continue;
    const result = await copyFromFirst(client, artifact, repositories, target);
    if (!result.success) process.exitCode = 1;
    await report({ artifact, ...result }, environment);
  }
}

/** Seconds for the exporter to answer. */
const patience = 10;

/** Reports a result to the exporter, if there is one. What happens to the report does not change how the copy ends. */
async function report(result: CopyResult, { EXPORTER_URL: url, EXPORTER_TOKEN: token }: NodeJS.ProcessEnv): Promise<void> {
  if (url === undefined) return;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  try {
    const signal = AbortSignal.timeout(patience * 1000);
    const { status } = await fetch(`${url}/copy`, { method: "POST", headers, body: JSON.stringify(result), signal });
    if (status !== 204) throw new Error(`it answered ${status}`);
  } catch (error) {
    console.error(`the exporter did not take the result: ${(error as Error).message}`);
  }
}

/** Copies from the first repository that has a good build. */
async function copyFromFirst(
  client: RegistryClient,
  artifact: ArtifactName,
  repositories: readonly string[],
  target: string,
): Promise<Omit<CopyResult, "artifact">> {
  let refused: string | undefined;
  for (const repository of repositories) {
    try {
      await copy(client, artifact, repository, target);
      return { success: true };
    } catch (error) {
      const reason = error instanceof Refusal ? error.reason : undefined;
      refused ??= reason;
      console.error(`${repository}: ${reason === undefined ? "" : `refused (${reason}): `}${(error as Error).message}`);
      if (error instanceof TargetError) break;
    }
  }
  return { success: false, ...(refused !== undefined && { refused }) };
}

/** The registry that is copied to fails: another source does not help. */
class TargetError extends Error {}

async function copy(client: RegistryClient, name: ArtifactName, repository: string, target: string): Promise<void> {
  const artifact = artifacts[name];
  const builds = await atTarget(target, client.tags(withoutTag(target)));
  const [digest, present] = await Promise.all([client.digest(repository), client.digest(target).catch(() => undefined)]);
  if (digest === present) {
    console.log(`${target} has the newest build of ${repository}`);
    return;
  }
  const newest = builds
    .flatMap((tag) => timeOf(tag) ?? [])
    .sort()
    .at(-1);
  const folder = mkdtempSync(join(tmpdir(), "copy-"));
  try {
    const options = { artifact, folder, scratch: tmpdir(), predecessor: newest === undefined ? undefined : { updatedAt: newest } };
    const build = await fetchBuild(client, repository, digest, options);
    // The tag that Trivy uses comes last: until then, nothing has changed for the servers.
    const dated = `${withoutTag(target)}:${tagOf(build.updatedAt)}`;
    await atTarget(target, client.push(folder, dated));
    await atTarget(target, client.tag(dated, /:([^/:]+)$/.exec(target)?.[1] ?? artifact.tag));
    console.log(`${target}: ${digest}, built ${build.updatedAt}, from ${repository}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws {TargetError} when a request to the target fails */
const atTarget = <T>(target: string, request: Promise<T>): Promise<T> =>
  request.catch((error: Error) => {
    throw new TargetError(
      `database.mirror.to is ${target}, and that registry cannot be used: ${error.message}; check the login in database.mirror.credentials and its permission to push`,
    );
  });

const tagOf = (updatedAt: string) => `built-${updatedAt.replaceAll(":", "-")}`;

/** Returns the time in a tag of `tagOf`. */
function timeOf(tag: string): string | undefined {
  const [, date, hours, minutes, seconds] = /^built-(\d{4}-\d\d-\d\dT)(\d\d)-(\d\d)-(\d\d\.\d+Z)$/.exec(tag) ?? [];
  return date === undefined ? undefined : `${date}${hours}:${minutes}:${seconds}`;
}

main(process.env).catch((error: unknown) => {
  console.error("error:", error);
  process.exit(1);
});
