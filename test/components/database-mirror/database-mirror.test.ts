import { expect } from "chai";
import type { DatabaseArgs, DatabaseMirrorArgs } from "../../../components/args.ts";
import type { ScanServiceArgs } from "../../../components/scan-service.ts";
import { certificate } from "../../support/certificate.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const registry = "registry.example.com";
const login = { registry, username: "reader", password: "of-the-servers" };
const pin = `sha256:${"0f".repeat(32)}`;

const mirrored = (mirror: DatabaseMirrorArgs = {}, database: DatabaseArgs = {}, others: Partial<ScanServiceArgs> = {}) =>
  deploy({ ...others, database: { ...database, mirror: { enabled: true, ...mirror } } });

const servers = (deployed: Deployed): Manifest => deployed.one("Deployment", "trivy-server").spec.template.spec;
const pod = (deployed: Deployed): Manifest => deployed.one("StatefulSet", "trivy-database").spec.template.spec;
const policy = (deployed: Deployed, name: string): Manifest => deployed.one("NetworkPolicy", name).spec;
const variables = ({ env }: Manifest): Record<string, string> => Object.fromEntries(env.map(({ name, value }: Manifest) => [name, value]));
const configuration = (deployed: Deployed): Manifest =>
  JSON.parse(deployed.one("ConfigMap", "trivy-database-mirror-config").data["mirror.json"]);
const podsOf = (component: string) => ({
  podSelector: { matchLabels: { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": component } },
});
const tcp = (port: number) => [{ port, protocol: "TCP" }];

describe("the database mirror", () => {
  it("by default, there is no mirror, and the servers use the repositories", async () => {
    const deployed = await deploy();
    expect(deployed.resources.filter(({ urn }) => /database-(mirror|copy)/.test(urn))).to.deep.equal([]);
    expect(variables(servers(deployed).containers[0])["TRIVY_DB_REPOSITORY"]).to.match(/^mirror\.gcr\.io\//);
    expect(servers(deployed)).not.to.have.property("initContainers");
  });

  describe("in the stack", () => {
    it("one pod downloads, verifies and keeps the builds", async () => {
      const deployed = await mirrored({ keep: 5, interval: "90m", pin, size: "4Gi", storageClass: "fast" }, { plainHttp: true });
      expect(configuration(deployed)).to.deep.equal({
        sources: [
          {
            artifact: "vulnerabilities",
            repositories: ["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2", "public.ecr.aws/aquasecurity/trivy-db:2"],
          },
        ],
        plainHttp: true,
        interval: 5400,
        keep: 5,
        pin,
      });
      const { spec } = deployed.one("StatefulSet", "trivy-database");
      expect(spec.replicas).to.equal(1);
      const { initContainers, containers, volumes } = pod(deployed);
      expect(initContainers.map(({ command }: Manifest) => command)).to.deep.equal([
        ["cp", "/usr/local/bin/trivy", "/tools/trivy"],
        ["cp", "/ko-app/crane", "/tools/crane"],
      ]);
      expect(containers[0].command).to.deep.equal(["node", "/app/mirror.js"]);
      expect(volumes.find(({ name }: Manifest) => name === "data").persistentVolumeClaim).to.deep.equal({ claimName: "trivy-database" });
      const claim = deployed.one("PersistentVolumeClaim", "trivy-database").spec;
      expect(claim).to.deep.include({ storageClassName: "fast", resources: { requests: { storage: "4Gi" } } });
    });

    it("the claim has space for the builds that are kept", async () => {
      const sizes: string[] = [];
      for (const settings of [{}, { keep: 30 }, { java: { enabled: true } }]) {
        const deployed = await mirrored(settings);
        sizes.push(deployed.one("PersistentVolumeClaim", "trivy-database").spec.resources.requests.storage);
      }
      expect(sizes).to.deep.equal(["2Gi", "5952Mi", "8Gi"]);
    });

    it("the certificate is issued for the Service by an authority of its own, which the servers trust", async () => {
      const deployed = await mirrored({}, {}, { namespace: { name: "scanning" } });
      const request = deployed.resource("trivy-database-mirror-authority-server-certificate");
      expect(request.state).to.have.property("certPem");
      const { metadata, type, stringData } = deployed.one("Secret", "trivy-database-mirror-certificate");
      expect(type).to.equal("kubernetes.io/tls");
      expect(stringData["ca.crt"]).to.equal(deployed.resource("trivy-database-mirror-authority-certificate").state["certPem"]);
      expect(servers(deployed).volumes).to.deep.include({
        name: "database-authority",
        secret: { secretName: metadata.name, items: [{ key: "ca.crt", path: "database.pem" }], defaultMode: 0o440 },
      });
      expect(variables(servers(deployed).containers[0])).to.include({
        SSL_CERT_DIR: "/etc/ssl/certs:/etc/trivy-server/database-authority",
      });
    });

    it("each server first waits for the mirror, which decides the order of its repositories", async () => {
      const deployed = await mirrored({}, { repositories: ["registry.example.com/a/trivy-db:2"] });
      const [wait] = servers(deployed).initContainers;
      expect(variables(wait)).to.deep.equal({
        MIRROR_HOST: "trivy-database.trivy.svc",
        MIRROR_REPOSITORY: "trivy-database.trivy.svc/trivy-db:2",
        OTHER_REPOSITORIES: "registry.example.com/a/trivy-db:2",
        REPOSITORIES_FILE: "/etc/trivy-server/repositories/trivy.yaml",
        NODE_EXTRA_CA_CERTS: "/etc/trivy-server/database-authority/database.pem",
      });
      expect(wait.securityContext.readOnlyRootFilesystem).to.equal(true);
      const variablesOfTrivy = variables(servers(deployed).containers[0]);
      expect(variablesOfTrivy).to.include({ TRIVY_CONFIG: "/etc/trivy-server/repositories/trivy.yaml" });
      // Trivy would prefer the variable to the file.
      expect(variablesOfTrivy).not.to.have.property("TRIVY_DB_REPOSITORY");
    });

    it("the servers are created when the mirror can be reached", async () => {
      const deployed = await mirrored();
      const { dependsOn } = deployed.resource("trivy-server-deployment");
      expect(dependsOn.map((urn: string) => urn.split("::").at(-1))).to.include("trivy-database-mirror-stateful-set");
    });

    it("a changed pin replaces the servers, a changed number of builds does not", async () => {
      const template = async (settings: DatabaseMirrorArgs) => JSON.stringify(servers(await mirrored(settings)));
      const neutral = (text: string) => text.replaceAll(/-[0-9a-f]{8}\b/g, "");
      expect(neutral(await template({ pin }))).not.to.equal(neutral(await template({})));
      expect(neutral(await template({ keep: 9 }))).to.equal(neutral(await template({})));
    });

    it("only the servers and the monitors can connect to the mirror", async () => {
      const deployed = await mirrored({ monitors: ["monitoring"] });
      expect(policy(deployed, "trivy-database").ingress).to.deep.equal([
        { from: [podsOf("server")], ports: tcp(8443) },
        { from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }], ports: tcp(8080) },
      ]);
    });

    it("the mirror can reach the repositories, and the servers the mirror and the repositories", async () => {
      const deployed = await mirrored({}, { repositories: ["10.1.2.3:5000/trivy-db:2"] });
      const upstream = { to: [{ ipBlock: { cidr: "10.1.2.3/32" } }], ports: tcp(5000) };
      expect(policy(deployed, "trivy-database").egress).to.deep.equal([upstream]);
      expect(policy(deployed, "trivy-server").egress)
        .to.deep.include(upstream)
        .and.deep.include({ to: [podsOf("database")], ports: tcp(8443) });
    });

    it("without a fallback, the servers can reach only the mirror", async () => {
      const deployed = await mirrored({ fallback: false }, { cidrs: ["10.0.0.0/8"] });
      expect(policy(deployed, "trivy-server").egress).to.deep.equal([
        { to: [podsOf("cache")], ports: tcp(6379) },
        { to: [podsOf("database")], ports: tcp(8443) },
      ]);
      expect(variables(servers(deployed).initContainers[0])["OTHER_REPOSITORIES"]).to.equal("");
    });

    it("a mirror without a source can reach nothing, nor can the servers but the mirror", async () => {
      const deployed = await mirrored({ offline: true, java: { enabled: true } });
      expect(configuration(deployed).sources).to.deep.equal([
        { artifact: "vulnerabilities", repositories: [] },
        { artifact: "java", repositories: [] },
      ]);
      expect(policy(deployed, "trivy-database").egress).to.deep.equal([]);
      expect(policy(deployed, "trivy-server").egress).to.have.length(2);
    });

    it("the mirror uses its own logins, or those of the servers", async () => {
      const own = { registry, username: "mirror", password: "of-the-mirror" };
      const auths = (deployed: Deployed) =>
        JSON.parse(deployed.one("Secret", "trivy-database-mirror-registry-login").stringData[".dockerconfigjson"]).auths;
      const auth = (text: string) => ({ [registry]: { auth: Buffer.from(text).toString("base64") } });
      expect(auths(await mirrored({ credentials: [own] }, { credentials: [login] }))).to.deep.equal(auth("mirror:of-the-mirror"));
      expect(auths(await mirrored({}, { credentials: [login] }))).to.deep.equal(auth("reader:of-the-servers"));
      const existing = await mirrored({ existingSecret: "ours" }, { credentials: [login] });
      expect(pod(existing).volumes.find(({ name }: Manifest) => name === "registry-login").secret.secretName).to.equal("ours");
    });

    it("the mirror trusts the servers' additional authorities, and uses the proxy", async () => {
      const deployed = await mirrored(
        {},
        {},
        { server: { caCertificates: certificate }, proxy: { https: "http://proxy.example.com:3128" } },
      );
      expect(deployed.one("ConfigMap", "trivy-database-mirror-certificate-authorities").data).to.deep.equal({
        "authorities.pem": certificate,
      });
      expect(variables(pod(deployed).containers[0])).to.include({
        HTTPS_PROXY: "http://proxy.example.com:3128",
        SSL_CERT_DIR: "/etc/ssl/certs:/etc/certificate-authorities",
      });
    });
  });

  describe("to a registry", () => {
    const to = "registry.example.com/security/trivy-db:2";
    const copied = (mirror: DatabaseMirrorArgs = {}, database: DatabaseArgs = {}) =>
      mirrored({ to, credentials: [login], ...mirror }, database);

    it("a CronJob copies each new build, and no component keeps state", async () => {
      const deployed = await copied({ java: { enabled: true, to: "registry.example.com/security/trivy-java-db:1" }, schedule: "@daily" });
      const { spec } = deployed.one("CronJob", "trivy-database");
      expect(spec).to.include({ schedule: "@daily", concurrencyPolicy: "Forbid" });
      expect(spec.jobTemplate.spec.template.spec.containers[0].command).to.deep.equal(["node", "/app/copy.js"]);
      expect(JSON.parse(deployed.one("ConfigMap", "trivy-database-copy-config").data["copy.json"])).to.deep.include({
        to: { vulnerabilities: to, java: "registry.example.com/security/trivy-java-db:1" },
      });
      expect(deployed.all("PersistentVolumeClaim").map(({ metadata }) => metadata.name)).to.deep.equal(["redis"]);
    });

    it("the servers use the registry, and then the repositories where that is allowed", async () => {
      const repositories = ["10.1.2.3:5000/trivy-db:2"];
      const listed = async (mirror: DatabaseMirrorArgs) =>
        variables(servers(await copied(mirror, { repositories })).containers[0])["TRIVY_DB_REPOSITORY"];
      expect(await listed({})).to.equal(`${to},10.1.2.3:5000/trivy-db:2`);
      expect(await listed({ fallback: false })).to.equal(to);
      const { egress } = policy(await copied({ fallback: false }, { repositories }), "trivy-server");
      expect(JSON.stringify(egress)).not.to.include("10.1.2.3");
    });

    it("with monitoring, the job reports its results to the exporter, which knows when to expect them", async () => {
      const copy = { mirror: { enabled: true, to, credentials: [login], schedule: "@daily" } };
      const deployed = await deploy({ database: copy, monitoring: { enabled: true, namespaces: ["monitoring"] } });
      const job = deployed.one("CronJob", "trivy-database").spec.jobTemplate.spec.template.spec.containers[0];
      const exporter = deployed.one("Deployment", "trivy-exporter").spec.template.spec.containers[0];
      const token = ({ env }: Manifest) => env.find(({ name }: Manifest) => name === "EXPORTER_TOKEN").valueFrom.secretKeyRef;
      expect(variables(job)["EXPORTER_URL"]).to.equal("http://trivy-exporter.trivy.svc:8081");
      expect(token(job)).to.deep.equal(token(exporter));
      expect(policy(deployed, "trivy-database").egress).to.deep.include({ to: [podsOf("exporter")], ports: tcp(8081) });
      expect(policy(deployed, "trivy-exporter").ingress).to.deep.include({
        from: [podsOf("probe"), podsOf("database")],
        ports: tcp(8081),
      });
      expect(JSON.parse(deployed.one("ConfigMap", "trivy-monitoring-exporter-config").data["exporter.json"]).copy).to.deep.equal({
        ...{ schedule: "@daily", timeZone: "Etc/UTC" },
        artifacts: ["vulnerabilities"],
      });
      const rules = deployed.one("PrometheusRule").spec.groups.map(({ name }: { name: string }) => name);
      expect(rules).to.include("trivy-copy").and.not.to.include("trivy-mirror");
      expect(
        variables((await copied()).one("CronJob", "trivy-database").spec.jobTemplate.spec.template.spec.containers[0]),
      ).not.to.have.property("EXPORTER_URL");
    });

    it("the job can reach the source and the registry, and nothing can connect to it", async () => {
      const deployed = await copied({ to: "10.9.9.9:5000/trivy-db:2" }, { repositories: ["10.1.2.3:5000/trivy-db:2"] });
      expect(policy(deployed, "trivy-database")).to.deep.include({
        ingress: [],
        egress: ["10.1.2.3", "10.9.9.9"].map((address) => ({ to: [{ ipBlock: { cidr: `${address}/32` } }], ports: tcp(5000) })),
      });
    });
  });
});

describe("the mirror of the Java database", () => {
  const java = { enabled: true };

  it("it is mirrored in addition, and only if that is asked for", async () => {
    expect(configuration(await mirrored()).sources).to.have.length(1);
    expect(configuration(await mirrored({ java })).sources[1]).to.deep.equal({
      artifact: "java",
      repositories: ["mirror.gcr.io/aquasec/trivy-java-db:1", "ghcr.io/aquasecurity/trivy-java-db:1"],
    });
  });

  it("clients download it through the gateway, which verifies the mirror's certificate", async () => {
    const deployed = await mirrored({ java }, {}, { gateway: { enabled: true } });
    const { data } = deployed.one("ConfigMap", "trivy-gateway-config");
    expect(JSON.stringify(deployed.one("Deployment", "trivy-gateway").spec.template.spec.volumes)).to.include(
      deployed.one("Secret", "trivy-database-mirror-certificate").metadata.name,
    );
    expect(data["edge.cfg"]).to.match(
      /server database trivy-database\.trivy\.svc\.cluster\.local:443 ssl verify required .* verifyhost trivy-database\.trivy\.svc\.cluster\.local /,
    );
    expect(policy(deployed, "trivy-gateway").egress).to.deep.include({ to: [podsOf("database")], ports: tcp(8443) });
    expect(policy(deployed, "trivy-database").ingress[0].from).to.deep.equal([podsOf("server"), podsOf("gateway")]);
    const without = await mirrored({}, {}, { gateway: { enabled: true } });
    expect(without.one("ConfigMap", "trivy-gateway-config").data["edge.cfg"]).not.to.include("/v2");
    expect(policy(without, "trivy-database").ingress[0].from).to.deep.equal([podsOf("server")]);
  });

  it("the registry scan uses it, unless its settings name repositories", async () => {
    const scan = { enabled: true, targets: [{ image: "10.1.2.3/team/app:1.0" }] };
    const repositories = async (settings: object) => {
      const deployed = await mirrored({ java }, {}, { registryScan: { ...scan, ...settings } });
      return JSON.parse(deployed.one("ConfigMap", "trivy-registry-scan-config").data["scan.json"]).javaRepositories;
    };
    expect(await repositories({})).to.deep.equal(["trivy-database.trivy.svc/trivy-java-db:1"]);
    expect(await repositories({ javaRepositories: ["a.b/java:1"] })).to.deep.equal(["a.b/java:1"]);
    const deployed = await mirrored({ java }, {}, { registryScan: scan });
    const { egress } = policy(deployed, "trivy-registry-scan");
    expect(egress).to.deep.include({ to: [podsOf("database")], ports: tcp(8443) });
    // The target is the only destination outside of the cluster.
    expect(egress.filter(({ to }: Manifest) => to.some(({ ipBlock }: Manifest) => ipBlock))).to.deep.equal([
      { to: [{ ipBlock: { cidr: "10.1.2.3/32" } }], ports: tcp(443) },
    ]);
    expect(policy(deployed, "trivy-database").ingress[0].from).to.deep.equal([podsOf("server"), podsOf("registry-scan")]);
    const client = deployed.one("CronJob").spec.jobTemplate.spec.template.spec.initContainers.at(-1);
    expect(variables(client)["SSL_CERT_DIR"]).to.equal("/etc/ssl/certs:/etc/certificate-authorities:/etc/database-authority");
  });

  it("the registry scan uses the copy in a registry, unless its settings name repositories", async () => {
    const scan = { enabled: true, targets: [{ image: "10.1.2.3/team/app:1.0" }] };
    const to = { to: "10.9.9.9/trivy-db:2", existingSecret: "push", java: { ...java, to: "10.9.9.9/trivy-java-db:1" } };
    const deployed = await mirrored(to, {}, { registryScan: scan });
    const { javaRepositories } = JSON.parse(deployed.one("ConfigMap", "trivy-registry-scan-config").data["scan.json"]);
    expect(javaRepositories).to.deep.equal(["10.9.9.9/trivy-java-db:1"]);
    expect(policy(deployed, "trivy-registry-scan").egress).to.deep.include({ to: [{ ipBlock: { cidr: "10.9.9.9/32" } }], ports: tcp(443) });
    const other = await mirrored(to, {}, { registryScan: { ...scan, javaRepositories: ["a.b/java:1"] } });
    expect(JSON.parse(other.one("ConfigMap", "trivy-registry-scan-config").data["scan.json"]).javaRepositories).to.deep.equal([
      "a.b/java:1",
    ]);
    const without = await mirrored({ ...to, java: { enabled: false } }, {}, { registryScan: scan });
    expect(without.one("ConfigMap", "trivy-registry-scan-config").data["scan.json"]).not.to.include("javaRepositories");
  });
});
