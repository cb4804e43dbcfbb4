import type { DeclaredObject } from "../../recorder/record.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { StackNamespace } from "../namespace.ts";
import { validSettings } from "../settings.ts";
import type { StackFile } from "../stack-file.ts";
import { checkClaims } from "./claims.ts";
import { checkConflicts } from "./conflicts.ts";
import { checkCustomKinds, mayDeclareCustomKinds } from "./custom-kinds.ts";
import { checkIdentity } from "./identity.ts";
import { checkNamespace } from "./namespace.ts";
import type { Operation } from "./operation.ts";
import { checkPermissions, existingObjects } from "./permissions.ts";
import type { State } from "./state.ts";
import { checkVersion } from "./version.ts";

/** What the checks look at. */
export interface Preflight {
  readonly cluster: Cluster;
  readonly operation: Operation;
  readonly file: Pick<StackFile, "stack" | "name" | "project" | "config">;
  readonly namespace: StackNamespace;
  readonly state: State;
  /** Records the program and returns the objects that it declares. Called only when they matter. */
  readonly declaredObjects: () => Promise<readonly DeclaredObject[]>;
}

/**
 * Checks in advance what the engine would only find out after it has created a part of the stack.
 *
 * @throws UserError if the cluster does not respond or is too old, permissions or custom kinds are missing, the cluster or the namespace is
 *   not this stack's, claims cannot grow, or objects of others are in the way.
 */
export async function preflight({ cluster, operation, file, namespace, state, declaredObjects }: Preflight): Promise<void> {
  let recorded: Promise<readonly DeclaredObject[]> | undefined;
  const declared = () => (recorded ??= declaredObjects());
  const runsProgram = operation === "up" || operation === "preview";
  await checkPermissions(cluster, operation, namespace.name, async () => ({
    declared: runsProgram ? await declared() : [],
    existing: existingObjects(state, namespace.name),
  }));
  if (operation !== "refresh") await checkIdentity(cluster, operation, file.stack, state);
  if (!runsProgram) return;
  const settings = validSettings(file);
  await checkVersion(cluster, settings);
  await checkNamespace(cluster, file.name, namespace, state);
  // A namespace of its own has no objects of others.
  if (!namespace.create) await checkConflicts(cluster, file.name, state, await declared());
  if (settings) await checkClaims(cluster, namespace.name, settings);
  if (mayDeclareCustomKinds(file)) await checkCustomKinds(cluster, await declared());
}
