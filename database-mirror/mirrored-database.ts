import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type Artifact, artifacts } from "./artifacts.ts";
import { type Build, BuildStore } from "./build-store.ts";
import type { Source } from "./configuration.ts";
import { fetchBuild, receiveBuild } from "./fetch.ts";
import { Refusal, type RefusalReason } from "./refusal.ts";
import { RegistryClient, type RequestKind } from "./registry-client.ts";

/** Bytes that stay free on the volume. */
const reserve = 16 << 20;

export interface MirroredDatabaseOptions {
  readonly source: Source;
  readonly plainHttp: boolean;
  readonly keep: number;
  readonly pin: string | undefined;
  /** Folder on the volume. */
  readonly folder: string;
  /** Folder with space for the unpacked database. */
  readonly scratch: string;
}

/** One database of the mirror: its builds, and how it gets new ones. */
export class MirroredDatabase {
  readonly artifact: Artifact;
  readonly store: BuildStore;
  /** Number of requests to the upstream registries. */
  readonly upstreamRequests = new Map<`${RequestKind}/${"ok" | "failed"}`, number>();
  /** Number of builds that were refused, by reason. */
  readonly refusals = new Map<RefusalReason, number>();
  /** Number of builds that were taken. */
  added = 0;
  /** Time of the last query that an upstream registry answered with a good build, in milliseconds; also of one before the last start. */
  lastSuccess: number | undefined;
  /** Why the build that the upstream's tag names is not taken. */
  upstreamRefusal: RefusalReason | undefined;
  readonly #options: MirroredDatabaseOptions;
  readonly #client: RegistryClient;
  /** Reasons of refused builds by digest, so that they are not downloaded again before the next start. */
  readonly #refused = new Map<string, RefusalReason>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: MirroredDatabaseOptions) {
    this.#options = options;
    this.artifact = artifacts[options.source.artifact];
    this.store = new BuildStore(options.folder);
    this.lastSuccess = readTime(this.#successFile);
    this.#client = new RegistryClient(options.plainHttp, (kind, succeeded) => {
      increase(this.upstreamRequests, `${kind}/${succeeded ? "ok" : "failed"}` as const);
    });
  }

  /** The build that is served: the one that is pinned, if it is kept, otherwise the newest. */
  get served(): Build | undefined {
    return this.store.find(this.#options.pin) ?? this.store.builds[0];
  }

  /** Whether a build is pinned that is not kept. */
  get isPinMissing(): boolean {
    return this.#options.pin !== undefined && !this.store.find(this.#options.pin);
  }

  /**
   * Takes the upstream's build if it is a new one. Failures are logged.
   *
   * @returns whether an upstream registry has answered
   */
  update(): Promise<boolean> {
    return this.#exclusively(async () => {
      let answered = false;
      for (const repository of this.#options.source.repositories) {
        try {
          await this.#updateFrom(repository);
          this.#noteSuccess();
          return true;
        } catch (error) {
          this.store.discardIncoming();
          answered ||= error instanceof Refusal;
          console.error(`${repository}: ${error instanceof Refusal ? "refused: " : ""}${(error as Error).message}`);
        }
      }
      return answered;
    });
  }

  /** @throws {Refusal} when the upstream's build is bad; another Error when the registry fails */
  async #updateFrom(repository: string): Promise<void> {
    const { keep, pin, scratch } = this.#options;
    const digest = await this.#client.digest(repository);
    const [newest] = this.store.builds;
    if (digest === newest?.digest) {
      this.upstreamRefusal = undefined;
      return;
    }
    try {
      const known = this.#refused.get(digest);
      if (known !== undefined) throw new Refusal(known, `${digest} was refused before`);
      if (this.store.find(digest)) throw new Refusal("older", `the tag was moved back to ${digest}`);
      const build = await fetchBuild(
        this.#client,
        repository,
        digest,
        { artifact: this.artifact, folder: this.store.incoming, scratch, predecessor: predecessorOf(newest) },
        (bytes) => this.#makeRoom(bytes),
      );
      await this.#take(build);
      this.store.prune(keep, [pin]);
    } catch (error) {
      if (error instanceof Refusal) this.#refuse(digest, error);
      throw error;
    }
  }

  /**
   * Adds a database that is given as a file.
   *
   * @param limit maximum number of bytes
   * @throws {Refusal} when the database is bad
   */
  push(stream: Readable, limit: number): Promise<Build> {
    return this.#exclusively(async () => {
      const { keep, pin, scratch } = this.#options;
      try {
        const predecessor = predecessorOf(this.store.builds[0]);
        const options = { artifact: this.artifact, folder: this.store.incoming, scratch, predecessor };
        const build = await receiveBuild(stream, limit, options);
        await this.#take(build);
        this.store.prune(keep, [pin]);
        return build;
      } catch (error) {
        this.store.discardIncoming();
        if (error instanceof Refusal) increase(this.refusals, error.reason);
        throw error;
      }
    });
  }

  async #take(build: Build): Promise<void> {
    await this.store.add(build);
    this.added += 1;
    this.upstreamRefusal = undefined;
    console.log(`${this.artifact.repository}: ${build.digest}, built ${build.updatedAt}, from ${build.source}`);
  }

  /** On the volume, so that a restart while the upstream is down does not hide for how long it has been. */
  #noteSuccess(): void {
    this.lastSuccess = Date.now();
    try {
      writeFileSync(this.#successFile, new Date(this.lastSuccess).toISOString());
    } catch (error) {
      console.error(`${this.#successFile}: ${(error as Error).message}`);
    }
  }

  get #successFile(): string {
    return join(this.#options.folder, "last-success");
  }

  #refuse(digest: string, { reason }: Refusal): void {
    this.upstreamRefusal = reason;
    if (this.#refused.has(digest)) return;
    increase(this.refusals, reason);
    this.#refused.set(digest, reason);
  }

  /** @throws {Error} when the volume is too small */
  #makeRoom(bytes: number): void {
    const { keep, pin } = this.#options;
    for (let kept = keep; kept >= 1 && this.store.volume.free < bytes + reserve; kept -= 1) this.store.prune(kept, [pin]);
    const { free } = this.store.volume;
    if (free < bytes + reserve)
      throw new Error(`the volume has ${free} bytes left, and the new build needs ${bytes}; raise database.mirror.size`);
  }

  #exclusively<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

const predecessorOf = (build: Build | undefined) => build && { updatedAt: build.updatedAt, size: build.layer.size };

/** Returns the time in a file, in milliseconds. */
function readTime(path: string): number | undefined {
  try {
    return Date.parse(readFileSync(path, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}

function increase<Key>(counters: Map<Key, number>, key: Key): void {
  counters.set(key, (counters.get(key) ?? 0) + 1);
}
