import { createHash } from "node:crypto";
import { createReadStream, openAsBlob, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { AwsV4Signer } from "aws4fetch";
import type { ReportsConfiguration } from "../protocol/model.ts";

/** How many files are sent at a time. */
const parallel = 4;
/** Milliseconds for one file. */
const patience = 600_000;

export interface BucketKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** What is to be copied: where it is, its key below the bucket's prefix, and its media type. */
export interface Upload {
  readonly path: string;
  readonly key: string;
  readonly type: string;
}

/** A bucket of any service that speaks S3, addressed by path: not every one has a name in DNS for each bucket. */
export class Bucket {
  readonly #configuration: NonNullable<ReportsConfiguration["bucket"]>;
  readonly #keys: BucketKeys;

  constructor(configuration: NonNullable<ReportsConfiguration["bucket"]>, keys: BucketKeys) {
    this.#configuration = configuration;
    this.#keys = keys;
  }

  /** Copies all, or fails with the first that could not be copied. Those that are there are written over. */
  async upload(uploads: Iterable<Upload>): Promise<number> {
    const iterator = uploads[Symbol.iterator]();
    const stop = new AbortController();
    let sent = 0;
    const worker = async () => {
      for (let next = iterator.next(); !next.done && !stop.signal.aborted; next = iterator.next()) {
        await this.#put(next.value, stop.signal);
        sent++;
      }
    };
    await Promise.all(
      Array.from({ length: parallel }, () =>
        // The first error says what is wrong; the others are that the rest was stopped.
        worker().catch((error) => stop.abort(error)),
      ),
    );
    stop.signal.throwIfAborted();
    return sent;
  }

  async #put({ path, key, type }: Upload, stop: AbortSignal): Promise<void> {
    const { endpoint, region, name, prefix } = this.#configuration;
    const place = [name, ...prefix.split("/"), ...key.split("/")].filter((part) => part !== "").map(encodeURIComponent);
    const url = `${endpoint.replace(/\/+$/, "")}/${place.join("/")}`;
    const hash = createHash("sha256");
    await pipeline(createReadStream(path), hash);
    const signer = new AwsV4Signer({
      ...this.#keys,
      service: "s3",
      region,
      url,
      method: "PUT",
      // The hash, which some services insist on without TLS. The file itself is never in memory as a whole.
      headers: { "content-type": type, "x-amz-content-sha256": hash.digest("hex") },
    });
    const signed = await signer.sign();
    let response: Response;
    try {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(patience)]);
      response = await fetch(signed.url, {
        method: "PUT",
        headers: signed.headers,
        body: await openAsBlob(path, { type }),
        redirect: "error",
        signal,
      });
    } catch (error) {
      const { cause, message } = error as Error;
      throw new Error(
        `the bucket's endpoint ${endpoint} cannot be reached: ${cause instanceof Error ? cause.message || String(cause) : message}`,
      );
    }
    const answer = await response.text();
    if (response.ok) return;
    const said = [/<Code>([^<]*)/, /<Message>([^<]*)/].map((pattern) => pattern.exec(answer)?.[1]).filter((text) => text);
    throw new Error(
      `bucket ${name} at ${endpoint} refused ${key} (${statSync(path).size} bytes): HTTP ${response.status}${said.length > 0 ? ` ${said.join(": ")}` : ""}${hint(response.status)}`,
    );
  }
}

function hint(status: number): string {
  if (status === 401 || status === 403) return "; look at the bucket's access keys, its region, and whether they may write there";
  if (status === 404) return "; look at the bucket's name and endpoint";
  return "";
}
