import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Artifact } from "./artifacts.ts";
import type { Build } from "./build-store.ts";
import { blobPath, createLayout, writeStream } from "./layout.ts";
import { emptyConfig, type Manifest, manifestOf, parseManifest, sha256 } from "./manifest.ts";
import { Refusal } from "./refusal.ts";
import type { RegistryClient } from "./registry-client.ts";
import { verify } from "./verification.ts";

/** What is known of the last good build; a new one must be newer and of a similar size. */
export interface Predecessor {
  readonly updatedAt: string;
  /** Bytes of the layer. */
  readonly size?: number | undefined;
}

export interface FetchOptions {
  readonly artifact: Artifact;
  /** The folder in which the OCI image layout of the build is created. */
  readonly folder: string;
  /** Folder with space for the unpacked database. */
  readonly scratch: string;
  readonly predecessor: Predecessor | undefined;
}

/**
 * Downloads a build and verifies it.
 *
 * @param makeRoom called with the bytes that the download needs, before it begins
 * @throws {Refusal} when the build must not be used; another Error when the registry fails
 */
export async function fetchBuild(
  client: RegistryClient,
  repository: string,
  digest: string,
  options: FetchOptions,
  makeRoom: (bytes: number) => void = () => undefined,
): Promise<Build> {
  const { artifact, folder, predecessor } = options;
  const text = await client.manifest(repository, digest);
  const manifest = parseManifest(text, digest, artifact);
  checkSize(manifest.layer.size, predecessor);
  makeRoom(manifest.layer.size);
  await createLayout(folder, text);
  for (const blob of [manifest.config, manifest.layer]) await client.blob(repository, blob, blobPath(folder, blob.digest));
  return examine(digest, manifest, repository, options);
}

/**
 * Reads the file of a database, such as db.tar.gz, from a stream, and verifies it.
 *
 * @throws {Refusal} when it must not be used
 */
export async function receiveBuild(stream: Readable, limit: number, options: FetchOptions): Promise<Build> {
  const { artifact, folder, predecessor } = options;
  await rm(folder, { recursive: true, force: true });
  await createLayout(folder, "");
  const received = join(folder, "received");
  const layer = await writeStream(stream, received, limit);
  checkSize(layer.size, predecessor);
  const text = manifestOf(artifact, layer);
  await rename(received, blobPath(folder, layer.digest));
  await createLayout(folder, text);
  await writeFile(blobPath(folder, sha256(emptyConfig)), emptyConfig);
  const digest = sha256(text);
  return examine(digest, parseManifest(text, digest, artifact), "push", options);
}

async function examine(
  digest: string,
  { config, layer }: Manifest,
  source: string,
  { artifact, folder, scratch, predecessor }: FetchOptions,
): Promise<Build> {
  const { updatedAt } = await verify(artifact, folder, digest, scratch);
  if (predecessor && updatedAt <= new Date(predecessor.updatedAt))
    throw new Refusal("older", `the database is of ${updatedAt.toISOString()}, not newer than that of ${predecessor.updatedAt}`);
  return { digest, config, layer, updatedAt: updatedAt.toISOString(), source };
}

/** A build may have half to twice the size of the last one: the database doubles in two years. */
function checkSize(size: number, predecessor: Predecessor | undefined): void {
  const last = predecessor?.size;
  if (last !== undefined && (size < last / 2 || size > last * 2))
    throw new Refusal("size", `the layer has ${size} bytes, and that of the last build ${last}`);
}
