import { createHash } from "node:crypto";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { parse, stringify } from "yaml";
import { must } from "../../support/command.ts";
import { addAdministrator, eventually, get, inPod, type KubernetesObject, kubectl, redis, restarts } from "../support/cluster.ts";
import { merged, Project, type Settings } from "../support/project.ts";
import { isReady, Nodes, type Pod } from "./nodes.ts";

export type Component = "server" | "gateway" | "cache";

/** The workloads of each component, as `kubectl` names them. */
export const workloads = { server: "deployment/trivy-server", gateway: "deployment/trivy-gateway", cache: "statefulset/redis" } as const;

/** A service in the cluster, with operations that change, disturb and inspect it. */
export class Service {
  readonly namespace: string;
  readonly nodes: Nodes;
  readonly components: readonly Component[];
  /** Tokens that clients send; read before every scan. */
  tokens: string[] = [];
  server = "";
  /** The service's current settings. */
  settings: Settings;
  /** File with the certificate authority that clients trust, if the service has TLS. */
  caCertificate: string | undefined;
  private readonly project: Project;
  private readonly files: string;

  private constructor(project: Project, stack: string, nodes: Nodes, files: string, settings: Settings) {
    this.project = project;
    this.namespace = stack;
    this.nodes = nodes;
    this.files = files;
    this.settings = settings;
    this.components = settings["gateway"] ? ["server", "gateway", "cache"] : ["server", "cache"];
  }

  static async create(stack: string, settings: Settings, image: string): Promise<Service> {
    const project = await Project.create();
    const nodes = await Nodes.create(`${stack}-nodes`, image);
    const service = new Service(project, stack, nodes, await mkdtemp(join(tmpdir(), "faults-")), settings);
    try {
      await project.writeStack(stack, settings);
      await project.must("pulumi", ["stack", "init", stack]);
      await service.up();
    } catch (error) {
      await service.remove();
      throw error;
    }
    return service;
  }

  async remove(): Promise<void> {
    await this.project.remove();
    await this.nodes.remove();
    await rm(this.files, { recursive: true, force: true });
  }

  /** Changes settings like an operator: edits the stack's file and runs `pulumi up`. */
  async up(changed: Settings = {}): Promise<void> {
    await this.replaceSettings(merged(this.settings, changed));
  }

  async replaceSettings(settings: Settings): Promise<void> {
    this.settings = settings;
    const file = join(this.project.folder, `Pulumi.${this.namespace}.yaml`);
    const { encryptionsalt } = parse(await readFile(file, "utf8"));
    await this.project.writeStack(this.namespace, settings);
    await writeFile(file, stringify({ ...parse(await readFile(file, "utf8")), encryptionsalt }));
    await this.project.pulumi(this.namespace, "up", "--yes", "--skip-preview");
    await this.readOutputs();
  }

  /** Reads the service's URL, tokens and certificate authority from the stack's outputs. */
  private async readOutputs(): Promise<void> {
    const outputs = JSON.parse((await this.project.pulumi(this.namespace, "stack", "output", "--json", "--show-secrets")).stdout);
    this.tokens = outputs.tokens ? Object.values(outputs.tokens) : [outputs.token];
    const { spec } = await get("service", "trivy", "-n", this.namespace);
    const scheme = new URL(outputs.address).protocol.replace(":", "");
    const { port } = spec.ports.find(({ name }: { name: string }) => name === scheme);
    this.server = `${scheme}://${spec.clusterIP}:${port}`;
    this.caCertificate = undefined;
    if (outputs.caCertificate !== undefined) await this.trust(outputs.caCertificate);
  }

  /** Makes clients trust a certificate authority, given as PEM. */
  async trust(certificate: string): Promise<void> {
    // A new file name, because clients may be reading the previous file.
    const file = join(this.files, `ca-${createHash("sha256").update(certificate).digest("hex")}.crt`);
    await writeFile(`${file}.new`, certificate);
    await rename(`${file}.new`, file);
    this.caCertificate = file;
  }

  kubectl(...args: string[]): Promise<string> {
    return kubectl(...args, "-n", this.namespace);
  }

  /** Replaces one field of an object, by its JSON pointer. */
  async replace(object: string, path: string, value: unknown): Promise<void> {
    await this.kubectl("patch", object, "--type=json", "-p", JSON.stringify([{ op: "replace", path, value }]));
  }

  get(...args: string[]): Promise<KubernetesObject> {
    return get(...args, "-n", this.namespace);
  }

  /** Returns a component's pods without terminating ones, the least restarted first. */
  async pods(component: Component): Promise<Pod[]> {
    const { items } = await this.get("pods", "-l", `app.kubernetes.io/component=${component}`);
    return items.filter((pod: Pod) => !pod.metadata.deletionTimestamp).sort((one: Pod, other: Pod) => restarts(one) - restarts(other));
  }

  async pod(component: Component): Promise<Pod> {
    const [pod] = await this.pods(component);
    if (!pod) throw new Error(`${this.namespace} has no pod of ${component}`);
    return pod;
  }

  /** Restarts components with a rolling update. */
  async restart(...components: Component[]): Promise<void> {
    await this.kubectl("rollout", "restart", ...components.map((component) => workloads[component]));
    await this.whole();
  }

  /** Kills all processes of pods at once and waits until the containers have been restarted. */
  async kill(...pods: Pod[]): Promise<void> {
    await Promise.all(pods.map((pod) => this.nodes.signal("KILL", pod)));
    const restarted = async (before: Pod) => {
      const pod = await this.get("pod", before.metadata.name);
      return (restarts(pod) > restarts(before) && isReady(pod)) || undefined;
    };
    await Promise.all(pods.map((pod) => eventually(`${pod.metadata.name} runs again`, () => restarted(pod), 180)));
  }

  /** Stops all processes of a pod for a while; its connections stay open. */
  async hang(pod: Pod, seconds: number): Promise<void> {
    await this.nodes.signal("STOP", pod);
    try {
      await sleep(seconds * 1000);
    } finally {
      await this.nodes.signal("CONT", pod).catch(() => {
        // The liveness probe was faster and has restarted the container.
      });
    }
  }

  async scale(component: Component, replicas: number): Promise<void> {
    await this.kubectl("scale", workloads[component], `--replicas=${replicas}`);
    await this.whole();
  }

  async withoutRedis(seconds: number): Promise<void> {
    try {
      await this.kubectl("scale", workloads.cache, "--replicas=0");
      await this.kubectl("wait", "--for=delete", "pod/redis-0", "--timeout=60s");
      await sleep(seconds * 1000);
    } finally {
      await this.scale("cache", 1);
    }
  }

  /** Moves Redis' pod to another node; its volume must allow that. */
  async moveRedis(): Promise<void> {
    const { nodeName } = (await this.pod("cache")).spec;
    await kubectl("cordon", nodeName);
    try {
      await this.kubectl("delete", "pod", "redis-0");
      await this.whole();
    } finally {
      await kubectl("uncordon", nodeName);
    }
    if ((await this.pod("cache")).spec.nodeName === nodeName) throw new Error(`Redis came back on ${nodeName}`);
  }

  /** Moves the database mirror to a node, and all other pods to other nodes. The node stays cordoned. */
  async leaveMirrorAloneOn(node: string): Promise<void> {
    if ((await this.pod("cache")).spec.nodeName === node) await this.moveRedis();
    const { items } = await get("nodes");
    const others: string[] = items.map(({ metadata }: KubernetesObject) => metadata.name).filter((name: string) => name !== node);
    await kubectl("cordon", ...others);
    try {
      await this.kubectl("delete", "pod", "trivy-database-0");
      await this.kubectl("rollout", "status", "statefulset/trivy-database", "--timeout=180s");
    } finally {
      await kubectl("uncordon", ...others);
    }
    await kubectl("cordon", node);
    try {
      await this.restart(...this.components.filter((component) => component !== "cache"));
      const [mirror] = (await this.get("pods", "-l", "app.kubernetes.io/component=database")).items;
      if (mirror?.spec.nodeName !== node) throw new Error(`the mirror is on ${mirror?.spec.nodeName}, not on ${node}`);
    } catch (error) {
      await kubectl("uncordon", node);
      throw error;
    }
  }

  /** Spreads each component over `node` and others, with Redis on `node` or elsewhere. */
  async spread(node: string, redis: "elsewhere" | "there"): Promise<void> {
    if (((await this.pod("cache")).spec.nodeName === node) !== (redis === "there")) await this.moveRedis();
    for (const component of this.components.filter((component) => component !== "cache")) {
      const onBoth = async () => {
        const there = (await this.pods(component)).map((pod) => pod.spec.nodeName === node);
        if (there.includes(true) && there.includes(false)) return true;
        await this.restart(component);
        return undefined;
      };
      await eventually(`pods of ${component} on ${node} and elsewhere`, onBoth, 180);
    }
  }

  /** Runs a Redis command as the administrator of `addAdministrator`. */
  redis(...command: string[]): Promise<string> {
    return redis(this.namespace, ...command);
  }

  async addAdministrator(): Promise<void> {
    await addAdministrator(this.namespace);
    await this.whole();
  }

  /** Returns the serial number of the certificate that the service presents. */
  async servedCertificate(): Promise<string> {
    const { hostname, port } = new URL(this.server);
    const socket = connect({ host: hostname, port: Number(port || 443), rejectUnauthorized: false });
    try {
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      return socket.getPeerCertificate().serialNumber;
    } finally {
      socket.destroy();
    }
  }

  /** Waits until every wanted pod is ready and no old one is left. */
  async whole(seconds = 300): Promise<void> {
    let missing = "";
    const complete = async () => {
      const states = await Promise.all(
        this.components.map(async (component) => {
          const workload = await this.get(workloads[component]);
          const { items } = await this.get("pods", "-l", `app.kubernetes.io/component=${component}`);
          const { generation } = workload.metadata;
          const { observedGeneration, updatedReplicas = 0, readyReplicas = 0 } = workload.status;
          const wanted = workload.spec.replicas;
          const done =
            observedGeneration === generation &&
            [updatedReplicas, readyReplicas, items.length].every((count) => count === wanted) &&
            items.every(isReady);
          return done ? [] : [`${component}: ${readyReplicas} of ${wanted} pods ready, ${items.length} in total`];
        }),
      );
      missing = states.flat().join("; ");
      return missing === "" || undefined;
    };
    await eventually("the whole service", complete, seconds).catch((error) => {
      throw new Error(`${error.message}: ${missing}`);
    });
  }

  /** Replaces pods with restarted containers, because the kubelet delays each further restart longer. */
  async forgetRestarts(): Promise<void> {
    for (const component of this.components)
      if ((await this.pods(component)).some((pod) => restarts(pod) > 0)) await this.restart(component);
  }

  async versions(): Promise<string> {
    const version = async (component: Component, ...command: string[]) => {
      const pod = await this.pod(component);
      const { output } = await inPod(this.namespace, pod.metadata.name, ...command);
      return /\d+\.\d+\.\d+/.exec(output)?.[0] ?? output;
    };
    const { serverVersion } = JSON.parse((await must("kubectl", ["version", "-o", "json"])).stdout);
    const parts = [
      `Trivy ${await version("server", "trivy", "--version")}`,
      `Redis ${await version("cache", "sh", "-c", "redis-server --version || valkey-server --version")}`,
      ...(this.components.includes("gateway") ? [`HAProxy ${await version("gateway", "haproxy", "-v")}`] : []),
      `Kubernetes ${serverVersion.gitVersion.replace(/^v/, "")}`,
    ];
    return parts.join(", ");
  }
}
