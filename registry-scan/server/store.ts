import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { copyFile, link, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { NextAnswer, NextQuestion, PlanLine, RunStart, RunStatus, SentResult } from "../protocol/api.ts";
import type { RunReport, RunSummary } from "../protocol/report.ts";
import { singleLine } from "../protocol/text.ts";
import type { Bucket } from "./bucket.ts";
import { BucketCopies } from "./bucket-copies.ts";
import { compare } from "./compare.ts";
import { parseObject, renameDurably, writeAtomically } from "./durable.ts";
import { cycloneDxFile } from "./files.ts";
import { KnownScans } from "./known-scans.ts";
import { lastScansRun, readLastScans, writeLastScans } from "./last-scans.ts";
import { indexPage } from "./report/index-page.ts";
import { writeReport } from "./report/write.ts";
import { DamagedRun, Run, type RunEnd } from "./run.ts";
import { type SearchQuery, type SearchResult, search } from "./search.ts";
import { StringPool } from "./string-pool.ts";
import { logSummary, toRunSummary } from "./summary.ts";

/** Milliseconds until a report that could not be written is retried. */
const finishRetryDelay = 30_000;
/** Milliseconds until the same error of the volume is logged again. */
const logInterval = 60_000;

/** The file `finished.json` of a run. */
interface FinishedRun {
  readonly status: RunStatus;
  readonly summary: RunSummary;
  readonly partial: boolean;
}

export interface StoreOptions {
  /** Folder of all files of the store. */
  readonly folder: string;
  /** Number of finished runs to keep. */
  readonly keep: number;
  readonly outbox: { add(report: RunReport): Promise<void> };
  /** Bucket for copies of the reports. @default no copies */
  readonly bucket?: Bucket;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly log?: (line: string) => void;
}

/** The run in progress, the reports of finished runs, and the last successful scan of each image. */
export class Store {
  readonly #folder: string;
  readonly #keep: number;
  readonly #outbox: StoreOptions["outbox"];
  readonly #copies: BucketCopies | undefined;
  readonly #knownScans: KnownScans;
  readonly #now: () => number;
  readonly #log: (line: string) => void;
  readonly #finished = new Map<string, FinishedRun>();
  #current: Run | undefined;
  #finishing: Promise<void> | undefined;
  #finishAt = 0;
  #logged = { error: "", at: 0 };
  #latest: RunReport | undefined;
  #volumeError: string | undefined;

  constructor({ folder, keep, outbox, bucket, now = Date.now, log = console.log }: StoreOptions) {
    this.#folder = folder;
    this.#keep = keep;
    this.#outbox = outbox;
    this.#now = now;
    this.#log = log;
    this.#knownScans = new KnownScans(this.#state("known"));
    const runs = () => this.#byAge().map(({ status }) => status.run);
    this.#copies = bucket && new BucketCopies({ bucket, folder: this.runPath(), runs, now, log });
    mkdirSync(this.runPath(), { recursive: true });
    mkdirSync(this.#state(), { recursive: true });
    for (const name of readdirSync(this.#state())) if (name.endsWith(".tmp")) rmSync(this.#state(name));
    this.#openRuns();
    this.#latest = this.#readState<RunReport>(this.#state("latest.json"), "images");
    try {
      this.#tidy();
    } catch (error) {
      // Existing reports can be read all the same.
      this.#noteError(error);
    }
  }

  #openRuns(): void {
    const unfinished: Run[] = [];
    for (const name of readdirSync(this.runPath())) {
      if (!statSync(this.runPath(name)).isDirectory()) continue;
      const path = this.runPath(name, "finished.json");
      const finished = existsSync(path) && parseObject<FinishedRun>(readFileSync(path, "utf8"));
      if (finished && finished.summary?.run === name) this.#finished.set(name, finished);
      else if (finished !== false) this.#putAside(name, `${path} is damaged`);
      else if (existsSync(this.runPath(name, "start.json"))) unfinished.push(...this.#resume(name));
    }
    this.#current = unfinished.sort((a, b) => (a.start.startedAt < b.start.startedAt ? -1 : 1)).pop();
    for (const run of unfinished) run.dispose();
    if (this.#current) this.#log(`run ${this.#current.name}: continued after a restart; ${progress(this.#current)}`);
  }

  #resume(name: string): Run[] {
    try {
      return [Run.resume(name, this.runPath(name), this.#now())];
    } catch (error) {
      if (!(error instanceof DamagedRun)) throw error;
      this.#putAside(name, error.message);
      return [];
    }
  }

  /** Moves a run that cannot be read out of the way, so that others can be read and begun. */
  #putAside(run: string, problem: string): void {
    const path = join(this.#folder, "damaged", run);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(join(this.#folder, "damaged"), { recursive: true });
    renameSync(this.runPath(run), path);
    this.#log(`error: ${problem}; the run was put aside as ${path}`);
  }

  /** Reads a file of the state, which is an object with a certain key. A damaged one is put aside. */
  #readState<T extends object>(path: string, key: keyof T & string): T | undefined {
    if (!existsSync(path)) return undefined;
    const value = parseObject<T>(readFileSync(path, "utf8"));
    if (value !== undefined && key in value) return value;
    renameSync(path, `${path}.damaged`);
    this.#log(`error: ${path} is damaged and was put aside as ${path}.damaged; the next run writes it again`);
    return undefined;
  }

  /** Returns the path of a run's folder, or of a file in it; without names, the folder of all runs. */
  runPath(...names: string[]): string {
    return join(this.#folder, "runs", ...names);
  }

  #state(...names: string[]): string {
    return join(this.#folder, "state", ...names);
  }

  /** The last successful scan of each image. */
  get #lastScans(): string {
    return this.#state("last-good.ndjson");
  }

  /** The report of the last full run, or of a partial run if there is no other, without findings. */
  get latest(): RunReport | undefined {
    return this.#latest;
  }

  /** Finds findings in the last successful scan of each image. */
  search(query: SearchQuery): Promise<SearchResult> {
    return search(this.#lastScans, query);
  }

  get isRunning(): boolean {
    return this.#current !== undefined;
  }

  /** Number of runs that are not in the bucket yet. */
  get pendingCopies(): number {
    return this.#copies?.pending().length ?? 0;
  }

  /** Why the volume refuses writes, for example because it is full. */
  get volumeError(): string | undefined {
    return this.#volumeError;
  }

  /** Begins a run, or returns the status of a run that has begun. */
  begin(name: string, start: RunStart): RunStatus | { readonly running: string } {
    const status = this.status(name);
    this.touch(name);
    if (status) return status;
    if (this.#current) return { running: this.#current.name };
    rmSync(this.runPath(name), { recursive: true, force: true });
    try {
      this.#current = Run.begin(name, this.runPath(name), start, this.#now());
    } catch (error) {
      rmSync(this.runPath(name), { recursive: true, force: true });
      this.#noteError(error);
      throw error;
    }
    this.#volumeError = undefined;
    this.#finishAt = 0;
    this.#log(`run ${name}: begun`);
    return this.#statusOf(this.#current);
  }

  status(name: string): RunStatus | undefined {
    return this.#current?.name === name ? this.#statusOf(this.#current) : this.#finished.get(name)?.status;
  }

  #statusOf(run: Run): RunStatus {
    const status = { run: run.name, ...run.counts };
    const error = this.#volumeError;
    if (run.end && error !== undefined) {
      // Pods must not wait until the operator enlarges the volume, and must not end as if the run were clean.
      return { ...status, state: "finished", verdict: "errors", summary: `run ${run.name}: its report could not be written: ${error}` };
    }
    return { ...status, state: run.isPlanned ? "scanning" : "planning", ...(error !== undefined && { summary: error }) };
  }

  /** Notes that a pod of the run is sending. */
  touch(name: string): void {
    if (this.#current?.name === name) this.#current.touch(this.#now());
  }

  async plan(name: string, lines: readonly PlanLine[]): Promise<void> {
    const run = this.#current;
    if (run?.name !== name || run.isPlanned) return;
    run.touch(this.#now());
    await this.#notingErrors(async () => run.plan(lines));
    this.#log(`run ${name}: ${run.counts.planned} images to scan, ${run.problems.length} problems while they were listed`);
  }

  async next(name: string, question: NextQuestion): Promise<NextAnswer> {
    const run = this.#current;
    if (run?.name !== name || (run.end && this.#volumeError)) return { next: "end" };
    const answer = await this.#notingErrors(async () => run.next(question, this.#now()));
    // A retry does not rely on an earlier scan, whatever the cause of the failure.
    if (answer.next !== "scan" || answer.attempt > 1) return answer;
    const known = await this.#knownScans.find(answer.target);
    return { ...answer, ...(known && { known }) };
  }

  /** @returns whether the run, if it is in progress, has such a target */
  async result(name: string, id: string, attempt: number | undefined, { exchange, ...result }: SentResult): Promise<boolean> {
    const run = this.#current;
    if (run?.name !== name) return true;
    return this.#notingErrors(async () => {
      if (!run.result(id, attempt, result, this.#now())) return false;
      if (result.outcome === "failed") this.#log(`run ${name}: ${run.target(id)?.names[0]}: ${singleLine(result.reason)}`);
      await run.flush();
      const target = run.target(id);
      if (target?.digest && exchange && result.outcome === "scanned") {
        await this.#knownScans.store(target, { ...exchange, result }).catch((error: unknown) => {
          this.#log(`the scan of ${target.reference} is not available to the next run: ${this.explain(error)}`);
        });
      }
      if (run.endReason(this.#now())) void this.tick();
      return true;
    });
  }

  /**
   * Stores a target's CycloneDX document under each name of the image.
   *
   * @returns whether the run has such a target
   */
  async cycloneDx(name: string, id: string, body: AsyncIterable<Uint8Array>): Promise<boolean> {
    const run = this.#current;
    const target = run?.name === name ? run.target(id) : undefined;
    if (!target) return false;
    await this.#notingErrors(async () => {
      const folder = this.runPath(name, "cyclonedx");
      await mkdir(folder, { recursive: true });
      const temporary = join(folder, `${encodeURIComponent(id)}.tmp`);
      try {
        await pipeline(body, createWriteStream(temporary, { flush: true }));
        for (const image of target.names) {
          const path = join(folder, cycloneDxFile(image));
          await rm(path, { force: true });
          // Some kinds of volumes do not support links.
          await link(temporary, path).catch(() => copyFile(temporary, path));
        }
      } finally {
        await rm(temporary, { force: true });
      }
    });
    return true;
  }

  /** Finishes a run that has ended, and retries what failed. Call it about every second. */
  async tick(): Promise<void> {
    const now = this.#now();
    const run = this.#current;
    if (run && !this.#finishing && now >= this.#finishAt) {
      this.#finishing = this.#end(run, now).finally(() => {
        this.#finishing = undefined;
      });
    }
    this.#copies?.tick();
    await this.#finishing;
  }

  async #end(run: Run, now: number): Promise<void> {
    try {
      if (!run.end) {
        run.expire(now);
        const ended = run.endReason(now);
        if (!ended) return;
        run.close(ended, now);
      }
      if (run.end) await this.#finish(run, run.end);
      this.#volumeError = undefined;
    } catch (error) {
      this.#finishAt = now + finishRetryDelay;
      this.#noteError(error);
    }
  }

  /**
   * Writes the report of a run. Each step can be repeated: after a crash the next process continues with the same files. The comparison has the same
   * result until the last successful scans are replaced, in one step, and by then the alerts are in the outbox.
   */
  async #finish(run: Run, end: RunEnd): Promise<void> {
    // Another Job may have the same name.
    const identity = `${run.name} ${run.start.startedAt}`;
    if (lastScansRun(this.#lastScans) !== identity) {
      const { report, after } = await this.#compare(run, end);
      const summary = toRunSummary(report);
      const trend = [
        ...this.#byAge()
          .filter(({ partial }) => !partial)
          .map((finished) => finished.summary),
        summary,
      ].slice(-this.#keep);
      await writeReport(this.runPath(run.name), report, trend);
      const finished: FinishedRun = {
        status: { run: run.name, state: "finished", ...run.counts, verdict: report.verdict, summary: logSummary(report) },
        summary,
        partial: report.policy.partial,
      };
      writeAtomically(this.runPath(run.name, "summary.json"), JSON.stringify(finished));
      await this.#outbox.add(report);
      if (!this.#latest || !report.policy.partial) {
        this.#latest = withoutFindings(report);
        writeAtomically(this.#state("latest.json"), JSON.stringify(this.#latest));
      }
      await writeLastScans(this.#lastScans, identity, after.values());
    }
    if (run.isPlanned && !run.start.partial) await this.#knownScans.retain(run.targets());
    renameDurably(this.runPath(run.name, "summary.json"), this.runPath(run.name, "finished.json"));
    const finished = parseObject<FinishedRun>(readFileSync(this.runPath(run.name, "finished.json"), "utf8"));
    if (finished) this.#finished.set(run.name, finished);
    this.#current = undefined;
    run.dispose();
    this.#copies?.hurry();
    this.#log(finished?.status.summary ?? `run ${run.name}: finished`);
    this.#tidy();
  }

  /** Keeps what only the comparison needs local, so that it can be garbage-collected on return. */
  async #compare(run: Run, { ended, at }: RunEnd): Promise<ReturnType<typeof compare>> {
    const strings = new StringPool();
    const before = await readLastScans(this.#lastScans, strings, this.#log);
    const outcomes = drained(await run.outcomes(strings));
    return compare({ run: run.name, start: run.start, finishedAt: at, ended, outcomes, problems: run.problems, before });
  }

  /** Returns the finished runs, the oldest first. */
  #byAge(): FinishedRun[] {
    return [...this.#finished.values()].sort((a, b) => (a.summary.finishedAt < b.summary.finishedAt ? -1 : 1));
  }

  /** Removes the runs beyond those to keep and the remains of interrupted ones, and writes the index of the others. */
  #tidy(): void {
    const pending = this.#copies?.pending() ?? [];
    for (const { status } of this.#byAge().slice(0, -this.#keep)) {
      if (pending.includes(status.run)) this.#log(`run ${status.run}: removed before it could be copied to the bucket`);
      this.#finished.delete(status.run);
    }
    for (const name of readdirSync(this.runPath())) {
      if (this.#finished.has(name)) rmSync(this.runPath(name, "queue"), { recursive: true, force: true });
      else if (name !== this.#current?.name && name !== "index.html") rmSync(this.runPath(name), { recursive: true, force: true });
    }
    writeAtomically(this.runPath("index.html"), indexPage(this.#byAge().map(({ summary }) => summary)));
  }

  /** Does some work, and notes an error of the volume. */
  async #notingErrors<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      if (!this.#current?.end) this.#volumeError = undefined;
      return result;
    } catch (error) {
      if (isStorageError(error)) this.#noteError(error);
      throw error;
    }
  }

  #noteError(error: unknown): void {
    const now = this.#now();
    const message = this.explain(error);
    this.#volumeError = message;
    // A full volume accepts short writes now and then, and each would be followed by the same error.
    if (message === this.#logged.error && now < this.#logged.at + logInterval) return;
    this.#logged = { error: message, at: now };
    this.#log(`error: ${message}`);
  }

  /** Returns a message about an error of the volume for the operator who has to fix it. */
  explain(error: unknown): string {
    if (!isStorageError(error)) return error instanceof Error ? error.message : String(error);
    const isFull = error.code === "ENOSPC" || error.code === "EDQUOT";
    return isFull
      ? `the volume at ${this.#folder} is full (${error.code}); enlarge it, or keep fewer runs than ${this.#keep}`
      : `the volume at ${this.#folder} cannot be used: ${error.message}`;
  }

  /** Closes files. The next process continues the run in progress. */
  async stop(): Promise<void> {
    await this.#finishing;
    this.#current?.dispose();
  }
}

/** Returns the items of a list, each of which can be garbage-collected after its turn. */
function* drained<T>(items: (T | undefined)[]): Generator<T> {
  for (const [index, item] of items.entries()) {
    items[index] = undefined;
    if (item !== undefined) yield item;
  }
}

/** Whether an error comes from a system call on a file. */
export const isStorageError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "syscall" in error && "code" in error;

const progress = (run: Run): string => {
  const { planned, scanned, failed } = run.counts;
  return run.isPlanned ? `${scanned} of ${planned} images scanned, ${failed} failed` : "not planned yet";
};

/** Returns the part of a report that metrics need, which is small enough to be kept in memory. */
const withoutFindings = (report: RunReport): RunReport => ({
  ...report,
  images: report.images.map((image) => ({ ...image, findings: [], gone: [] })),
  removed: [],
});
