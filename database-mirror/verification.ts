import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Artifact, artifacts } from "./artifacts.ts";
import { blobPath } from "./layout.ts";
import { manifestType } from "./manifest.ts";
import { Refusal } from "./refusal.ts";
import { runProgram, text } from "./subprocess.ts";

/** Seconds for Trivy to unpack and open a database. */
const timeout = 15 * 60;

/** What a database says about itself. */
export interface Contents {
  readonly updatedAt: Date;
  readonly nextUpdate: Date | undefined;
}

/**
 * Checks a database with Trivy itself, which downloads it from this process, unpacks it and opens it, as the servers will do.
 *
 * @param layout folder of the OCI image layout with the database
 * @param scratch folder with space for the unpacked database
 * @throws {Refusal} when Trivy cannot use it
 */
export async function verify(artifact: Artifact, layout: string, manifestDigest: string, scratch: string): Promise<Contents> {
  await mkdir(scratch, { recursive: true });
  const folder = await mkdtemp(join(scratch, "verification-"));
  const server = await serveLayout(layout, manifestDigest);
  try {
    const repository = `localhost:${(server.address() as AddressInfo).port}/${artifact.repository}:${artifact.tag}`;
    await (artifact === artifacts.java ? checkJava(repository, folder) : checkVulnerabilities(repository, folder));
    return await readMetadata(artifact, join(folder, artifact.folder, "metadata.json"));
  } finally {
    server.close().closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Serves one artifact on the loopback interface, without TLS, where Trivy accepts that. */
async function serveLayout(layout: string, manifestDigest: string): Promise<Server> {
  const server = createServer(({ url = "" }, response) => {
    const digest = url.includes("/manifests/") ? manifestDigest : /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(url)?.[1];
    if (digest === undefined) {
      response.writeHead(url === "/v2/" ? 200 : 404).end();
      return;
    }
    const stream = createReadStream(blobPath(layout, digest)).on("error", () => response.writeHead(404).end());
    response.setHeader("content-type", url.includes("/manifests/") ? manifestType : "application/octet-stream");
    stream.pipe(response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return server;
}

const always = ["--quiet", "--disable-telemetry", "--skip-version-check"];

function trivy(args: readonly string[], folder: string): Promise<string> {
  return runProgram("trivy", [...args, ...always, "--cache-dir", folder], { timeout, env: { TMPDIR: folder, HOME: folder } }, text).catch(
    (error: Error) => {
      // Trouble of this pod says nothing about the build.
      if (/no space left|did not finish|ended with null/.test(error.message)) throw error;
      throw new Refusal("broken", `Trivy cannot use the database: ${error.message}`);
    },
  );
}

/** A package with a vulnerability that every vulnerability database knows. */
const canary = { vulnerability: "CVE-2021-36159", distribution: "3.10.9", name: "apk-tools", version: "2.10.6-r0" } as const;

async function checkVulnerabilities(repository: string, folder: string): Promise<void> {
  const image = join(folder, "canary");
  const files = {
    "etc/alpine-release": `${canary.distribution}\n`,
    "etc/os-release": `ID=alpine\nVERSION_ID=${canary.distribution}\n`,
    "lib/apk/db/installed": `P:${canary.name}\nV:${canary.version}\nA:x86_64\no:${canary.name}\n\n`,
  };
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(image, path, ".."), { recursive: true });
    await writeFile(join(image, path), content);
  }
  const scan = ["rootfs", "--scanners", "vuln", "--pkg-types", "os", "--format", "json", "--db-repository", repository];
  const report = await trivy([...scan, image], folder);
  if (!report.includes(`"${canary.vulnerability}"`))
    throw new Refusal("canary", `the database does not know ${canary.vulnerability} of ${canary.name} ${canary.version} in Alpine`);
}

async function checkJava(repository: string, folder: string): Promise<void> {
  await trivy(["image", "--download-java-db-only", "--java-db-repository", repository], folder);
  try {
    const database = new DatabaseSync(join(folder, artifacts.java.folder, "trivy-java.db"), { readOnly: true });
    const found = database.prepare("SELECT artifact_id FROM artifacts LIMIT 1").get();
    database.close();
    if (!found) throw new Refusal("canary", "the database contains no artifact");
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal("broken", `the database cannot be opened: ${(error as Error).message}`);
  }
}

async function readMetadata({ schema }: Artifact, path: string): Promise<Contents> {
  const { Version: version, UpdatedAt: updatedAt, NextUpdate: nextUpdate } = JSON.parse(await readFile(path, "utf8"));
  if (version !== schema) throw new Refusal("schema", `the database has schema ${version}, and Trivy reads ${schema}`);
  const updated = new Date(updatedAt);
  if (Number.isNaN(Number(updated))) throw new Refusal("broken", "the database does not say when it was built");
  const next = new Date(nextUpdate);
  return { updatedAt: updated, nextUpdate: Number.isNaN(Number(next)) ? undefined : next };
}
