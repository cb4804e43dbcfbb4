import { expect } from "chai";
import type { AccessArgs } from "../../../components/args.ts";
import { registryEndpoints } from "../../../components/shared/registry-login.ts";
import { certificate } from "../../support/certificate.ts";
import { deploy, type Manifest } from "../../support/service.ts";

describe("the Trivy servers", () => {
  it("there are as many servers as the arguments say, also during a rollout", async () => {
    const { spec } = (await deploy({ server: { replicas: 5 } })).one("Deployment");
    expect(spec.replicas).to.equal(5);
    expect(spec.strategy).to.deep.equal({ type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } });
  });

  it("autoscaled servers have no number of replicas, which every `up` would reset", async () => {
    const deployed = await deploy({ server: { autoscaling: { minReplicas: 3, maxReplicas: 9, targetCpuUtilization: 50 } } });
    expect(deployed.one("Deployment").spec).not.to.have.property("replicas");
    const { spec } = deployed.one("HorizontalPodAutoscaler");
    expect(spec).to.deep.include({
      minReplicas: 3,
      maxReplicas: 9,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "trivy-server" },
    });
    expect(spec.metrics).to.deep.equal([
      { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
    ]);
  });

  it("servers are not autoscaled by default", async () => {
    expect((await deploy()).all("HorizontalPodAutoscaler")).to.deep.equal([]);
  });

  it("a server may take ten minutes to download the database, and drains before it stops", async () => {
    const deployed = await deploy({ server: { drainSeconds: 20 } });
    const { startupProbe, readinessProbe, livenessProbe, lifecycle } = deployed.container("Deployment");
    expect(startupProbe.periodSeconds * startupProbe.failureThreshold).to.equal(600);
    for (const probe of [startupProbe, readinessProbe, livenessProbe])
      expect(probe.httpGet).to.deep.equal({ path: "/healthz", port: "http" });
    expect(lifecycle.preStop).to.deep.equal({ sleep: { seconds: 20 } });
    expect(deployed.one("Deployment").spec.template.spec.terminationGracePeriodSeconds).to.equal(65);
    expect(deployed.one("Deployment").spec.progressDeadlineSeconds).to.be.above(600);
  });

  it("servers are spread over zones and nodes, and drained one at a time", async () => {
    const deployed = await deploy();
    const { template, selector } = deployed.one("Deployment").spec;
    expect(template.spec.topologySpreadConstraints.map(({ topologyKey }: { topologyKey: string }) => topologyKey)).to.deep.equal([
      "topology.kubernetes.io/zone",
      "kubernetes.io/hostname",
    ]);
    expect(deployed.one("PodDisruptionBudget").spec).to.deep.equal({
      maxUnavailable: 1,
      selector,
      unhealthyPodEvictionPolicy: "AlwaysAllow",
    });
  });

  it("pods run without root, with a read-only root file system, without an API token and without Service variables", async () => {
    for (const [kind, uid] of [
      ["Deployment", 10001],
      ["StatefulSet", 10002],
    ] as const) {
      const deployed = await deploy();
      const { spec } = deployed.one(kind).spec.template;
      expect(spec).to.deep.include({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: uid,
          runAsGroup: uid,
          fsGroup: uid,
          fsGroupChangePolicy: "OnRootMismatch",
          seccompProfile: { type: "RuntimeDefault" },
        },
      });
      expect(deployed.container(kind).securityContext).to.deep.equal({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });

  it("a server has disk space for the database and for an update, and requests it", async () => {
    const deployed = await deploy({ server: { databaseVolume: "3Gi" } });
    const { volumes } = deployed.one("Deployment").spec.template.spec;
    expect(volumes).to.deep.equal([
      { name: "database", emptyDir: { sizeLimit: "3Gi" } },
      { name: "temporary", emptyDir: { sizeLimit: "3Gi" } },
    ]);
    const { requests, limits } = deployed.container("Deployment").resources;
    expect(requests).to.deep.equal({ cpu: "200m", memory: "512Mi", "ephemeral-storage": "3Gi" });
    expect(limits).to.deep.equal({ memory: "2Gi", "ephemeral-storage": "6400Mi" });
    expect(deployed.variable("TRIVY_CACHE_DIR")).to.equal("/var/lib/trivy");
    expect(deployed.variable("TMPDIR")).to.equal("/tmp");
  });

  it("the servers' configuration is not in their arguments, which every user of the node can read", async () => {
    const container = (await deploy()).container("Deployment");
    expect(container.args).to.deep.equal(["server"]);
    expect(container).not.to.have.property("command");
  });

  describe("the token", () => {
    it("the token is generated, and the servers get it by reference", async () => {
      const deployed = await deploy();
      const secret = deployed.one("Secret", "trivy-server-credentials");
      expect(secret.stringData.token).to.match(/^[A-Za-z0-9]{32}$/);
      expect(deployed.variable("TRIVY_TOKEN")).to.deep.equal({ secretKeyRef: { name: secret.metadata.name, key: "token" } });
      expect(deployed.resource("trivy-server-token").parent).to.match(/TrivyServer::trivy-server$/);
    });

    it("the token can be given, or be in an existing Secret", async () => {
      const given = await deploy({ server: { token: { value: "a-token-of-our-own" } } });
      expect(given.one("Secret", "trivy-server-credentials").stringData).to.deep.equal({ token: "a-token-of-our-own" });
      const existing = await deploy({ server: { token: { existingSecret: { name: "ours" } } } });
      expect(existing.variable("TRIVY_TOKEN")).to.deep.equal({ secretKeyRef: { name: "ours", key: "token" } });
      for (const deployed of [given, existing]) expect(deployed.resources.map(({ name }) => name)).not.to.include("trivy-server-token");
      expect(existing.service.token).to.equal(undefined);
    });

    it("a token that is switched off is not generated", async () => {
      const deployed = await deploy({ server: { token: { enabled: false } } });
      expect(deployed.variable("TRIVY_TOKEN")).to.equal(undefined);
      expect(deployed.all("Secret").map(({ metadata }) => metadata.name)).to.satisfy((names: string[]) =>
        names.every((name) => name.startsWith("trivy-redis-")),
      );
    });
  });

  describe("the database", () => {
    it("the database comes from the public registries, over HTTPS and from public addresses", async () => {
      const deployed = await deploy();
      expect(deployed.variable("TRIVY_DB_REPOSITORY")).to.equal(
        "mirror.gcr.io/aquasec/trivy-db:2,ghcr.io/aquasecurity/trivy-db:2,public.ecr.aws/aquasecurity/trivy-db:2",
      );
      expect(deployed.variable("TRIVY_INSECURE")).to.equal(undefined);
      const [, ...egress] = deployed.one("NetworkPolicy", "trivy-server").spec.egress;
      expect(egress).to.have.length(1);
      expect(egress[0].ports).to.deep.equal([{ port: 443, protocol: "TCP" }]);
      expect(egress[0].to[0].ipBlock.cidr).to.equal("0.0.0.0/0");
      expect(egress[0].to[0].ipBlock.except).to.include.members(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"]);
    });

    it("with a private registry, the servers may connect only to that registry", async () => {
      const egress = async (repository: string, plainHttp = false): Promise<Manifest[]> =>
        (await deploy({ database: { repositories: [repository], plainHttp } })).one("NetworkPolicy", "trivy-server").spec.egress.slice(1);
      const tcp = (port: number) => [{ port, protocol: "TCP" }];
      const anywhere = [
        { ipBlock: { cidr: "0.0.0.0/0", except: ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32"] } },
        { ipBlock: { cidr: "::/0", except: ["fe80::/10", "fd00:ec2::254/128", "64:ff9b::/96"] } },
      ];
      expect(await egress("10.20.0.1:5000/trivy-db:2")).to.deep.equal([{ to: [{ ipBlock: { cidr: "10.20.0.1/32" } }], ports: tcp(5000) }]);
      expect(await egress("registry.example.com:5000/trivy-db:2")).to.deep.equal([{ to: anywhere, ports: tcp(5000) }]);
      expect(await egress("mirror.infra.svc:5000/trivy-db:2")).to.deep.equal([
        { to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "infra" } } }], ports: tcp(5000) },
      ]);
      expect((await egress("harbor.example.com/trivy-db:2", true)).map(({ ports }) => ports)).to.deep.equal([tcp(443), tcp(80)]);
      expect(registryEndpoints("[fd00::1]:5000/trivy-db:2", false)).to.deep.equal([{ host: "fd00::1", port: 5000 }]);
    });

    it("with a proxy, the servers connect directly only to what the proxy does not serve", async () => {
      const deployed = await deploy({
        database: { repositories: ["ghcr.io/aquasecurity/trivy-db:2", "registry.example.com:5000/trivy-db:2"], cidrs: ["10.3.0.0/16"] },
        proxy: { https: "http://10.0.0.9:3128", noProxy: [".example.com"] },
      });
      const egress: Manifest[] = deployed.one("NetworkPolicy", "trivy-server").spec.egress.slice(1);
      expect(egress.map(({ ports }) => ports)).to.deep.equal([
        [{ port: 3128, protocol: "TCP" }],
        [{ port: 5000, protocol: "TCP" }],
        undefined,
      ]);
      expect(egress[2]).to.deep.equal({ to: [{ ipBlock: { cidr: "10.3.0.0/16" } }] });
    });

    it("the login for a registry is sent only to that registry", async () => {
      const credentials = [{ registry: "ghcr.io", username: "me", password: "p:w" }];
      const deployed = await deploy({ database: { credentials } });
      const secret = deployed.one("Secret", "trivy-server-registry-login");
      expect(secret.type).to.equal("kubernetes.io/dockerconfigjson");
      expect(JSON.parse(secret.stringData[".dockerconfigjson"])).to.deep.equal({
        auths: { "ghcr.io": { auth: Buffer.from("me:p:w").toString("base64") } },
      });
      expect(deployed.variable("DOCKER_CONFIG")).to.equal("/etc/trivy-server/registry-login");
      expect(deployed.one("Deployment").spec.template.spec.volumes).to.deep.include({
        name: "registry-login",
        secret: { secretName: secret.metadata.name, items: [{ key: ".dockerconfigjson", path: "config.json" }], defaultMode: 0o440 },
      });
      const existing = await deploy({ database: { existingSecret: "logins" } });
      expect(JSON.stringify(existing.one("Deployment").spec.template.spec.volumes)).to.contain('"secretName":"logins"');
    });
  });

  it("the servers trust the given certificate authorities in addition to the system's", async () => {
    const deployed = await deploy({ server: { caCertificates: certificate } });
    const config = deployed.one("ConfigMap", "trivy-server-certificate-authorities");
    expect(config.data).to.deep.equal({ "server.pem": certificate });
    expect(deployed.variable("SSL_CERT_DIR")).to.equal("/etc/ssl/certs:/etc/trivy-server/certificate-authorities");
    expect(deployed.one("Deployment").spec.template.spec.volumes).to.deep.include({
      name: "certificate-authorities",
      configMap: { name: config.metadata.name },
    });
  });

  it("the servers use a proxy, except for hosts of the cluster", async () => {
    const deployed = await deploy({
      proxy: { http: "http://p.example.com:3128", https: "http://p.example.com:3128", noProxy: ["10.0.0.0/8"] },
    });
    expect(deployed.variable("HTTP_PROXY")).to.equal("http://p.example.com:3128");
    expect(deployed.variable("HTTPS_PROXY")).to.equal("http://p.example.com:3128");
    expect(deployed.variable("NO_PROXY")).to.equal("localhost,127.0.0.1,::1,.svc,.cluster.local,10.0.0.0/8");
    expect((await deploy()).variable("NO_PROXY")).to.equal(undefined);
  });

  it("the servers get additional environment variables", async () => {
    const deployed = await deploy({ server: { env: { GODEBUG: "http2client=0" }, envFromSecrets: ["more"], debug: true } });
    expect(deployed.variable("GODEBUG")).to.equal("http2client=0");
    expect(deployed.variable("TRIVY_DEBUG")).to.equal("true");
    expect(deployed.container("Deployment").envFrom).to.deep.equal([{ secretRef: { name: "more" } }]);
  });

  it("only the clients in `access` may connect to the servers", async () => {
    const ingress = async (access: AccessArgs) => (await deploy({ access })).one("NetworkPolicy", "trivy-server").spec.ingress;
    expect(await ingress({})).to.deep.equal([]);
    expect(await ingress({ namespaces: ["ci"], cidrs: ["10.1.0.0/16"] })).to.deep.equal([
      {
        from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ci" } } }, { ipBlock: { cidr: "10.1.0.0/16" } }],
        ports: [{ port: 4954, protocol: "TCP" }],
      },
    ]);
    expect((await ingress({ namespaces: ["*"] }))[0].from).to.deep.equal([{ namespaceSelector: {} }]);
  });

  it("servers start after the network policies that they need", async () => {
    const deployed = await deploy();
    const { dependsOn } = deployed.resource("trivy-server-deployment");
    for (const name of ["trivy-server-policy", "trivy-allow-dns"]) expect(dependsOn).to.include(deployed.resource(name).urn);
  });

  it("the Deployment may take as long as the starts of all servers, one after the other", async () => {
    expect((await deploy()).resource("trivy-server-deployment").customTimeouts).to.deep.equal({ create: "30m", update: "60m" });
  });
});
