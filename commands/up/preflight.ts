import type { KubernetesObject } from "../../recorder/record.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { StackNamespace } from "../namespace.ts";
import type { StackFile } from "../stack-file.ts";
import { checkCustomKinds, mayDeclareCustomKinds } from "./custom-kinds.ts";
import { checkIdentity } from "./identity.ts";
import { checkNamespace } from "./namespace.ts";
import type { Operation } from "./operation.ts";
import { checkPermissions, existingObjects } from "./permissions.ts";
import type { State } from "./state.ts";

/** What the checks look at. */
export interface Preflight {
  readonly cluster: Cluster;
  readonly operation: Operation;
  readonly file: Pick<StackFile, "stack" | "name" | "project" | "config">;
  readonly namespace: StackNamespace;
  readonly state: State;
  /** Records the program and returns the objects that it declares. Called only when they matter. */
  readonly declaredObjects: () => Promise<readonly KubernetesObject[]>;
}

/**
 * Checks in advance what the engine would only find out after it has created a part of the stack.
 *
 * @throws UserError if the cluster does not respond, permissions or custom kinds are missing, or the cluster or the namespace is not this stack's.
 */
export async function preflight({ cluster, operation, file, namespace, state, declaredObjects }: Preflight): Promise<void> {
  const runsProgram = operation === "up" || operation === "preview";
  await checkPermissions(cluster, operation, namespace.name, async () => ({
    declared: runsProgram ? await declaredObjects() : [],
    existing: existingObjects(state, namespace.name),
  }));
  if (operation !== "refresh") await checkIdentity(cluster, operation, file.stack, state);
  if (runsProgram) await checkNamespace(cluster, file.name, namespace, state);
  if (runsProgram && mayDeclareCustomKinds(file)) await checkCustomKinds(cluster, await declaredObjects());
}
