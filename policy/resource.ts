import { ifKnown, itemsOf } from "./values.ts";

/** A resource as the rules see it, whether it was recorded, is analysed by Pulumi's engine, or comes from a state. */
export interface Resource {
  readonly urn: string;
  readonly type: string;
  /** The logical name. */
  readonly name: string;
  /** The inputs. Unknown ones throw `UnknownValue`. */
  readonly inputs: Properties;
  readonly protect: boolean;
  /** Paths of the inputs that are marked as secret; undefined where marks are not available, as in a policy pack. */
  readonly secretPaths: readonly string[] | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: manifests are read by path, and any property may be missing
export type Properties = any;

/** A pod that a resource declares: its specification, and whether it runs until it is stopped. */
export interface Pod {
  readonly spec: Properties;
  readonly annotations: Properties;
  readonly serves: boolean;
}

const controllers = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"];

/** Returns the Kubernetes kind that a resource's type token ends with; empty for other providers' resources. */
export const kindOf = ({ type }: Pick<Resource, "type">): string =>
  type.startsWith("kubernetes:") ? (type.split(":").at(-1) ?? "").replace(/Patch$/, "") : "";

/** Returns the pod that a resource declares, if it declares one and its template is known. */
export function podOf(resource: Resource): Pod | undefined {
  const { inputs } = resource;
  const kind = kindOf(resource);
  return ifKnown(() => {
    if (kind === "Pod") return { spec: inputs.spec ?? {}, annotations: inputs.metadata?.annotations, serves: true };
    const template = kind === "CronJob" ? inputs.spec?.jobTemplate?.spec?.template : inputs.spec?.template;
    if (![...controllers, "Job", "CronJob"].includes(kind)) return undefined;
    return { spec: template?.spec ?? {}, annotations: template?.metadata?.annotations, serves: controllers.includes(kind) };
  }, undefined);
}

/** Returns the containers of a pod by path, such as `containers[0]`. */
export function* containersOf({ spec }: Pod): Generator<readonly [path: string, container: Properties, list: string]> {
  for (const list of ["initContainers", "containers", "ephemeralContainers"]) {
    for (const [index, container] of itemsOf<Properties>(() => spec[list])) yield [`${list}[${index}]`, container, list];
  }
}
