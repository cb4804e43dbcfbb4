import { CoreV1Api, type V1ContainerStatus, type V1Pod } from "@kubernetes/client-node";
import { partOf } from "../../components/shared/labels.ts";
import type { Cluster } from "./cluster.ts";

/** Why pods of the service are not ready, a line each, as far as the cluster tells: for the end of an `up` that waited for them in vain. */
export async function unreadyPods(cluster: Cluster, namespace: string): Promise<string[]> {
  const api = cluster.config.makeApiClient(CoreV1Api);
  const lastWords = async (pod: string, { name: container, restartCount }: V1ContainerStatus) => {
    const log = await api.readNamespacedPodLog({ name: pod, namespace, container, previous: restartCount > 0, tailLines: 50 });
    return decisiveLine(log);
  };
  try {
    const { items } = await api.listNamespacedPod({ namespace, labelSelector: `app.kubernetes.io/part-of=${partOf}` });
    const lines = await Promise.all(
      items.map(async (pod) => {
        // Nobody waits for a Job's pods.
        const ofJob = pod.metadata?.ownerReferences?.some(({ kind }) => kind === "Job");
        const trouble = ofJob ? undefined : podTrouble(pod);
        if (!trouble) return [];
        const words = trouble.started && (await lastWords(trouble.name, trouble.started).catch(() => undefined));
        return [`  ${trouble.name}: ${trouble.reason}${words ? `\n    ${words}` : ""}`];
      }),
    );
    return lines.flat();
  } catch {
    // What went wrong is said already; this would only have added to it.
    return [];
  }
}

interface Trouble {
  readonly name: string;
  readonly reason: string;
  /** The container that has something in its log. */
  readonly started?: V1ContainerStatus;
}

/** What keeps a pod from being ready, if anything does. One that is about to go is nobody's trouble. */
export function podTrouble({ metadata, status }: V1Pod): Trouble | undefined {
  const name = metadata?.name ?? "";
  if (metadata?.deletionTimestamp) return undefined;
  const unscheduled = status?.conditions?.find((condition) => condition.type === "PodScheduled" && condition.status === "False");
  if (unscheduled) return { name, reason: `no node takes it: ${unscheduled.message ?? unscheduled.reason}` };
  const container = status?.containerStatuses?.find(({ ready }) => !ready);
  if (!container) return undefined;
  const { restartCount, state } = container;
  const waiting = state?.waiting;
  const began = state?.running !== undefined || state?.terminated !== undefined || restartCount > 0;
  const restarts = restartCount > 0 ? `, restarted ${restartCount} times` : "";
  const reason = waiting ? `${waiting.reason}${began ? "" : `: ${waiting.message ?? "no message"}`}` : "not ready";
  return { name, reason: `${reason}${restarts}`, ...(began && { started: container }) };
}

/** What a log says of why the program ended: what was fatal, with the lines that it goes on for, or else the last error, or the last line. */
export function decisiveLine(log: string): string | undefined {
  const lines = log.split("\n").filter((line) => line.trim());
  const fatal = lines.findLastIndex((line) => /FATAL/.test(line));
  const words = fatal >= 0 ? lines.slice(fatal, fatal + 4).join(" ") : (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1));
  return words
    ?.replace(/^\S+\s+FATAL\s+(Fatal error\s+)?/, "")
    .replaceAll(/\s+/g, " ")
    .slice(0, 800);
}
