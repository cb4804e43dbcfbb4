import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Context } from "./context.ts";
import { labels, selector } from "./labels.ts";
import type { Part } from "./parts.ts";
import type { Mount } from "./pod.ts";
import { cores } from "./quantity.ts";

type Container = types.input.core.v1.Container;
type PodSpec = types.input.core.v1.PodSpec;

interface WorkloadArgs extends Pick<PodSpec, "restartPolicy" | "terminationGracePeriodSeconds"> {
  readonly part: Part;
  /**
   * Whether there are several equal pods: these are spread over zones and nodes, and replaced soon after their node is lost.
   * @default false
   */
  readonly replicated?: boolean;
  readonly container: Omit<Container, "securityContext" | "volumeMounts">;
  /** Containers that run before `container`, or next to it if they have a restart policy; `mounts` are their volumes. @default none */
  readonly initContainers?: readonly (Omit<Container, "securityContext"> & { readonly mounts?: readonly Mount[] })[];
  /** Where the pods serve metrics. @default nowhere */
  readonly metrics?: { readonly port: number; readonly path: string };
  /** The volumes of the pod, and where `container` mounts them. @default none */
  readonly mounts?: readonly Mount[];
}

/**
 * Returns what Deployments, StatefulSets and Jobs have in common: the selector, and the template of pods that run without root, API token
 * and writable root file system, where the context schedules them.
 */
export function workload(
  context: Context,
  { part, replicated = false, container, initContainers, mounts = [], metrics, ...pod }: WorkloadArgs,
) {
  const volumes = new Map(
    [...mounts, ...(initContainers ?? []).flatMap((other) => other.mounts ?? [])].map(({ name, volume }) => [name, volume]),
  );
  const annotations = { ...(context.scrapeAnnotations && metrics && scrapeAnnotations(metrics)), ...context.podAnnotations };
  return {
    selector: { matchLabels: selector(part) },
    template: {
      metadata: { labels: labels(context, part), ...(Object.keys(annotations).length > 0 && { annotations }) },
      spec: {
        ...security(context, part.userId),
        ...placement(context, replicated ? part : undefined),
        ...pod,
        ...(initContainers && {
          initContainers: initContainers.map(({ mounts = [], ...other }) => hardened(context, withMounts(other, mounts))),
        }),
        containers: [hardened(context, withMounts(container, mounts))],
        ...(volumes.size > 0 && { volumes: [...volumes].map(([name, volume]) => ({ name, ...volume })) }),
      } satisfies PodSpec,
    },
  };
}

const withMounts = (container: Container, mounts: readonly Mount[]): Container =>
  mounts.length > 0 ? { ...container, volumeMounts: mounts.map(volumeMount) } : container;
/** The annotations that Prometheus' usual configuration for pods reads. */
const scrapeAnnotations = ({ port, path }: NonNullable<WorkloadArgs["metrics"]>) => ({
  "prometheus.io/scrape": "true",
  "prometheus.io/port": String(port),
  "prometheus.io/path": path,
});

const volumeMount = ({ name, mountPath, options = { readOnly: true } }: Mount) => ({ name, mountPath, ...options });

/** What Pod Security `restricted` requires of a container, and in addition a read-only root file system. */
const hardened = ({ pods = {} }: Context, container: Container): Container => ({
  ...container,
  ...(pods.cpuLimit !== undefined && { resources: withCpuLimit(container.resources, pods.cpuLimit) }),
  securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
});

/** Returns a container's resources with a limit of its CPU, unless it has one: at least its request, as Kubernetes requires. */
const withCpuLimit = (resources: Container["resources"], limit: pulumi.Input<string>) =>
  pulumi.all([resources, limit]).apply(([own = {}, common]) => {
    const { cpu: request = "0" } = own.requests ?? {};
    // Arguments of components may be numbers, as in YAML.
    const isBelow = cores(String(common)) < cores(String(request));
    return { ...own, limits: { cpu: isBelow ? request : common, ...own.limits } };
  });

/** A platform that assigns IDs also assigns the group of the volumes. */
const security = ({ pods = {} }: Context, userId: number) => ({
  automountServiceAccountToken: false,
  // The Service called trivy would add TRIVY_… variables to every pod, which Trivy would read as its flags.
  enableServiceLinks: false,
  securityContext: {
    runAsNonRoot: true,
    ...(pods.userIds !== "assigned" && {
      runAsUser: userId,
      runAsGroup: userId,
      fsGroup: userId,
      fsGroupChangePolicy: "OnRootMismatch",
    }),
    seccompProfile: { type: "RuntimeDefault" },
  },
});

/** Where pods run, and from where their images are pulled; `spread` is the part whose pods are spread. */
function placement({ scheduling = {}, images = {} }: Context, spread: Part | undefined): Partial<PodSpec> {
  const { nodeSelector = {}, priorityClassName } = scheduling;
  const { pullSecrets = [] } = images;
  const tolerations = [...(scheduling.tolerations ?? []), ...(spread ? lostNodeTolerations : [])];
  return {
    ...(pullSecrets.length > 0 && { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
    // The images are of this system.
    nodeSelector: { "kubernetes.io/os": "linux", ...nodeSelector },
    ...("kubernetes.io/arch" in nodeSelector ? {} : { affinity: ownArchitectures }),
    ...(tolerations.length > 0 && { tolerations }),
    ...(priorityClassName !== undefined && { priorityClassName }),
    ...(spread && { topologySpreadConstraints: spreadConstraints(spread) }),
  };
}

/** The architectures of all default images. For others, with images of your own, a selector names the architecture. */
const ownArchitectures = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/arch", operator: "In", values: ["amd64", "arm64"] }] }],
    },
  },
};

/** Kubernetes' default is five minutes. */
const lostNodeTolerations = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map((key) => ({
  key,
  operator: "Exists",
  effect: "NoExecute",
  tolerationSeconds: 30,
}));

const spreadConstraints = (part: Part) =>
  ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: "ScheduleAnyway",
    labelSelector: { matchLabels: selector(part) },
    matchLabelKeys: ["pod-template-hash"],
  }));

/** Replaces pods without ever having fewer than the number of replicas: a new one starts before an old one is stopped. */
export const surgeOne: types.input.apps.v1.DeploymentStrategy = {
  type: "RollingUpdate",
  rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
};
