/**
 * Copies Trivy's databases to a registry, if there are new builds that are good, and ends: 0, or 1 when one could not be copied or was refused.
 *
 * The builds are also tagged with the time at which they were built: these tags say which build is the newest, and an earlier one can be used again by
 * its tag.
 *
 * Environment: COPY_CONFIGURATION (default /etc/mirror/copy.json), TMPDIR with space for a database, packed and unpacked; DOCKER_CONFIG.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ArtifactName, artifacts } from "./artifacts.ts";
import { type CopyConfiguration, readConfiguration } from "./configuration.ts";
import { fetchBuild } from "./fetch.ts";
import { Refusal } from "./refusal.ts";
import { RegistryClient, withoutTag } from "./registry-client.ts";

async function main({ COPY_CONFIGURATION: path = "/etc/mirror/copy.json" }: NodeJS.ProcessEnv): Promise<void> {
  const { sources, to, plainHttp } = readConfiguration<CopyConfiguration>(path);
  const client = new RegistryClient(plainHttp);
  for (const { artifact, repositories } of sources) {
    const target = to[artifact];
    if (target !== undefined && !(await copyFromFirst(client, artifact, repositories, target))) process.exitCode = 1;
  }
}

/** Copies from the first repository that has a good build. */
async function copyFromFirst(
  client: RegistryClient,
  artifact: ArtifactName,
  repositories: readonly string[],
  target: string,
): Promise<boolean> {
  for (const repository of repositories) {
    try {
      await copy(client, artifact, repository, target);
      return true;
    } catch (error) {
      const refused = error instanceof Refusal ? `refused (${error.reason}): ` : "";
      console.error(`${repository}: ${refused}${(error as Error).message}`);
      if (error instanceof TargetError) return false;
    }
  }
  return false;
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
