import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { manifestType, sha256 } from "./manifest.ts";
import { Refusal } from "./refusal.ts";

/** Returns the path of a blob in an OCI image layout. */
export const blobPath = (folder: string, digest: string) => join(folder, "blobs", digest.replace(":", "/"));

/** Creates an OCI image layout for one manifest, without its configuration and layer. */
export async function createLayout(folder: string, manifest: string): Promise<void> {
  await mkdir(join(folder, "blobs/sha256"), { recursive: true });
  const digest = sha256(manifest);
  await writeFile(blobPath(folder, digest), manifest);
  await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const manifests = [{ mediaType: manifestType, digest, size: Buffer.byteLength(manifest) }];
  await writeFile(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests }),
  );
}

/**
 * Writes a stream into a file.
 *
 * @param limit maximum number of bytes
 * @throws {Refusal} when it is longer
 */
export async function writeStream(
  stream: Readable,
  path: string,
  limit: number,
): Promise<{ readonly digest: string; readonly size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  await pipeline(
    stream,
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        size += chunk.length;
        if (size > limit) throw new Refusal("size", `more than ${limit} bytes were received`);
        hash.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(path),
  );
  return { digest: `sha256:${hash.digest("hex")}`, size };
}

/** Waits until all files of a layout are on disk. */
export async function synchronise(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = await open(join(entry.parentPath, entry.name), "r");
    await file.sync().finally(() => file.close());
  }
}
