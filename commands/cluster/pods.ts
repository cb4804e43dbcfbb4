import { CoreV1Api, type V1ContainerStatus, type V1Pod } from "@kubernetes/client-node";
import { partOf } from "../../components/shared/labels.ts";
import type { Cluster } from "./cluster.ts";

/** Returns a line for each pod of the service that is not ready, with the reason. Returns none if the cluster does not respond. */
export async function unreadyPods(cluster: Cluster, namespace: string): Promise<string[]> {
  const api = cluster.config.makeApiClient(CoreV1Api);
  const lastError = async (pod: string, { name: container, restartCount }: V1ContainerStatus) => {
    const log = await api.readNamespacedPodLog({ name: pod, namespace, container, previous: restartCount > 0, tailLines: 50 });
    return decisiveLine(log);
  };
  try {
    const { items } = await api.listNamespacedPod({ namespace, labelSelector: `app.kubernetes.io/part-of=${partOf}` });
    const lines = await Promise.all(
      items.map(async (pod) => {
        // Pulumi does not wait for the pods of Jobs.
        const ofJob = pod.metadata?.ownerReferences?.some(({ kind }) => kind === "Job");
        const trouble = ofJob ? undefined : podTrouble(pod);
        if (!trouble) return [];
        const reason = trouble.started && (await lastError(trouble.name, trouble.started).catch(() => undefined));
        return [`  ${trouble.name}: ${trouble.reason}${reason ? `\n    ${reason}` : ""}`];
      }),
    );
    return lines.flat();
  } catch {
    // These lines only add to an error that has already been reported.
    return [];
  }
}

export interface PodTrouble {
  readonly name: string;
  readonly reason: string;
  /** The unready container, if it has run and so has a log. */
  readonly started?: V1ContainerStatus;
}

/** Returns what keeps a pod from being ready. Returns undefined for a ready pod and for one that is being deleted. */
export function podTrouble({ metadata, status }: V1Pod): PodTrouble | undefined {
  const name = metadata?.name ?? "";
  if (metadata?.deletionTimestamp) return undefined;
  const unscheduled = status?.conditions?.find((condition) => condition.type === "PodScheduled" && condition.status === "False");
  if (unscheduled) return { name, reason: `cannot be scheduled: ${unscheduled.message ?? unscheduled.reason}` };
  const container = status?.containerStatuses?.find(({ ready }) => !ready);
  if (!container) return undefined;
  const { restartCount, state } = container;
  const waiting = state?.waiting;
  const started = state?.running !== undefined || state?.terminated !== undefined || restartCount > 0;
  const restarts = restartCount > 0 ? `, restarted ${restartCount} times` : "";
  const reason = waiting ? `${waiting.reason}${started ? "" : `: ${waiting.message ?? "no message"}`}` : "not ready";
  return { name, reason: `${reason}${restarts}`, ...(started && { started: container }) };
}

/** Returns why a program ended according to its log: the fatal error with the lines that follow it, otherwise the last error or line. */
export function decisiveLine(log: string): string | undefined {
  const lines = log.split("\n").filter((line) => line.trim());
  const fatal = lines.findLastIndex((line) => /FATAL/.test(line));
  const text = fatal >= 0 ? lines.slice(fatal, fatal + 4).join(" ") : (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1));
  return text
    ?.replace(/^\S+\s+FATAL\s+(Fatal error\s+)?/, "")
    .replaceAll(/\s+/g, " ")
    .slice(0, 800);
}
