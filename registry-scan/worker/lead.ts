/** What only a run's first pod does: it begins the run, plans it, shows its progress and waits for its end. */
import { setTimeout as delay } from "node:timers/promises";
import type { RunStart, RunStatus } from "../protocol/api.ts";
import { ConfigurationError } from "../protocol/read-configuration.ts";
import { assertNotOverdue, type WorkerContext } from "./context.ts";
import { plan } from "./plan.ts";
import { craneRegistry } from "./registry.ts";

/** Milliseconds. */
const intervals = { conflict: 2000, keepAlive: 60_000, progress: 5000, end: 500 };

/**
 * Begins the run once no other run is in progress, and sends its plan. A run that was planned by an earlier process of the pod continues.
 *
 * @param partial the images were requested by hand
 */
export async function beginRun(context: WorkerContext, partial: boolean): Promise<void> {
  const { configuration, reports, tools, startedAt, stop, deadline, log } = context;
  const { timeout, policy, cycloneDx, strict, targets, platforms } = configuration;
  const start = { startedAt: startedAt.toISOString(), deadline: configuration.deadline, timeout, policy, partial, cycloneDx };
  const status = await beginWhenPossible(context, start);
  if (status.state !== "planning") return log(`continuing a run that is already planned: ${progressOf(status)}`);

  // Otherwise the reports server would hear nothing of this run while it lists registries, and abandon it.
  const keepAlive = setInterval(() => void reports.begin(start).catch(() => undefined), intervals.keepAlive);
  const registry = craneRegistry(tools, AbortSignal.any([stop, deadline]), { platforms: platforms !== undefined });
  const planned = await plan(targets, registry, { strict, platforms }).finally(() => clearInterval(keepAlive));
  stop.throwIfAborted();
  for (const line of planned.lines()) if ("problem" in line) log(`${line.problem.kind}: ${line.problem.about}: ${line.problem.message}`);
  log(`${(await reports.plan(planned.lines)).planned} images to scan`);
}

async function beginWhenPossible({ configuration, reports, stop, deadline, log }: WorkerContext, start: RunStart): Promise<RunStatus> {
  let other = "";
  for (;;) {
    const answer = await reports.begin(start);
    if (!("running" in answer)) return answer;
    if (answer.running !== other) log(`run ${answer.running} is still under way; this run begins when it has ended`);
    other = answer.running;
    if (deadline.aborted)
      throw new ConfigurationError(`run ${other} was still under way after ${configuration.deadline} s, the deadline of this run`);
    await delay(intervals.conflict, undefined, { signal: stop });
  }
}

/**
 * Logs the run's progress every few seconds if it has changed.
 *
 * @returns a function that logs the last status and ends the display
 */
export function showProgress({ reports, log }: WorkerContext): (last: RunStatus) => void {
  let shown = "";
  const show = (status: RunStatus) => {
    const line = progressOf(status);
    if (line !== shown && status.planned > 0) log(line);
    shown = line;
  };
  const ended = new AbortController();
  void (async () => {
    while (!ended.signal.aborted) {
      await delay(intervals.progress, undefined, { signal: ended.signal });
      show(await reports.status());
    }
    // The client has logged that the server is unavailable, and the other requests fail for the same reason.
  })().catch(() => undefined);
  return (last) => {
    ended.abort();
    show(last);
  };
}

const progressOf = ({ scanned, failed, planned }: RunStatus): string => `${scanned} of ${planned} scanned, ${failed} failed`;

/** Returns the run's status once it has ended. */
export async function waitForEnd(context: WorkerContext): Promise<RunStatus> {
  for (;;) {
    const status = await context.reports.status();
    if (status.state === "finished") return status;
    assertNotOverdue(context);
    await delay(intervals.end, undefined, { signal: context.stop });
  }
}
