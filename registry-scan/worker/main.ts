/**
 * A pod of a registry scan. The first (index 0) begins the run, lists its targets and sends them to the reports server; all of them ask that server for one
 * target after another and scan it. The first one's end says what came out: `exitCodes`; the others end with 0 when there is nothing left to do.
 */
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import {
  attempts,
  exitCodes,
  type KnownScan,
  type RunStatus,
  runOf,
  type ScanConfiguration,
  type ScanResult,
  type SentResult,
  type Target,
} from "../protocol/model.ts";
import { scannedImageProblem, scannedRepositoryProblem, versionRangeProblem } from "../protocol/targets.ts";
import { plan } from "./plan.ts";
import { ScanService } from "./recording-proxy.ts";
import { craneRegistry } from "./registry.ts";
import { Reports, WrongSettings } from "./reports-client.ts";
import { redact } from "./subprocess.ts";
import { scanImage, scanPolicy } from "./trivy.ts";

/** Where Kubernetes reads a container's last words, and how many bytes of them. */
const { TERMINATION_LOG: lastWords = "/dev/termination-log" } = process.env;
const lastWordsLimit = 4096;

/** The index of the pod that begins the run and ends with its verdict. */
const lead = "0";

/** Another pod that fails has no verdict to tell: it is begun again. */
const broken = 3;

/** As a shell says it of a program that SIGTERM ended: a pod that was stopped has no verdict, and is begun again. */
const stopped = 143;

/** Seconds after the deadline in which the reports server still ends the run and writes its report. */
const closing = 120;

// Should nothing be left to wait for before there is a verdict, that is no pass.
process.exitCode = exitCodes.errors;

const stopping = new AbortController();
const log = (line: string) => console.log(redact(line));

process.on("uncaughtException", (error) => fail(error));
process.on("SIGTERM", () => {
  log("stopping: the pod is asked to end");
  stopping.abort();
  // Whatever hangs: the pod ends promptly.
  setTimeout(() => process.exit(stopped), 4000).unref();
});

main().then((code) => process.exit(code), fail);

function fail(error: unknown): never {
  if (stopping.signal.aborted) process.exit(stopped);
  console.error(
    redact(error instanceof WrongSettings ? error.message : error instanceof Error ? (error.stack ?? error.message) : `${error}`),
  );
  process.exit(process.env["JOB_COMPLETION_INDEX"] === lead ? exitCodes.errors : broken);
}

async function main(): Promise<number> {
  const { JOB: job, JOB_UID: uid, JOB_COMPLETION_INDEX: pod, REPORTS_TOKEN: token, IMAGES } = process.env;
  if (!job || !uid || !pod || !token)
    throw new WrongSettings("JOB, JOB_UID, JOB_COMPLETION_INDEX and REPORTS_TOKEN must be in the environment of a scanning pod");
  const run = runOf(job, uid);
  const configuration = await readConfiguration(process.argv[2] ?? "/etc/scan/scan.json", IMAGES);
  const startedAt = new Date();
  // Who is in the middle of something at the deadline is ended; the reports server then ends the run itself.
  const deadline = AbortSignal.timeout(configuration.deadline * 1000);
  const reports = new Reports({ url: configuration.reports, token, run, signal: stopping.signal, log });
  const leads = pod === lead;
  if (leads) await begin(reports, configuration, startedAt, IMAGES, deadline);
  const progress = leads ? showProgress(reports) : undefined;
  await scanAll(reports, configuration, { pod, quiet: leads, deadline, startedAt });
  if (!leads) {
    log("nothing is left to scan");
    return 0;
  }
  const status = await finished(reports, startedAt, configuration.deadline);
  progress?.stop(status);
  const summary = redact(status.summary ?? `run ${run}: ${status.verdict}`);
  console.log(summary);
  await writeFile(lastWords, bounded(summary)).catch((error: unknown) => log(`the summary cannot be written to ${lastWords}: ${error}`));
  return status.verdict ? exitCodes[status.verdict] : exitCodes.errors;
}

async function readConfiguration(file: string, images: string | undefined): Promise<ScanConfiguration> {
  let configuration: ScanConfiguration;
  try {
    configuration = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new WrongSettings(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const asked = images?.split(/\s+/).filter((image) => image !== "") ?? [];
  // The stack's settings were checked when it was brought up; these were not, and a file can be changed by hand.
  const targets = asked.length > 0 ? asked.map((image) => ({ image })) : configuration.targets;
  const from = asked.length > 0 ? "IMAGES" : file;
  if (!Array.isArray(targets) || targets.length === 0) throw new WrongSettings(`${from}: \`targets\` is empty: there is nothing to scan`);
  const problems = targets.flatMap((target) => {
    const [named, problem] =
      "image" in target
        ? [target.image, scannedImageProblem(target.image)]
        : [target.repository, scannedRepositoryProblem(target.repository)];
    const versions = "versions" in target && target.versions !== undefined ? versionRangeProblem(target.versions) : undefined;
    return [
      ...(problem ? [`\`${named}\` ${problem}`] : []),
      ...(versions ? [`\`${target.versions}\` (\`versions\` of ${named}) ${versions}`] : []),
    ];
  });
  for (const name of ["service", "reports"] as const)
    if (!URL.canParse(configuration[name])) problems.push(`\`${name}\` is \`${configuration[name]}\`, which is no URL`);
  for (const name of ["timeout", "deadline"] as const)
    if (!(configuration[name] > 0)) problems.push(`\`${name}\` is \`${configuration[name]}\`, which is no number of seconds`);
  if (problems.length > 0) throw new WrongSettings(problems.map((problem) => `${from}: ${problem}`).join("\n"));
  return { ...configuration, targets };
}

async function begin(
  reports: Reports,
  configuration: ScanConfiguration,
  at: Date,
  images: string | undefined,
  deadline: AbortSignal,
): Promise<void> {
  const { timeout, policy, cycloneDx, strict, plainHttp } = configuration;
  const partial = (images ?? "").trim() !== "";
  const start = { startedAt: at.toISOString(), deadline: configuration.deadline, timeout, policy, partial, cycloneDx };
  let other = "";
  let status = await reports.begin(start);
  while ("running" in status) {
    if (status.running !== other) log(`run ${status.running} is still under way: this one begins when that has ended`);
    other = status.running;
    if (deadline.aborted)
      throw new WrongSettings(`run ${other} was still under way after ${configuration.deadline} s: this one is given up`);
    await delay(2000, undefined, { signal: stopping.signal });
    status = await reports.begin(start);
  }
  if (status.state !== "planning") return log(`going on with a run that has been planned: ${progressOf(status)}`);
  const registry = craneRegistry({ plainHttp, signal: AbortSignal.any([stopping.signal, deadline]) });
  // Nothing else is heard of this run until it is planned, which takes long where there is much to list.
  const alive = setInterval(() => void reports.begin(start).catch(() => undefined), 60_000);
  const planned = await plan(configuration.targets, registry, { strict }).finally(() => clearInterval(alive));
  stopping.signal.throwIfAborted();
  for (const line of planned.lines()) if ("problem" in line) log(`${line.problem.kind}: ${line.problem.about}: ${line.problem.message}`);
  status = await reports.plan(planned.lines);
  log(`${status.planned} images to scan`);
}

async function scanAll(
  reports: Reports,
  configuration: ScanConfiguration,
  options: { readonly pod: string; readonly quiet: boolean; readonly deadline: AbortSignal; readonly startedAt: Date },
): Promise<void> {
  const { pod, quiet, deadline, startedAt } = options;
  const service = await ScanService.reach(configuration.service);
  // Documents of whole images are a client's.
  const policy = configuration.cycloneDx ? undefined : await scanPolicy(configuration, stopping.signal);
  const scanner: Scanner = { configuration, service, policy, deadline };
  for (;;) {
    const answer = await reports.next(pod);
    if (answer.next === "end") return;
    if (secondsSince(startedAt) > configuration.deadline + closing)
      throw new Error(`the reports server did not end the run within ${closing} s of its deadline of ${configuration.deadline} s`);
    if (answer.next === "wait") {
      await delay(answer.seconds * 1000, undefined, { signal: stopping.signal });
      continue;
    }
    const { target, attempt, known } = answer;
    const { result, unchanged } = await scanTarget(reports, target, attempt, known, scanner);
    const [name = target.reference] = target.names;
    if (result.outcome === "failed") log(`could not scan ${name} (try ${attempt} of ${attempts}): ${result.reason}`);
    else if (!quiet) log(`scanned ${name}${unchanged ? ", unchanged" : ""}: ${result.findings.length} findings in ${result.seconds} s`);
  }
}

interface Scanner {
  readonly configuration: ScanConfiguration;
  readonly service: ScanService;
  /** Absent: what a scan found says nothing about the next one. */
  readonly policy: string | undefined;
  readonly deadline: AbortSignal;
}

async function scanTarget(
  reports: Reports,
  target: Target,
  attempt: number,
  known: KnownScan | undefined,
  scanner: Scanner,
): Promise<{ readonly result: ScanResult; readonly unchanged?: boolean }> {
  const { configuration, deadline } = scanner;
  const ending = AbortSignal.any([stopping.signal, deadline]);
  let result: SentResult;
  let unchanged = false;
  try {
    const before = await asBefore(known, scanner, ending);
    unchanged = before !== undefined;
    result = before ?? (await byClient(reports, target, scanner, ending));
  } catch (error) {
    stopping.signal.throwIfAborted();
    if (error instanceof WrongSettings) throw error;
    const reason = deadline.aborted
      ? `the run's deadline of ${configuration.deadline} s was reached`
      : error instanceof Error
        ? error.message
        : `${error}`;
    result = { outcome: "failed", reason, seconds: 0 };
  }
  const refused = await reports.result(target, attempt, result);
  if (refused === undefined) return { result, unchanged };
  // Nobody could take it, and nobody could another time.
  result = { outcome: "failed", reason: refused, seconds: result.seconds };
  await reports.result(target, attempt, result);
  return { result };
}

/** What an earlier scan found, as long as the service answers what it answered then. */
async function asBefore(
  known: KnownScan | undefined,
  { configuration, service, policy }: Scanner,
  ending: AbortSignal,
): Promise<ScanResult | undefined> {
  if (known === undefined || known.client !== policy) return undefined;
  const begun = performance.now();
  if ((await service.ask(known.request, configuration.timeout, ending)) !== known.response) return undefined;
  return { ...known.result, seconds: Math.round(performance.now() - begun) / 1000 };
}

async function byClient(
  reports: Reports,
  target: Target,
  { configuration, service, policy }: Scanner,
  ending: AbortSignal,
): Promise<SentResult> {
  // Of a client before it that was ended.
  service.taken();
  const { result, cycloneDx } = await scanImage(target, configuration, service.url, ending);
  if (cycloneDx !== undefined) await reports.cycloneDx(target, cycloneDx);
  const exchange = service.taken();
  return exchange && policy !== undefined ? { ...result, exchange: { client: policy, ...exchange } } : result;
}

/** Every few seconds, when something has changed. That the server does not answer is said elsewhere. */
function showProgress(reports: Reports): { stop(last: RunStatus): void } {
  let shown = "";
  const show = (status: RunStatus) => {
    const line = progressOf(status);
    if (line !== shown && status.planned > 0) log(line);
    shown = line;
  };
  const ended = new AbortController();
  void (async () => {
    while (!ended.signal.aborted) {
      await delay(5000, undefined, { signal: ended.signal });
      show(await reports.status());
    }
  })().catch(() => undefined);
  return {
    stop(last) {
      ended.abort();
      show(last);
    },
  };
}

const progressOf = ({ scanned, failed, planned }: RunStatus): string => `${scanned} of ${planned} scanned, ${failed} failed`;

async function finished(reports: Reports, startedAt: Date, deadline: number): Promise<RunStatus> {
  for (;;) {
    const status = await reports.status();
    if (status.state === "finished") return status;
    if (secondsSince(startedAt) > deadline + closing)
      throw new Error(`the reports server did not end the run within ${closing} s of its deadline`);
    await delay(500, undefined, { signal: stopping.signal });
  }
}

const secondsSince = (at: Date): number => (Date.now() - at.getTime()) / 1000;

/** The beginning of a text, as many whole characters as fit. */
function bounded(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= lastWordsLimit
    ? text
    : bytes
        .toString("utf8", 0, lastWordsLimit - 4)
        .replace(/\uFFFD+$/, "")
        .concat("…");
}
