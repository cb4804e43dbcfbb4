import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { must, run } from "../../support/command.ts";

/** A Kubernetes object, read by path. */
// biome-ignore lint/suspicious/noExplicitAny: a missing field fails the test's assertion
export type KubernetesObject = any;

export const kubectl = async (...args: string[]): Promise<string> => (await must("kubectl", args)).stdout;

/** Reads an object, or a list of objects, from the API server. */
export const get = async (...args: string[]): Promise<KubernetesObject> => JSON.parse(await kubectl("get", ...args, "-o", "json"));

export const apply = async (...objects: object[]): Promise<void> => {
  await must("kubectl", ["apply", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }) });
};

/** Runs a command in a pod's container for at most a minute. `output` is both streams, whether it succeeds or not; `stdout` only the standard output. */
export async function inPod(
  namespace: string,
  pod: string,
  ...command: string[]
): Promise<{ ok: boolean; output: string; stdout: string }> {
  const { exitCode, stdout, stderr } = await run("kubectl", ["exec", "-n", namespace, pod, "--", ...command], { timeout: 60_000 });
  return { ok: exitCode === 0, output: `${stdout}${stderr}`.trim(), stdout: stdout.trim() };
}

/** Polls twice a second until `answer` returns something other than undefined. @throws if that takes more than `seconds`; `what` names it */
export async function eventually<T>(what: string, answer: () => Promise<T | undefined>, seconds = 60): Promise<T> {
  for (const end = Date.now() + seconds * 1000; ; await sleep(500)) {
    const found = await answer();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what}: still missing after ${seconds} s`);
  }
}

/** Returns the URL of the Service's cluster IP, which every node can reach. */
export async function serviceUrl(namespace: string): Promise<string> {
  const { spec } = await get("service", "trivy", "-n", namespace);
  return `http://${spec.clusterIP}:${spec.ports[0].port}`;
}

/** Returns the names of a component's running pods, without terminating ones. */
export async function runningPods(namespace: string, component: "server" | "gateway"): Promise<string[]> {
  const selector = `app.kubernetes.io/component=${component}`;
  const { items } = await get("pods", "-n", namespace, "-l", selector, "--field-selector=status.phase=Running");
  return items
    .filter(({ metadata }: KubernetesObject) => !metadata.deletionTimestamp)
    .map(({ metadata }: KubernetesObject) => metadata.name);
}

/** Returns how often a pod's containers were restarted. */
export const restarts = ({ status }: KubernetesObject): number =>
  (status.containerStatuses ?? []).reduce((sum: number, { restartCount }: KubernetesObject) => sum + restartCount, 0);

/** Runs a Redis command as the user that `addAdministrator` creates. @throws if Redis rejects it */
export async function redis(namespace: string, ...command: string[]): Promise<string> {
  const login = ["--user", "admin", "--pass", "admin", "--no-auth-warning", "-e"];
  const { ok, output, stdout } = await inPod(namespace, "redis-0", "redis-cli", ...login, ...command);
  if (!ok) throw new Error(`redis-cli ${command[0]}: ${output}`);
  return stdout;
}

/** Adds a Redis user with all permissions, unless it exists, because the service's own users have few. Restarts Redis. */
export async function addAdministrator(namespace: string): Promise<void> {
  const known = () => redis(namespace, "ping").catch(() => undefined);
  if (await known()) return;
  const { items } = await get("secrets", "-n", namespace);
  const secret = items.find(({ data }: KubernetesObject) => data?.["users.acl"]);
  const users = `${Buffer.from(secret.data["users.acl"], "base64")}user admin on >admin allkeys allchannels allcommands\n`;
  await kubectl("patch", "secret", secret.metadata.name, "-n", namespace, "-p", JSON.stringify({ stringData: { "users.acl": users } }));
  await kubectl("delete", "pod", "redis-0", "-n", namespace);
  await kubectl("rollout", "status", "statefulset/redis", "-n", namespace, "--timeout=120s");
  await eventually("the administrator", known);
}

/** Returns the pod addresses to which the Service routes requests. */
export async function readyAddresses(namespace: string): Promise<string[]> {
  const slices = await get("endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=trivy");
  return (
    slices.items
      // Pods without the Service's port are listed in a slice without ports.
      .flatMap((slice: KubernetesObject) => (slice.ports?.length ? slice.endpoints : []))
      .filter((endpoint: KubernetesObject) => endpoint.conditions.ready)
      .flatMap((endpoint: KubernetesObject) => endpoint.addresses)
  );
}

/**
 * Returns each server's number of connections to the cache. A server opens the first one for its first request, so the numbers show which servers
 * were used. 18EB is Redis' port in hexadecimal.
 */
export async function cacheConnections(namespace: string): Promise<number[]> {
  const count = async (pod: string) => {
    const { output } = await inPod(namespace, pod, "cat", "/proc/net/tcp", "/proc/net/tcp6");
    return output.split("\n").filter((line) => /^\s*\d+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:18EB 01 /.test(line)).length;
  };
  return Promise.all((await runningPods(namespace, "server")).map(count));
}

/** Forwards a free local port with `kubectl port-forward`. `url` is https for remote port 443, otherwise http. @throws if the command exits early */
export async function portForward(namespace: string, to = "service/trivy", remote = 80): Promise<{ url: string; close: () => void }> {
  const child = spawn("kubectl", ["port-forward", to, `:${remote}`, "-n", namespace], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, port] = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
      if (port) resolve(port);
    });
    child.on("error", reject).on("close", () => reject(new Error(`kubectl port-forward exited: ${errors}`)));
  });
  return { url: `${remote === 443 ? "https" : "http"}://localhost:${port}`, close: () => child.kill() };
}

let listable: Promise<string> | undefined;

/** Returns every resource type that the cluster can list, comma-separated for `kubectl get`. */
function listableKinds(): Promise<string> {
  listable ??= kubectl("api-resources", "--verbs=list", "-o", "name").then((names) => {
    // Events and metrics are not part of a stack and outlive it.
    const kinds = names.split("\n").filter((name) => name && !/^events(\.|$)|\.metrics\.k8s\.io$/.test(name));
    return kinds.join(",");
  });
  return listable;
}

/** Returns the names of all objects of a stack in the cluster: those with its labels, its namespace, and the volumes of that namespace. */
export async function remains(stack: string, namespace: string): Promise<string[]> {
  const selector = `app.kubernetes.io/part-of=trivy-server,app.kubernetes.io/instance=${stack}`;
  const labelled = await kubectl("get", await listableKinds(), "-A", "-l", selector, "--ignore-not-found", "-o", "name");
  const named = await kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", "name");
  const volumes = (await get("persistentvolumes")).items.filter(
    (volume: KubernetesObject) => volume.spec.claimRef?.namespace === namespace,
  );
  return [
    ...new Set([...`${labelled}${named}`.split("\n").filter(Boolean), ...volumes.map((volume: KubernetesObject) => volume.metadata.name)]),
  ];
}

/** Returns all objects of a namespace except Secrets, as YAML. */
export async function dumpWithoutSecrets(namespace: string): Promise<string> {
  const names = await kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name");
  const kinds = names.split("\n").filter((name) => name && name !== "secrets" && !name.endsWith(".metrics.k8s.io"));
  return kubectl("get", kinds.join(","), "-n", namespace, "-o", "yaml", "--show-managed-fields");
}

/** A pod that sleeps, in which tests run commands. Any namespace admits it, and the cache's image provides the tools. */
export function idlePod(namespace: string, name: string, image: string, labels: Record<string, string> = {}): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels },
    spec: {
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, runAsUser: 10003, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "idle",
          image,
          command: ["sh", "-c", "exec sleep 3600"],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        },
      ],
    },
  };
}

export const namespaceObject = (name: string): object => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

/**
 * Deletes namespaces and waits for their end, for at most five minutes: Kubernetes checks again whether a namespace is empty only after half of its
 * pods' longest grace period, which is the gateway's five minutes.
 */
export async function deleteNamespaces(...names: string[]): Promise<void> {
  await kubectl("delete", "namespace", ...names, "--ignore-not-found", "--timeout=300s");
}
