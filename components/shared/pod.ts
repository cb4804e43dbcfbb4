import * as k8s from "@pulumi/kubernetes";
import type { CustomResourceOptions, Input } from "@pulumi/pulumi";
import type { ImagesArgs } from "./images.ts";
import { type Transform, transformed } from "./transform.ts";

/** Where the service's pods run. */
export interface SchedulingArgs {
  /** Labels that a node must have. @default any node */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Taints that the pods tolerate. @default none */
  readonly tolerations?: readonly k8s.types.input.core.v1.Toleration[];
  /** Name of an existing PriorityClass. @default the cluster's */
  readonly priorityClassName?: string;
}

/** What all pods of the service have in common. */
export interface PodArgs {
  readonly images?: ImagesArgs;
  readonly scheduling?: SchedulingArgs;
  /** Annotations of every pod, for a service mesh or a log collector. @default none */
  readonly podAnnotations?: Readonly<Record<string, string>>;
}

/** CPU and memory of a container, as Kubernetes quantities. */
export interface Resources {
  readonly requests?: { readonly cpu?: string; readonly memory?: string };
  readonly limits?: { readonly cpu?: string; readonly memory?: string };
}

/** What Pod Security `restricted` asks of a container, and a read-only root file system, which it does not. */
export const containerSecurity: k8s.types.input.core.v1.SecurityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** Scanners ask for ids above 10000, which no host account has. */
export const userIds = { server: 10001, cache: 10002, gateway: 10003, reports: 10004, registryScan: 10005, redisExporter: 10006 } as const;

/** The part of a pod's specification that is the same for all: no root, no API token, no Service variables. */
export function basePodSpec(uid: number, args: PodArgs): Omit<k8s.types.input.core.v1.PodSpec, "containers"> {
  const { nodeSelector = {}, tolerations = [], priorityClassName } = args.scheduling ?? {};
  const pullSecrets = args.images?.pullSecrets ?? [];
  return {
    automountServiceAccountToken: false,
    // A Service called trivy would put TRIVY_… variables into every pod, and Trivy takes such variables for its flags.
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: uid,
      runAsGroup: uid,
      fsGroup: uid,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
    ...(pullSecrets.length > 0 && { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
    ...(Object.keys(nodeSelector).length > 0 && { nodeSelector: { ...nodeSelector } }),
    ...(tolerations.length > 0 && { tolerations: [...tolerations] }),
    ...(priorityClassName !== undefined && { priorityClassName }),
  };
}

/** A value that Kubernetes puts into a container's environment from a Secret. */
export interface SecretKey {
  readonly name: Input<string>;
  readonly key: string;
}

export function fromSecret(name: string, { name: secret, key }: SecretKey): k8s.types.input.core.v1.EnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secret, key } } };
}

/** Environment variables of those that have a value. */
export function variables(values: Readonly<Record<string, Input<string> | undefined | false>>): k8s.types.input.core.v1.EnvVar[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined || value === false ? [] : [{ name, value }]));
}

/** A pod template's metadata. */
export function podMetadata(labels: Record<string, string>, { podAnnotations = {} }: PodArgs): k8s.types.input.meta.v1.ObjectMeta {
  return { labels, ...(Object.keys(podAnnotations).length > 0 && { annotations: { ...podAnnotations } }) };
}

/** `basePodSpec` for pods of which there are several and none is special: spread, and soon replaced when their node is lost. */
export function replicatedPodSpec(uid: number, selector: Record<string, string>, args: PodArgs): ReturnType<typeof basePodSpec> {
  const lostNode = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map((key) => ({
    key,
    operator: "Exists",
    effect: "NoExecute",
    // Kubernetes' own patience is five minutes.
    tolerationSeconds: 30,
  }));
  const tolerations = [...(args.scheduling?.tolerations ?? []), ...lostNode];
  return {
    ...basePodSpec(uid, { ...args, scheduling: { ...args.scheduling, tolerations } }),
    topologySpreadConstraints: ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
      maxSkew: 1,
      topologyKey,
      whenUnsatisfiable: "ScheduleAnyway",
      labelSelector: { matchLabels: selector },
      matchLabelKeys: ["pod-template-hash"],
    })),
  };
}

/** How such pods are replaced: a new one first, then an old one goes, so that there are never fewer than asked for. */
export function oneByOne(): k8s.types.input.apps.v1.DeploymentStrategy {
  return { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
}

/** Asks a port, by its name, over HTTP; with more patience than Kubernetes' second, because a busy node answers late. */
export function httpProbe(path: string, port: string): k8s.types.input.core.v1.Probe {
  return { httpGet: { path, port }, timeoutSeconds: 5 };
}

/** A volume with a Secret's keys, or some of them, as files that the pod's group may read. */
export function secretVolume(
  secretName: Input<string>,
  items?: k8s.types.input.core.v1.KeyToPath[],
): Pick<k8s.types.input.core.v1.Volume, "secret"> {
  return { secret: { secretName, ...(items && { items }), defaultMode: 0o440 } };
}

/** A volume, and where a container has it. */
export interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly volume: Omit<k8s.types.input.core.v1.Volume, "name">;
  /** @default true */
  readonly readOnly?: boolean;
}

export function volumeMounts(mounts: readonly Mount[]): k8s.types.input.core.v1.VolumeMount[] {
  return mounts.map(({ name, mountPath, readOnly = true }) => ({ name, mountPath, readOnly }));
}

export function volumes(mounts: readonly Mount[]): k8s.types.input.core.v1.Volume[] {
  return mounts.map(({ name, volume }) => ({ name, ...volume }));
}

/** What a container asks for and gets at most: what is given, the defaults for the rest, and room on the node's disk. */
export function containerResources(
  defaults: Resources,
  given: Resources | undefined,
  disk: { readonly request: string; readonly limit: string },
): k8s.types.input.core.v1.ResourceRequirements {
  return {
    requests: { ...defaults.requests, ...given?.requests, "ephemeral-storage": disk.request },
    limits: { ...defaults.limits, ...given?.limits, "ephemeral-storage": disk.limit },
  };
}

/** One pod at a time may be drained; one that is not ready serves nobody, so it must not stop a node's drain. */
export function disruptionBudget(
  name: string,
  metadata: k8s.types.input.meta.v1.ObjectMeta,
  selector: Record<string, string>,
  transform: Transform<k8s.types.input.policy.v1.PodDisruptionBudget> | undefined,
  opts: CustomResourceOptions,
): void {
  const spec = { maxUnavailable: 1, selector: { matchLabels: selector }, unhealthyPodEvictionPolicy: "AlwaysAllow" };
  new k8s.policy.v1.PodDisruptionBudget(name, transformed(transform, { metadata, spec }), opts);
}
