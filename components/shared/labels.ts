/** Labels that every object carries, as Kubernetes recommends them. */
export interface Identity {
  /** Which installation the objects belong to: the stack. */
  readonly instance: string;
  /** Labels of the organisation's own, on every object: cost centre, team. @default none */
  readonly labels?: Readonly<Record<string, string>>;
}

/** The service that the parts are parts of. */
export const partOf = "trivy-server";

/** Selects the pods of one part. A strict subset of the labels, without anything that ever changes: selectors are immutable. */
export function selector(component: string): Record<string, string> {
  return { "app.kubernetes.io/part-of": partOf, "app.kubernetes.io/component": component };
}

export function labels(identity: Identity, component: string): Record<string, string> {
  return {
    ...identity.labels,
    ...selector(component),
    "app.kubernetes.io/instance": identity.instance,
    "app.kubernetes.io/managed-by": "pulumi",
  };
}
