/**
 * `npm run scan -- <stack> [image…]`: runs the stack's registry scan now, of its targets or of the given images, and shows its progress and
 * its result. The exit code is that of the run: 0 clean, 1 findings, 2 errors; 2 also when it could not be started.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { BatchV1Api, CoreV1Api, type V1CronJob, type V1Job, type V1Pod } from "@kubernetes/client-node";
import { exitCodes, reportsName, runOf, scanContainer, scanName, scannedImageProblem, visible } from "../registry-scan/index.ts";
import { RequestError, respond } from "./cluster/api.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { openEngine } from "./engine/engine.ts";
import { findings } from "./health/findings.ts";
import { withReasons } from "./health/reasons.ts";
import { readSnapshot } from "./health/snapshot.ts";
import { stackNamespace } from "./namespace.ts";
import { stackCluster } from "./stack-cluster.ts";
import { projectFolder, readStackFile, stacksOf } from "./stack-file.ts";
import { main, UserError } from "./user-error.ts";

const usage = () => `Usage: npm run scan -- <stack> [image…]

Starts a run of the registry scan, or scans the images given, and shows its result.

Stacks: ${stacksOf(projectFolder).join(", ")}
Exit codes: 0 clean, 1 findings, 2 errors, or the run could not be started`;

async function scan([stack, ...images]: readonly string[]): Promise<number> {
  if (!stack || stack.startsWith("-")) throw new UserError(usage());
  const problems = images.flatMap((image) => {
    const problem = scannedImageProblem(image);
    return problem === undefined ? [] : [`${image} ${problem}`];
  });
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  const file = readStackFile(projectFolder, stack);
  const cluster = await stackCluster(file, () => openEngine(projectFolder));
  const { name: namespace } = stackNamespace(file);
  console.error(`Cluster: context ${cluster.context}, ${cluster.server}; namespace ${namespace}`);

  const batch = cluster.config.makeApiClient(BatchV1Api);
  const cronJob = await respond(cluster, batch.readNamespacedCronJob({ name: scanName, namespace }));
  if (!cronJob)
    throw new UserError(
      `The stack ${stack} has no registry scan in this cluster.\n` +
        `Set registryScan.enabled to true and list targets, then run: npm run up -- ${stack}`,
    );
  const job = await respond(cluster, batch.createNamespacedJob({ namespace, body: jobOf(cronJob, images) }));
  const { name = "", uid = "" } = job?.metadata ?? {};
  const run = runOf(name, uid);
  console.error(`Run: ${run}`);
  const status = await follow(cluster, namespace, name);
  console.error(
    [
      "",
      "The report:",
      `  kubectl port-forward service/${reportsName} 8081:80 -n ${namespace}`,
      `  http://localhost:8081/runs/${run}/`,
    ].join("\n"),
  );
  return status;
}

/** Returns the Job that `kubectl create job --from=cronjob/…` creates, restricted to the given images if there are any. */
export function jobOf({ metadata, spec }: V1CronJob, images: readonly string[]): V1Job {
  const { jobTemplate } = spec ?? {};
  const template = structuredClone(jobTemplate?.spec);
  if (!template) throw new TypeError("the CronJob has no Job template");
  if (images.length > 0) {
    const pods = Math.min(template.parallelism ?? 1, images.length);
    Object.assign(template, { parallelism: pods, completions: pods });
    const container = template.template.spec?.containers.find(({ name }) => name === scanContainer);
    container?.env?.push({ name: "IMAGES", value: images.join(" ") });
  }
  return {
    metadata: {
      generateName: `${scanName}-`,
      labels: { ...jobTemplate?.metadata?.labels },
      annotations: { ...jobTemplate?.metadata?.annotations, "cronjob.kubernetes.io/instantiate": "manual" },
      ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name: metadata?.name ?? "", uid: metadata?.uid ?? "" }],
    },
    spec: template,
  };
}

/** Seconds between two looks at a run. */
const interval = 1;

/**
 * Prints the log of the run's first pod until it ends, and returns the run's exit code. When its node is lost, another pod takes its place
 * and ends with the run's exit code. Only short requests are used: a run may be silent for longer than a connection lasts.
 */
export async function follow(cluster: Cluster, namespace: string, name: string, print: Printer = printer): Promise<number> {
  const batch = cluster.config.makeApiClient(BatchV1Api);
  const logs = new Map<string, PodLog>();
  const connection = new Connection(print);
  const reported = new Set<string>();
  for (let round = 0; ; round++) {
    const state = await connection.attempt(async () => {
      const pods = await firstPods(cluster, namespace, name);
      for (const pod of pods.filter(({ status }) => status?.phase !== "Pending")) {
        const { name: podName = "" } = pod.metadata ?? {};
        if (!logs.has(podName)) logs.set(podName, new PodLog(cluster, namespace, podName));
        await logs.get(podName)?.printNew(print.log);
      }
      const result = pods.map(exitCode).find((code) => code !== undefined && Object.values<number>(exitCodes).includes(code));
      if (result !== undefined) return result;
      const job = await respond(cluster, batch.readNamespacedJob({ name, namespace }));
      const failed = job?.status?.conditions?.find(({ type, status }) => type === "Failed" && status === "True");
      if (!job || failed) {
        print.note(job ? `The Job failed: ${failed?.message ?? failed?.reason}` : `The Job ${name} was deleted.`);
        return exitCodes.errors;
      }
      // Problems last longer than some seconds.
      if (round % 5 === 2) await reportTrouble(cluster, namespace, name, reported, print.note);
      return undefined;
    });
    if (state !== undefined) return state;
    await sleep(interval * 1000);
  }
}

/** Where the output of a run goes. */
interface Printer {
  /** Prints text of its log. */
  readonly log: (text: string) => void;
  /** Prints a line about the run. */
  readonly note: (line: string) => void;
}

const printer: Printer = { log: (text) => process.stdout.write(visible(text)), note: (line) => console.error(line) };

async function firstPods(cluster: Cluster, namespace: string, job: string): Promise<V1Pod[]> {
  const labelSelector = `batch.kubernetes.io/job-name=${job},batch.kubernetes.io/job-completion-index=0`;
  return (await respond(cluster, cluster.config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace, labelSelector })))?.items ?? [];
}

/** Reports what keeps the pods of a run from starting, and the service from answering them, each problem once. */
async function reportTrouble(
  cluster: Cluster,
  namespace: string,
  job: string,
  reported: Set<string>,
  note: (line: string) => void,
): Promise<void> {
  const all = await readSnapshot(cluster, namespace);
  const ofRun = {
    ...all,
    pods: all.pods.filter(({ metadata }) => (metadata?.labels?.["batch.kubernetes.io/job-name"] ?? job) === job),
    jobs: all.jobs.filter(({ metadata }) => metadata?.name === job),
  };
  const found = findings(ofRun);
  const fresh = await withReasons(
    cluster,
    namespace,
    found.filter(({ key }) => !reported.has(key)),
  );
  for (const { key, problem, advice } of fresh) {
    reported.add(key);
    note(`Waiting: ${problem}; ${advice}`);
  }
}

/** Milliseconds for which a run is followed without an answer of the cluster. */
const lostAfter = 600_000;

/** Repeats requests that fail because the cluster cannot be reached for a while. */
class Connection {
  private readonly print: Printer;
  private lostSince: number | undefined;

  constructor(print: Printer) {
    this.print = print;
  }

  /** @throws UserError if the cluster refuses the request, or has not answered for ten minutes. */
  async attempt<T>(request: () => Promise<T>): Promise<T | undefined> {
    try {
      const answer = await request();
      if (this.lostSince !== undefined) this.print.note("The cluster answers again.");
      this.lostSince = undefined;
      return answer;
    } catch (error) {
      const { code } = error instanceof RequestError ? error : { code: 400 };
      if (code !== undefined && code < 500 && code !== 429) throw error;
      const now = performance.now();
      if (this.lostSince === undefined) {
        this.lostSince = now;
        this.print.note(`${(error as Error).message}\nThe run continues without this connection; retrying for ten minutes.`);
      }
      if (now - this.lostSince > lostAfter) throw error;
      return undefined;
    }
  }
}

/** The log of a pod, read in pieces. */
class PodLog {
  private readonly cluster: Cluster;
  private readonly namespace: string;
  private readonly pod: string;
  /** When the log was last read, in milliseconds. */
  private readAt: number | undefined;
  /** The time of the last line that was printed, as the log has it. */
  private last = "";
  /** How many lines of that time were printed. */
  private lastCount = 0;

  constructor(cluster: Cluster, namespace: string, pod: string) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.pod = pod;
  }

  /** Prints the lines that were added since the last call. */
  async printNew(print: (text: string) => void): Promise<void> {
    const { namespace, pod: name } = this;
    const now = performance.now();
    // With some overlap, because clocks differ: lines that were printed are recognised by their time.
    const sinceSeconds = this.readAt === undefined ? {} : { sinceSeconds: Math.ceil((now - this.readAt) / 1000) + 10 };
    const request = this.cluster.config
      .makeApiClient(CoreV1Api)
      .readNamespacedPodLog({ name, namespace, container: scanContainer, timestamps: true, ...sinceSeconds });
    const text = await respond(this.cluster, request).catch((error: unknown) => {
      // The container has not been created yet, or its node is lost: another pod takes its place.
      if (error instanceof RequestError && error.code !== undefined && error.code !== 401 && error.code !== 403) return undefined;
      throw error;
    });
    if (text === undefined) return;
    this.readAt = now;
    let known = this.lastCount;
    for (const line of text.split("\n")) {
      const [, time = "", rest] = /^(\S+) (.*)$/.exec(line) ?? [];
      if (rest === undefined || time < this.last) continue;
      if (time === this.last && known-- > 0) continue;
      this.lastCount = time === this.last ? this.lastCount + 1 : 1;
      this.last = time;
      print(`${rest}\n`);
    }
  }
}

const exitCode = ({ status }: V1Pod) => status?.containerStatuses?.find(({ name }) => name === scanContainer)?.state?.terminated?.exitCode;

// 1 means findings: a scan that could not start must not look like one.
if (import.meta.main) await main(scan, { usage, failure: exitCodes.errors });
