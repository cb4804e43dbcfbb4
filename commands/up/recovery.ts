import { KubernetesObjectApi } from "@kubernetes/client-node";
import { z } from "zod";
import { partOf } from "../../components/shared/labels.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { ask, type Engine, run } from "../engine/engine.ts";
import { explain } from "../engine/explain.ts";
import type { StackFile } from "../stack-file.ts";
import { UserError } from "../user-error.ts";
import type { State } from "./state.ts";

interface PendingObject {
  readonly urn: string;
  /** The provider's id: `namespace/name`. */
  readonly id: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Returns the cluster objects that an interrupted run may have created. */
export function pendingObjects({ pending }: Pick<State, "pending">): PendingObject[] {
  return pending.flatMap(({ type, resource: { urn, type: token, inputs } }) => {
    const { apiVersion, kind, metadata: { name, namespace } = {} } = inputs;
    if (type !== "creating" || !token.startsWith("kubernetes:") || !apiVersion || !kind || !name) return [];
    return [{ urn, id: namespace ? `${namespace}/${name}` : name, apiVersion, kind, name, namespace }];
  });
}

/** Returns those pending objects that exist in the cluster and belong to this stack according to their labels. */
export async function adoptableObjects(cluster: Cluster, stackName: string, state: State): Promise<Pick<PendingObject, "urn" | "id">[]> {
  const api = KubernetesObjectApi.makeApiClient(cluster.config);
  const found = await Promise.all(
    pendingObjects(state).map(async ({ urn, id, apiVersion, kind, name, namespace }) => {
      const object = await respond(cluster, api.read({ apiVersion, kind, metadata: { name, ...(namespace && { namespace }) } }));
      const labels = object?.metadata?.labels ?? {};
      const ours = labels["app.kubernetes.io/part-of"] === partOf && labels["app.kubernetes.io/instance"] === stackName;
      return ours ? [{ urn, id }] : [];
    }),
  );
  return found.flat();
}

const initErrors = ["the run that created it was interrupted"];

const exportedState = z.looseObject({
  deployment: z.looseObject({
    resources: z.array(z.looseObject({})).nullish(),
    pending_operations: z.array(z.looseObject({ resource: z.looseObject({ urn: z.string() }) })).nullish(),
  }),
});

/**
 * Returns the state of an interrupted run for `pulumi stack import`: with the adopted objects and without pending operations. It is unknown
 * whether the adopted objects became ready, so they are marked as not initialised: the next `up` applies them again and waits for them.
 */
export function recoveredState(exported: string, adopted: readonly Pick<PendingObject, "urn" | "id">[]): string {
  const state = exportedState.parse(JSON.parse(exported));
  const { resources, pending_operations: pending, ...rest } = state.deployment;
  const found = adopted.flatMap(({ urn, id }) => {
    const resource = pending?.find(({ resource }) => resource.urn === urn)?.resource;
    return resource ? [{ ...resource, id, outputs: resource["inputs"], initErrors }] : [];
  });
  return JSON.stringify({ ...state, deployment: { ...rest, resources: [...(resources ?? []), ...found] } });
}

/**
 * Resolves the pending operations of an interrupted run. An object whose creation was pending is adopted if it exists, and forgotten
 * otherwise. After pending updates and deletions, a refresh finds out what the cluster has.
 *
 * Pulumi's own ways do less. `pulumi refresh --import-pending-creates` is meant for this, but the engine drops what it is told to import.
 * `--clear-pending-creates` with the provider's `upsertExistingObjects` leaves behind every object with a generated name, such as a Secret
 * with a password, and overwrites any object in the way, whoever owns it (both tried with Pulumi 3.256).
 *
 * @param exported the state as `pulumi stack export` prints it.
 * @param flags the flags of every Pulumi command on this stack.
 * @throws UserError if a Pulumi command fails.
 */
export async function recover(
  cluster: Cluster,
  engine: Engine,
  { stack, name }: Pick<StackFile, "stack" | "name">,
  state: State,
  exported: string,
  flags: readonly string[],
): Promise<void> {
  if (state.pending.length === 0) return;
  const adopted = await adoptableObjects(cluster, name, state);
  const outcome = (type: string, urn: string) => {
    if (type !== "creating") return "";
    return adopted.some((object) => object.urn === urn) ? ": it exists and is adopted" : ": forgotten";
  };
  const lines = state.pending.map(({ type, resource: { urn } }) => `  ${type} ${urn.split("::").at(-1)}${outcome(type, urn)}`);
  console.error(["An earlier run was interrupted during these operations:", ...lines].join("\n"));
  await ask(engine, ["stack", "import"], { stack, input: recoveredState(exported, adopted) });
  if (state.pending.every(({ type }) => type === "creating")) return;
  const { status, error } = await run(engine, ["refresh", ...flags, "--yes", "--skip-preview"]);
  if (status !== 0) throw new UserError(explain(error, { stack, backend: engine.backend, env: process.env }), status);
}
