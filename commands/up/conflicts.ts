import { KubernetesObjectApi } from "@kubernetes/client-node";
import { partOf } from "../../components/shared/labels.ts";
import type { DeclaredObject } from "../../recorder/record.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UserError } from "../user-error.ts";
import { pendingObjects } from "./recovery.ts";
import type { State } from "./state.ts";

/**
 * Checks that the objects to create do not exist yet. The engine would find out one by one, after it has created others.
 *
 * @param declared the objects that the program declares. The generated names among them exist nowhere.
 * @throws UserError that lists those that exist and are not in the stack's state.
 */
export async function checkConflicts(cluster: Cluster, stack: string, state: State, declared: readonly DeclaredObject[]): Promise<void> {
  const api = KubernetesObjectApi.makeApiClient(cluster.config);
  const own = new Set([
    ...state.resources.map(({ inputs, outputs }) => id(outputs.kind ?? inputs.kind, outputs.metadata ?? inputs.metadata)),
    ...pendingObjects(state).map((object) => id(object.kind, object)),
  ]);
  const candidates = declared.filter((object) => object.namespace !== undefined && !own.has(id(object.kind, object)));
  const found = await Promise.all(
    candidates.map(async ({ apiVersion, kind, name, namespace = "" }) => {
      const object = await respond(cluster, api.read({ apiVersion, kind, metadata: { name, namespace } }).catch(ignoreUnknownKind));
      if (!object) return [];
      const labels = object.metadata?.labels ?? {};
      const ours = labels["app.kubernetes.io/part-of"] === partOf && labels["app.kubernetes.io/instance"] === stack;
      return [{ kind, name, namespace, ours }];
    }),
  );
  const conflicts = found.flat();
  const [first] = conflicts;
  if (!first) return;
  const lines = conflicts.map(({ kind, name }) => `  ${kind} ${name}`);
  const lost = conflicts.every(({ ours }) => ours);
  const advice = lost
    ? `They have the stack's labels, so its state is elsewhere: use that backend (\`pulumi login\`, or PULUMI_BACKEND_URL).\n` +
      `If its state is lost, delete each of them: kubectl delete KIND NAME -n ${first.namespace}`
    : `They belong to the namespace's owner. Give this stack another namespace, in Pulumi.${stack}.yaml:\n  trivy-server:namespace: {name: ${first.namespace}-${stack}}`;
  throw new UserError(
    `The namespace ${first.namespace} has objects with the names of objects that the stack ${stack} needs:\n${lines.join("\n")}\n${advice}`,
  );
}

/** The engine reports a kind that the cluster does not have. */
function ignoreUnknownKind(error: Error): undefined {
  if (!/^Unrecognized API version and kind/.test(error.message)) throw error;
}

const id = (kind: string | undefined, metadata: { name?: string | undefined; namespace?: string | undefined } | undefined) =>
  `${kind} ${metadata?.namespace}/${metadata?.name}`;
