import type { Resource } from "./resource.ts";
import { rules } from "./rules.ts";
import { isService, requestedEgress } from "./settings.ts";

export interface Violation {
  /** Name of the rule. */
  readonly rule: string;
  readonly urn: string;
  /** The resource and what is wrong with it. */
  readonly message: string;
}

/** Checks the resources of a stack against all rules. */
export function violations(resources: readonly Resource[]): Violation[] {
  const situation = { requested: requestedEgress(resources.filter(isService)) };
  return resources.flatMap((resource) =>
    rules.flatMap(({ name, check }) =>
      [...check(resource, situation)].map((problem) => ({ rule: name, urn: resource.urn, message: `${resource.name}: ${problem}` })),
    ),
  );
}
