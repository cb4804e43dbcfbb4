import { closeSync, existsSync, fdatasync, fstatSync, ftruncateSync, mkdirSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { getHeapStatistics } from "node:v8";
import type { NextAnswer, NextQuestion, PlanLine, PlanProblem, RunStart, Target } from "../protocol/api.ts";
import { resultLimit, type ScanResult } from "../protocol/findings.ts";
import type { RunReport } from "../protocol/report.ts";
import type { TargetOutcome } from "./compare.ts";
import { completeLines, parseObject, writeAtomically, writeFully } from "./durable.ts";
import { type JournalEntry, Queue, type QueuedTarget } from "./queue.ts";
import type { StringPool } from "./string-pool.ts";

/** Milliseconds added to a scan's `timeout`; its pod is lost if it has not sent a result by then. */
const leaseGrace = 60_000;
/** Milliseconds without a request from any pod, and without a scan that may still be in progress, until a run is abandoned. */
const silenceLimit = 300_000;
/** Seconds until a pod asks again for a target: cheap, and short compared to a scan, because a run takes as long as its last pod. */
const waitSeconds = 0.5;

/** A plan that is empty or contradicts itself. */
export class PlanError extends Error {}

/** A file of a run that is damaged, without which the run cannot continue. */
export class DamagedRun extends Error {}

/** A result that the run has no room for. */
export class ResultRefused extends Error {}

/**
 * Bytes of results, as JSON, that fit into the memory when a run's report is written. Measured: 500,000 findings are 170 MB of JSON and take
 * 360 MiB of heap.
 */
const resultsLimit = Math.floor(getHeapStatistics().heap_size_limit * 0.35);

/** The end of a run. From then on its targets do not change. */
export interface RunEnd {
  readonly ended: RunReport["ended"];
  /** ISO 8601 */
  readonly at: string;
}

/**
 * A run in progress. Its state is in its folder before any client learns of it: `start.json`, and below `queue/` the plan, the journal
 * `results.ndjson` with leases and results in their order, and `end.json`. Times are in milliseconds since 1970.
 */
export class Run {
  readonly name: string;
  readonly folder: string;
  readonly start: RunStart;
  readonly problems: PlanProblem[] = [];
  end: RunEnd | undefined;
  readonly #limit: number;
  #queue: Queue | undefined;
  readonly #journal: number;
  #journalSize: number;
  /** When this process opened the run. Pods could not reach the server before. */
  readonly #openedAt: number;
  /** When a pod last sent a request. */
  #touchedAt: number;

  private constructor(name: string, folder: string, start: RunStart, now: number, limit: number) {
    this.name = name;
    this.folder = folder;
    this.start = start;
    this.#limit = limit;
    this.#openedAt = now;
    this.#touchedAt = now;
    mkdirSync(this.#path(), { recursive: true });
    this.#journal = openSync(this.#path("results.ndjson"), "a+");
    this.#journalSize = fstatSync(this.#journal).size;
  }

  /** @param limit bytes of all results @default what fits into the memory */
  static begin(name: string, folder: string, start: RunStart, now: number, limit = resultsLimit): Run {
    mkdirSync(folder, { recursive: true });
    writeAtomically(join(folder, "start.json"), JSON.stringify(start));
    return new Run(name, folder, start, now, limit);
  }

  /**
   * Continues a run from its folder, whatever the previous process was doing when it ended. Damaged lines of the journal are left out: their
   * targets are scanned again.
   *
   * @throws {DamagedRun} that names the file that cannot be read
   */
  static resume(name: string, folder: string, now: number, limit = resultsLimit): Run {
    const run = new Run(name, folder, readWhole<RunStart>(join(folder, "start.json"), "startedAt"), now, limit);
    try {
      run.#restore();
      return run;
    } catch (error) {
      run.dispose();
      throw error;
    }
  }

  #restore(): void {
    if (existsSync(this.#path("end.json"))) this.end = readWhole<RunEnd>(this.#path("end.json"), "ended");
    const plan = this.#path("plan.ndjson");
    if (existsSync(plan)) {
      const lines = [...completeLines(plan)].map(({ text }) => parseObject<PlanLine>(text));
      const valid = lines.filter((line) => line !== undefined && ("target" in line || "problem" in line)) as PlanLine[];
      if (valid.length === 0 || valid.length < lines.length) throw new DamagedRun(`${plan} is damaged`);
      this.#fillQueue(valid);
    }
    let complete = 0;
    for (const { text, offset, length } of completeLines(this.#path("results.ndjson"))) {
      const entry = parseObject<JournalEntry>(text);
      if (typeof entry?.id === "string" && ("pod" in entry || "result" in entry)) this.#queue?.apply(entry, { offset, length });
      complete = offset + length + 1;
    }
    // The request of a partial line was not answered: its pod sends it again.
    ftruncateSync(this.#journal, complete);
    this.#journalSize = complete;
  }

  #path(...names: string[]): string {
    return join(this.folder, "queue", ...names);
  }

  #fillQueue(lines: readonly PlanLine[]): void {
    this.problems.push(...lines.flatMap((line) => ("problem" in line ? [line.problem] : [])));
    this.#queue = new Queue(lines.flatMap((line) => ("target" in line ? [line.target] : [])));
  }

  /** Whether the run has its plan. */
  get isPlanned(): boolean {
    return this.#queue !== undefined;
  }

  get counts(): { readonly planned: number; readonly scanned: number; readonly failed: number } {
    const { scanned = 0, failed = 0 } = this.#queue?.counts ?? {};
    const planned = this.#queue?.size ?? 0;
    return { planned, scanned, failed: this.end ? planned - scanned : failed };
  }

  /** Notes that a pod of the run is alive. */
  touch(now: number): void {
    this.#touchedAt = now;
  }

  /**
   * Sets the run's targets. A second plan has no effect.
   *
   * @throws {PlanError} when it says nothing, or two targets have the same id; the run has no plan then
   */
  plan(lines: readonly PlanLine[]): void {
    if (this.isPlanned || this.end) return;
    // It would end the run as clean, and all images would be gone.
    if (lines.length === 0) throw new PlanError("the plan has neither a target nor a problem");
    const ids = new Set<string>();
    for (const line of lines) {
      if (!("target" in line)) continue;
      if (ids.has(line.target.id))
        throw new PlanError(`two targets have the id ${JSON.stringify(line.target.id)}; give each target an id of its own`);
      ids.add(line.target.id);
    }
    writeAtomically(this.#path("plan.ndjson"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    this.#fillQueue(lines);
  }

  /** Hands out a target to a pod. Pods wait until the run's report is written, because only then is its verdict known. */
  next({ pod, process }: NextQuestion, now: number): NextAnswer {
    this.touch(now);
    const queue = this.#queue;
    if (!queue || this.end || queue.complete) return { next: "wait", seconds: waitSeconds };
    const current = queue.leasedBy(pod);
    if (current?.lease?.process === process) return { next: "scan", target: current.target, attempt: current.attempts };
    if (current) this.#failAttempt(current, now, `pod ${pod} ended while it scanned this image (out of memory, evicted or deleted)`);
    this.expire(now);
    const queued = queue.next(now);
    if (!queued) return { next: "wait", seconds: waitSeconds };
    this.#append({ id: queued.target.id, at: new Date(now).toISOString(), pod, process });
    return { next: "scan", target: queued.target, attempt: queued.attempts };
  }

  /**
   * Records a result. It has no effect for a target that has its final outcome. A failure of another attempt than the current one has no effect
   * either: its request was repeated because the answer was lost.
   *
   * @param attempt - number of the attempt; the current one if absent
   * @returns whether the run has such a target
   * @throws {ResultRefused} when the results would not fit into the memory; the caller fails the target with the error's message
   */
  result(id: string, attempt: number | undefined, result: ScanResult, now: number): boolean {
    this.touch(now);
    const queued = this.#queue?.get(id);
    if (!queued) return false;
    if (this.end || queued.outcome) return true;
    const isCurrent = queued.lease !== undefined && (attempt === undefined || attempt === queued.attempts);
    if (result.outcome === "scanned") this.#checkSize(result);
    if (isCurrent || result.outcome === "scanned") this.#append({ id, at: new Date(now).toISOString(), result });
    return true;
  }

  #checkSize(result: ScanResult): void {
    const bytes = Buffer.byteLength(JSON.stringify(result));
    if (bytes > resultLimit) throw new ResultRefused(`its findings take ${bytes} bytes; an image may have ${resultLimit}`);
    if ((this.#queue?.resultBytes ?? 0) + bytes > this.#limit)
      throw new ResultRefused(
        `the findings of this run take more than the ${this.#limit} bytes that fit into the reports server's memory; raise registryScan.reports.resources.limits.memory, or report fewer severities`,
      );
  }

  target(id: string): Target | undefined {
    return this.#queue?.get(id)?.target;
  }

  targets(): Target[] {
    return [...(this.#queue?.all() ?? [])].map(({ target }) => target);
  }

  /** Fails attempts that took longer than the run's `timeout` allows. */
  expire(now: number): void {
    for (const queued of [...(this.#queue?.leased() ?? [])]) {
      if (now < this.#leaseEnd(queued)) continue;
      const limit = `${this.start.timeout} s for a scan and ${leaseGrace / 1000} s more`;
      this.#failAttempt(queued, now, `pod ${queued.lease?.pod} sent no result within ${limit}`);
    }
  }

  #leaseEnd(queued: QueuedTarget): number {
    const end = (queued.lease?.since ?? 0) + this.start.timeout * 1000 + leaseGrace;
    // After a restart of the server, pods have time to send their results.
    return Math.max(end, this.#openedAt + leaseGrace);
  }

  #failAttempt(queued: QueuedTarget, now: number, reason: string): void {
    const seconds = Math.max(0, (now - (queued.lease?.since ?? now)) / 1000);
    this.#append({ id: queued.target.id, at: new Date(now).toISOString(), result: { outcome: "failed", reason, seconds } });
  }

  /** Returns the reason why the run has to end now. */
  endReason(now: number): RunReport["ended"] | undefined {
    if (this.#queue?.complete) return "complete";
    if (now >= Date.parse(this.start.startedAt) + this.start.deadline * 1000) return "deadline";
    const isScanning = [...(this.#queue?.leased() ?? [])].some((queued) => now < this.#leaseEnd(queued));
    return !isScanning && now - this.#touchedAt >= silenceLimit ? "abandoned" : undefined;
  }

  /** Ends the run, even if images are not scanned. */
  close(ended: RunReport["ended"], now: number): void {
    if (this.end) return;
    const cause = ended === "deadline" ? "the deadline was reached" : "no pod was left";
    for (const queued of [...(this.#queue?.leased() ?? [])]) this.#failAttempt(queued, now, `the run ended during its scan: ${cause}`);
    const end = { ended, at: new Date(now).toISOString() };
    writeAtomically(this.#path("end.json"), JSON.stringify(end));
    this.end = end;
  }

  /** Reads the result of each target, in the plan's order. */
  async outcomes(strings: StringPool): Promise<TargetOutcome[]> {
    const outcomes: TargetOutcome[] = [];
    for (const { target, attempts, lastResult } of this.#queue?.all() ?? []) {
      if (outcomes.length % 100 === 0) await setImmediate();
      if (!lastResult) {
        outcomes.push({ target, attempts });
        continue;
      }
      const line = Buffer.alloc(lastResult.length);
      readSync(this.#journal, line, 0, lastResult.length, lastResult.offset);
      const { result, at } = parseObject<{ result: ScanResult; at: string }>(line.toString()) ?? {
        result: { outcome: "failed", reason: "its result on the volume is damaged", seconds: 0 } as const,
        at: this.end?.at ?? this.start.startedAt,
      };
      if (result.outcome === "scanned") strings.intern(result.findings);
      outcomes.push({ target, attempts, result, at });
    }
    return outcomes;
  }

  #append(entry: JournalEntry): void {
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    try {
      writeFully(this.#journal, line);
    } catch (error) {
      // The next line would continue a partial one.
      try {
        ftruncateSync(this.#journal, this.#journalSize);
      } catch {
        // The first error is more informative.
      }
      throw error;
    }
    this.#queue?.apply(entry, { offset: this.#journalSize, length: line.length - 1 });
    this.#journalSize += line.length;
  }

  /** Returns when the journal is on disk. */
  async flush(): Promise<void> {
    await promisify(fdatasync)(this.#journal);
  }

  dispose(): void {
    closeSync(this.#journal);
  }
}

/**
 * Reads a file that holds an object with a certain key.
 *
 * @throws {DamagedRun} if it does not
 */
function readWhole<T extends object>(path: string, key: keyof T & string): T {
  const value = parseObject<T>(readFileSync(path, "utf8"));
  if (value === undefined || !(key in value)) throw new DamagedRun(`${path} is damaged`);
  return value;
}
