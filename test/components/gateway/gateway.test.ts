import { createHash } from "node:crypto";
import { expect } from "chai";
import type { GatewayArgs } from "../../../components/args.ts";
import { balancerCfg } from "../../../components/gateway/balancer.cfg.ts";
import { edgeCfg } from "../../../components/gateway/edge.cfg.ts";
import { slots } from "../../../components/gateway/gateway.ts";
import type { ScanServiceArgs } from "../../../components/scan-service.ts";
import { plain } from "../../../recorder/record.ts";
import { serverCertificate } from "../../support/certificate.ts";
import { usualBalancer, usualEdge } from "../../support/haproxy.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const gateway = (args: GatewayArgs = {}, others: Partial<ScanServiceArgs> = {}) =>
  deploy({ ...others, gateway: { enabled: true, ...args } });

const configuration = (deployed: Deployed): Manifest => deployed.one("ConfigMap", "trivy-gateway-config").data;
const podSpec = (deployed: Deployed): Manifest => deployed.one("Deployment", "trivy-gateway").spec.template.spec;
const edge = (deployed: Deployed): Manifest => podSpec(deployed).containers[0];
const balancer = (deployed: Deployed): Manifest => podSpec(deployed).initContainers[0];
const clientsMap = (deployed: Deployed): string => deployed.one("Secret", "trivy-gateway-clients").stringData["clients.map"];
const hash = (text: string) => createHash("sha256").update(text).digest("hex");
const generated = (deployed: Deployed, client: string, generation: number): string =>
  (plain(deployed.resource(`trivy-gateway-token-${client}-${generation}`).state) as { result: string }).result;

const { leaf, intermediate, key } = serverCertificate;
const certificate = `${leaf}\n${intermediate}`;

describe("the gateway", () => {
  it("by default, there is no gateway", async () => {
    const deployed = await deploy();
    expect(deployed.resources.filter(({ urn }) => urn.includes("gateway"))).to.deep.equal([]);
    expect(deployed.one("Service", "trivy").spec.selector).to.include({ "app.kubernetes.io/component": "server" });
  });

  describe("between clients and servers", () => {
    it("the Service leads to the gateway, to a pod in the client's zone", async () => {
      const { spec } = (await gateway()).all("Service").find(({ metadata }) => metadata.name === "trivy");
      expect(spec.selector).to.include({ "app.kubernetes.io/component": "gateway" });
      expect(spec.ports).to.deep.equal([{ name: "http", port: 80, targetPort: "http", appProtocol: "http" }]);
      expect(spec.trafficDistribution).to.equal("PreferSameZone");
      const older = await gateway({ preferSameZone: false });
      for (const service of older.all("Service")) expect(service.spec).not.to.have.property("trafficDistribution");
    });

    it("only the gateway may connect to the servers, and only it and the servers to the cache", async () => {
      const deployed = await gateway({}, { access: { namespaces: ["ci"] } });
      const own = {
        podSelector: { matchLabels: { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "gateway" } },
      };
      const servers = {
        podSelector: { matchLabels: { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "server" } },
      };
      const policy = (name: string) => deployed.all("NetworkPolicy").find(({ metadata }) => metadata.name === name).spec;
      expect(policy("trivy-server").ingress).to.deep.equal([{ from: [own], ports: [{ port: 4954, protocol: "TCP" }] }]);
      expect(policy("redis").ingress).to.deep.equal([{ from: [servers, own], ports: [{ port: 6379, protocol: "TCP" }] }]);
      expect(policy("trivy-gateway").ingress).to.deep.equal([
        {
          from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ci" } } }],
          ports: [{ port: 8080, protocol: "TCP" }],
        },
      ]);
      expect(policy("trivy-gateway").egress.map(({ ports }: Manifest) => ports[0].port)).to.deep.equal([4954, 6379]);
    });

    it("only the named namespaces may read the gateway's metrics", async () => {
      const deployed = await gateway({ monitors: ["monitoring"] });
      const { ingress } = deployed.all("NetworkPolicy").find(({ metadata }) => metadata.name === "trivy-gateway").spec;
      expect(ingress).to.deep.equal([
        {
          from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }],
          ports: [
            { port: 8405, protocol: "TCP" },
            { port: 8406, protocol: "TCP" },
          ],
        },
      ]);
    });

    it("the gateway finds ready servers by a headless Service, in the cluster's domain", async () => {
      const deployed = await gateway({}, { clusterDomain: "example.internal", namespace: { name: "scans" } });
      const { spec } = deployed.all("Service").find(({ metadata }) => metadata.name === "trivy-servers");
      expect(spec).to.deep.include({ clusterIP: "None" }).and.not.have.property("publishNotReadyAddresses");
      expect(spec.selector).to.include({ "app.kubernetes.io/component": "server" });
      expect(configuration(deployed)["balancer.cfg"])
        .to.include("server-template server 16 trivy-servers.scans.svc.example.internal:4954")
        .and.include("server cache redis.scans.svc.example.internal:6379 check");
    });

    it("the gateway's configuration has room for more servers, so that one more does not change it", () => {
      expect([1, 2, 8, 9, 16, 100].map(slots)).to.deep.equal([16, 16, 16, 32, 32, 256]);
    });

    it("the gateway's pods share the limits of each server and of each client", async () => {
      const cfg = configuration(await gateway({ replicas: 3, requestsPerServer: 16, rateLimit: 1000 }))["balancer.cfg"];
      // Of six requests per server, one may be an upload that passes through while it arrives.
      expect(cfg).to.match(
        /^backend servers[\s\S]*default-server .* maxconn 5 [\s\S]*^backend uploads[\s\S]*default-server .* maxconn 1 /m,
      );
      expect(cfg).to.include("sc0_http_req_rate gt 334");
    });

    it("servers behind a gateway wait for the cache for a shorter time, because the gateway retries", async () => {
      const retries = async (deployed: Deployed) =>
        /max_retries=(\d+)/.exec(
          deployed
            .one("Deployment", "trivy-server")
            .spec.template.spec.containers[0].env.find(({ name }: Manifest) => name === "TRIVY_CACHE_BACKEND").value,
        )?.[1];
      expect(await retries(await gateway())).to.equal("6");
      expect(await retries(await deploy())).to.equal("20");
    });
  });

  describe("its pods", () => {
    it("the gateway's pods drain before they stop, and the longest request can still complete", async () => {
      const deployed = await gateway();
      const { spec } = deployed.one("Deployment", "trivy-gateway").spec.template;
      expect(edge(deployed).lifecycle).to.deep.equal({ preStop: { sleep: { seconds: 15 } } });
      expect(spec.terminationGracePeriodSeconds).to.be.above(315);
      expect(edge(deployed).command).to.deep.equal(["sh", "/etc/trivy-gateway/configuration/run.sh", "edge.cfg"]);
      expect(balancer(deployed).command).to.deep.equal(["sh", "/etc/trivy-gateway/configuration/run.sh", "balancer.cfg"]);
      expect(configuration(deployed)["run.sh"]).to.include("kill -USR1");
      // Kubernetes stops a container with a restart policy after the others.
      expect(balancer(deployed).restartPolicy).to.equal("Always");
    });

    it("a gateway process that hangs is restarted without the time for a drain", async () => {
      const deployed = await gateway();
      for (const [container, port] of [
        [edge(deployed), "edge-admin"],
        [balancer(deployed), "admin"],
      ]) {
        expect(container.readinessProbe.httpGet).to.deep.equal({ path: "/ready", port });
        expect(container.livenessProbe).to.deep.include({ httpGet: { path: "/live", port }, terminationGracePeriodSeconds: 10 });
      }
    });

    it("the gateway's pods are not fewer during a rollout, spread, and replaced soon after their node is lost", async () => {
      const { spec } = (await gateway({ replicas: 4 })).one("Deployment", "trivy-gateway");
      expect(spec).to.deep.include({ replicas: 4, strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } });
      const { topologySpreadConstraints, tolerations } = spec.template.spec;
      expect(topologySpreadConstraints.map(({ topologyKey }: Manifest) => topologyKey)).to.deep.equal([
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
      ]);
      expect(tolerations.map(({ tolerationSeconds }: Manifest) => tolerationSeconds)).to.deep.equal([30, 30]);
    });

    it("the gateway's pods run without root, with a read-only root file system and no writable volume", async () => {
      const deployed = await gateway({ tls: { enabled: true } });
      const { spec } = deployed.one("Deployment", "trivy-gateway").spec.template;
      expect(spec).to.deep.include({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(spec.securityContext).to.include({ runAsNonRoot: true, runAsUser: 10003 });
      for (const container of [edge(deployed), balancer(deployed)])
        expect(container.securityContext).to.deep.equal({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
      expect(spec.volumes.map(({ name, configMap, secret }: Manifest) => [name, Boolean(configMap ?? secret)])).to.deep.equal([
        ["configuration", true],
        ["clients", true],
        ["certificate", true],
      ]);
    });

    it("the edge has no token of the servers, and the balancer neither the clients' hashes nor the certificate's key", async () => {
      const deployed = await gateway({ tls: { enabled: true } });
      const mounts = (container: Manifest) => container.volumeMounts.map(({ name }: Manifest) => name);
      expect(edge(deployed)).not.to.have.property("env");
      expect(mounts(edge(deployed))).to.deep.equal(["configuration", "clients", "certificate"]);
      expect(mounts(balancer(deployed))).to.deep.equal(["configuration"]);
    });

    it("the memory for requests follows from the container's memory limit", async () => {
      const deployed = await gateway({ resources: { limits: { memory: "512Mi" } } });
      expect(balancer(deployed).resources.limits).to.include({ memory: "512Mi" });
      expect(configuration(deployed)["balancer.cfg"]).to.include("tune.buffers.limit 384");
      const large = await gateway({ edge: { resources: { limits: { memory: "1Gi" } } } });
      expect(edge(large).resources.limits).to.include({ memory: "1Gi" });
      expect(configuration(large)["edge.cfg"]).to.include("tune.buffers.limit 40960");
    });
  });

  describe("its clients", () => {
    it("the gateway knows only the hashes of the clients' tokens", async () => {
      const deployed = await gateway({ clients: [{ name: "ci" }, { name: "web" }] });
      const [ci, web] = ["ci", "web"].map((client) => generated(deployed, client, 1));
      expect(ci).to.match(/^[A-Za-z0-9]{32}$/);
      expect(clientsMap(deployed)).to.equal(`${hash(ci ?? "")} ci\n${hash(web ?? "")} web\n`);
      expect(JSON.stringify(deployed.all("ConfigMap"))).not.to.include(hash(ci ?? ""));
    });

    it("a client's previous token is valid until it is retired", async () => {
      const both = await gateway({ clients: [{ name: "ci", generation: 3 }] });
      expect(clientsMap(both)).to.equal(`${hash(generated(both, "ci", 3))} ci\n${hash(generated(both, "ci", 2))} ci\n`);
      const older = await gateway({ clients: [{ name: "ci", generation: 3, retire: 1 }] });
      expect(clientsMap(older).split("\n")).to.have.length(3);
      const one = await gateway({ clients: [{ name: "ci", generation: 3, retire: 2 }] });
      expect(clientsMap(one)).to.equal(`${hash(generated(one, "ci", 3))} ci\n`);
      expect(one.resources.some(({ name }) => name.includes("token-ci-2"))).to.equal(false);
    });

    it("a client's token and previous token can be given", async () => {
      const deployed = await gateway({ clients: [{ name: "ci", token: "a".repeat(16), previousToken: "b".repeat(16) }] });
      expect(clientsMap(deployed)).to.equal(`${hash("a".repeat(16))} ci\n${hash("b".repeat(16))} ci\n`);
    });

    it("the servers' token behind a gateway changes with every other secret and with the servers' version", async () => {
      const keepers = async (deployed: Deployed) => JSON.stringify(deployed.resource("trivy-server-token").inputs["keepers"]);
      const before = await keepers(await gateway({ clients: [{ name: "ci" }] }));
      expect(await keepers(await gateway({ clients: [{ name: "ci" }] }))).to.equal(before);
      expect(await keepers(await gateway({ clients: [{ name: "ci", generation: 2 }] }))).not.to.equal(before);
      expect(await keepers(await gateway({ clients: [{ name: "ci" }] }, { redis: { generation: 2 } }))).not.to.equal(before);
      expect(await keepers(await gateway({ clients: [{ name: "ci" }] }, { images: { trivy: "example.com/trivy:0.75.0" } }))).not.to.equal(
        before,
      );
      const deployed = await gateway();
      const { name, key: entry } = balancer(deployed).env.find((variable: Manifest) => variable.name === "SERVER_TOKEN").valueFrom
        .secretKeyRef;
      expect(deployed.one("Secret", "trivy-server-credentials").metadata.name).to.equal(name);
      expect(entry).to.equal("token");
    });
  });

  describe("its TLS", () => {
    const tlsSecret = (deployed: Deployed) => deployed.one("Secret", "trivy-gateway-certificate");
    const ports = (deployed: Deployed) =>
      deployed
        .all("Service")
        .find(({ metadata }) => metadata.name === "trivy")
        .spec.ports.map(({ port }: Manifest) => port);

    it("the gateway's generated certificate is for the Service's names and the given ones", async () => {
      const deployed = await gateway(
        { tls: { enabled: true, names: ["trivy.example.com", "192.0.2.7"] } },
        { namespace: { name: "scans" } },
      );
      const request = deployed.resources.find(({ type }) => type === "tls:index/certRequest:CertRequest");
      expect(request?.inputs["dnsNames"]).to.include.members([
        "trivy",
        "trivy.scans.svc",
        "trivy.scans.svc.cluster.local",
        "trivy.example.com",
      ]);
      expect(request?.inputs["ipAddresses"]).to.deep.equal(["127.0.0.1", "192.0.2.7"]);
      expect(tlsSecret(deployed).type).to.equal("kubernetes.io/tls");
      expect(ports(deployed)).to.deep.equal([80, 443]);
    });

    it("with TLS, plain HTTP is for port forwarding only, unless plainHttp is set", async () => {
      const policyPorts = (deployed: Deployed) =>
        deployed
          .all("NetworkPolicy")
          .find(({ metadata }) => metadata.name === "trivy-gateway")
          .spec.ingress[0].ports.map(({ port }: Manifest) => port);
      const others = { access: { namespaces: ["ci"] } };
      const strict = await gateway({ tls: { enabled: true } }, others);
      expect(configuration(strict)["edge.cfg"]).to.include('bind "127.0.0.1:8080"').and.include('bind "$ADDRESS:8443" v4v6 ssl');
      expect(policyPorts(strict)).to.deep.equal([8443]);
      const both = await gateway({ tls: { enabled: true, plainHttp: true } }, others);
      expect(configuration(both)["edge.cfg"]).to.include('bind "$ADDRESS:8080" v4v6');
      expect(policyPorts(both)).to.deep.equal([8080, 8443]);
    });

    it("the gateway's certificate can be in an existing Secret, or be given", async () => {
      const existing = await gateway({ tls: { enabled: true, existingSecret: "trivy-tls" } });
      const volumes: Manifest[] = existing.one("Deployment", "trivy-gateway").spec.template.spec.volumes;
      expect(volumes.find(({ name }) => name === "certificate").secret.secretName).to.equal("trivy-tls");
      expect(existing.resources.some(({ type }) => type.startsWith("tls:"))).to.equal(false);
      const given = await gateway({ tls: { enabled: true, certificate, key } });
      expect(tlsSecret(given).stringData).to.deep.equal({ "tls.crt": certificate, "tls.key": key });
    });
  });
});

describe("the gateway's configuration", () => {
  it("the gateway answers with a Twirp error, which is unavailable exactly for 502, 503 and 504", () => {
    const lines = [balancerCfg(usualBalancer), edgeCfg(usualEdge)].join("").split("\n");
    const answers = lines.flatMap(
      (line) => /(?:return|tarpit|http-error) status (\d+) content-type application\/json string '(.*?)'/.exec(line)?.slice(1, 3) ?? [],
    );
    const pairs = answers.flatMap((status, index) =>
      index % 2 === 0 ? [[Number(status), JSON.parse(answers[index + 1] ?? "").code]] : [],
    );
    for (const [status, code] of pairs)
      expect(code === "unavailable", `${status} ${code}`).to.equal([502, 503, 504].includes(Number(status)));
    expect(pairs).to.have.length.above(15);
  });

  it("the gateway never reuses a connection", () => {
    for (const configuration of [balancerCfg(usualBalancer), edgeCfg(usualEdge)]) {
      const sections = configuration.split(/^(?=frontend|backend)/m);
      for (const section of sections.filter((text) => /^frontend (rpc|edge)/.test(text))) expect(section).to.include("option httpclose");
      for (const section of sections.filter(
        (text) => /^backend/.test(text) && /^ {2}server(-template)? /m.test(text) && !/mode tcp/.test(text),
      ))
        expect(section).to.include("http-reuse never").and.include("option httpclose");
    }
  });

  it("the gateway checks an external cache without a login, and a cache with TLS over TLS", () => {
    expect(balancerCfg({ ...usualBalancer, cache: { ...usualBalancer.cache, user: undefined } }))
      .to.include('tcp-check send "PING\\r\\n"')
      .and.not.include("AUTH probe");
    expect(balancerCfg({ ...usualBalancer, cache: { ...usualBalancer.cache, tls: true, clientCertificate: true } })).to.match(
      /server cache .* ssl verify none crt \/etc\/trivy-gateway\/cache-certificate\/tls.crt/,
    );
  });
});
