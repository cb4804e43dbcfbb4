import { z } from "zod";

/** A resource of Kubernetes, as far as the commands look at it: metadata may lack anything, or be encrypted. */
const metadata = z.object({ name: z.string(), namespace: z.string(), uid: z.string() }).partial().catch({});
const object = z.object({ apiVersion: z.string(), kind: z.string(), metadata }).partial().catch({});
const resource = z.object({ urn: z.string(), type: z.string(), inputs: object.default({}), outputs: object.default({}) });

const deployment = z.object({
  deployment: z
    .object({
      resources: z.array(resource).nullish(),
      pending_operations: z.array(z.object({ resource, type: z.string() })).nullish(),
    })
    .nullish(),
});

export type StateResource = z.infer<typeof resource>;

/** What Pulumi knows of a stack. */
export interface State {
  readonly resources: readonly StateResource[];
  /** What an interrupted run had begun and not seen the end of. */
  readonly pending: readonly { readonly resource: StateResource; readonly type: string }[];
}

export function parseState(exported: string): State {
  const state = deployment.parse(JSON.parse(exported)).deployment;
  return { resources: state?.resources ?? [], pending: state?.pending_operations ?? [] };
}

export const namespaceType = "kubernetes:core/v1:Namespace";
const serviceType = "kubernetes:core/v1:Service";

/** The object by which a cluster is recognised: the namespace, or the service where the namespace is somebody else's. */
export function landmark({
  resources: all,
  pending,
}: State): { kind: "Namespace" | "Service"; name: string; namespace: string; uid: string } | undefined {
  // One that was just being deleted may be gone.
  const resources = all.filter(({ urn }) => !pending.some(({ resource }) => resource.urn === urn));
  const found =
    resources.find(({ type }) => type === namespaceType) ??
    resources.find(({ type, outputs }) => type === serviceType && outputs.metadata?.name === "trivy");
  const { name, uid, namespace = name } = found?.outputs.metadata ?? {};
  return found && name && uid && namespace
    ? { kind: found.type === namespaceType ? "Namespace" : "Service", name, namespace, uid }
    : undefined;
}
