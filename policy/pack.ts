/**
 * The rules as a policy pack of Pulumi, for any program that uses the components: `pulumi up --policy-pack policy`.
 */
import { PolicyPack, type ResourceValidationPolicy } from "@pulumi/policy";
import type { Resource } from "./resource.ts";
import { rules } from "./rules.ts";
import { isService, requestedEgress } from "./settings.ts";
import { viewOf } from "./values.ts";

/** The engine analyses a component before its children, and one resource at a time. */
const services = new Map<string, Resource>();

const policies = rules.map(
  ({ name, description, check }): ResourceValidationPolicy => ({
    name,
    description,
    enforcementLevel: "mandatory",
    validateResource: ({ type, name: resourceName, urn, props, opts }, report) => {
      const resource: Resource = { type, name: resourceName, urn, inputs: viewOf(props), protect: opts.protect, secretPaths: undefined };
      if (isService(resource)) services.set(urn, resource);
      for (const problem of check(resource, { requested: requestedEgress([...services.values()]) })) report(`${resourceName}: ${problem}`);
    },
  }),
);

new PolicyPack("trivy-server", { policies });
