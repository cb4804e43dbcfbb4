import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Resources } from "../args.ts";

type Input<T> = pulumi.Input<T>;
type EnvVar = types.input.core.v1.EnvVar;

/** Key of an existing Secret. */
export interface SecretKey {
  readonly name: Input<string>;
  readonly key: Input<string>;
}

/** Returns an environment variable whose value Kubernetes takes from a Secret. */
export function fromSecret(name: string, { name: secret, key }: SecretKey): EnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secret, key } } };
}

/** Returns an environment variable for each entry that has a value. */
export function variables(values: Readonly<Record<string, Input<string> | undefined | false>>): EnvVar[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined || value === false ? [] : [{ name, value }]));
}

/**
 * Returns the value of a variable that is absent when false. Whether an output is false is not known in time; the variable is "false" then.
 */
export function flag(value: Input<boolean>): Input<string> | false {
  return typeof value === "boolean" ? value && "true" : pulumi.output(value).apply(String);
}

/** Returns a probe by HTTP. Its timeout is longer than Kubernetes' default of one second, because a busy node answers late. */
export function httpProbe(path: string, port: string): types.input.core.v1.Probe {
  return { httpGet: { path, port }, timeoutSeconds: 5 };
}

/** A volume of a pod, and where its container mounts it. */
export interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly volume: Omit<types.input.core.v1.Volume, "name">;
  /** @default { readOnly: true } */
  readonly options?: Pick<types.input.core.v1.VolumeMount, "readOnly" | "subPath">;
}

/** Returns a volume with the keys of a Secret, or some of them, as files that the pod's group may read. */
export function secretVolume(secretName: Input<string>, items?: types.input.core.v1.KeyToPath[]): Mount["volume"] {
  return { secret: { secretName, ...(items && { items }), defaultMode: 0o440 } };
}

/** Space on the node's disk, a quantity of bytes: for the container's log and the pod's volumes. */
export interface Disk {
  readonly request: Input<string>;
  readonly limit: Input<string>;
}

/** Returns the requests and limits of a container, with space on the node's disk. */
export function containerResources({ requests, limits }: Resources, disk: Disk): types.input.core.v1.ResourceRequirements {
  return {
    requests: { ...requests, "ephemeral-storage": disk.request },
    limits: { ...limits, "ephemeral-storage": disk.limit },
  };
}
