import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Bucket, Upload } from "./bucket.ts";
import { writeAtomically } from "./durable.ts";
import { mediaType } from "./files.ts";

/** Milliseconds until a copy is retried: after the first failure, and at most. */
const retryDelay = { first: 60_000, maximum: 1_800_000 };

export interface BucketCopiesOptions {
  readonly bucket: Bucket;
  /** Folder of the runs' folders. */
  readonly folder: string;
  /** Returns the names of the runs that are kept, the oldest first. */
  readonly runs: () => readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (line: string) => void;
}

/** Copies the reports of finished runs to a bucket, and retries until they are there. */
export class BucketCopies {
  readonly #options: BucketCopiesOptions;
  #copying: Promise<void> | undefined;
  #retryAt = 0;
  #delay = retryDelay.first;

  constructor(options: BucketCopiesOptions) {
    this.#options = options;
  }

  /** Returns the runs that are not in the bucket yet. */
  pending(): string[] {
    return this.#options.runs().filter((run) => !existsSync(this.#path(run, "copied")));
  }

  /** Forgets a delay after a failure: the next call of {@link tick} copies. */
  hurry(): void {
    this.#retryAt = 0;
  }

  /** Starts copying in the background, unless it is in progress or waiting for a retry. */
  tick(): void {
    if (this.#copying || this.#options.now() < this.#retryAt || this.pending().length === 0) return;
    this.#copying = this.#copy().finally(() => {
      this.#copying = undefined;
    });
  }

  #path(...names: string[]): string {
    return join(this.#options.folder, ...names);
  }

  async #copy(): Promise<void> {
    const { bucket, runs, now, log } = this.#options;
    for (const run of this.pending()) {
      try {
        const files = await bucket.upload(this.#uploads(run));
        writeAtomically(this.#path(run, "copied"), "");
        log(`run ${run}: ${files} files copied to the bucket`);
        this.#delay = retryDelay.first;
      } catch (error) {
        // The run may have been removed in the meantime, because there are newer ones.
        if (!runs().includes(run)) continue;
        log(`run ${run}: not copied to the bucket, will be retried: ${error instanceof Error ? error.message : error}`);
        this.#retryAt = now() + this.#delay;
        this.#delay = Math.min(this.#delay * 2, retryDelay.maximum);
        return;
      }
    }
  }

  /** Returns the files of a run's report, and the index of all runs. */
  #uploads(run: string): Upload[] {
    const files = readdirSync(this.#path(run), { recursive: true, encoding: "utf8" });
    const index: Upload = { path: this.#path("index.html"), key: "runs/index.html", type: mediaType("index.html") ?? "" };
    return [
      index,
      ...files.flatMap((file): Upload[] => {
        const type = mediaType(file);
        return type ? [{ path: this.#path(run, file), key: `runs/${run}/${file}`, type }] : [];
      }),
    ];
  }
}
