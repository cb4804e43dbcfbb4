import { parts } from "../../components/shared/parts.ts";
import type { Change } from "./changes.ts";
import { code } from "./markdown.ts";

const type = {
  namespace: "kubernetes:core/v1:Namespace",
  claim: "kubernetes:core/v1:PersistentVolumeClaim",
  statefulSet: "kubernetes:apps/v1:StatefulSet",
};
const { cache, reports } = parts;

/** Returns the data that a change loses, or the interruption of a part that holds data, as Markdown; undefined if there is neither. */
export function dataLoss({ operation, type: changed, label, component }: Change): string | undefined {
  if (operation !== "delete" && operation !== "replace") return undefined;
  const what = `**${operation === "delete" ? "Deletes" : "Replaces"}** ${code(label)}`;
  if (changed === type.namespace) return `${what}: everything in the namespace is deleted, including the Redis cache and all reports.`;
  if (changed === type.claim) {
    if (component === cache.component) return `${what}: the Redis cache is lost, and every image is analysed again at its next scan.`;
    if (component === reports.component) return `${what}: the reports of all runs of the registry scan are lost.`;
    return `${what}: the data of this volume is lost.`;
  }
  if (changed !== type.statefulSet) return undefined;
  const pause = operation === "delete" ? "is removed" : "stops and starts again";
  if (component === cache.component) return `${what}: Redis ${pause}, and scans wait until it answers.`;
  if (component === reports.component) return `${what}: the reports server ${pause}.`;
  return `${what}: its pods stop before new ones start.`;
}

/** Reads a value by its path. */
function at(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown> | null | undefined)?.[key], value);
}

interface Container {
  readonly name?: unknown;
  readonly image?: unknown;
}

/** Where the workloads have their pod template. */
const templates: Readonly<Record<string, readonly string[]>> = {
  "kubernetes:apps/v1:Deployment": ["spec", "template"],
  "kubernetes:apps/v1:StatefulSet": ["spec", "template"],
  "kubernetes:batch/v1:CronJob": ["spec", "jobTemplate", "spec", "template"],
};

/** Returns what a change of replicas, of images or of other parts of the pods means for the service, as Markdown. */
export function meaning(change: Change): string[] {
  const { operation, type: changed, label, before, after } = change;
  if (operation !== "update") return [];
  if (changed === "kubernetes:autoscaling/v2:HorizontalPodAutoscaler") return autoscaling(change);
  const path = templates[changed];
  if (!path) return [];
  const notes: string[] = [];
  const [from, to] = [at(before, "spec", "replicas"), at(after, "spec", "replicas")];
  if (typeof from === "number" && typeof to === "number" && from !== to) notes.push(`${code(label)}: ${replicas(from, to)}`);
  const images = imageChanges(at(before, ...path), at(after, ...path));
  notes.push(...images.map(({ from, to }) => `${code(label)}: image ${code(from)} → ${code(to)}. ${rollout(change)}`));
  const restarts = JSON.stringify(at(before, ...path)) !== JSON.stringify(at(after, ...path));
  if (restarts && images.length === 0) notes.push(`${code(label)}: the pods change. ${rollout(change)}`);
  return notes;
}

function replicas(from: number, to: number): string {
  const count = Math.abs(to - from);
  const pods = `${count} ${count === 1 ? "pod" : "pods"}`;
  if (to === 0) return `${from} → 0 replicas. All pods stop: the service is interrupted.`;
  if (to > from) return `${from} → ${to} replicas. ${pods} more; the running ones are not interrupted.`;
  return `${from} → ${to} replicas. ${pods} fewer; each finishes its requests before it stops.`;
}

function autoscaling({ label, before, after }: Change): string[] {
  const limits = (value: unknown) => [at(value, "spec", "minReplicas"), at(value, "spec", "maxReplicas")].map(String).join(" to ");
  const [from, to] = [limits(before), limits(after)];
  return from === to
    ? []
    : [`${code(label)}: ${code(from)} → ${code(to)} replicas. The number of pods follows the CPU load within these limits.`];
}

function imageChanges(before: unknown, after: unknown): { readonly from: string; readonly to: string }[] {
  const containers = (template: unknown) =>
    ["initContainers", "containers"].flatMap((list) => (at(template, "spec", list) as readonly Container[] | undefined) ?? []);
  const old = new Map(containers(before).map(({ name, image }) => [name, image]));
  const changes = containers(after).flatMap(({ name, image }) => {
    const from = old.get(name);
    return typeof from === "string" && typeof image === "string" && from !== image ? [{ from, to: image }] : [];
  });
  return changes.filter(({ from, to }, index) => changes.findIndex((other) => other.from === from && other.to === to) === index);
}

function rollout({ type: changed, component }: Change): string {
  if (changed === "kubernetes:batch/v1:CronJob") return "It applies from the next run.";
  if (changed === "kubernetes:apps/v1:Deployment") return "A rollout starts new pods before old ones stop, so no scan is lost.";
  if (component === cache.component) return "Redis restarts with its data, and scans wait meanwhile.";
  return "The pods restart with their data.";
}
