import {
  AppsV1Api,
  BatchV1Api,
  CoreV1Api,
  type CoreV1Event,
  type V1Deployment,
  type V1Job,
  type V1PersistentVolumeClaim,
  type V1Pod,
  type V1ReplicaSet,
  type V1StatefulSet,
} from "@kubernetes/client-node";
import { partOf } from "../../components/shared/labels.ts";
import { permitted, respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";

/** A stack's objects in its namespace, as far as they show whether it works. */
export interface Snapshot {
  readonly time: Date;
  readonly namespace: string;
  readonly pods: readonly V1Pod[];
  readonly deployments: readonly V1Deployment[];
  readonly replicaSets: readonly V1ReplicaSet[];
  readonly statefulSets: readonly V1StatefulSet[];
  readonly jobs: readonly V1Job[];
  readonly claims: readonly V1PersistentVolumeClaim[];
  /** All events of the namespace: they have no labels. */
  readonly events: readonly CoreV1Event[];
}

/**
 * Reads a stack's objects. Lists are read anew each time instead of being watched: no event can be missed, and a connection that was cut or is
 * silent costs one request.
 *
 * @throws RequestError if the API server does not respond, or the user may not list pods.
 */
export async function readSnapshot(cluster: Cluster, namespace: string): Promise<Snapshot> {
  const core = cluster.config.makeApiClient(CoreV1Api);
  const apps = cluster.config.makeApiClient(AppsV1Api);
  const batch = cluster.config.makeApiClient(BatchV1Api);
  const ours = { namespace, labelSelector: `app.kubernetes.io/part-of=${partOf}` };
  const list = async <T>(request: Promise<{ items: T[] }>) => (await respond(cluster, request))?.items ?? [];
  const permittedList = async <T>(request: Promise<{ items: T[] }>) => (await permitted(list(request))) ?? [];
  const [pods, deployments, replicaSets, statefulSets, jobs, claims, events] = await Promise.all([
    list(core.listNamespacedPod(ours)),
    permittedList(apps.listNamespacedDeployment(ours)),
    permittedList(apps.listNamespacedReplicaSet(ours)),
    permittedList(apps.listNamespacedStatefulSet(ours)),
    permittedList(batch.listNamespacedJob(ours)),
    permittedList(core.listNamespacedPersistentVolumeClaim(ours)),
    permittedList(core.listNamespacedEvent({ namespace })),
  ]);
  return { time: new Date(), namespace, pods, deployments, replicaSets, statefulSets, jobs, claims, events };
}
