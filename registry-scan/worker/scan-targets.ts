import { setTimeout as delay } from "node:timers/promises";
import { attempts, type KnownScan, type SentResult, type Target } from "../protocol/api.ts";
import type { ScanResult } from "../protocol/findings.ts";
import { ConfigurationError } from "../protocol/read-configuration.ts";
import { assertNotOverdue, type WorkerContext } from "./context.ts";
import { Replay } from "./replay/replay.ts";
import { ToolsEnded } from "./tools-client.ts";

export interface ScanTargetsOptions {
  /** The pod's index in the Job. */
  readonly pod: string;
  /** Logs successful scans too. */
  readonly verbose: boolean;
}

/** Scans one target after another, until the reports server has no more. */
export async function scanTargets(context: WorkerContext, { pod, verbose }: ScanTargetsOptions): Promise<void> {
  const { configuration, reports, tools, stop, log } = context;
  // A CycloneDX document can only be created by a client.
  const client = configuration.cycloneDx ? undefined : await tools.clientDigest(stop);
  const replay = await Replay.start(configuration, client);
  for (;;) {
    const answer = await reports.next(pod);
    if (answer.next === "end") return;
    assertNotOverdue(context);
    if (answer.next === "wait") {
      await delay(answer.seconds * 1000, undefined, { signal: stop });
      continue;
    }
    const { target, attempt, known } = answer;
    const { result, reused } = await scanTarget(context, replay, target, known);
    const sent = await sendResult(context, target, attempt, result);
    const [name = target.reference] = target.names;
    if (sent.outcome === "failed") log(`could not scan ${name} (attempt ${attempt} of ${attempts}): ${sent.reason}`);
    else if (verbose) log(`scanned ${name}${reused ? ", unchanged" : ""}: ${sent.findings.length} findings in ${sent.seconds} s`);
  }
}

/** @throws {ConfigurationError} when the reports server refuses the token, and the signal's reason when the pod has to stop */
async function scanTarget(
  { configuration, reports, tools, stop, deadline }: WorkerContext,
  replay: Replay,
  target: Target,
  known: KnownScan | undefined,
): Promise<{ readonly result: SentResult; readonly reused?: boolean }> {
  const signal = AbortSignal.any([stop, deadline]);
  try {
    const reused = await replay.reuse(known, signal);
    if (reused) return { result: reused, reused: true };
    const result = await replay.record(async (service) => {
      const { result, cycloneDx } = await tools.scan(target.reference, service, signal);
      if (cycloneDx !== undefined) await reports.cycloneDx(target, cycloneDx);
      return result;
    });
    return { result };
  } catch (error) {
    stop.throwIfAborted();
    if (error instanceof ConfigurationError) throw error;
    const reason = deadline.aborted
      ? `the run's deadline of ${configuration.deadline} s was reached`
      : error instanceof ToolsEnded
        ? "the client was killed, probably because it exceeded its container's memory limit"
        : error instanceof Error
          ? error.message
          : `${error}`;
    return { result: { outcome: "failed", reason, seconds: 0 } };
  }
}

/** Sends a result. If the server refuses it, as it would in every attempt, sends and returns that as the reason of a failure. */
async function sendResult({ reports }: WorkerContext, target: Target, attempt: number, result: SentResult): Promise<ScanResult> {
  const refusal = await reports.result(target, attempt, result);
  if (refusal === undefined) return result;
  const failure: ScanResult = { outcome: "failed", reason: refusal, seconds: result.seconds };
  await reports.result(target, attempt, failure);
  return failure;
}
