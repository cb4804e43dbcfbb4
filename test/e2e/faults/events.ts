import { setTimeout as sleep } from "node:timers/promises";
import { trivyVersion } from "../../../components/shared/images.ts";
import { must } from "../../support/command.ts";
import { stallUploads, startAttack } from "../support/attack.ts";
import { apply, eventually, type KubernetesObject, kubectl } from "../support/cluster.ts";
import { environmentSettings } from "../support/environment.ts";
import type { LoadResult } from "../support/load.ts";
import type { Settings } from "../support/project.ts";
import { Authority } from "./certificates.ts";
import { isReady, nodeIs, type Pod, spareNode } from "./nodes.ts";
import { type Component, type Service, workloads } from "./service.ts";

export const designs = ["gateway", "servers"] as const;
export type Design = (typeof designs)[number];

/**
 * How many scans an event may fail: none; those in flight; one in ten; any number, where the event tests something else, such as an error message.
 */
export type Allowed = "none" | "in flight" | "few" | "any";

/** An event that happens to a service under load. */
export interface FaultEvent {
  readonly name: string;
  /** Description of the event, its row in docs/reference/faults.md. */
  readonly what: string;
  /** Failed scans allowed by design; the event does not apply to a design that is left out. */
  readonly allowed: Partial<Record<Design, Allowed>>;
  /** Designs for which the event is part of the short set. @default none */
  readonly short?: readonly Design[];
  /** What the environment lacks for the event, which is then skipped. */
  readonly missing?: string | undefined;
  /** Attempts of a client per scan. @default 1 */
  readonly attempts?: number;
  /** Repetitions in one run. @default 3 */
  readonly times?: number;
  /** Prepares a service of the event's own before all other events, for a preparation that takes long. */
  readonly ahead?: (service: Service) => Promise<unknown>;
  /** Settings for this event only. */
  readonly settings?: (service: Service) => Settings | Promise<Settings>;
  /** Runs before the load. */
  readonly prepare?: (service: Service) => Promise<unknown>;
  /** Causes the event, under load; all pods must become ready again afterwards. */
  readonly run: (service: Service, time: number) => Promise<unknown>;
  /** Checks more than the number of failed scans; `usual` is the result without the event. @throws if a check fails */
  readonly check?: (result: LoadResult, design: Design, usual: number) => void;
}

const { E2E_OTHER_TRIVY_IMAGE, E2E_SCRATCH_DATABASE, E2E_PUSH_DATABASE, E2E_PUSH_BROKEN_DATABASE } = process.env;
const pods = (service: Service): Component[] => service.components.filter((component) => component !== "cache");
const needs = (variables: Record<string, unknown>) => {
  const unset = Object.keys(variables).filter((name) => !variables[name]);
  return unset.length > 0 ? `${unset.join(", ")} not set` : undefined;
};
const noSpareNode = spareNode ? undefined : "E2E_NODE, E2E_NODE_CUT, E2E_NODE_RECONNECT not set";
const noDatabases = needs({ E2E_SCRATCH_DATABASE, E2E_PUSH_DATABASE, E2E_PUSH_BROKEN_DATABASE });
const push = (command: string | undefined) => must("sh", ["-c", `${command} ${E2E_SCRATCH_DATABASE}`]);
const scratchDatabase = async () => {
  await push(E2E_PUSH_DATABASE);
  return { database: { repositories: [E2E_SCRATCH_DATABASE] } };
};

/** Checks that clients get the gateway's error messages about the cache, not those of Trivy. */
const clearMessage = (result: LoadResult, design: Design): void => {
  const unclear = Object.keys(result.reasons).filter((reason) => !/the layer cache (is|lost|cannot) /.test(reason));
  // Without a gateway, clients get only Trivy's messages.
  if (design === "gateway" && unclear.length > 0) throw new Error(`no clear message: ${unclear.join("; ")}`);
};

const nodeLost = {
  missing: noSpareNode,
  prepare: (service: Service) => service.spread(spareNode?.name ?? "", "elsewhere"),
  run: async () => {
    await spareNode?.cut();
    try {
      await sleep(60_000);
    } finally {
      await spareNode?.reconnect();
      await nodeIs(true, spareNode?.name ?? "");
    }
  },
};

const redisAway = (seconds: number): FaultEvent => ({
  name: `redis-away-${seconds}`,
  what: `Redis down for ${seconds} s`,
  allowed: { gateway: "none", servers: "none" },
  run: (service) => service.withoutRedis(seconds),
});

const emptied = {
  prepare: (service: Service) => service.addAdministrator(),
  run: async (service: Service) => {
    for (let time = 0; time < 10; time++) {
      await service.redis("flushall");
      // Long enough for a client to complete its second attempt.
      await sleep(10_000);
    }
  },
};

const gatewayKilled = {
  run: async (service: Service) => service.kill(await service.pod("gateway")),
};

const uploadsStalled = (): Pick<FaultEvent, "settings" | "prepare" | "run"> => {
  let token = "";
  return {
    settings: () => ({ gateway: { clients: [{ name: "one" }, { name: "two" }, { name: "three" }] } }),
    prepare: async (service) => {
      // The load is that of the other two clients.
      token = service.tokens.pop() ?? "";
    },
    run: async ({ server }) => {
      const stop = stallUploads(server, token, 160);
      await sleep(60_000);
      await stop();
    },
  };
};

/** Limits Redis' memory for a while to `room` bytes more than it uses when empty. */
const filled = (policy: string, room: number) => ({
  prepare: (service: Service) => service.addAdministrator(),
  run: async (service: Service) => {
    const setting = async (name: string) => (await service.redis("config", "get", name)).split("\n")[1] ?? "";
    const before = ["maxmemory", await setting("maxmemory"), "maxmemory-policy", await setting("maxmemory-policy")];
    await service.redis("flushall");
    const [, used] = /^used_memory:(\d+)/m.exec(await service.redis("info", "memory")) ?? [];
    try {
      await service.redis("config", "set", "maxmemory", `${Number(used) + room}`, "maxmemory-policy", policy);
      await sleep(10_000);
    } finally {
      await service.redis("config", "set", ...before);
    }
  },
});

export const events: readonly FaultEvent[] = [
  {
    name: "nothing",
    what: "no event",
    allowed: { gateway: "none", servers: "none" },
    times: 1,
    run: async () => {},
  },
  {
    name: "servers-restarted",
    what: "rolling restart of the servers",
    allowed: { gateway: "none", servers: "none" },
    short: ["servers"],
    run: (service) => service.restart("server"),
  },
  {
    name: "gateway-restarted",
    what: "rolling restart of the gateway",
    allowed: { gateway: "none" },
    run: (service) => service.restart("gateway"),
  },
  {
    name: "attacked",
    what: "10,000 idle, slow and malformed connections without a token, from twelve addresses, for 60 s",
    allowed: { gateway: "none" },
    settings: async (service) => ({
      gateway: { tls: { enabled: true, names: [await address(service)], plainHttp: true } },
      access: { ...environmentSettings()["access"], namespaces: [`${service.namespace}-attackers`] },
    }),
    run: async ({ namespace, server }) => {
      const attack = await startAttack(`${namespace}-attackers`, new URL(server).hostname, 10_000);
      await sleep(60_000);
      await attack.stop();
    },
  },
  {
    name: "uploads-stalled",
    what: "160 uploads of another client that stall, for 60 s",
    allowed: { gateway: "none" },
    ...uploadsStalled(),
  },
  {
    name: "all-restarted",
    what: "rolling restart of everything after a changed setting, with the servers' image changed as well",
    allowed: { gateway: "none", servers: "none" },
    short: ["gateway"],
    run: async (service, time) => {
      const other = E2E_OTHER_TRIVY_IMAGE || `docker.io/aquasec/trivy:${trivyVersion}`;
      const before = service.settings["images"] as Settings | undefined;
      const podAnnotations = { "example.com/changed": `${Date.now()}` };
      await service.up(time % 2 === 0 ? { podAnnotations, images: { ...before, trivy: other } } : { podAnnotations });
    },
  },
  {
    name: "server-killed",
    what: "a server killed with SIGKILL",
    allowed: { gateway: "none", servers: "in flight" },
    run: async (service) => service.kill(await service.pod("server")),
  },
  {
    name: "servers-killed",
    what: "all servers killed with SIGKILL at once",
    allowed: { gateway: "none", servers: "any" },
    short: ["gateway"],
    run: async (service) => {
      // Makes each repetition independent: the kubelet delays containers that are killed repeatedly by more than a client's retries last.
      await service.forgetRestarts();
      await service.kill(...(await service.pods("server")));
    },
  },
  {
    name: "server-hangs",
    what: "a server hangs for 60 s (SIGSTOP)",
    allowed: { gateway: "none", servers: "in flight" },
    run: async (service) => service.hang(await service.pod("server"), 60),
  },
  {
    name: "server-cut",
    what: "a server cut off from the network for 30 s",
    allowed: { gateway: "none", servers: "in flight" },
    run: async (service) => {
      const pod = await service.pod("server");
      await service.nodes.silence(pod);
      try {
        await sleep(30_000);
      } finally {
        await service.nodes.unsilence(pod);
      }
    },
  },
  {
    name: "node-lost",
    what: "a node lost for 60 s, Redis on another node",
    allowed: { gateway: "few", servers: "few" },
    ...nodeLost,
    check: (result, design, usual) => {
      if (design === "gateway" && result.slowest > usual + 10)
        throw new Error(`a scan took ${result.slowest.toFixed(1)} s, and usually at most ${usual.toFixed(1)} s`);
    },
  },
  {
    name: "node-lost-repeated",
    what: "a node lost for 60 s, Redis on another node; clients retry once",
    allowed: { gateway: "none" },
    attempts: 2,
    ...nodeLost,
  },
  {
    name: "mirror-node-lost",
    what: "the node of the database mirror lost, during a rolling restart of the servers",
    allowed: { gateway: "none", servers: "none" },
    missing: noSpareNode,
    times: 1,
    settings: () => ({ database: { mirror: { enabled: true } } }),
    prepare: (service) => service.leaveMirrorAloneOn(spareNode?.name ?? ""),
    run: async (service) => {
      const name = spareNode?.name ?? "";
      await spareNode?.cut();
      try {
        await nodeIs(false, name);
        await service.restart("server");
      } finally {
        await spareNode?.reconnect();
        await nodeIs(true, name);
        await kubectl("uncordon", name);
      }
    },
  },
  {
    name: "redis-node-lost",
    what: "Redis' node lost and tainted out-of-service by the operator",
    allowed: { gateway: "any", servers: "any" },
    missing: noSpareNode,
    times: 1,
    prepare: (service) => service.spread(spareNode?.name ?? "", "there"),
    run: async (service) => {
      const name = spareNode?.name ?? "";
      const taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";
      await spareNode?.cut();
      try {
        await nodeIs(false, name);
        await kubectl("taint", "node", name, taint);
        const elsewhere = async () => {
          const [pod] = await service.pods("cache");
          return (pod?.status.containerStatuses?.[0]?.ready && pod.spec.nodeName !== name) || undefined;
        };
        await eventually("Redis on another node", elsewhere, 60);
        await sleep(5000);
      } finally {
        await spareNode?.reconnect();
        await nodeIs(true, name);
        await kubectl("taint", "node", name, `${taint}-`).catch(() => {
          // The taint was not set.
        });
      }
    },
  },
  {
    name: "autoscaled",
    what: "autoscaling up and down, 2 -> 4 -> 2 servers",
    allowed: { gateway: "none", servers: "none" },
    settings: () => ({ server: { autoscaling: { minReplicas: 2, maxReplicas: 4 } } }),
    prepare: (service) => {
      // Scales down without delay, so that it happens within the run.
      const behavior = {
        scaleUp: { policies: [{ type: "Pods", value: 2, periodSeconds: 15 }] },
        scaleDown: { stabilizationWindowSeconds: 0, policies: [{ type: "Pods", value: 2, periodSeconds: 15 }] },
      };
      return service.kubectl("patch", "hpa", "trivy-server", "--type=merge", "-p", JSON.stringify({ spec: { behavior } }));
    },
    run: async (service) => {
      const target = (utilization: number) => {
        const value = { averageUtilization: utilization, type: "Utilization" };
        return service.replace("hpa/trivy-server", "/spec/metrics/0/resource/target", value);
      };
      const servers = (count: number) =>
        eventually(`${count} servers`, async () => (await service.get(workloads.server)).spec.replicas === count || undefined, 120);
      await target(1);
      await servers(4);
      await service.whole();
      await target(1000);
      await servers(2);
    },
  },
  {
    name: "scaled",
    what: "scaled 2 -> 6 -> 2 servers",
    allowed: { gateway: "none", servers: "none" },
    run: async (service) => {
      try {
        await service.scale("server", 6);
      } finally {
        // Pods that fit on no node must not remain for the following events.
        await service.scale("server", 2);
      }
    },
  },
  {
    name: "evicted",
    what: "eviction through the API",
    allowed: { gateway: "none", servers: "none" },
    short: ["gateway"],
    run: async (service) => {
      for (const component of pods(service)) await evict(service, await service.pod(component));
    },
  },
  {
    name: "deleted",
    what: "deletion with a grace period of 5 s, as on a spot node",
    allowed: { gateway: "none", servers: "none" },
    run: async (service) => {
      for (const component of pods(service)) {
        const { name } = (await service.pod(component)).metadata;
        await service.kubectl("delete", "pod", name, "--grace-period=5");
        await service.whole();
      }
    },
  },
  {
    name: "redis-restarted",
    what: "Redis restarted",
    allowed: { gateway: "none", servers: "none" },
    short: ["gateway", "servers"],
    run: (service) => service.restart("cache"),
  },
  {
    name: "redis-killed",
    what: "Redis killed with SIGKILL",
    allowed: { gateway: "none", servers: "none" },
    run: async (service) => service.kill(await service.pod("cache")),
  },
  redisAway(5),
  redisAway(15),
  redisAway(30),
  {
    name: "redis-slow",
    what: "Redis stopped for 1.5 s of every 2.5 s (SIGSTOP), as with a slow volume, for 25 s",
    allowed: { gateway: "none", servers: "none" },
    run: async (service) => {
      const pod = await service.pod("cache");
      for (let time = 0; time < 10; time++) {
        await service.hang(pod, 1.5);
        await sleep(1000);
      }
    },
  },
  {
    name: "redis-moved",
    what: "Redis moved to another node",
    allowed: { gateway: "none", servers: "none" },
    run: (service) => service.moveRedis(),
  },
  {
    name: "redis-emptied",
    what: "Redis emptied ten times in 100 s (FLUSHALL)",
    allowed: { gateway: "few", servers: "few" },
    ...emptied,
  },
  {
    name: "redis-emptied-repeated",
    what: "Redis emptied ten times in 100 s (FLUSHALL); clients retry once",
    allowed: { gateway: "none", servers: "none" },
    attempts: 2,
    ...emptied,
  },
  {
    name: "redis-full",
    what: "Redis full, rejecting writes",
    allowed: { gateway: "any", servers: "any" },
    ...filled("noeviction", 0),
    check: clearMessage,
  },
  {
    name: "redis-evicting",
    what: "Redis full, evicting entries in use",
    allowed: { gateway: "any", servers: "any" },
    ...filled("allkeys-lru", 50_000),
    check: clearMessage,
  },
  {
    name: "redis-lost",
    what: "Redis down for 170 s, longer than clients retry",
    allowed: { gateway: "any", servers: "any" },
    times: 1,
    run: (service) => service.withoutRedis(170),
    check: clearMessage,
  },
  {
    name: "tokens-rotated",
    what: "tokens rotated, clients with old and new ones at once",
    allowed: { gateway: "none" },
    short: ["gateway"],
    run: async (service) => {
      const before = [...service.tokens];
      const clients = service.settings["gateway"] as { clients: readonly { name: string; generation?: number }[] };
      const generation = (clients.clients[0]?.generation ?? 1) + 1;
      const names = clients.clients.map(({ name }) => name);
      await service.up({ gateway: { clients: names.map((name) => ({ name, generation })) } });
      const after = [...service.tokens];
      if (after.some((token) => before.includes(token))) throw new Error("a token did not change");
      service.tokens = [...before, ...after];
      await sleep(10_000);
      service.tokens = after;
      // Scans that started with an old token end before it is retired.
      await sleep(20_000);
      await service.up({ gateway: { clients: names.map((name) => ({ name, generation, retire: generation - 1 })) } });
    },
  },
  {
    name: "redis-password-rotated",
    what: "Redis' password rotated",
    allowed: { gateway: "none", servers: "none" },
    short: ["gateway"],
    run: async (service) => {
      const { generation = 1 } = (service.settings["redis"] ?? {}) as { generation?: number };
      await service.up({ redis: { generation: generation + 1 } });
      await service.up({ redis: { generation: generation + 1, retire: generation } });
    },
  },
  {
    name: "authorities-rotated",
    what: "the certificate authorities rotated, with TLS to Redis and to the gateway if there is one",
    allowed: { gateway: "none", servers: "none" },
    short: ["gateway"],
    settings: async (service) => ({
      redis: { tls: { enabled: true } },
      ...(service.settings["gateway"] !== undefined && { gateway: { tls: { enabled: true, names: [await address(service)] } } }),
    }),
    run: async (service) => {
      const { generation = 1 } = (service.settings["authorities"] ?? {}) as { generation?: number };
      // Until this ends, clients trust the previous authority alone.
      await service.up({ authorities: { generation: generation + 1 } });
      // Scans that started before end before it is retired.
      await sleep(20_000);
      await service.up({ authorities: { generation: generation + 1, retire: generation } });
    },
  },
  {
    name: "certificate-renewed",
    what: "the gateway's certificate renewed in its Secret, as by cert-manager",
    allowed: { gateway: "none" },
    settings: async (service) => {
      await newCertificate(service);
      return { gateway: { tls: { enabled: true, existingSecret: "gateway-certificate" } } };
    },
    prepare: async (service) => service.trust(await (await authority()).certificate()),
    run: async (service) => {
      const before = await service.servedCertificate();
      await newCertificate(service);
      await eventually("the new certificate", async () => (await service.servedCertificate()) !== before || undefined, 180);
    },
  },
  {
    name: "certificate-replaced",
    what: "the gateway's generated certificate replaced, for other names",
    allowed: { gateway: "none" },
    short: ["gateway"],
    settings: async (service) => ({ gateway: { tls: { enabled: true, names: [await address(service)] } } }),
    run: async (service) => {
      const before = await service.servedCertificate();
      await service.up({ gateway: { tls: { names: [await address(service), `scan-${Date.now()}.example.com`] } } });
      if ((await service.servedCertificate()) === before) throw new Error("the certificate did not change");
    },
  },
  {
    name: "gateway-killed",
    what: "a gateway pod killed with SIGKILL",
    allowed: { gateway: "few" },
    ...gatewayKilled,
  },
  {
    name: "gateway-killed-repeated",
    what: "a gateway pod killed with SIGKILL; clients retry once",
    allowed: { gateway: "none" },
    attempts: 2,
    ...gatewayKilled,
  },
  {
    name: "database-updated",
    what: "a new database, loaded by restarted servers",
    allowed: { gateway: "none", servers: "none" },
    missing: noDatabases,
    settings: scratchDatabase,
    run: async (service) => {
      await push(E2E_PUSH_DATABASE);
      await service.restart("server");
    },
  },
  {
    name: "database-broken",
    what: "a broken database in the repository while servers are restarted",
    allowed: { gateway: "none", servers: "none" },
    missing: noDatabases,
    settings: scratchDatabase,
    run: async (service) => {
      await push(E2E_PUSH_BROKEN_DATABASE);
      try {
        await service.kubectl("rollout", "restart", workloads.server);
        await waitWithoutStart(service);
      } finally {
        await push(E2E_PUSH_DATABASE);
      }
    },
  },
  {
    name: "database-hourly",
    what: "a broken database, then a new one, when the running servers check for updates an hour after their start",
    allowed: { gateway: "none", servers: "none" },
    missing: noDatabases,
    times: 1,
    settings: scratchDatabase,
    ahead: async (service) => {
      // Each server shall find something else.
      await sleep(60_000);
      await service.kubectl("delete", "pod", (await service.pod("server")).metadata.name);
      await service.whole();
    },
    // Two minutes are enough to begin.
    prepare: async (service) => {
      const [[, first]] = await nextDatabaseChecks(service, 120_000);
      await sleep(first - Date.now() - 60_000);
    },
    run: async (service) => {
      const [[one, first], [other, second]] = await nextDatabaseChecks(service);
      await push(E2E_PUSH_BROKEN_DATABASE);
      await waitForLog(service, one, "failed DB hot update", first);
      await push(E2E_PUSH_DATABASE);
      await waitForLog(service, other, "Reopening DB", second);
    },
  },
  {
    name: "upstream-away",
    what: "the database's registry unreachable while a server restarts",
    allowed: { gateway: "none", servers: "none" },
    ahead: async (service) => {
      // A policy takes a moment to reach a new pod, in which a small database would be there already.
      const [{ image, securityContext, resources }] = (await service.get(workloads.cache)).spec.template.spec.containers;
      const initContainers = [{ name: "policy", image, securityContext, resources, command: ["sleep", "5"] }];
      await service.kubectl("patch", workloads.server, "-p", JSON.stringify({ spec: { template: { spec: { initContainers } } } }));
    },
    run: async (service) => {
      const policy = await service.get("networkpolicy", "trivy-server");
      const egress = (rules: unknown) => service.replace("networkpolicy/trivy-server", "/spec/egress", rules);
      const toCache = policy.spec.egress.filter((rule: KubernetesObject) => JSON.stringify(rule.to ?? []).includes('"cache"'));
      if (toCache.length !== 1) throw new Error(`expected one egress rule to the cache: ${JSON.stringify(policy.spec.egress)}`);
      await egress(toCache);
      try {
        await service.kubectl("delete", "pod", (await service.pod("server")).metadata.name);
        await waitWithoutStart(service);
      } finally {
        await egress(policy.spec.egress);
      }
    },
  },
];

async function evict(service: Service, pod: Pod): Promise<void> {
  const { name, namespace } = pod.metadata;
  const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } };
  await must("kubectl", ["create", "--raw", `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, "-f", "-"], {
    input: JSON.stringify(eviction),
  });
  await service.kubectl("wait", "--for=delete", `pod/${name}`, "--timeout=120s");
  await service.whole();
}

/** Waits long enough for a server to start. @throws if all have started, which they cannot without the database */
async function waitWithoutStart(service: Service): Promise<void> {
  await sleep(40_000);
  if ((await service.pods("server")).every(isReady)) throw new Error("every server started without a database");
}

const hour = 3_600_000;

/** Returns two servers with the time at which each checks for a new database next, hourly from its start; the earlier one first. */
async function nextDatabaseChecks(service: Service, notBefore = 0): Promise<[[Pod, number], [Pod, number]]> {
  const earliest = Date.now() + notBefore;
  const next = (pod: Pod): number => {
    const started = Date.parse(pod.status.containerStatuses[0].state.running.startedAt);
    return started + Math.ceil((earliest - started) / hour) * hour;
  };
  const [one, other] = (await service.pods("server")).map((pod): [Pod, number] => [pod, next(pod)]).sort(([, a], [, b]) => a - b);
  if (!one || !other) throw new Error("fewer than two servers");
  return [one, other];
}

/** Waits until a server has logged `text` at about `time`. */
async function waitForLog(service: Service, pod: Pod, text: string, time: number): Promise<void> {
  const log = () => service.kubectl("logs", pod.metadata.name, `--since-time=${new Date(time - 60_000).toISOString()}`);
  const found = async () => (await log()).includes(text) || undefined;
  await eventually(`"${text}" in the log of ${pod.metadata.name}`, found, (time - Date.now()) / 1000 + 180);
}

const address = async (service: Service): Promise<string> => (await service.get("service", "trivy")).spec.clusterIP;

let existing: Promise<Authority> | undefined;

/** Returns the one authority of all runs, because clients trust one. */
function authority(): Promise<Authority> {
  existing ??= Authority.create();
  return existing;
}

async function newCertificate(service: Service): Promise<void> {
  const { certificate, key } = await (await authority()).issue(await address(service));
  await apply({
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: { name: "gateway-certificate", namespace: service.namespace },
    stringData: { "tls.crt": certificate, "tls.key": key },
  });
}
