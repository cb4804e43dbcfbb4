import { createHash } from "node:crypto";
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { copyFile, link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import type {
  KnownScan,
  NextAnswer,
  NextQuestion,
  PlanLine,
  RunReport,
  RunStart,
  RunStatus,
  RunSummary,
  SentResult,
  Target,
} from "../protocol/model.ts";
import type { Bucket, Upload } from "./bucket.ts";
import { compare, type LastGood, summarised, summary } from "./compare.ts";
import { cycloneDxFile, imageFile, imagePage, indexPage, runPage } from "./report/page.ts";
import { sarif } from "./report/sarif.ts";
import { Run, renameDurably, Texts, wholeLines, writeAtomically } from "./run.ts";

/** Pages that are written at a time. */
const parallel = 8;
/** Milliseconds until a report is tried again that could not be written. */
const finishAgain = 30_000;
/** Milliseconds until the log says once more what it has said. */
const tellAgain = 60_000;
/** Milliseconds until a copy to the bucket is tried again: at first, and at most. */
const copyAgain = { first: 60_000, most: 1_800_000 };

/** The names of Kubernetes' Jobs; none of them can lead out of a folder. */
export const runName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

const types = { html: "text/html; charset=utf-8", json: "application/json", sarif: "application/sarif+json" } as const;
const published = /^(?:index\.html|report\.(?:json|sarif)|images\/[^/]+\.html|cyclonedx\/[^/]+\.json)$/;
const upwards = /(?:^|\/)\.{1,2}(?:\/|$)|[\0\\]/;

/** The media type of a file of a run's folder; absent for what is not for others to read. */
export function mediaType(path: string): string | undefined {
  if (!published.test(path) || upwards.test(path)) return undefined;
  return types[path.slice(path.lastIndexOf(".") + 1) as keyof typeof types];
}

/** What is kept of a run that has ended. */
interface Finished {
  readonly status: RunStatus;
  readonly summary: RunSummary;
  readonly partial: boolean;
}

export interface StoreOptions {
  /** Folder of everything. */
  readonly folder: string;
  /** Finished runs to keep. */
  readonly keep: number;
  readonly outbox: { add(report: RunReport): Promise<void> };
  readonly bucket?: Bucket;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly log?: (line: string) => void;
}

/** The runs, finished or not, and the last good scan of each image. */
export class Store {
  readonly #folder: string;
  readonly #keep: number;
  readonly #outbox: StoreOptions["outbox"];
  readonly #bucket: Bucket | undefined;
  readonly #now: () => number;
  readonly #log: (line: string) => void;
  readonly #finished = new Map<string, Finished>();
  #running: Run | undefined;
  #finishing: Promise<void> | undefined;
  #copying: Promise<void> | undefined;
  #finishAt = 0;
  #told = { trouble: "", at: 0 };
  #copyAt = 0;
  #copyWait = copyAgain.first;
  #latest: RunReport | undefined;
  /** What keeps it from doing its work, such as a full volume. */
  trouble: string | undefined;

  constructor({ folder, keep, outbox, bucket, now = Date.now, log = console.log }: StoreOptions) {
    this.#folder = folder;
    this.#keep = keep;
    this.#outbox = outbox;
    this.#bucket = bucket;
    this.#now = now;
    this.#log = log;
    mkdirSync(this.runFolder(), { recursive: true });
    mkdirSync(this.#state(), { recursive: true });
    for (const name of readdirSync(this.#state())) if (name.endsWith(".tmp")) rmSync(this.#state(name));
    const unfinished: Run[] = [];
    for (const name of readdirSync(this.runFolder())) {
      if (!statSync(this.runFolder(name)).isDirectory()) continue;
      const finished = readJson<Finished>(this.runFolder(name, "finished.json"));
      if (finished) this.#finished.set(name, finished);
      else if (existsSync(this.runFolder(name, "start.json"))) unfinished.push(Run.resume(name, this.runFolder(name), this.#now()));
    }
    this.#running = unfinished.sort((a, b) => (a.start.startedAt < b.start.startedAt ? -1 : 1)).pop();
    for (const run of unfinished) run.dispose();
    if (this.#running) this.#log(`run ${this.#running.name}: continued after a restart; ${progress(this.#running)}`);
    this.#latest = readJson(this.#state("latest.json"));
    try {
      this.#tidy();
    } catch (error) {
      // What is there can be read all the same.
      this.#note(error);
    }
  }

  /** The path of a run, or of a file in its folder. */
  runFolder(...names: string[]): string {
    return join(this.#folder, "runs", ...names);
  }

  #state(...names: string[]): string {
    return join(this.#folder, "state", ...names);
  }

  get #lastGood(): string {
    return this.#state("last-good.ndjson");
  }

  /** The last run's report, a partial one's only as long as there is no other, without its findings. */
  get latest(): RunReport | undefined {
    return this.#latest;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Runs that are not yet in the bucket. */
  get uncopied(): number {
    return this.#uncopied().length;
  }

  /** Begins a run, or finds it begun. */
  begin(name: string, start: RunStart): RunStatus | { readonly running: string } {
    const known = this.status(name);
    if (this.#running?.name === name) this.#running.heard(this.#now());
    if (known) return known;
    if (this.#running) return { running: this.#running.name };
    rmSync(this.runFolder(name), { recursive: true, force: true });
    try {
      this.#running = Run.begin(name, this.runFolder(name), start, this.#now());
    } catch (error) {
      rmSync(this.runFolder(name), { recursive: true, force: true });
      this.#note(error);
      throw error;
    }
    this.trouble = undefined;
    this.#finishAt = 0;
    this.#log(`run ${name}: begun`);
    return this.#statusOf(this.#running);
  }

  status(name: string): RunStatus | undefined {
    return this.#running?.name === name ? this.#statusOf(this.#running) : this.#finished.get(name)?.status;
  }

  #statusOf(run: Run): RunStatus {
    const status = { run: run.name, ...run.counts };
    if (run.end && this.trouble) {
      // Its pods need not wait for a volume that someone has to enlarge, but they must not end as if all were well.
      return {
        ...status,
        state: "finished",
        verdict: "errors",
        summary: `run ${run.name}: its report could not be written: ${this.trouble}`,
      };
    }
    return { ...status, state: run.planned ? "scanning" : "planning", ...(this.trouble && { summary: this.trouble }) };
  }

  /** Takes note that a pod is still sending. */
  heard(name: string): void {
    if (this.#running?.name === name) this.#running.heard(this.#now());
  }

  async plan(name: string, lines: readonly PlanLine[]): Promise<void> {
    const run = this.#running;
    if (run?.name !== name || run.planned) return;
    run.heard(this.#now());
    await this.#noting(async () => run.plan(lines));
    this.#log(`run ${name}: ${run.counts.planned} images to scan, ${run.problems.length} problems while they were listed`);
  }

  async next(name: string, question: NextQuestion): Promise<NextAnswer> {
    const run = this.#running;
    if (run?.name !== name || (run.end && this.trouble)) return { next: "end" };
    const answer = await this.#noting(async () => run.next(question, this.#now()));
    // Whatever was wrong with the first try, the next one takes nothing for granted.
    if (answer.next !== "scan" || answer.attempt > 1) return answer;
    const known = await this.#known(answer.target);
    return { ...answer, ...(known && { known }) };
  }

  /** How a target was scanned before. */
  async #known(target: Target): Promise<KnownScan | undefined> {
    // What has no digest may be another image by now.
    if (target.digest === undefined) return undefined;
    try {
      return JSON.parse(await readFile(this.#state("known", knownFile(target)), "utf8"));
    } catch {
      // Nothing depends on it: a client is started as for a new image.
      return undefined;
    }
  }

  /** Not to outlive the node at any price: it is written for each image, and another client's scan is all that it saves. */
  async #keepKnown(target: Target, scan: KnownScan): Promise<void> {
    const path = this.#state("known", knownFile(target));
    try {
      await mkdir(this.#state("known"), { recursive: true });
      await writeFile(`${path}.tmp`, JSON.stringify(scan));
      await rename(`${path}.tmp`, path);
    } catch (error) {
      await rm(`${path}.tmp`, { force: true }).catch(() => undefined);
      this.#log(`how ${target.reference} was scanned is not kept: ${this.explain(error)}`);
    }
  }

  /** @returns whether the run, if it is under way, has such a target */
  async result(name: string, id: string, attempt: number | undefined, { exchange, ...result }: SentResult): Promise<boolean> {
    const run = this.#running;
    if (run?.name !== name) return true;
    return this.#noting(async () => {
      if (!run.result(id, attempt, result, this.#now())) return false;
      if (result.outcome === "failed") this.#log(`run ${name}: ${run.target(id)?.names[0]}: ${oneLine(result.reason)}`);
      await run.durable();
      const target = run.target(id);
      if (target?.digest && exchange && result.outcome === "scanned") await this.#keepKnown(target, { ...exchange, result });
      if (run.over(this.#now())) void this.tick();
      return true;
    });
  }

  /** Keeps a target's CycloneDX document by each of the image's names. */
  async cycloneDx(name: string, id: string, body: AsyncIterable<Buffer>): Promise<boolean> {
    const run = this.#running;
    const target = run?.name === name ? run.target(id) : undefined;
    if (!target) return false;
    await this.#noting(async () => {
      const folder = this.runFolder(name, "cyclonedx");
      await mkdir(folder, { recursive: true });
      const temporary = join(folder, `${encodeURIComponent(id)}.tmp`);
      try {
        await pipeline(body, createWriteStream(temporary, { flush: true }));
        for (const image of target.names) {
          const path = join(folder, cycloneDxFile(image));
          await rm(path, { force: true });
          // Not every kind of volume has links.
          await link(temporary, path).catch(() => copyFile(temporary, path));
        }
      } finally {
        await rm(temporary, { force: true });
      }
    });
    return true;
  }

  /** Ends what is over, and tries again what failed: to be called every second or so. */
  async tick(): Promise<void> {
    const now = this.#now();
    const run = this.#running;
    if (run && !this.#finishing && now >= this.#finishAt) {
      this.#finishing = this.#end(run, now).finally(() => {
        this.#finishing = undefined;
      });
    }
    if (this.#bucket && !this.#copying && now >= this.#copyAt && this.#uncopied().length > 0) {
      this.#copying = this.#copy(this.#bucket).finally(() => {
        this.#copying = undefined;
      });
    }
    await this.#finishing;
  }

  async #end(run: Run, now: number): Promise<void> {
    try {
      if (!run.end) {
        run.expire(now);
        const ended = run.over(now);
        if (!ended) return;
        run.close(ended, now);
      }
      await this.#finish(run, run.end ?? { ended: "complete", at: new Date(now).toISOString() });
      this.trouble = undefined;
    } catch (error) {
      this.#finishAt = now + finishAgain;
      this.#note(error);
    }
  }

  /**
   * Everything here may be done twice, and what is not done when the process ends is done by the next one, from the same files: until the last good scans are
   * replaced, in one step, the comparison gives the same again, and by then the alerts are in the outbox.
   */
  async #finish(run: Run, { ended, at }: { ended: RunReport["ended"]; at: string }): Promise<void> {
    const folder = (...names: string[]) => this.runFolder(run.name, ...names);
    // A name may come again, with another Job.
    const identity = `${run.name} ${run.start.startedAt}`;
    if (lastGoodOf(this.#lastGood) !== identity) {
      const { report, after } = await this.#compared(run, ended, at);
      const trend = [
        ...this.#byAge()
          .filter(({ partial }) => !partial)
          .map((known) => known.summary),
        summarised(report),
      ].slice(-this.#keep);
      await mkdir(folder("images"), { recursive: true });
      await writeStream(folder("report.json"), json(report));
      await writeStream(folder("report.sarif"), json(sarif(report)));
      const images = report.images[Symbol.iterator]();
      await Promise.all(
        Array.from({ length: parallel }, async () => {
          for (const image of images) await writeFile(folder("images", imageFile(image.name)), imagePage(report, image), { flush: true });
        }),
      );
      await writeFile(folder("index.html"), runPage(report, trend), { flush: true });
      const finished: Finished = {
        status: { run: run.name, state: "finished", ...run.counts, verdict: report.verdict, summary: summary(report) },
        summary: summarised(report),
        partial: report.policy.partial,
      };
      writeAtomically(folder("summary.json"), JSON.stringify(finished));
      await this.#outbox.add(report);
      if (!this.#latest || !report.policy.partial) {
        this.#latest = withoutFindings(report);
        writeAtomically(this.#state("latest.json"), JSON.stringify(this.#latest));
      }
      await writeStream(`${this.#lastGood}.tmp`, lastGoodLines(identity, after.values()));
      renameDurably(`${this.#lastGood}.tmp`, this.#lastGood);
    }
    if (run.planned && !run.start.partial) await this.#forget(run);
    renameDurably(folder("summary.json"), folder("finished.json"));
    const finished = readJson<Finished>(folder("finished.json"));
    if (finished) this.#finished.set(run.name, finished);
    this.#running = undefined;
    run.dispose();
    this.#copyAt = 0;
    this.#log(finished?.status.summary ?? `run ${run.name}: finished`);
    this.#tidy();
  }

  /** Lets go of how images were scanned that are no longer among the targets. */
  async #forget(run: Run): Promise<void> {
    const wanted = new Set(run.targets().map(knownFile));
    for (const file of await readdir(this.#state("known")).catch(() => []))
      if (!wanted.has(file)) await rm(this.#state("known", file), { force: true });
  }

  /** What is only needed for it is let go of when it returns. */
  async #compared(run: Run, ended: RunReport["ended"], at: string): Promise<ReturnType<typeof compare>> {
    const texts = new Texts();
    const before = await readLastGood(this.#lastGood, texts);
    return compare(run.name, run.start, at, ended, await run.outcomes(texts), run.problems, before);
  }

  #byAge(): Finished[] {
    return [...this.#finished.values()].sort((a, b) => (a.summary.finishedAt < b.summary.finishedAt ? -1 : 1));
  }

  /** Removes the runs beyond those to keep and what interrupted ones left, and writes the index of those that are there. */
  #tidy(): void {
    for (const { status } of this.#byAge().slice(0, -this.#keep)) {
      if (this.#uncopied().includes(status.run)) this.#log(`run ${status.run}: removed before it could be copied to the bucket`);
      this.#finished.delete(status.run);
    }
    for (const name of readdirSync(this.runFolder())) {
      if (this.#finished.has(name)) rmSync(this.runFolder(name, "queue"), { recursive: true, force: true });
      else if (name !== this.#running?.name && name !== "index.html") rmSync(this.runFolder(name), { recursive: true, force: true });
    }
    writeAtomically(this.runFolder("index.html"), indexPage(this.#byAge().map((run) => run.summary)));
  }

  #uncopied(): string[] {
    return this.#bucket
      ? this.#byAge().flatMap(({ status }) => (existsSync(this.runFolder(status.run, "copied")) ? [] : [status.run]))
      : [];
  }

  async #copy(bucket: Bucket): Promise<void> {
    for (const run of this.#uncopied()) {
      try {
        const files = readdirSync(this.runFolder(run), { recursive: true, encoding: "utf8" }).map((name) => `${run}/${name}`);
        const uploads = ["index.html", ...files].flatMap((name): Upload[] => {
          const type = mediaType(name.replace(`${run}/`, ""));
          return type ? [{ path: this.runFolder(name), key: `runs/${name}`, type }] : [];
        });
        const sent = await bucket.upload(uploads);
        writeAtomically(this.runFolder(run, "copied"), "");
        this.#log(`run ${run}: ${sent} files copied to the bucket`);
        this.#copyWait = copyAgain.first;
      } catch (error) {
        // It may have been removed meanwhile, to make place for another.
        if (!this.#finished.has(run)) continue;
        this.#copyAt = this.#now() + this.#copyWait;
        this.#copyWait = Math.min(this.#copyWait * 2, copyAgain.most);
        this.#log(`run ${run}: not copied to the bucket, tried again later: ${error instanceof Error ? error.message : error}`);
        return;
      }
    }
  }

  /** Takes note of what the volume refuses. */
  async #noting<T>(work: () => Promise<T>): Promise<T> {
    try {
      const done = await work();
      if (!this.#running?.end) this.trouble = undefined;
      return done;
    } catch (error) {
      if (isStorageError(error)) this.#note(error);
      throw error;
    }
  }

  #note(error: unknown): void {
    const now = this.#now();
    this.trouble = this.explain(error);
    // A full volume takes short lines now and then: its log must not be filled as well.
    if (this.trouble === this.#told.trouble && now < this.#told.at + tellAgain) return;
    this.#told = { trouble: this.trouble, at: now };
    this.#log(`error: ${this.trouble}`);
  }

  /** An error of the volume for those who can mend it. */
  explain(error: unknown): string {
    if (!isStorageError(error)) return error instanceof Error ? error.message : String(error);
    const full = error.code === "ENOSPC" || error.code === "EDQUOT";
    return full
      ? `the volume at ${this.#folder} is full (${error.code}): enlarge it, or keep fewer runs than ${this.#keep}`
      : `the volume at ${this.#folder} cannot be used: ${error.message}`;
  }

  /** Closes files; what is going on is continued by the next process. */
  async stop(): Promise<void> {
    await this.#finishing;
    this.#running?.dispose();
  }
}

export const isStorageError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "syscall" in error && "code" in error;

const knownFile = ({ reference }: Target): string => `${createHash("sha256").update(reference).digest("hex")}.json`;

const progress = (run: Run): string => {
  const { planned, scanned, failed } = run.counts;
  return run.planned ? `${scanned} of ${planned} images scanned, ${failed} failed` : "not planned yet";
};

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

function readJson<T>(path: string): T | undefined {
  if (!existsSync(path)) return undefined;
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

/** What metrics need of it, small enough to be held. */
const withoutFindings = (report: RunReport): RunReport => ({
  ...report,
  images: report.images.map((image) => ({ ...image, findings: [], gone: [] })),
  removed: [],
});

/** As `JSON.stringify` has it, but never as a whole: an element of a list, or what is as deep in the document, at a time. */
export function* json(value: unknown, depth = 0): Generator<string> {
  if (depth === 4 || typeof value !== "object" || value === null) {
    yield JSON.stringify(value);
    return;
  }
  const isList = Symbol.iterator in value;
  let before = isList ? "[" : "{";
  if (isList) {
    for (const item of value as Iterable<unknown>) {
      yield before;
      yield* json(item, depth + 1);
      before = ",\n";
    }
  } else {
    for (const [key, item] of Object.entries(value)) {
      if (item === undefined) continue;
      yield `${before}${JSON.stringify(key)}:`;
      yield* json(item, depth + 1);
      before = ",\n";
    }
  }
  yield before.length === 1 ? (isList ? "[]" : "{}") : isList ? "]" : "}";
}

async function writeStream(path: string, texts: Iterable<string>): Promise<void> {
  await pipeline(Readable.from(chunks(texts)), createWriteStream(path, { flush: true }));
}

function* chunks(texts: Iterable<string>): Generator<string> {
  let chunk = "";
  for (const text of texts) {
    chunk += text;
    if (chunk.length < 1 << 18) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}

/** The first line says which run's state it is: that one need not be compared again. */
function* lastGoodLines(run: string, images: Iterable<LastGood>): Generator<string> {
  yield `${JSON.stringify({ run })}\n`;
  for (const image of images) yield `${JSON.stringify(image)}\n`;
}

function lastGoodOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  for (const { text } of wholeLines(path)) return (JSON.parse(text) as { run: string }).run;
  return undefined;
}

async function readLastGood(path: string, texts: Texts): Promise<Map<string, LastGood>> {
  const images = new Map<string, LastGood>();
  if (!existsSync(path)) return images;
  for (const { text, offset } of wholeLines(path)) {
    if (offset === 0) continue;
    const image = JSON.parse(text) as LastGood;
    texts.shared(image.findings);
    images.set(image.name, image);
    if (images.size % 100 === 0) await setImmediate();
  }
  return images;
}
