import { z } from "zod";

/** A Kubernetes resource, as far as the commands read it. Metadata may be incomplete or encrypted. */
const metadata = z.object({ name: z.string(), namespace: z.string(), uid: z.string() }).partial().catch({});
const object = z.object({ apiVersion: z.string(), kind: z.string(), metadata }).partial().catch({});
const resource = z.object({
  urn: z.string(),
  type: z.string(),
  protect: z.boolean().default(false),
  inputs: object.default({}),
  outputs: object.default({}),
});

const deployment = z.object({
  deployment: z
    .object({
      resources: z.array(resource).nullish(),
      pending_operations: z.array(z.object({ resource, type: z.string() })).nullish(),
    })
    .nullish(),
});

export type StateResource = z.infer<typeof resource>;

/** Pulumi's state of a stack. */
export interface State {
  readonly resources: readonly StateResource[];
  /** Operations of an interrupted run whose outcome is unknown. */
  readonly pending: readonly { readonly resource: StateResource; readonly type: string }[];
}

/** Parses the output of `pulumi stack export`. */
export function parseState(exported: string): State {
  const state = deployment.parse(JSON.parse(exported)).deployment;
  return { resources: state?.resources ?? [], pending: state?.pending_operations ?? [] };
}
