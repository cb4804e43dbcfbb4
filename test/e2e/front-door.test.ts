import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { images } from "../../components/shared/images.ts";
import { apply, eventually, get, type KubernetesObject, kubectl, portForward, runningPods, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, environmentSettings, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { type Reply, send } from "./support/request.ts";

const stack = "e2e-front-door";
const attackers = "e2e-front-door-attackers";

/** Each attacker is a pod with an address of its own. */
const addresses = 5;
const connections = 10_000;
const seconds = Number(process.env["E2E_ATTACK_SECONDS"] || 20);

const attacks = [
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

describe("the gateway under attack", () => {
  let project: Project;
  let server: string;
  let tokens: Record<string, string> = {};

  const call = (method: string, body: string | Buffer, client = "team-b"): Promise<Reply> =>
    send(`${server}/twirp/trivy.cache.v1.Cache/${method}`, body, { "Trivy-Token": tokens[client] ?? "" });

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    const { access } = environmentSettings();
    await project.writeStack(stack, {
      gateway: { enabled: true, clients: [{ name: "team-a" }, { name: "team-b" }], tls: { enabled: true, plainHttp: true } },
      server: { drainSeconds: 5 },
      access: { ...access, namespaces: [attackers] },
    });
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    tokens = JSON.parse(await project.output(stack, "tokens"));
    server = await serviceUrl(stack);
    await apply(
      { apiVersion: "v1", kind: "Namespace", metadata: { name: attackers } },
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "attack", namespace: attackers },
        data: { "attack.mjs": await readFile(join(import.meta.dirname, "support/attack.mjs"), "utf8") },
      },
    );
  });
  after(async () => {
    await kubectl("delete", "namespace", attackers, "--ignore-not-found", "--timeout=120s");
    await project?.remove();
  });

  afterEach(async function () {
    if (this.currentTest?.state !== "failed") return;
    const logs = await kubectl(
      "logs",
      "-n",
      stack,
      "-l",
      "app.kubernetes.io/component=gateway",
      "--all-containers",
      "--prefix",
      "--tail=20",
    );
    console.error(await kubectl("get", "pods", "-n", stack, "-o", "wide"), logs);
  });

  const attacker = (kind: string, index: number) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `${kind}-${index}`, namespace: attackers, labels: { kind } },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: "attack", configMap: { name: "attack" } }],
      containers: [
        {
          name: "attack",
          image: images.node,
          // The attackers share the machine with the service in a test, and must not take its CPU.
          resources: { limits: { cpu: "100m", memory: "256Mi" } },
          command: ["node", "/attack/attack.mjs", kind, new URL(server).hostname, `${connections / addresses}`],
          volumeMounts: [{ name: "attack", mountPath: "/attack" }],
        },
      ],
    },
  });

  /** Sends requests of four clients for a number of seconds. Returns the latencies in milliseconds. @throws if one fails */
  async function requests(duration: number): Promise<number[]> {
    const latencies: number[] = [];
    const end = Date.now() + duration * 1000;
    const one = async () => {
      while (Date.now() < end) {
        const { status, body, milliseconds } = await call("MissingBlobs", "{}");
        expect(status, body).to.equal(200);
        latencies.push(milliseconds);
        await sleep(50);
      }
    };
    await Promise.all(Array.from({ length: 4 }, one));
    return latencies;
  }
  const p95 = (all: readonly number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.95)] ?? Number.NaN;

  /** Returns the number of connections of the clients that all gateway pods hold. */
  async function held(): Promise<number> {
    const counts = await Promise.all(
      (await runningPods(stack, "gateway")).map(async (pod) => {
        const { url, close } = await portForward(stack, `pod/${pod}`, 8406);
        try {
          const page = await (await fetch(`${url}/metrics`)).text();
          return Number(/^haproxy_frontend_current_sessions\{proxy="edge"\} (\d+)$/m.exec(page)?.[1]);
        } finally {
          close();
        }
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  for (const kind of attacks)
    it(`clients with a token are served during ${connections} connections of the kind ${kind}, which leave no trace`, async () => {
      const quiet = await requests(5);
      await apply(...Array.from({ length: addresses }, (_, index) => attacker(kind, index)));
      await eventually("the attack", async () => {
        const { items } = await get("pods", "-n", attackers, "-l", `kind=${kind}`);
        return items.every(({ status }: KubernetesObject) => status.phase === "Running") || undefined;
      });
      // All connections are opened within ten seconds.
      await sleep(10_000);
      const attacked = await requests(seconds);
      const open = (await kubectl("logs", "-n", attackers, "-l", `kind=${kind}`, "--tail=1")).trim().split("\n").map(Number);
      expect(await scan(environment.alpine, { server, token: tokens["team-b"] })).to.deep.include(knownFinding);
      const total = open.reduce((sum, count) => sum + count, 0);
      console.log(
        `      ${total} connections open; p95 ${p95(quiet).toFixed(1)} ms before, ${p95(attacked).toFixed(1)} ms during: ${(p95(attacked) / p95(quiet)).toFixed(2)} times`,
      );
      await kubectl("delete", "pods", "-n", attackers, "-l", `kind=${kind}`, "--force", "--grace-period=0");
      await sleep(10_000);
      expect(await held(), "connections ten seconds after the attack").to.be.below(10);
      const { items } = await get("pods", "-n", stack, "-l", "app.kubernetes.io/component=gateway");
      for (const { status } of items as KubernetesObject[])
        for (const { name, restartCount } of [...status.containerStatuses, ...status.initContainerStatuses])
          expect(restartCount, `restarts of ${name}`).to.equal(0);
    });

  for (const stalled of [8, 160])
    it(`other clients are served while a client has ${stalled} uploads that stall`, async () => {
      const quiet = await requests(5);
      const stop = new AbortController();
      const uploads = Array.from({ length: stalled }, async () => {
        while (!stop.signal.aborted) {
          const headers = { "Trivy-Token": tokens["team-a"] ?? "", "Content-Length": 8 * 2 ** 20 };
          // 3 MB arrive, and then nothing more.
          await send(`${server}/twirp/trivy.cache.v1.Cache/PutBlob`, Buffer.alloc(3 * 2 ** 20, 32), headers, { stall: stop.signal }).catch(
            () => {},
          );
          await sleep(1000);
        }
      });
      await sleep(5_000);
      const attacked = await requests(seconds);
      expect(await scan(environment.alpine, { server, token: tokens["team-b"], unique: true })).to.deep.include(knownFinding);
      stop.abort();
      await Promise.all(uploads);
      console.log(
        `      p95 ${p95(quiet).toFixed(1)} ms before, ${p95(attacked).toFixed(1)} ms during: ${(p95(attacked) / p95(quiet)).toFixed(2)} times`,
      );
    });
});
