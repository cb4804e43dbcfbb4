/**
 * A pod of a registry scan. The pod with index 0 begins the run, lists its targets and sends them to the reports server; all pods take one
 * target after another from that server and scan it, by means of trivy and crane in another container (../tools/main.ts). The first pod ends with the run's verdict, see `exitCodes`; the others end with 0.
 *
 * Environment: JOB, JOB_UID, JOB_COMPLETION_INDEX; REPORTS_TOKEN, TRIVY_TOKEN; IMAGES, for a run that scans only these.
 * Argument: the configuration file. @default /etc/scan/scan.json
 */
import { writeFile } from "node:fs/promises";
import type { RunStatus } from "../protocol/api.ts";
import { runOf } from "../protocol/names.ts";
import { ConfigurationError, readConfiguration } from "../protocol/read-configuration.ts";
import { redact } from "../protocol/redact.ts";
import { visible } from "../protocol/text.ts";
import { exitCodes } from "../protocol/verdict.ts";
import type { WorkerContext } from "./context.ts";
import { beginRun, showProgress, waitForEnd } from "./lead.ts";
import { ReportsClient } from "./reports-client.ts";
import { requestedImages } from "./requested-images.ts";
import { scanTargets } from "./scan-targets.ts";
import { ToolsClient } from "./tools-client.ts";

/** Index of the pod that begins the run and ends with its verdict. */
const leadPod = "0";

/** Exit codes of a pod without a verdict, which is started again: `failed` for any pod but the first, `stopped` after SIGTERM. */
const podExitCodes = { failed: 3, stopped: 143 };

/** Milliseconds from SIGTERM until the pod ends, whatever it is waiting for. */
const stopTimeout = 4000;

/** The file that Kubernetes reads a container's termination message from, and the maximum size of the message, bytes. */
const { TERMINATION_LOG: terminationLog = "/dev/termination-log" } = process.env;
const terminationMessageLimit = 4096;

// A process that ends without a verdict, because nothing is left to wait for, must not look like a clean run.
process.exitCode = exitCodes.errors;

const stopping = new AbortController();
const log = (line: string) => console.log(visible(redact(line)));

process.on("uncaughtException", (error) => fail(error));
process.on("SIGTERM", () => {
  log("stopping: the pod is terminated");
  stopping.abort();
  setTimeout(() => process.exit(podExitCodes.stopped), stopTimeout).unref();
});

main().then((code) => process.exit(code), fail);

function fail(error: unknown): never {
  if (stopping.signal.aborted) process.exit(podExitCodes.stopped);
  const text = error instanceof ConfigurationError ? error.message : error instanceof Error ? (error.stack ?? error.message) : `${error}`;
  console.error(visible(redact(text)));
  process.exit(process.env["JOB_COMPLETION_INDEX"] === leadPod ? exitCodes.errors : podExitCodes.failed);
}

/** @returns the exit code */
async function main(): Promise<number> {
  const { JOB: job, JOB_UID: uid, JOB_COMPLETION_INDEX: pod, REPORTS_TOKEN: token, IMAGES } = process.env;
  if (!job || !uid || !pod || !token)
    throw new ConfigurationError(
      "JOB, JOB_UID, JOB_COMPLETION_INDEX or REPORTS_TOKEN is missing in the environment; a Job of the CronJob sets them",
    );
  const images = requestedImages(IMAGES);
  const partial = images.length > 0;
  const configuration = await readConfiguration(process.argv[2] ?? "/etc/scan/scan.json");
  const context: WorkerContext = {
    configuration: partial ? { ...configuration, targets: images.map((image) => ({ image })) } : configuration,
    reports: new ReportsClient({ url: configuration.reports, token, run: runOf(job, uid), signal: stopping.signal, log }),
    tools: new ToolsClient(),
    startedAt: new Date(),
    stop: stopping.signal,
    deadline: AbortSignal.timeout(configuration.deadline * 1000),
    log,
  };
  if (pod === leadPod) return lead(context, partial);
  await scanTargets(context, { pod, verbose: true });
  log("there is nothing left to scan");
  return 0;
}

async function lead(context: WorkerContext, partial: boolean): Promise<number> {
  await beginRun(context, partial);
  const endProgress = showProgress(context);
  await scanTargets(context, { pod: leadPod, verbose: false });
  const status = await waitForEnd(context);
  endProgress(status);
  await report(status);
  return status.verdict ? exitCodes[status.verdict] : exitCodes.errors;
}

async function report({ run, summary, verdict }: RunStatus): Promise<void> {
  const message = redact(summary ?? `run ${run}: ${verdict}`);
  console.log(message);
  await writeFile(terminationLog, truncated(message, terminationMessageLimit)).catch((error: unknown) =>
    log(`the summary cannot be written to ${terminationLog}: ${error}`),
  );
}

/** Returns the beginning of a text, as many whole characters as fit into the number of bytes. */
function truncated(text: string, limit: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  const ellipsis = "…";
  const beginning = bytes.toString("utf8", 0, limit - Buffer.byteLength(ellipsis) - 1).replace(/\uFFFD+$/, "");
  return `${beginning}${ellipsis}`;
}
