import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { blobPath, synchronise } from "./layout.ts";
import type { Descriptor } from "./manifest.ts";

/** A database that was verified. */
export interface Build {
  /** Digest of the manifest. */
  readonly digest: string;
  readonly config: Descriptor;
  readonly layer: Descriptor;
  /** When the database was built, in ISO 8601. */
  readonly updatedAt: string;
  /** Where it comes from: a repository, or `push`. */
  readonly source: string;
}

/** The builds of one database on the volume: each is an OCI image layout in a folder of its own, which appears by a rename. */
export class BuildStore {
  readonly #folder: string;
  #builds: readonly Build[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(join(folder, "builds"), { recursive: true });
    this.#builds = readdirSync(join(folder, "builds")).flatMap((name) => readBuild(join(folder, "builds", name)) ?? []);
    this.#sort();
    this.discardIncoming();
  }

  /** All builds, newest first. */
  get builds(): readonly Build[] {
    return this.#builds;
  }

  find(digest: string | undefined): Build | undefined {
    return this.#builds.find((build) => build.digest === digest);
  }

  /** Returns the file of a manifest, configuration or layer. */
  blob(digest: string): { readonly path: string; readonly size: number } | undefined {
    const build = this.#builds.find(({ digest: own, config, layer }) => [own, config.digest, layer.digest].includes(digest));
    if (!build) return undefined;
    const path = blobPath(this.#pathOf(build), digest);
    return { path, size: statSync(path).size };
  }

  /** Where a build is prepared. */
  get incoming(): string {
    return join(this.#folder, "incoming");
  }

  discardIncoming(): void {
    rmSync(this.incoming, { recursive: true, force: true });
  }

  /** Adds the build that was prepared in `incoming`. */
  async add(build: Build): Promise<void> {
    writeFileSync(join(this.incoming, "build.json"), JSON.stringify(build));
    await synchronise(this.incoming);
    const path = this.#pathOf(build);
    rmSync(path, { recursive: true, force: true });
    await rename(this.incoming, path);
    const folder = await open(dirname(path), "r");
    await folder.sync().finally(() => folder.close());
    this.#builds = [...this.#builds.filter(({ digest }) => digest !== build.digest), build];
    this.#sort();
  }

  /** Removes all but the newest builds and those in `needed`. */
  prune(keep: number, needed: readonly (string | undefined)[]): Build[] {
    const removed = this.#builds.filter(({ digest }, index) => index >= keep && !needed.includes(digest));
    this.#builds = this.#builds.filter((build) => !removed.includes(build));
    for (const build of removed) rmSync(this.#pathOf(build), { recursive: true, force: true });
    return removed;
  }

  /** Bytes of the volume. */
  get volume(): { readonly free: number; readonly size: number } {
    const { bavail, blocks, bsize } = statfsSync(this.#folder);
    return { free: bavail * bsize, size: blocks * bsize };
  }

  #pathOf({ digest }: Build): string {
    return join(this.#folder, "builds", digest.replace("sha256:", ""));
  }

  #sort(): void {
    this.#builds = this.#builds.toSorted((one, other) => Date.parse(other.updatedAt) - Date.parse(one.updatedAt));
  }
}

/** Reads a build whose files are complete. */
function readBuild(folder: string): Build | undefined {
  try {
    const build = JSON.parse(readFileSync(join(folder, "build.json"), "utf8")) as Build;
    const complete = [build.config, build.layer].every(({ digest, size }) => statSync(blobPath(folder, digest)).size === size);
    if (complete) return build;
  } catch (error) {
    console.error(`${folder} cannot be read: ${(error as Error).message}`);
  }
  rmSync(folder, { recursive: true, force: true });
  return undefined;
}
