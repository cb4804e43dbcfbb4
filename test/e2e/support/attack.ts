import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { images } from "../../../components/shared/images.ts";
import { apply, deleteNamespaces, eventually, get, type KubernetesObject, kubectl } from "./cluster.ts";
import { send } from "./request.ts";

/** The kinds of connections that attack.mjs opens. Each kind comes from a pod with an address of its own. */
const kinds = [
  "idle-tcp",
  "idle-before-tls",
  "idle-after-tls",
  "half-header",
  "slow-header",
  "huge-header",
  "http2",
  "http2-over-tls",
  "body-without-end",
  "slow-body",
  "chunked-body",
  "missing-body",
];

interface Attack {
  /** Returns the number of open connections of each kind, for a message. */
  open(): Promise<string>;
  stop(): Promise<void>;
}

/** Attacks the gateway at a host without a token, from pods in a namespace of their own. Returns when all connections have been opened. */
export async function startAttack(namespace: string, host: string, connections: number): Promise<Attack> {
  const attack = { "attack.mjs": await readFile(join(import.meta.dirname, "attack.mjs"), "utf8") };
  const pod = (kind: string) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: kind, namespace },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: "attack", configMap: { name: "attack" } }],
      containers: [
        {
          name: "attack",
          image: images.node,
          // The attackers may share a node with the service, and must not take its CPU.
          resources: { requests: { cpu: "10m" }, limits: { cpu: "100m", memory: "256Mi" } },
          command: ["node", "/attack/attack.mjs", kind, host, `${Math.ceil(connections / kinds.length)}`],
          volumeMounts: [{ name: "attack", mountPath: "/attack" }],
        },
      ],
    },
  });
  await apply(
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "attack", namespace }, data: attack },
    ...kinds.map(pod),
  );
  await eventually("the attackers", async () => {
    const { items } = await get("pods", "-n", namespace);
    return items.every(({ status }: KubernetesObject) => status.phase === "Running") || undefined;
  });
  // attack.mjs opens its connections within ten seconds.
  await sleep(10_000);
  return {
    open: async () => {
      const counts = kinds.map(async (kind) => `${(await kubectl("logs", "-n", namespace, kind, "--tail=1")).trim()} ${kind}`);
      return (await Promise.all(counts)).join(", ");
    },
    stop: () => deleteNamespaces(namespace),
  };
}

/**
 * Keeps a number of uploads of a client in progress, each of which stalls after 3 of its 8 MB. The gateway passes such large uploads through while
 * they arrive. Returns a function that ends them.
 */
export function stallUploads(server: string, token: string, count: number): () => Promise<void> {
  const stop = new AbortController();
  const body = Buffer.alloc(3 * 2 ** 20, " ");
  const headers = { "Trivy-Token": token, "Content-Length": 8 * 2 ** 20 };
  const uploads = Array.from({ length: count }, async () => {
    while (!stop.signal.aborted) {
      // The gateway breaks the connection after a while.
      await send(`${server}/twirp/trivy.cache.v1.Cache/PutBlob`, body, headers, { stall: stop.signal }).catch(() => {});
      await sleep(1000);
    }
  });
  return async () => {
    stop.abort();
    await Promise.all(uploads);
  };
}
