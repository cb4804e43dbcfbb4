import { createHash } from "node:crypto";
import { createReadStream, openAsBlob, statSync } from "node:fs";
import { AwsV4Signer } from "aws4fetch";
import pMap from "p-map";
import type { ReportsConfiguration } from "../protocol/configuration.ts";

/** Number of files sent at a time. */
const concurrency = 4;
/** Milliseconds for one file. */
const timeout = 600_000;

export interface BucketKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A file to copy: its path, its key below the bucket's prefix, and its media type. */
export interface Upload {
  readonly path: string;
  readonly key: string;
  readonly type: string;
}

/** A bucket of a service that speaks S3. Requests name it in the path, because not every service has a host name for each bucket. */
export class Bucket {
  readonly #configuration: NonNullable<ReportsConfiguration["bucket"]>;
  readonly #keys: BucketKeys;

  constructor(configuration: NonNullable<ReportsConfiguration["bucket"]>, keys: BucketKeys) {
    this.#configuration = configuration;
    this.#keys = keys;
  }

  /**
   * Copies files, replacing existing ones.
   *
   * @returns the number of files
   * @throws {Error} for the first file that could not be copied; the remaining ones are not copied then
   */
  async upload(uploads: readonly Upload[]): Promise<number> {
    const stop = new AbortController();
    try {
      await pMap(uploads, (upload) => this.#put(upload, stop.signal), { concurrency });
    } catch (error) {
      stop.abort(error);
      throw error;
    }
    return uploads.length;
  }

  async #put({ path, key, type }: Upload, stop: AbortSignal): Promise<void> {
    const { endpoint, region, name, prefix } = this.#configuration;
    const segments = [name, ...prefix.split("/"), ...key.split("/")].filter((part) => part !== "").map(encodeURIComponent);
    const url = `${endpoint.replace(/\/+$/, "")}/${segments.join("/")}`;
    const { sha256, md5 } = await hashesOf(path);
    const signer = new AwsV4Signer({
      ...this.#keys,
      service: "s3",
      region,
      url,
      method: "PUT",
      headers: {
        "content-type": type,
        // Some services require the hash of the content without TLS.
        "x-amz-content-sha256": sha256.toString("hex"),
        // Buckets with Object Lock require one of the two, and not every service knows the newer one.
        "x-amz-checksum-sha256": sha256.toString("base64"),
        "content-md5": md5.toString("base64"),
      },
    });
    const signed = await signer.sign();
    let response: Response;
    try {
      response = await fetch(signed.url, {
        method: "PUT",
        headers: signed.headers,
        body: await openAsBlob(path, { type }),
        redirect: "error",
        signal: AbortSignal.any([stop, AbortSignal.timeout(timeout)]),
      });
    } catch (error) {
      const { cause, message } = error as Error;
      throw new Error(
        `the bucket's endpoint ${endpoint} cannot be reached: ${cause instanceof Error ? cause.message || String(cause) : message}`,
      );
    }
    const answer = await response.text();
    if (response.ok) return;
    const details = [/<Code>([^<]*)/, /<Message>([^<]*)/].map((pattern) => pattern.exec(answer)?.[1]).filter((text) => text);
    const reason = [`HTTP ${response.status}`, details.join(": ")].filter((part) => part !== "").join(" ");
    throw new Error(`bucket ${name} at ${endpoint} refused ${key} (${statSync(path).size} bytes): ${reason}${hint(response.status)}`);
  }
}

/** Returns the hashes of a file, which is never in memory as a whole. */
async function hashesOf(path: string): Promise<Readonly<Record<"sha256" | "md5", Buffer>>> {
  const [sha256, md5] = [createHash("sha256"), createHash("md5")];
  for await (const chunk of createReadStream(path)) {
    sha256.update(chunk);
    md5.update(chunk);
  }
  return { sha256: sha256.digest(), md5: md5.digest() };
}

function hint(status: number): string {
  if (status === 401 || status === 403) return "; check the bucket's access keys and region, and whether the keys may write to it";
  if (status === 404) return "; check the bucket's name and endpoint";
  return "";
}
