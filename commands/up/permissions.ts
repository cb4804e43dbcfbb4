import { AuthenticationV1Api, AuthorizationV1Api, type V1ResourceAttributes } from "@kubernetes/client-node";
import type { KubernetesObject } from "../../recorder/record.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UserError } from "../user-error.ts";
import type { Operation } from "./operation.ts";
import type { State } from "./state.ts";

/** Where an operation's objects come from. */
export interface Objects {
  /** The objects that the program declares. */
  readonly declared: readonly KubernetesObject[];
  /** The objects that exist according to the state. */
  readonly existing: readonly KubernetesObject[];
}

type Verbs = readonly string[];

/** What Pulumi's Kubernetes provider does with each kind of object. */
const verbsFor: Readonly<Record<Operation, { readonly declared: Verbs; readonly existing: Verbs }>> = {
  up: { declared: ["get", "list", "watch", "create", "patch", "delete"], existing: ["get", "list", "watch", "delete"] },
  preview: { declared: ["get", "create", "patch"], existing: ["get"] },
  refresh: { declared: [], existing: ["get"] },
  destroy: { declared: [], existing: ["get", "list", "watch", "delete"] },
};

/** Returns the permissions that an operation needs, each once. */
export function requiredPermissions(operation: Operation, { declared, existing }: Objects): V1ResourceAttributes[] {
  const verbs = verbsFor[operation];
  const permissions = [
    ...declared.flatMap((object) => verbs.declared.map((verb) => permission(object, verb))),
    ...existing.flatMap((object) => verbs.existing.map((verb) => permission(object, verb))),
  ];
  if (operation === "up") {
    // The provider watches the pods of workloads to see whether they become ready.
    const namespaces = new Set(declared.flatMap(({ namespace }) => namespace ?? []));
    for (const namespace of namespaces)
      for (const verb of ["list", "watch"]) permissions.push({ group: "", resource: "pods", verb, namespace });
  }
  return [...new Map(permissions.map((permission) => [JSON.stringify(permission), permission])).values()];
}

/** Permissions on namespaced objects apply to all objects of the kind, those on cluster-scoped ones only to the object. */
function permission({ group, kind, namespace, name }: KubernetesObject, verb: string): V1ResourceAttributes {
  return { group, resource: resourceOf(kind), verb, ...(namespace === undefined ? { name } : { namespace }) };
}

/** Returns the plural name of a kind as Kubernetes' own tools derive it. */
function resourceOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith("s")) return `${singular}es`;
  return singular.endsWith("y") ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}

/**
 * Returns the Kubernetes objects in a stack's state. Encrypted metadata does not show the namespace, so it is assumed to be the stack's.
 */
export function existingObjects({ resources }: Pick<State, "resources">, stackNamespace: string): KubernetesObject[] {
  return resources.flatMap(({ type, inputs: { metadata } }) => {
    const [, group = "", kind = ""] = /^kubernetes:([^/:]+)(?:\/[^:]+)?:(\w+)$/.exec(type) ?? [];
    if (kind === "") return [];
    const { name, namespace = name === undefined ? stackNamespace : undefined } = metadata ?? {};
    return [{ group: group === "core" ? "" : group, kind, namespace, name: name ?? "" }];
  });
}

/**
 * Asks the cluster whether the user has the permissions that an operation needs.
 *
 * @param objects called only for a user who is not an administrator.
 * @throws UserError that lists all missing permissions.
 */
export async function checkPermissions(
  cluster: Cluster,
  operation: Operation,
  namespace: string,
  objects: () => Promise<Objects>,
): Promise<void> {
  const api = cluster.config.makeApiClient(AuthorizationV1Api);
  const isAllowed = async (resourceAttributes: V1ResourceAttributes) => {
    const review = await respond(cluster, api.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } }));
    return review?.status?.allowed ?? false;
  };
  // One question is enough for an administrator. It is also the first to find out whether the cluster can be reached.
  if (await isAllowed({ group: "*", resource: "*", verb: "*" })) return;
  const required = requiredPermissions(operation, await objects());
  const allowed = await Promise.all(required.map(isAllowed));
  const missing = required.filter((_, index) => !allowed[index]);
  if (missing.length === 0) return;
  const { status } = await cluster.config
    .makeApiClient(AuthenticationV1Api)
    .createSelfSubjectReview({ body: {} })
    .catch(() => ({ status: undefined }));
  throw new UserError(missingPermissions(cluster.context, namespace, status?.userInfo?.username, missing));
}

function missingPermissions(
  context: string,
  stackNamespace: string,
  user: string | undefined,
  missing: readonly V1ResourceAttributes[],
): string {
  const verbs = new Map<string, string[]>();
  for (const { group, resource, namespace, verb = "" } of missing) {
    const what = `${resource}${group ? `.${group}` : ""}${namespace ? ` in namespace ${namespace}` : ""}`;
    verbs.set(what, [...(verbs.get(what) ?? []), verb]);
  }
  const cannotCreateNamespace = missing.some(({ resource }) => resource === "namespaces");
  return [
    `${user ?? "You"} may not do everything that this stack needs in the cluster of context ${context}. Missing permissions:`,
    ...[...verbs].map(([what, which]) => `  ${what}: ${which.join(", ")}`),
    `Ask the cluster's administrator for them (the ClusterRole \`admin\` in ${stackNamespace} has all except those on namespaces)` +
      (cannotCreateNamespace ? ", or have the namespace created for you and set `namespace: {create: false}`." : "."),
  ].join("\n");
}
