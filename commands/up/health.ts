import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "../cluster/cluster.ts";
import { type Engine, type Outcome, run } from "../engine/engine.ts";
import { followEvents, Progress } from "../engine/progress.ts";
import { dnsFinding } from "../health/dns.ts";
import { type Finding, findings } from "../health/findings.ts";
import { enforcesPolicies, unenforcedPolicies } from "../health/policies.ts";
import { withReasons } from "../health/reasons.ts";
import { readSnapshot } from "../health/snapshot.ts";
import { UserError } from "../user-error.ts";
import type { Request } from "./operation.ts";
import { line, watch } from "./watch.ts";

/** Where a stack is. */
export interface Place {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly clusterDomain: string;
}

/** Runs `up` and ends it when the cluster shows that it cannot succeed. */
export async function runWatched(
  engine: Engine,
  command: readonly string[],
  place: Place,
  { stack, patient }: Request,
): Promise<Outcome & { readonly stopped: boolean }> {
  const folder = mkdtempSync(join(tmpdir(), "trivy-server-"));
  const events = join(folder, "events");
  const progress = new Progress();
  const close = followEvents(events, progress);
  try {
    const stop = new AbortController();
    const ended = new AbortController();
    // The flag is the Automation API's, which enables it in the same way.
    const env = { ...engine.env, PULUMI_DEBUG_COMMANDS: "true" };
    const running = (
      close ? run({ ...engine, env }, [...command, "--event-log", events], stop.signal) : run(engine, command, stop.signal)
    ).finally(() => ended.abort());
    const report = (line: string) => console.error(line);
    const reasons = await watch({ ...place, progress, patient, report }, ended.signal);
    if (reasons) {
      console.error("Waiting does not help; stopping the engine.");
      stop.abort();
    }
    const outcome = await running;
    if (!reasons || outcome.status === 0) return { ...outcome, stopped: false };
    const next = `npm run up -- ${stack}`;
    console.error(
      [
        "",
        `The stack ${stack} is not complete:`,
        ...reasons.map((reason) => `! ${reason}`),
        `Then run \`${next}\`, which continues. \`${next} --keep-waiting\` waits for as long as the engine does.`,
      ].join("\n"),
    );
    return { ...outcome, status: 1, stopped: true };
  } finally {
    close?.();
    rmSync(folder, { recursive: true });
  }
}

async function warnOfUnenforcedPolicies(cluster: Cluster, namespace: string): Promise<void> {
  try {
    if ((await enforcesPolicies(cluster, await readSnapshot(cluster, namespace))) === false) console.error(`\n! ${unenforcedPolicies}`);
  } catch {
    // Without the permission to run a command in a pod, `npm run status` says so.
  }
}

/** Seconds for which a problem must last after `up`: pods that were just replaced need a moment. */
const settleSeconds = 10;

/** Reports what keeps a stack from working after `up`, also if it did not change anything. Returns whether nothing does. */
export async function checkHealth(
  { cluster, namespace, clusterDomain }: Place,
  { status, interrupted }: Outcome,
  { stack }: Request,
): Promise<boolean> {
  if (interrupted) return true;
  let found: readonly Finding[] = [];
  try {
    for (const end = performance.now() + settleSeconds * 1000; ; await sleep(2000)) {
      const snapshot = await readSnapshot(cluster, namespace);
      found = findings(snapshot).filter(({ ofJob }) => !ofJob);
      // Pods that were not replaced do not notice that a change cut them off from DNS before their next connection.
      const dns = found.length === 0 && status === 0 && (await dnsFinding(cluster, snapshot, clusterDomain));
      if (dns) found = [dns];
      if (found.length === 0 || status !== 0 || performance.now() > end) break;
    }
    found = await withReasons(cluster, namespace, found);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(`The health of the stack ${stack} is unknown: ${error.message}`);
    return status === 0;
  }
  if (found.length === 0) {
    if (status === 0) await warnOfUnenforcedPolicies(cluster, namespace);
    return true;
  }
  const title = status === 0 ? `The stack ${stack} is up to date, but it does not work:` : `Not working in the namespace ${namespace}:`;
  console.error(["", title, ...found.map((finding) => `! ${line(finding)}`)].join("\n"));
  return false;
}
