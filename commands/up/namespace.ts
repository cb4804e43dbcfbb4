import { CoreV1Api, type V1Namespace } from "@kubernetes/client-node";
import { partOf } from "../../components/shared/labels.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { StackNamespace } from "../namespace.ts";
import { UserError } from "../user-error.ts";
import { namespaceType } from "./identity.ts";
import { pendingObjects } from "./recovery.ts";
import type { State } from "./state.ts";

/** @throws UserError if the stack cannot use its namespace. */
export async function checkNamespace(cluster: Cluster, stack: string, namespace: StackNamespace, state: State): Promise<void> {
  const { name } = namespace;
  const found = await respond(cluster, cluster.config.makeApiClient(CoreV1Api).readNamespace({ name }));
  const inState =
    state.resources.some(({ type, outputs }) => type === namespaceType && outputs.metadata?.name === name) ||
    pendingObjects(state).some(({ kind, name: pending }) => kind === "Namespace" && pending === name);
  const problem = namespaceProblem(stack, namespace, found, inState);
  if (problem) throw new UserError(problem);
}

/**
 * Returns why a stack cannot use its namespace, if so.
 *
 * @param found the namespace in the cluster.
 * @param inState whether the stack's state has it.
 */
export function namespaceProblem(
  stack: string,
  { name, create }: StackNamespace,
  found: V1Namespace | undefined,
  inState: boolean,
): string | undefined {
  if (!found)
    return create
      ? undefined
      : `The namespace ${name} does not exist, and \`namespace.create\` is false.\n` +
          `Create it (\`kubectl create namespace ${name}\`), or remove \`create\`.`;
  if (found.status?.phase === "Terminating")
    return `The namespace ${name} is being deleted.\nWait until it is gone: kubectl wait --for=delete namespace/${name} --timeout=5m`;
  if (inState) return undefined;
  const labels = found.metadata?.labels ?? {};
  const owner = labels["app.kubernetes.io/part-of"] === partOf ? (labels["app.kubernetes.io/instance"] ?? "?") : undefined;
  const another = `Give this stack another namespace, in Pulumi.${stack}.yaml:\n  trivy-server:namespace: {name: ${name}-${stack}}`;
  if (owner === stack)
    return (
      `The namespace ${name} belongs to a stack ${owner} whose state is elsewhere: it was created from another machine or backend.\n` +
      `Use that backend (\`pulumi login\`, or PULUMI_BACKEND_URL). If its state is lost, delete the namespace first: kubectl delete namespace ${name}`
    );
  if (owner) return `The namespace ${name} belongs to the stack ${owner}.\n${another}`;
  if (!create) return undefined;
  return (
    `The namespace ${name} exists already and was not created by this program.\n${another}\n` +
    `Or use the existing one, if its owner agrees:\n  trivy-server:namespace: {name: ${name}, create: false}`
  );
}
