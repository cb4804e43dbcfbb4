/**
 * The objects for the Prometheus Operator against a real API server of their own with the operator's definitions, because those are shared by a whole
 * cluster. Needs in LAB_ETCD and LAB_API_SERVER the commands of etcd and kube-apiserver; further openssl, kubectl, and go with
 * the operator's module in its cache or a proxy to download it from. Skipped without.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { type Cluster, findCluster } from "../../../commands/cluster/cluster.ts";
import { readFacts } from "../../../commands/status/read.ts";
import { must, run } from "../../support/command.ts";
import { type Deployed, deploy } from "../../support/service.ts";

const { LAB_ETCD: etcd = "", LAB_API_SERVER: apiServer = "" } = process.env;
const operator = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
const monitors = ["redis-exporter", "trivy-database", "trivy-exporter", "trivy-gateway", "trivy-reports"];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

describe("the objects for the Prometheus Operator", function () {
  this.timeout(180_000);
  const processes: ChildProcess[] = [];
  let folder: string;
  let cluster: Cluster;
  let deployed: Deployed;

  const start = (command: string, args: Readonly<Record<string, string | number>>) => {
    const [program = "", ...first] = command.split(" ");
    const flags = Object.entries(args).map(([name, value]) => `--${name}=${value}`);
    processes.push(spawn(program, [...first, ...flags], { stdio: "ignore", cwd: folder }));
  };
  const kubectl = (args: readonly string[], input = "") =>
    must("kubectl", ["--kubeconfig", join(folder, "kubeconfig"), ...args], { input, timeout: 60_000 });
  const apply = (object: object) => kubectl(["apply", "--server-side", "--validate=strict", "-f", "-"], JSON.stringify(object));

  /** Returns which of the PodMonitors a Prometheus with these selectors selects. */
  async function selectedBy(spec: object): Promise<(boolean | undefined)[]> {
    const metadata = { name: "k8s", namespace: "monitoring" };
    await apply({ apiVersion: "monitoring.coreos.com/v1", kind: "Prometheus", metadata, spec });
    const { podMonitors, unknown } = await readFacts(cluster, "trivy");
    expect(unknown).to.deep.equal([]);
    expect(podMonitors.map(({ name }) => name).sort()).to.deep.equal(monitors);
    return [...new Set(podMonitors.map(({ selected }) => selected))];
  }

  before(async function () {
    if (!etcd || !apiServer || ["openssl", "kubectl", "go"].some((program) => spawnSync(program, ["help"]).error)) this.skip();
    folder = mkdtempSync(join(tmpdir(), "prometheus-operator-"));
    const { failed, stdout } = await run("go", ["mod", "download", "-json", operator], { cwd: folder });
    if (failed) this.skip();
    const definitions = join(JSON.parse(stdout).Dir, "example/prometheus-operator-crd");
    await must("openssl", ["genrsa", "-out", join(folder, "sa.key"), "2048"]);
    writeFileSync(join(folder, "tokens.csv"), 'adm1n,admin,admin,"system:masters"\n');
    const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
    const database = `http://127.0.0.1:${client}`;
    start(etcd, {
      "data-dir": join(folder, "etcd"),
      "listen-client-urls": database,
      "advertise-client-urls": database,
      "listen-peer-urls": `http://127.0.0.1:${peer}`,
    });
    start(apiServer, {
      "etcd-servers": database,
      "bind-address": "127.0.0.1",
      "secure-port": port,
      "cert-dir": join(folder, "certificates"),
      "service-account-key-file": join(folder, "sa.key"),
      "service-account-signing-key-file": join(folder, "sa.key"),
      "service-account-issuer": "https://kubernetes.default.svc",
      "service-cluster-ip-range": "10.96.0.0/24",
      "authorization-mode": "RBAC",
      "token-auth-file": join(folder, "tokens.csv"),
    });
    const kubeconfig = JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } }],
      users: [{ name: "u", user: { token: "adm1n" } }],
    });
    writeFileSync(join(folder, "kubeconfig"), kubeconfig);
    cluster = findCluster(kubeconfig, undefined, {});
    const succeeds = async (...args: string[]) => {
      for (let time = 0; (await run("kubectl", ["--kubeconfig", join(folder, "kubeconfig"), ...args])).failed; time++) {
        if (time > 100) throw new Error(`kubectl ${args.join(" ")} fails`);
        await sleep(500);
      }
    };
    await succeeds("get", "--raw", "/readyz");
    for (const plural of ["podmonitors", "prometheusrules", "prometheuses"]) {
      await kubectl(["create", "-f", join(definitions, `monitoring.coreos.com_${plural}.yaml`)]);
      await succeeds("get", `${plural}.monitoring.coreos.com`);
    }
    await kubectl(["create", "namespace", "monitoring"]);
    deployed = await deploy({
      gateway: { enabled: true },
      registryScan: { enabled: true, targets: [{ image: "registry.example.com/team/app:1.0" }] },
      database: { mirror: { enabled: true } },
      monitoring: { enabled: true, namespaces: ["monitoring"], labels: { release: "kps" } },
    });
    for (const kind of ["Namespace", "Deployment"]) for (const object of deployed.all(kind)) await apply(object);
  });
  after(() => {
    for (const child of processes.reverse()) child.kill("SIGKILL");
    if (folder) rmSync(folder, { recursive: true, maxRetries: 5 });
  });

  it("an API server that knows the operator accepts them, with no unknown field", async () => {
    for (const kind of ["PodMonitor", "PrometheusRule"]) for (const object of deployed.all(kind)) await apply(object);
    const { stdout } = await kubectl(["get", "prometheusrules", "-n", "trivy", "-o", "name"]);
    expect(stdout.trim()).to.equal("prometheusrule.monitoring.coreos.com/trivy");
  });

  it("`npm run status` reads which PodMonitors a Prometheus selects, by their labels and their namespace", async () => {
    expect(await selectedBy({ podMonitorSelector: { matchLabels: { release: "kps" } }, podMonitorNamespaceSelector: {} })).to.deep.equal([
      true,
    ]);
    expect(await selectedBy({ podMonitorSelector: { matchLabels: { release: "other" } }, podMonitorNamespaceSelector: {} })).to.deep.equal([
      false,
    ]);
    // Without a selector of namespaces, a Prometheus selects only in its own.
    expect(await selectedBy({ podMonitorSelector: {} })).to.deep.equal([false]);
  });
});
