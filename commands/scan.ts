/**
 * `npm run scan -- <stack> [image…]`: runs the stack's registry scan now, of its targets or of the given images, and shows its progress and
 * its result. The exit code is that of the run: 0 clean, 1 findings, 2 errors; 2 also when it could not be started.
 */
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { BatchV1Api, CoreV1Api, Log, type V1CronJob, type V1Job, type V1Pod } from "@kubernetes/client-node";
import { exitCodes, reportsName, runOf, scanContainer, scanName, scannedImageProblem } from "../registry-scan/index.ts";
import { respond } from "./cluster/api.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { podTrouble } from "./cluster/pods.ts";
import { openEngine } from "./engine/engine.ts";
import { stackNamespace } from "./namespace.ts";
import { stackCluster } from "./stack-cluster.ts";
import { projectFolder, readStackFile, stacksOf } from "./stack-file.ts";
import { main, UserError } from "./user-error.ts";

async function scan([stack, ...images]: readonly string[]): Promise<number> {
  if (!stack || stack.startsWith("-"))
    throw new UserError(
      `Usage: npm run scan -- <stack> [image…]\nStacks: ${stacksOf(projectFolder).join(", ")}\nExit codes: 0 clean, 1 findings, 2 errors, or the run could not be started`,
    );
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

/**
 * Prints the log of the run's first pod until it ends, and returns the run's exit code. When its node is lost, another pod takes its place
 * and ends with the run's exit code.
 */
async function follow(cluster: Cluster, namespace: string, name: string): Promise<number> {
  const core = cluster.config.makeApiClient(CoreV1Api);
  const batch = cluster.config.makeApiClient(BatchV1Api);
  const labelSelector = `batch.kubernetes.io/job-name=${name},batch.kubernetes.io/job-completion-index=0`;
  const shown = new Set<string>();
  let trouble = "";
  for (;;) {
    const items = (await respond(cluster, core.listNamespacedPod({ namespace, labelSelector })))?.items ?? [];
    const result = items.map(exitCode).find((code) => code !== undefined && Object.values<number>(exitCodes).includes(code));
    const pod = items.find(({ metadata, status }) => status?.phase !== "Pending" && !shown.has(metadata?.name ?? ""));
    if (pod?.metadata?.name) {
      await showLog(cluster, namespace, pod.metadata.name);
      shown.add(pod.metadata.name);
      continue;
    }
    if (result !== undefined) return result;
    const waiting = items.map(podTrouble).find((found) => found !== undefined && found.reason !== trouble);
    if (waiting && !/PodInitializing|ContainerCreating/.test(waiting.reason)) {
      trouble = waiting.reason;
      console.error(`Waiting for pod ${waiting.name}: ${trouble}`);
    }
    const job = await respond(cluster, batch.readNamespacedJob({ name, namespace }));
    const failed = job?.status?.conditions?.find(({ type, status }) => type === "Failed" && status === "True");
    if (!job || failed) {
      console.error(job ? `The Job failed: ${failed?.message ?? failed?.reason}` : `The Job ${name} was deleted.`);
      return exitCodes.errors;
    }
    await sleep(1000);
  }
}

const exitCode = ({ status }: V1Pod) => status?.containerStatuses?.find(({ name }) => name === scanContainer)?.state?.terminated?.exitCode;

/** Prints a log until the container ends or the connection is lost. */
async function showLog(cluster: Cluster, namespace: string, pod: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stream = new Writable({
    write(chunk, _, next) {
      process.stdout.write(chunk, next);
    },
  });
  stream.on("close", resolve).on("error", () => resolve());
  await new Log(cluster.config).log(namespace, pod, scanContainer, stream, { follow: true });
  await promise;
}

// 1 means findings: a scan that could not start must not look like one.
if (import.meta.main) await main(() => scan(process.argv.slice(2)), exitCodes.errors);
