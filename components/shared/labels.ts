import type { Input } from "@pulumi/pulumi";
import type { Identity } from "./context.ts";
import { type Part, parts, project } from "./parts.ts";

/** Value of the label `app.kubernetes.io/part-of` of every object. */
export const partOf = project;

/**
 * Returns the labels that select the pods of a part: a strict subset of their labels that never changes, because selectors are immutable.
 */
export function selector({ component }: Pick<Part, "component">): Record<string, string> {
  return { "app.kubernetes.io/part-of": partOf, "app.kubernetes.io/component": component };
}

/** Selects the pods of the Trivy servers, such as for `allowedPods` of a RedisCache. */
export const serverSelector = selector(parts.server);

/** Selects the pods of the gateway, such as for `peers` of a TrivyServer. */
export const gatewaySelector = selector(parts.gateway);

/** Returns the labels of a part's objects, as Kubernetes recommends them, in addition to the user's own. */
export function labels(identity: Identity, part: Pick<Part, "component">): Record<string, Input<string>> {
  return {
    ...identity.labels,
    ...selector(part),
    "app.kubernetes.io/instance": identity.instance,
    "app.kubernetes.io/managed-by": "pulumi",
  };
}
