import {
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import {
  attempts,
  type Finding,
  type NextAnswer,
  type NextQuestion,
  type PlanLine,
  type Problem,
  type RunReport,
  type RunStart,
  type ScanResult,
  type Target,
} from "../protocol/model.ts";
import type { TargetOutcome } from "./compare.ts";

/** Milliseconds beyond a scan's `timeout` after which its pod is taken for lost. */
const leaseGrace = 60_000;
/** Milliseconds without a word from any pod, and without a scan that may still go on, after which a run is taken for abandoned. */
const silence = 300_000;
/** Milliseconds before a target is tried again, by the number of tries so far. */
const pause = (tries: number) => 5_000 * 3 ** (tries - 1);

/** Seconds that pods wait before they ask again: long enough to cost nothing, and short beside a scan, because a run is as long as its last pod. */
const askAgain = 0.5;

/** What happened to a target: a line of `results.ndjson`. */
type Event =
  | ({ readonly id: string; readonly at: string } & NextQuestion)
  | { readonly id: string; readonly at: string; readonly result: ScanResult };

/** Where a line is in its file, bytes. */
interface Place {
  readonly offset: number;
  readonly length: number;
}

interface Entry {
  readonly target: Target;
  tries: number;
  lease?: (NextQuestion & { readonly since: number }) | undefined;
  ended?: ScanResult["outcome"];
  /** Of its last result, which stays on disk: the findings of all images together are too much to hold. */
  last?: Place;
  /** When it may be tried again. */
  notBefore: number;
}

/** A run's targets and how far each is. Changes by events alone, so that reading them again gives the same queue. */
class Queue {
  readonly #entries = new Map<string, Entry>();
  readonly #held = new Map<string, Entry>();
  /** The order in which targets are handed out: what failed goes to the end. Those before `#first` need not be looked at. */
  readonly #order: Entry[] = [];
  #first = 0;
  readonly counts = { scanned: 0, failed: 0 };

  constructor(targets: readonly Target[]) {
    for (const target of targets) {
      const entry: Entry = { target, tries: 0, notBefore: 0 };
      this.#entries.set(target.id, entry);
      this.#order.push(entry);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  get complete(): boolean {
    return this.counts.scanned + this.counts.failed === this.size;
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  entry(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  leased(): Iterable<Entry> {
    return this.#held.values();
  }

  heldBy(pod: string): Entry | undefined {
    return this.#held.get(pod);
  }

  /** What to scan now. */
  ready(now: number): Entry | undefined {
    for (let i = this.#first; i < this.#order.length; i++) {
      const entry = this.#order[i];
      if (entry && isWaiting(entry) && entry.notBefore <= now) return entry;
      if (i === this.#first && entry && !isWaiting(entry)) this.#first++;
    }
    return undefined;
  }

  apply(event: Event, place: Place): void {
    const entry = this.#entries.get(event.id);
    if (!entry) return;
    const at = Date.parse(event.at);
    if ("pod" in event) {
      entry.tries++;
      entry.lease = { pod: event.pod, process: event.process, since: at };
      this.#held.set(event.pod, entry);
      return;
    }
    if (entry.lease) this.#held.delete(entry.lease.pod);
    entry.lease = undefined;
    entry.last = place;
    if (event.result.outcome === "scanned" || entry.tries >= attempts) {
      entry.ended = event.result.outcome;
      this.counts[entry.ended]++;
    } else {
      entry.notBefore = at + pause(entry.tries);
      this.#order.push(entry);
    }
  }
}

const isWaiting = (entry: Entry): boolean => !entry.ended && !entry.lease;

/** Findings repeat from image to image and from run to run: each of their texts is held once. */
export class Texts {
  readonly #known = new Map<string, string>();

  shared<T extends Finding>(findings: readonly T[]): readonly T[] {
    for (const finding of findings as readonly Record<string, unknown>[]) {
      for (const key in finding) {
        const text = finding[key];
        if (typeof text !== "string") continue;
        const known = this.#known.get(text);
        if (known === undefined) this.#known.set(text, text);
        else finding[key] = known;
      }
    }
    return findings;
  }
}

/** Lines that are whole: the last one of a process that was killed may not be. */
export function* wholeLines(path: string): Generator<Place & { readonly text: string }> {
  const file = openSync(path, "r");
  try {
    const chunk = Buffer.alloc(1 << 20);
    let kept: Buffer[] = [];
    let offset = 0;
    for (;;) {
      const read = readSync(file, chunk);
      if (read === 0) return;
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0 && end < read; end = chunk.indexOf(10, start)) {
        kept.push(chunk.subarray(start, end));
        const line = Buffer.concat(kept);
        yield { text: line.toString(), offset, length: line.length };
        offset += line.length + 1;
        kept = [];
        start = end + 1;
      }
      if (start < read) kept.push(Buffer.from(chunk.subarray(start, read)));
    }
  } finally {
    closeSync(file);
  }
}

/** A small file that is there as a whole, or not at all, whenever the process or the node ends. */
export function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    writeWhole(file, Buffer.from(text));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameDurably(temporary, path);
}

export function renameDurably(from: string, to: string): void {
  renameSync(from, to);
  const folder = openSync(dirname(to), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function writeWhole(file: number, data: Buffer): void {
  for (let written = 0; written < data.length; ) written += writeSync(file, data, written);
}

/** What cannot be planned; its message is for who wrote the planner. */
export class PlanError extends Error {}

/** How a run ended; from then on nothing about its targets changes. */
export interface End {
  readonly ended: RunReport["ended"];
  readonly at: string;
}

/**
 * A run in progress. Everything is in its folder before anyone is told: `start.json`, and under `queue/` the plan, `results.ndjson` with the leases and results
 * in their order, and `end.json`.
 */
export class Run {
  readonly name: string;
  readonly folder: string;
  readonly start: RunStart;
  readonly problems: Problem[] = [];
  end: End | undefined;
  #queue: Queue | undefined;
  readonly #journal: number;
  #length: number;
  /** When this process took it up: a pod could not reach us before. */
  readonly #opened: number;
  #heard: number;

  private constructor(name: string, folder: string, start: RunStart, now: number) {
    this.name = name;
    this.folder = folder;
    this.start = start;
    this.#opened = now;
    this.#heard = now;
    mkdirSync(this.#path(), { recursive: true });
    this.#journal = openSync(this.#path("results.ndjson"), "a+");
    this.#length = fstatSync(this.#journal).size;
  }

  static begin(name: string, folder: string, start: RunStart, now: number): Run {
    mkdirSync(folder, { recursive: true });
    writeAtomically(join(folder, "start.json"), JSON.stringify(start));
    return new Run(name, folder, start, now);
  }

  /** Goes on where another process was, whatever it was doing when it ended. */
  static resume(name: string, folder: string, now: number): Run {
    const run = new Run(name, folder, JSON.parse(readFileSync(join(folder, "start.json"), "utf8")), now);
    if (existsSync(run.#path("end.json"))) run.end = JSON.parse(readFileSync(run.#path("end.json"), "utf8"));
    if (existsSync(run.#path("plan.ndjson"))) {
      run.#planned([...wholeLines(run.#path("plan.ndjson"))].map(({ text }) => JSON.parse(text)));
    }
    let whole = 0;
    for (const { text, offset, length } of wholeLines(run.#path("results.ndjson"))) {
      run.#queue?.apply(JSON.parse(text), { offset, length });
      whole = offset + length + 1;
    }
    // A line that was not written to its end was never answered: its pod asks again.
    ftruncateSync(run.#journal, whole);
    run.#length = whole;
    return run;
  }

  #path(...names: string[]): string {
    return join(this.folder, "queue", ...names);
  }

  #planned(lines: readonly PlanLine[]): void {
    this.problems.push(...lines.flatMap((line) => ("problem" in line ? [line.problem] : [])));
    this.#queue = new Queue(lines.flatMap((line) => ("target" in line ? [line.target] : [])));
  }

  get planned(): boolean {
    return this.#queue !== undefined;
  }

  get counts(): { readonly planned: number; readonly scanned: number; readonly failed: number } {
    const { scanned = 0, failed = 0 } = this.#queue?.counts ?? {};
    const planned = this.#queue?.size ?? 0;
    return { planned, scanned, failed: this.end ? planned - scanned : failed };
  }

  /** Takes note that a pod of the run is alive. */
  heard(now: number): void {
    this.#heard = now;
  }

  /** Takes the targets, all of them or none. The first plan counts. */
  plan(lines: readonly PlanLine[]): void {
    if (this.planned || this.end) return;
    const ids = new Set<string>();
    for (const line of lines) {
      if (!("target" in line)) continue;
      if (ids.has(line.target.id))
        throw new PlanError(`two targets have the id ${JSON.stringify(line.target.id)}; each must have one of its own`);
      ids.add(line.target.id);
    }
    writeAtomically(this.#path("plan.ndjson"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    this.#planned(lines);
  }

  /** What the pod is to do. Only once the run's report is there is it told to end: until then its verdict is not known. */
  next({ pod, process }: NextQuestion, now: number): NextAnswer {
    this.heard(now);
    const queue = this.#queue;
    if (!queue || this.end || queue.complete) return { next: "wait", seconds: askAgain };
    const lost = queue.heldBy(pod);
    if (lost?.lease?.process === process) return { next: "scan", target: lost.target, attempt: lost.tries };
    if (lost) this.#lose(lost, now, `pod ${pod} ended while it scanned this image (out of memory, evicted or deleted)`);
    this.expire(now);
    const entry = queue.ready(now);
    if (!entry) return { next: "wait", seconds: askAgain };
    this.#record({ id: entry.target.id, at: new Date(now).toISOString(), pod, process });
    return { next: "scan", target: entry.target, attempt: entry.tries };
  }

  /**
   * Takes a result. Without effect, because there is nothing left to decide: for a target that has ended, and a failure of another try than the present one,
   * as when a request is repeated whose answer was lost.
   * @param attempt which try it is of; absent: the present one
   * @returns whether there is such a target
   */
  result(id: string, attempt: number | undefined, result: ScanResult, now: number): boolean {
    this.heard(now);
    const entry = this.#queue?.entry(id);
    if (!entry) return false;
    if (this.end || entry.ended) return true;
    const present = entry.lease !== undefined && (attempt === undefined || attempt === entry.tries);
    if (present || result.outcome === "scanned") this.#record({ id, at: new Date(now).toISOString(), result });
    return true;
  }

  target(id: string): Target | undefined {
    return this.#queue?.entry(id)?.target;
  }

  targets(): Target[] {
    return [...(this.#queue?.entries() ?? [])].map(({ target }) => target);
  }

  /** Gives up scans that took longer than they may. */
  expire(now: number): void {
    for (const entry of [...(this.#queue?.leased() ?? [])]) {
      if (now < this.#expiry(entry)) continue;
      this.#lose(
        entry,
        now,
        `pod ${entry.lease?.pod} sent no result within the scan's ${this.start.timeout} s and ${leaseGrace / 1000} s more`,
      );
    }
  }

  #expiry(entry: Entry): number {
    const due = (entry.lease?.since ?? 0) + this.start.timeout * 1000 + leaseGrace;
    // After a restart, pods first get the time to send what they could not.
    return Math.max(due, this.#opened + leaseGrace);
  }

  #lose(entry: Entry, now: number, reason: string): void {
    const seconds = Math.max(0, (now - (entry.lease?.since ?? now)) / 1000);
    this.#record({ id: entry.target.id, at: new Date(now).toISOString(), result: { outcome: "failed", reason, seconds } });
  }

  /** Whether it is over, and how. */
  over(now: number): RunReport["ended"] | undefined {
    if (this.#queue?.complete) return "complete";
    if (now >= Date.parse(this.start.startedAt) + this.start.deadline * 1000) return "deadline";
    const scanning = [...(this.#queue?.leased() ?? [])].some((entry) => now < this.#expiry(entry));
    return !scanning && now - this.#heard >= silence ? "abandoned" : undefined;
  }

  /** Ends it, whatever is missing. */
  close(ended: RunReport["ended"], now: number): void {
    if (this.end) return;
    for (const entry of [...(this.#queue?.leased() ?? [])]) {
      this.#lose(
        entry,
        now,
        `its scan had not ended when the run did: ${ended === "deadline" ? "the deadline was reached" : "all pods were gone"}`,
      );
    }
    const end = { ended, at: new Date(now).toISOString() };
    writeAtomically(this.#path("end.json"), JSON.stringify(end));
    this.end = end;
  }

  /** What became of each target, in the plan's order. */
  async outcomes(texts: Texts): Promise<TargetOutcome[]> {
    const outcomes: TargetOutcome[] = [];
    for (const { target, tries, last } of this.#queue?.entries() ?? []) {
      if (outcomes.length % 100 === 0) await setImmediate();
      if (!last) {
        outcomes.push({ target, attempts: tries });
        continue;
      }
      const line = Buffer.alloc(last.length);
      readSync(this.#journal, line, 0, last.length, last.offset);
      const { result, at } = JSON.parse(line.toString()) as { result: ScanResult; at: string };
      if (result.outcome === "scanned") texts.shared(result.findings);
      outcomes.push({ target, attempts: tries, result, at });
    }
    return outcomes;
  }

  #record(event: Event): void {
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    try {
      writeWhole(this.#journal, line);
    } catch (error) {
      // Half a line would make one with the next.
      try {
        ftruncateSync(this.#journal, this.#length);
      } catch {
        // The first error tells more.
      }
      throw error;
    }
    this.#queue?.apply(event, { offset: this.#length, length: line.length - 1 });
    this.#length += line.length;
  }

  /** Returns when what was recorded outlives the node. */
  async durable(): Promise<void> {
    await promisify(fdatasync)(this.#journal);
  }

  dispose(): void {
    closeSync(this.#journal);
  }
}
