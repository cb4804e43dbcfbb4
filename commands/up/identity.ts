import { CoreV1Api, type V1ObjectMeta } from "@kubernetes/client-node";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UserError } from "../user-error.ts";
import type { Operation } from "./operation.ts";
import type { State } from "./state.ts";

export const namespaceType = "kubernetes:core/v1:Namespace";
const serviceType = "kubernetes:core/v1:Service";

/** The object by which the stack's cluster is recognised. */
export interface Landmark {
  readonly kind: "Namespace" | "Service";
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

/** Returns the stack's namespace, or its Service where it does not own the namespace; undefined if neither is in the state. */
export function landmark({ resources: all, pending }: State): Landmark | undefined {
  // A pending deletion may have succeeded.
  const resources = all.filter(({ urn }) => !pending.some(({ resource }) => resource.urn === urn));
  const found =
    resources.find(({ type }) => type === namespaceType) ??
    resources.find(({ type, outputs }) => type === serviceType && outputs.metadata?.name === "trivy");
  const { name, uid, namespace = name } = found?.outputs.metadata ?? {};
  if (!found || !name || !uid || !namespace) return undefined;
  return { kind: found.type === namespaceType ? "Namespace" : "Service", name, namespace, uid };
}

async function readLandmark(cluster: Cluster, { kind, name, namespace }: Landmark): Promise<V1ObjectMeta | undefined> {
  const api = cluster.config.makeApiClient(CoreV1Api);
  const object: Promise<{ metadata?: V1ObjectMeta }> =
    kind === "Namespace" ? api.readNamespace({ name }) : api.readNamespacedService({ name, namespace });
  return (await respond(cluster, object))?.metadata;
}

/** Returns whether a cluster lacks the stack's landmark, so that a refresh would regard the whole stack as deleted. */
export async function isOtherCluster(cluster: Cluster, state: State): Promise<boolean> {
  const known = landmark(state);
  return known !== undefined && (await readLandmark(cluster, known))?.uid !== known.uid;
}

/** @throws UserError if the cluster is not the one that the stack is in. The engine would take its objects for deleted. */
export async function checkIdentity(cluster: Cluster, operation: Operation, stack: string, state: State): Promise<void> {
  const known = landmark(state);
  if (!known) return;
  const found = await readLandmark(cluster, known);
  if (found?.uid === known.uid) return;
  const what = known.kind === "Namespace" ? `namespace ${known.name}` : `service ${known.name} in namespace ${known.namespace}`;
  throw new UserError(
    `The stack ${stack} is up in a cluster that has the ${what} with the uid ${known.uid};\n` +
      `the cluster of context ${cluster.context} (${cluster.server}) ${found ? "has one with another uid" : "does not have it"}.\n` +
      "The context is probably wrong: choose another with `kubectl config use-context NAME`. " +
      `If the cluster was rebuilt, or the ${known.kind.toLowerCase()} was deleted by hand:\n` +
      `  npm run refresh -- ${stack}   # then \`npm run ${operation} -- ${stack}\` again`,
  );
}
