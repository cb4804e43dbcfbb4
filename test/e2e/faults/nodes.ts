import { must } from "../../support/command.ts";
import { apply, deleteNamespaces, eventually, get, inPod, type KubernetesObject, kubectl, namespaceObject } from "../support/cluster.ts";

/** A pod, as read from the API server. */
export type Pod = KubernetesObject;

/**
 * Access to the cluster's nodes, through a privileged pod on each in a namespace of their own, to disturb any pod's processes and network. A pod cannot do
 * that to itself: a container's first process ignores SIGKILL and SIGSTOP from inside.
 */
export class Nodes {
  private readonly namespace: string;

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  /** Creates the pods. `image` must have a shell, `nsenter` and `ip`; busybox's are sufficient. */
  static async create(namespace: string, image: string): Promise<Nodes> {
    await apply(namespaceObject(namespace));
    const { items } = await get("nodes");
    const names: string[] = items.map((node: KubernetesObject) => node.metadata.name);
    await apply(...names.map((name) => privilegedPod(namespace, name, image)));
    await kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", namespace, "--timeout=120s");
    return new Nodes(namespace);
  }

  async remove(): Promise<void> {
    await deleteNamespaces(this.namespace);
  }

  /** Sends a signal to every process of a pod's containers. */
  async signal(signal: "KILL" | "STOP" | "CONT", pod: Pod): Promise<void> {
    const ids = pod.status.containerStatuses.map(({ containerID }: { containerID: string }) => containerID.replace(/^.*\//, ""));
    // A process may end before its turn because another one was signalled first.
    await this.run(pod, `set -- $(${processes(ids)}); [ $# -gt 0 ] && { kill -${signal} "$@" || true; }`);
  }

  /** Drops all packets that a pod sends; packets to it still arrive. */
  async silence(pod: Pod): Promise<void> {
    await this.inNetwork(pod, "ip route add blackhole default table 100 && $net ip rule add pref 1 table 100");
  }

  async unsilence(pod: Pod): Promise<void> {
    await this.inNetwork(pod, "ip rule del pref 1 && $net ip route flush table 100");
  }

  private inNetwork(pod: Pod, command: string): Promise<void> {
    // By the pod's uid, because a container may have ended meanwhile.
    const { uid } = pod.metadata;
    return this.run(pod, `set -- $(${processes([uid, uid.replaceAll("-", "_")])}); net="nsenter -t $1 -n"; $net ${command}`);
  }

  private async run(pod: Pod, script: string): Promise<void> {
    const { ok, output } = await inPod(this.namespace, pod.spec.nodeName, "sh", "-c", script);
    if (!ok) throw new Error(`${pod.metadata.name} on ${pod.spec.nodeName}: ${output}`);
  }
}

/** Returns a shell command that prints the processes whose cgroup names contain one of the ids. */
const processes = (ids: readonly string[]) =>
  `grep -l ${ids.map((id) => `-e ${id}`).join(" ")} /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3`;

const privilegedPod = (namespace: string, node: string, image: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace, name: node },
  spec: {
    nodeName: node,
    hostPID: true,
    hostNetwork: true,
    tolerations: [{ operator: "Exists" }],
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: "node",
        image,
        command: ["sh", "-c", "exec sleep 86400"],
        securityContext: { privileged: true, runAsUser: 0, runAsGroup: 0 },
      },
    ],
  },
});

const condition = (object: KubernetesObject, type: string): boolean =>
  object.status.conditions?.some((found: KubernetesObject) => found.type === type && found.status === "True") ?? false;

export const isReady = (object: KubernetesObject): boolean => condition(object, "Ready");

export async function nodeIs(ready: boolean, node: string): Promise<void> {
  await eventually(`${node} is ${ready ? "" : "not "}ready`, async () => isReady(await get("node", node)) === ready || undefined, 180);
}

const { E2E_NODE: lost, E2E_NODE_CUT: cut, E2E_NODE_RECONNECT: reconnect } = process.env;

/** The node that may be cut off, if the environment has one. */
export const spareNode =
  lost && cut && reconnect
    ? {
        name: lost,
        cut: () => must("sh", ["-c", `${cut} ${lost}`]),
        reconnect: () => must("sh", ["-c", `${reconnect} ${lost}`]),
      }
    : undefined;
