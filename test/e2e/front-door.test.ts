import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { stallUploads, startAttack } from "./support/attack.ts";
import { deleteNamespaces, get, type KubernetesObject, kubectl, portForward, runningPods, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, environmentSettings, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { type Reply, send } from "./support/request.ts";

const stack = "e2e-front-door";
const attackers = "e2e-front-door-attackers";

const connections = 10_000;
/** Duration of an attack. @default 20 */
const seconds = Number(process.env["E2E_ATTACK_SECONDS"] || 20);

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
  });
  after(async () => {
    await project?.remove();
    await deleteNamespaces(attackers);
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
  const comparison = (quiet: readonly number[], attacked: readonly number[]) =>
    `p95 ${p95(quiet).toFixed(1)} ms before, ${p95(attacked).toFixed(1)} ms during: ${(p95(attacked) / p95(quiet)).toFixed(2)} times`;

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

  it(`clients with a token are served during ${connections} idle, slow and malformed connections, which leave no trace`, async () => {
    const quiet = await requests(5);
    const attack = await startAttack(attackers, new URL(server).hostname, connections);
    const attacked = await requests(seconds);
    const open = await attack.open();
    expect(await scan(environment.alpine, { server, token: tokens["team-b"] })).to.deep.include(knownFinding);
    console.log(`      ${open}; ${comparison(quiet, attacked)}`);
    await attack.stop();
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
      const stop = stallUploads(server, tokens["team-a"] ?? "", stalled);
      await sleep(5_000);
      const attacked = await requests(seconds);
      expect(await scan(environment.alpine, { server, token: tokens["team-b"], unique: true })).to.deep.include(knownFinding);
      await stop();
      console.log(`      ${comparison(quiet, attacked)}`);
    });
});
