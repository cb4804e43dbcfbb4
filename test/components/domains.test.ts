import { expect } from "chai";
import type { ScanServiceArgs } from "../../components/scan-service.ts";
import { plain } from "../../recorder/record.ts";
import { type Deployed, deploy, type Manifest } from "../support/service.ts";

const targets = [{ repository: "registry.example.com/app", tags: ["latest"] }];
const separate = (others: Partial<ScanServiceArgs> = {}) =>
  deploy({
    gateway: { enabled: true, clients: [{ name: "team-a" }, { name: "team-b" }, { name: "team-c" }] },
    domains: [
      { name: "b", clients: ["team-b"], cacheDatabase: 1 },
      { name: "c", clients: ["team-c"], cacheDatabase: 4, autoscaling: { minReplicas: 3, maxReplicas: 9 } },
    ],
    ...others,
  });

const labels = (component: string) => ({ "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": component });
const peer = (component: string) => ({ podSelector: { matchLabels: labels(component) } });
const groups = ["server", "server-b", "server-c"];
const named = (deployed: Deployed, kind: string, name: string): Manifest =>
  deployed.all(kind).find(({ metadata }) => metadata.name === name);
const environment = (deployed: Deployed, name: string): Manifest =>
  Object.fromEntries(
    named(deployed, "Deployment", name).spec.template.spec.containers[0].env.map(({ name, value, valueFrom }: Manifest) => [
      name,
      value ?? valueFrom.secretKeyRef,
    ]),
  );
const policy = (deployed: Deployed, name: string) => named(deployed, "NetworkPolicy", name).spec;

describe("trust domains", () => {
  it("each domain has servers with a Redis database of its own, and the same otherwise", async () => {
    const deployed = await separate({ server: { replicas: 5, debug: true } });
    const [others, b, c] = ["trivy-server", "trivy-server-b", "trivy-server-c"].map((name) => environment(deployed, name));
    const [, host] = /(@.*)\?/.exec(others["TRIVY_CACHE_BACKEND"]) ?? [];
    expect(host).to.equal("@redis.trivy.svc:6379");
    expect(b).to.deep.equal({ ...others, TRIVY_CACHE_BACKEND: others["TRIVY_CACHE_BACKEND"].replace("6379?", "6379/1?") });
    expect(c).to.deep.equal({ ...others, TRIVY_CACHE_BACKEND: others["TRIVY_CACHE_BACKEND"].replace("6379?", "6379/4?") });
    const replicas = ["trivy-server", "trivy-server-b", "trivy-server-c"].map((name) => named(deployed, "Deployment", name).spec.replicas);
    expect(replicas, "c has an autoscaler").to.deep.equal([5, 2, undefined]);
    expect(deployed.all("HorizontalPodAutoscaler").map(({ metadata, spec }) => [metadata.name, spec.minReplicas])).to.deep.equal([
      ["trivy-server-c", 3],
    ]);
  });

  it("an external Redis' database is replaced as well", async () => {
    const deployed = await separate({ redis: { mode: "external", host: "10.0.0.7", database: 3 } });
    const backends = ["trivy-server", "trivy-server-b"].map((name) => environment(deployed, name)["TRIVY_CACHE_BACKEND"]);
    expect(backends.map((url) => /:6379\/(\d+)\?/.exec(url)?.[1])).to.deep.equal(["3", "1"]);
  });

  it("no object selects the pods of two groups, so that each has its own rollout, budget and endpoints", async () => {
    const deployed = await separate({ monitoring: { enabled: true, namespaces: ["monitoring"] } });
    for (const kind of ["Deployment", "PodDisruptionBudget", "NetworkPolicy"] as const)
      expect(
        deployed
          .all(kind)
          .map(({ spec }) => (spec.selector ?? spec.podSelector).matchLabels?.["app.kubernetes.io/component"])
          .filter((component) => /^server/.test(component)),
        kind,
      ).to.have.members(groups);
    for (const name of ["trivy-servers", "trivy-server-pods"])
      for (const [suffix, component] of [
        ["", "server"],
        ["-b", "server-b"],
        ["-c", "server-c"],
      ] as const)
        expect(named(deployed, "Service", name + suffix).spec.selector, name + suffix).to.deep.equal(labels(component));
  });

  it("only the gateway reaches the servers, and all servers reach Redis and the mirror", async () => {
    const deployed = await separate({ database: { mirror: { enabled: true } } });
    for (const name of ["trivy-server", "trivy-server-b", "trivy-server-c"])
      expect(policy(deployed, name).ingress, name).to.deep.equal([{ from: [peer("gateway")], ports: [{ port: 4954, protocol: "TCP" }] }]);
    expect(policy(deployed, "trivy-gateway").egress[0].to).to.deep.equal(groups.map(peer));
    expect(policy(deployed, "redis").ingress[0].from).to.include.deep.members(groups.map(peer));
    expect(policy(deployed, "trivy-database").ingress[0].from).to.include.deep.members(groups.map(peer));
  });

  it("the registry scan and the synthetic scan are in no domain", async () => {
    const deployed = await separate({
      registryScan: { enabled: true, targets },
      monitoring: { enabled: true, namespaces: ["monitoring"] },
    });
    const { "balancer.cfg": configuration } = deployed.one("ConfigMap", "trivy-gateway-config").data;
    expect(
      [...configuration.matchAll(/set-var\(txn\.domain\) str\((\S+)\) if \{ var\(txn\.client\) -m str (\S+) \}/g)].map(
        ([, ...found]) => found,
      ),
    ).to.deep.equal([
      ["b", "team-b"],
      ["c", "team-c"],
    ]);
  });

  it("the exporter expects each domain's servers", async () => {
    const deployed = await separate({ monitoring: { enabled: true, namespaces: ["monitoring"] } });
    const { servers } = JSON.parse(deployed.one("ConfigMap", "trivy-monitoring-exporter-config").data["exporter.json"]);
    expect(servers.map(({ domain, host, expected }: Manifest) => [domain, host, expected])).to.deep.equal([
      [undefined, "trivy-server-pods.trivy.svc.cluster.local", 2],
      ["b", "trivy-server-pods-b.trivy.svc.cluster.local", 2],
      ["c", "trivy-server-pods-c.trivy.svc.cluster.local", 3],
    ]);
  });

  it("the servers of all domains have one token, which no client knows", async () => {
    const deployed = await separate();
    const tokens = deployed.resources.filter(({ type }) => type.endsWith(":RandomPassword")).map(({ name }) => name);
    expect(tokens.filter((name) => /server/.test(name))).to.deep.equal(["trivy-server-token"]);
    const { result } = plain(deployed.resource("trivy-server-token").state) as { result: string };
    expect(deployed.one("Secret", "trivy-gateway-clients").stringData["clients.map"]).not.to.include(result);
  });

  it("a transform applies to the servers of every domain", async () => {
    const deployed = await separate({ transform: { domainServers: { deployment: { metadata: { annotations: { team: "x" } } } } } });
    const annotations = ["trivy-server", "trivy-server-b", "trivy-server-c"].map(
      (name) => named(deployed, "Deployment", name).metadata.annotations?.["team"],
    );
    expect(annotations).to.deep.equal([undefined, "x", "x"]);
  });
});
