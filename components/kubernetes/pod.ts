import type { types } from "@pulumi/kubernetes";
import type { Input } from "@pulumi/pulumi";
import type { ImagesArgs } from "../images.ts";

/** Where the service's pods run. */
export interface SchedulingArgs {
  /** Labels that a node must have. @default any node */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Taints that the pods tolerate. @default none */
  readonly tolerations?: readonly types.input.core.v1.Toleration[];
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
export const containerSecurity: types.input.core.v1.SecurityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** Scanners ask for ids above 10000, which no host account has. */
export const userIds = { server: 10001, cache: 10002 } as const;

/** The part of a pod's specification that is the same for all: no root, no API token, no Service variables. */
export function basePodSpec(uid: number, args: PodArgs): Omit<types.input.core.v1.PodSpec, "containers"> {
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

export function fromSecret(name: string, { name: secret, key }: SecretKey): types.input.core.v1.EnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secret, key } } };
}

/** A pod template's metadata. */
export function podMetadata(labels: Record<string, string>, { podAnnotations = {} }: PodArgs): types.input.meta.v1.ObjectMeta {
  return { labels, ...(Object.keys(podAnnotations).length > 0 && { annotations: { ...podAnnotations } }) };
}
