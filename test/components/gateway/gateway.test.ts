import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type GatewayArgs, slots } from "../../../components/gateway/gateway.ts";
import { clientMetrics, gatewayPaths, type HaproxyOptions, haproxyCfg } from "../../../components/gateway/haproxy.cfg.ts";
import { plain } from "../../../recorder/record.ts";
import { serverCertificate } from "../../support/certificate.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const gateway = (settings: GatewayArgs | Record<string, unknown> = {}, others: Record<string, unknown> = {}) =>
  deploy({ ...others, gateway: { enabled: true, ...settings } });

const configuration = (deployed: Deployed): Manifest => deployed.one("ConfigMap", "trivy-gateway-config").data;
const container = (deployed: Deployed): Manifest => deployed.one("Deployment", "trivy-gateway").spec.template.spec.containers[0];
const clientsMap = (deployed: Deployed): string => deployed.one("Secret", "trivy-gateway-clients").stringData["clients.map"];
const hash = (text: string) => createHash("sha256").update(text).digest("hex");
const generated = (deployed: Deployed, client: string, generation: number): string =>
  (plain(deployed.resource(`trivy-gateway-token-${client}-${generation}`).state) as { result: string }).result;

const { leaf, intermediate, key } = serverCertificate;
const certificate = `${leaf}\n${intermediate}`;

describe("the gateway", () => {
  it("is not there unless asked for", async () => {
    const deployed = await deploy();
    expect(deployed.resources.filter(({ urn }) => urn.includes("gateway"))).to.deep.equal([]);
    expect(deployed.one("Service", "trivy").spec.selector).to.include({ "app.kubernetes.io/component": "server" });
  });

  describe("between clients and servers", () => {
    it("is what the Service leads to, and clients of a zone stay in it", async () => {
      const { spec } = (await gateway()).all("Service").find(({ metadata }) => metadata.name === "trivy");
      expect(spec.selector).to.include({ "app.kubernetes.io/component": "gateway" });
      expect(spec.ports).to.deep.equal([{ name: "http", port: 80, targetPort: "http", appProtocol: "http" }]);
      expect(spec.trafficDistribution).to.equal("PreferSameZone");
    });

    it("alone may connect to the servers, and to the cache beside them", async () => {
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

    it("shows its metrics to those alone who are named", async () => {
      const deployed = await gateway({ monitors: ["monitoring"] });
      const { ingress } = deployed.all("NetworkPolicy").find(({ metadata }) => metadata.name === "trivy-gateway").spec;
      expect(ingress).to.deep.equal([
        {
          from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }],
          ports: [{ port: 8405, protocol: "TCP" }],
        },
      ]);
    });

    it("finds the servers that are ready, by a name without an address of its own", async () => {
      const deployed = await gateway({}, { clusterDomain: "example.internal", namespace: { name: "scans" } });
      const { spec } = deployed.all("Service").find(({ metadata }) => metadata.name === "trivy-servers");
      expect(spec).to.deep.include({ clusterIP: "None" }).and.not.have.property("publishNotReadyAddresses");
      expect(spec.selector).to.include({ "app.kubernetes.io/component": "server" });
      expect(configuration(deployed)["haproxy.cfg"])
        .to.include("server-template server 16 trivy-servers.scans.svc.example.internal:4954")
        .and.include("server cache redis.scans.svc.example.internal:6379 check");
    });

    it("has room for servers that come, so that one more does not change it", () => {
      expect([1, 2, 8, 9, 16, 100].map(slots)).to.deep.equal([16, 16, 16, 32, 32, 256]);
    });

    it("shares among its replicas what one server may have at once, and what a client may send", async () => {
      const cfg = configuration(await gateway({ replicas: 3, requestsPerServer: 16, rateLimit: 1000 }))["haproxy.cfg"];
      expect(cfg).to.match(/default-server .* maxconn 6 /);
      expect(cfg).to.include("sc0_http_req_rate gt 334");
    });

    it("lets servers give up on the cache sooner, because it repeats what they fail at", async () => {
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
    it("drain before they end, and the longest request may still end", async () => {
      const deployed = await gateway();
      const { spec } = deployed.one("Deployment", "trivy-gateway").spec.template;
      const { lifecycle, readinessProbe, livenessProbe, command } = container(deployed);
      expect(lifecycle).to.deep.equal({ preStop: { sleep: { seconds: 15 } } });
      expect(spec.terminationGracePeriodSeconds).to.be.above(315);
      expect(readinessProbe.httpGet).to.deep.equal({ path: "/ready", port: "admin" });
      expect(livenessProbe.httpGet).to.deep.equal({ path: "/live", port: "admin" });
      expect(command).to.deep.equal(["sh", "/etc/trivy-gateway/configuration/run.sh"]);
      expect(configuration(deployed)["run.sh"]).to.include("kill -USR1");
    });

    it("are never fewer than asked for in a rollout, spread, and soon replaced when a node is lost", async () => {
      const { spec } = (await gateway({ replicas: 4 })).one("Deployment", "trivy-gateway");
      expect(spec).to.deep.include({ replicas: 4, strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } });
      const { topologySpreadConstraints, tolerations } = spec.template.spec;
      expect(topologySpreadConstraints.map(({ topologyKey }: Manifest) => topologyKey)).to.deep.equal([
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
      ]);
      expect(tolerations.map(({ tolerationSeconds }: Manifest) => tolerationSeconds)).to.deep.equal([30, 30]);
    });

    it("run as nobody on a read-only root, without a writable volume", async () => {
      const deployed = await gateway({ tls: { enabled: true } });
      const { spec } = deployed.one("Deployment", "trivy-gateway").spec.template;
      expect(spec).to.deep.include({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(spec.securityContext).to.include({ runAsNonRoot: true, runAsUser: 10003 });
      expect(container(deployed).securityContext).to.deep.equal({
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

    it("bound the memory of requests by the container's", async () => {
      const deployed = await gateway({ resources: { limits: { memory: "512Mi" } } });
      expect(container(deployed).resources.limits).to.include({ memory: "512Mi" });
      expect(configuration(deployed)["haproxy.cfg"]).to.include("tune.buffers.limit 384");
    });
  });

  describe("its clients", () => {
    it("are known by the hashes of their tokens, and by nothing else", async () => {
      const deployed = await gateway({ clients: [{ name: "ci" }, { name: "web" }] });
      const [ci, web] = ["ci", "web"].map((client) => generated(deployed, client, 1));
      expect(ci).to.match(/^[A-Za-z0-9]{32}$/);
      expect(clientsMap(deployed)).to.equal(`${hash(ci ?? "")} ci\n${hash(web ?? "")} web\n`);
      expect(JSON.stringify(deployed.all("ConfigMap"))).not.to.include(hash(ci ?? ""));
    });

    it("keep the token before the new one until it is retired", async () => {
      const both = await gateway({ clients: [{ name: "ci", generation: 3 }] });
      expect(clientsMap(both)).to.equal(`${hash(generated(both, "ci", 3))} ci\n${hash(generated(both, "ci", 2))} ci\n`);
      const older = await gateway({ clients: [{ name: "ci", generation: 3, retire: 1 }] });
      expect(clientsMap(older).split("\n")).to.have.length(3);
      const one = await gateway({ clients: [{ name: "ci", generation: 3, retire: 2 }] });
      expect(clientsMap(one)).to.equal(`${hash(generated(one, "ci", 3))} ci\n`);
      expect(one.resources.some(({ name }) => name.includes("token-ci-2"))).to.equal(false);
    });

    it("may bring a token of their own, and the one before", async () => {
      const deployed = await gateway({ clients: [{ name: "ci", token: "a".repeat(16), previousToken: "b".repeat(16) }] });
      expect(clientsMap(deployed)).to.equal(`${hash("a".repeat(16))} ci\n${hash("b".repeat(16))} ci\n`);
    });

    it("never learn the servers' token, which changes by itself with every other secret and with the servers' version", async () => {
      const keepers = async (deployed: Deployed) => JSON.stringify(deployed.resource("trivy-server-token").inputs["keepers"]);
      const before = await keepers(await gateway({ clients: [{ name: "ci" }] }));
      expect(await keepers(await gateway({ clients: [{ name: "ci" }] }))).to.equal(before);
      expect(await keepers(await gateway({ clients: [{ name: "ci", generation: 2 }] }))).not.to.equal(before);
      expect(await keepers(await gateway({ clients: [{ name: "ci" }] }, { redis: { generation: 2 } }))).not.to.equal(before);
      expect(await keepers(await gateway({ clients: [{ name: "ci" }] }, { images: { trivy: "example.com/trivy:0.75.0" } }))).not.to.equal(
        before,
      );
      const deployed = await gateway();
      const { name, key: entry } = container(deployed).env.find((variable: Manifest) => variable.name === "SERVER_TOKEN").valueFrom
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

    it("has a certificate of a private authority for the Service's names", async () => {
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

    it("leaves plain HTTP to port forwarding, unless it is wanted", async () => {
      const policyPorts = (deployed: Deployed) =>
        deployed
          .all("NetworkPolicy")
          .find(({ metadata }) => metadata.name === "trivy-gateway")
          .spec.ingress[0].ports.map(({ port }: Manifest) => port);
      const clients = { access: { namespaces: ["ci"] } };
      const strict = await gateway({ tls: { enabled: true } }, clients);
      expect(configuration(strict)["haproxy.cfg"]).to.include("bind 127.0.0.1:8080").and.include("bind :::8443 v4v6 ssl");
      expect(policyPorts(strict)).to.deep.equal([8443]);
      const both = await gateway({ tls: { enabled: true, plainHttp: true } }, clients);
      expect(configuration(both)["haproxy.cfg"]).to.include("bind :::8080 v4v6");
      expect(policyPorts(both)).to.deep.equal([8080, 8443]);
    });

    it("takes an existing Secret, or a given certificate", async () => {
      const existing = await gateway({ tls: { enabled: true, existingSecret: "trivy-tls" } });
      const volumes: Manifest[] = existing.one("Deployment", "trivy-gateway").spec.template.spec.volumes;
      expect(volumes.find(({ name }) => name === "certificate").secret.secretName).to.equal("trivy-tls");
      expect(existing.resources.some(({ type }) => type.startsWith("tls:"))).to.equal(false);
      const given = await deploy({}, { gateway: { tls: { certificate, key } } });
      expect(tlsSecret(given).stringData).to.deep.equal({ "tls.crt": certificate, "tls.key": key });
    });
  });
});

describe("the gateway's configuration", () => {
  const usual: HaproxyOptions = {
    servers: { host: "trivy-servers.trivy.svc.cluster.local", port: 4954, slots: 16, requests: 8 },
    cache: { host: "redis.trivy.svc.cluster.local", port: 6379, user: "probe", tls: false, clientCertificate: false },
    memory: 2 ** 29,
    maxRequestBytes: 2 ** 26,
    tls: false,
    plainHttp: true,
  };

  it("sends what the client may repeat as a Twirp error, in a body of its own", () => {
    const lines = haproxyCfg(usual).split("\n");
    const answers = lines.flatMap(
      (line) => /(?:return|tarpit|http-error) status (\d+) content-type application\/json string '(.*?)'/.exec(line)?.slice(1, 3) ?? [],
    );
    const pairs = answers.flatMap((status, index) =>
      index % 2 === 0 ? [[Number(status), JSON.parse(answers[index + 1] ?? "").code]] : [],
    );
    for (const [status, code] of pairs)
      expect(code === "unavailable", `${status} ${code}`).to.equal([502, 503, 504].includes(Number(status)));
    expect(pairs).to.have.length.above(10);
  });

  it("never reuses a connection to a server, nor lets one wait for a second request", () => {
    expect(haproxyCfg(usual))
      .to.include("http-reuse never")
      .and.to.match(/frontend rpc[\s\S]*option httpclose[\s\S]*backend servers[\s\S]*option httpclose/);
  });

  it("asks an external cache without a login, and one with TLS over TLS", () => {
    expect(haproxyCfg({ ...usual, cache: { ...usual.cache, user: undefined } }))
      .to.include('tcp-check send "PING\\r\\n"')
      .and.not.include("AUTH probe");
    expect(haproxyCfg({ ...usual, cache: { ...usual.cache, tls: true, clientCertificate: true } })).to.match(
      /server cache .* ssl verify none crt \/etc\/trivy-gateway\/cache-certificate\/tls.crt/,
    );
  });

  const version = /version (\d+)/.exec(spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout ?? "")?.[1];
  const installed = Number(version) >= 3;
  (installed ? describe : describe.skip)("as HAProxy reads it", () => {
    const folder = mkdtempSync(join(tmpdir(), "haproxy-"));
    after(() => rmSync(folder, { recursive: true }));
    const variants: Record<string, Partial<HaproxyOptions>> = {
      "plain HTTP": {},
      "a rate limit": { rateLimit: 100 },
      "TLS alone": { tls: true, plainHttp: false },
      "TLS and plain HTTP": { tls: true },
      "an external cache": { cache: { host: "192.0.2.1", port: 6380, tls: false, clientCertificate: false } },
      "a cache with mutual TLS": { cache: { ...usual.cache, tls: true, clientCertificate: true } },
      "little memory and many servers": { memory: 2 ** 27, servers: { ...usual.servers, slots: 256 } },
    };
    for (const [name, options] of Object.entries(variants))
      it(`has no mistake with ${name}`, () => {
        for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
        const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
        for (const path of [gatewayPaths.certificate, gatewayPaths.cacheCertificate]) {
          put(`${path}/tls.crt`, certificate);
          put(`${path}/tls.key`, key);
        }
        put(`${gatewayPaths.clients}/clients.map`, `${hash("token")} ci\n`);
        put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(["ci", "web"]));
        put(
          `${gatewayPaths.configuration}/haproxy.cfg`,
          haproxyCfg({ ...usual, ...options }).replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`),
        );
        const { status, stderr } = spawnSync("haproxy", ["-c", "-f", `${folder}${gatewayPaths.configuration}/haproxy.cfg`], {
          encoding: "utf8",
          env: { ...process.env, SERVER_TOKEN: "token" },
        });
        expect(status, stderr).to.equal(0);
        expect(stderr).not.to.match(/WARNING|ALERT/);
      });
  });
});
