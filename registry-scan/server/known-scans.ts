import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type KnownScan, knownScanSchema, type Target } from "../protocol/api.ts";
import { parseJson } from "../protocol/validation.ts";
import { writeAtomically } from "./durable.ts";

/**
 * Scans by clients, with the exchange that their findings are based on, so that the next run can repeat the exchange instead of starting a client.
 * No result depends on them: a scan that is missing or unreadable costs the start of a client.
 */
export class KnownScans {
  readonly #folder: string;

  /** @param folder - with a file per target; it need not exist */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(target: Target): Promise<KnownScan | undefined> {
    // Without a digest, the reference may mean another image by now.
    if (target.digest === undefined) return undefined;
    try {
      return parseJson(knownScanSchema, await readFile(this.#path(target), "utf8"));
    } catch {
      return undefined;
    }
  }

  /** @throws {NodeJS.ErrnoException} when the volume refuses the write */
  async store(target: Target, scan: KnownScan): Promise<void> {
    const path = this.#path(target);
    await mkdir(this.#folder, { recursive: true });
    try {
      // Written for each image of a run: a flush costs more than the loss of the file.
      writeAtomically(path, JSON.stringify(scan), { flush: false });
    } catch (error) {
      await rm(`${path}.tmp`, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  /** Removes the scans of images that are no longer targets. */
  async retain(targets: readonly Target[]): Promise<void> {
    const files = new Set(targets.map(fileName));
    for (const file of await readdir(this.#folder).catch(() => [])) {
      if (!files.has(file)) await rm(join(this.#folder, file), { force: true });
    }
  }

  #path(target: Target): string {
    return join(this.#folder, fileName(target));
  }
}

const fileName = ({ reference }: Target): string => `${createHash("sha256").update(reference).digest("hex")}.json`;
