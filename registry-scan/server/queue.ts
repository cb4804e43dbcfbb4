import { attempts, type NextQuestion, type Target } from "../protocol/api.ts";
import type { ScanResult } from "../protocol/findings.ts";
import type { LinePosition } from "./durable.ts";

/** An event in the life of a target, a line of `results.ndjson`: a pod took the target, or an attempt ended. `at` is ISO 8601. */
export type JournalEntry =
  | ({ readonly id: string; readonly at: string } & NextQuestion)
  | { readonly id: string; readonly at: string; readonly result: ScanResult };

/** A target's place in the queue. */
export interface QueuedTarget {
  readonly target: Target;
  /** Number of attempts so far, including one in progress. */
  attempts: number;
  /** The pod that scans the target. `since` is in milliseconds. */
  lease?: (NextQuestion & { readonly since: number }) | undefined;
  /** Final outcome. */
  outcome?: ScanResult["outcome"];
  /** Position of the last result in the journal. Results stay on disk, because the findings of all images together do not fit in memory. */
  lastResult?: LinePosition;
  /** Time of the next attempt at the earliest, milliseconds. */
  notBefore: number;
}

/** Milliseconds before a target is retried, given the number of attempts so far. */
const retryDelay = (attempts: number) => 5_000 * 3 ** (attempts - 1);

const isWaiting = ({ outcome, lease }: QueuedTarget): boolean => !outcome && !lease;

/** The targets of a run and their progress. Only journal entries change it, so that reading the journal again results in the same queue. */
export class Queue {
  readonly #targets = new Map<string, QueuedTarget>();
  readonly #byPod = new Map<string, QueuedTarget>();
  /** Order in which targets are handed out; retries are appended. Targets before `#first` are not waiting. */
  readonly #order: QueuedTarget[] = [];
  #first = 0;
  readonly counts = { scanned: 0, failed: 0 };
  /** Bytes of the last results of all targets in the journal. */
  resultBytes = 0;

  constructor(targets: readonly Target[]) {
    for (const target of targets) {
      const queued: QueuedTarget = { target, attempts: 0, notBefore: 0 };
      this.#targets.set(target.id, queued);
      this.#order.push(queued);
    }
  }

  get size(): number {
    return this.#targets.size;
  }

  /** Whether every target has its final outcome. */
  get complete(): boolean {
    return this.counts.scanned + this.counts.failed === this.size;
  }

  /** Returns all targets in the plan's order. */
  all(): Iterable<QueuedTarget> {
    return this.#targets.values();
  }

  get(id: string): QueuedTarget | undefined {
    return this.#targets.get(id);
  }

  /** Returns the targets that pods are scanning. */
  leased(): Iterable<QueuedTarget> {
    return this.#byPod.values();
  }

  /** Returns the target that a pod is scanning. */
  leasedBy(pod: string): QueuedTarget | undefined {
    return this.#byPod.get(pod);
  }

  /** Returns the next target to scan, unless all remaining ones are being scanned or waiting for a retry. */
  next(now: number): QueuedTarget | undefined {
    for (let i = this.#first; i < this.#order.length; i++) {
      const queued = this.#order[i];
      if (queued && isWaiting(queued) && queued.notBefore <= now) return queued;
      if (i === this.#first && queued && !isWaiting(queued)) this.#first++;
    }
    return undefined;
  }

  /** Applies an entry of the journal, given its position there. */
  apply(entry: JournalEntry, position: LinePosition): void {
    const queued = this.#targets.get(entry.id);
    if (!queued) return;
    const at = Date.parse(entry.at);
    if ("pod" in entry) {
      queued.attempts++;
      queued.lease = { pod: entry.pod, process: entry.process, since: at };
      this.#byPod.set(entry.pod, queued);
      return;
    }
    if (queued.lease) this.#byPod.delete(queued.lease.pod);
    queued.lease = undefined;
    this.resultBytes += position.length - (queued.lastResult?.length ?? 0);
    queued.lastResult = position;
    if (entry.result.outcome === "scanned" || queued.attempts >= attempts) {
      queued.outcome = entry.result.outcome;
      this.counts[queued.outcome]++;
    } else {
      queued.notBefore = at + retryDelay(queued.attempts);
      this.#order.push(queued);
    }
  }
}
