import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { plainSecrets } from "../../../recorder/secret-leaks.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const scan = (settings: Record<string, unknown> = {}, others: Record<string, unknown> = {}) =>
  deploy({ ...others, registryScan: { enabled: true, targets: [{ image: "registry.example.com/team/app:1.0" }], ...settings } });

const job = (deployed: Deployed): Manifest => deployed.one("CronJob").spec.jobTemplate.spec;
const pod = (deployed: Deployed): Manifest => job(deployed).template.spec;
const scanner = (deployed: Deployed): Manifest => pod(deployed).containers[0];
const reports = (deployed: Deployed): Manifest => deployed.one("StatefulSet", "trivy-reports").spec.template.spec;
const policy = (deployed: Deployed, name: string): Manifest => deployed.one("NetworkPolicy", name).spec;
const variable = (container: Manifest, name: string): Manifest => {
  const found = container.env.find((one: Manifest) => one.name === name);
  return found?.value ?? found?.valueFrom;
};
const configuration = (deployed: Deployed): Manifest =>
  JSON.parse(deployed.one("ConfigMap", "trivy-registry-scan-config").data["scan.json"]);
const reportsConfiguration = (deployed: Deployed): Manifest =>
  JSON.parse(deployed.one("ConfigMap", "trivy-registry-scan-reports-config").data["reports.json"]);
const podsOf = (component: string) => ({
  podSelector: { matchLabels: { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": component } },
});
const tcp = (port: number) => [{ port, protocol: "TCP" }];

describe("the registry scan", () => {
  it("is not there unless asked for", async () => {
    const deployed = await deploy();
    expect(deployed.resources.filter(({ urn }) => /registry-scan|reports/.test(urn))).to.deep.equal([]);
    expect(deployed.service.reports).to.equal(undefined);
  });

  describe("of each run", () => {
    it("is a Job at its time, never two at once, and none stays for ever", async () => {
      const deployed = await scan({ schedule: "30 2 * * MON-FRI", timeZone: "Europe/Berlin", parallelism: 7, deadline: "2h" });
      const { spec } = deployed.one("CronJob");
      expect(spec).to.deep.include({ schedule: "30 2 * * MON-FRI", timeZone: "Europe/Berlin", concurrencyPolicy: "Forbid" });
      expect(job(deployed)).to.deep.include({ completionMode: "Indexed", completions: 7, parallelism: 7, ttlSecondsAfterFinished: 604800 });
      // The reports server ends the run at its deadline, and writes the report, before Kubernetes ends the Job.
      expect(job(deployed).activeDeadlineSeconds).to.be.above(7200);
      expect(configuration(deployed).deadline).to.equal(7200);
    });

    it("starts a lost pod again, and ends with the verdict of the first", async () => {
      const { backoffLimit, podFailurePolicy } = job(await scan({ parallelism: 5 }));
      expect(backoffLimit).to.equal(15);
      expect(podFailurePolicy.rules).to.deep.equal([
        { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
        { action: "FailJob", onExitCodes: { containerName: "scan", operator: "In", values: [1, 2] } },
      ]);
    });

    it("scans with the servers' Trivy, through the service, and has crane to list", async () => {
      const deployed = await scan({}, { images: { registry: "mirror.example.com" } });
      const { initContainers } = pod(deployed);
      const server = deployed.one("Deployment").spec.template.spec.containers[0].image;
      expect(initContainers.map(({ image }: Manifest) => image)).to.deep.equal([
        server,
        "mirror.example.com/go-containerregistry/crane/debug:v0.21.6",
      ]);
      expect(scanner(deployed).image).to.match(/^mirror\.example\.com\/library\/node:24\./);
      expect(variable(scanner(deployed), "PATH")).to.match(/^\/tools:/);
      expect(configuration(deployed)).to.include({ service: "http://trivy.trivy.svc", reports: "http://trivy-reports.trivy.svc:8081" });
      expect(variable(scanner(deployed), "JOB").fieldRef.fieldPath).to.equal("metadata.labels['batch.kubernetes.io/job-name']");
      expect(variable(scanner(deployed), "JOB_UID").fieldRef.fieldPath).to.equal("metadata.labels['batch.kubernetes.io/controller-uid']");
    });

    it("is told what to scan and what counts", async () => {
      const targets = [
        { repository: "registry.example.com/team/api", tags: ["v*"], versions: ">=1.2", newest: 5 },
        { image: "alpine:3.10" },
      ];
      const deployed = await scan({
        targets,
        strict: true,
        severities: ["CRITICAL"],
        ignoreUnfixed: true,
        scanners: ["vuln", "secret"],
        timeout: "90s",
        reports: { cycloneDx: true },
        ignoreFile: "vulnerabilities: []\n",
        vex: ["{}", '{"a": 1}'],
      });
      const { data } = deployed.one("ConfigMap", "trivy-registry-scan-config");
      expect(configuration(deployed)).to.deep.include({
        targets,
        strict: true,
        policy: { severities: ["CRITICAL"], ignoreUnfixed: true, scanners: ["vuln", "secret"] },
        timeout: 90,
        cycloneDx: true,
        ignoreFile: "/etc/scan/trivyignore.yaml",
        vex: ["/etc/scan/vex-0.json", "/etc/scan/vex-1.json"],
      });
      expect(data).to.include({ "trivyignore.yaml": "vulnerabilities: []\n", "vex-1.json": '{"a": 1}' });
    });
  });

  it("runs the programs of its ConfigMap without anything beside them but Node", async () => {
    const deployed = await scan();
    const { data } = deployed.one("ConfigMap", "trivy-registry-scan-programs");
    expect(data).to.have.all.keys("scan.js", "reports.js", "package.json");
    const application = mkdtempSync(join(tmpdir(), "programs-"));
    try {
      for (const [name, text] of Object.entries(data as Record<string, string>)) writeFileSync(join(application, name), text);
      // They come as far as to miss their settings.
      for (const program of ["scan.js", "reports.js"]) {
        const { stderr, status } = spawnSync(process.execPath, [join(application, program)], { encoding: "utf8", env: {} });
        expect(stderr, program)
          .to.include("REPORTS_TOKEN")
          .and.not.match(/SyntaxError|ERR_MODULE/);
        expect(status).to.not.equal(0);
      }
    } finally {
      rmSync(application, { recursive: true });
    }
    expect(Buffer.byteLength(JSON.stringify(data))).to.be.below(900 * 2 ** 10);
  });

  it("gives no pod more than it needs", async () => {
    const deployed = await scan();
    for (const spec of [pod(deployed), reports(deployed)]) {
      expect(spec).to.deep.include({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(spec.securityContext).to.deep.include({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      for (const { securityContext } of [...spec.containers, ...(spec.initContainers ?? [])])
        expect(securityContext).to.deep.equal({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
    }
  });

  describe("in the network", () => {
    it("reaches the servers, the reports server, the registries and the receivers, and nothing else", async () => {
      const deployed = await scan({
        targets: [{ image: "10.1.2.3:5000/team/app:1" }],
        javaRepositories: ["mirror.infra.svc:5000/trivy-java-db:1"],
        alerts: [{ name: "a", type: "alertmanager", url: "http://alertmanager.monitoring.svc:9093" }],
      });
      const inNamespace = (name: string) => ({ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } });
      expect(policy(deployed, "trivy-registry-scan")).to.deep.include({
        ingress: [],
        egress: [
          { to: [podsOf("server")], ports: tcp(4954) },
          { to: [podsOf("reports")], ports: tcp(8081) },
          { to: [{ ipBlock: { cidr: "10.1.2.3/32" } }], ports: tcp(5000) },
          { to: [inNamespace("infra")] },
        ],
      });
      expect(policy(deployed, "trivy-reports")).to.deep.include({
        ingress: [{ from: [podsOf("registry-scan")], ports: tcp(8081) }],
        egress: [{ to: [inNamespace("monitoring")] }],
      });
      expect(policy(deployed, "trivy-server").ingress).to.deep.equal([{ from: [podsOf("registry-scan")], ports: tcp(4954) }]);
    });

    it("lets those alone read reports who are named", async () => {
      const deployed = await scan({ reports: { viewers: ["monitoring"] } });
      expect(policy(deployed, "trivy-reports").ingress.slice(1)).to.deep.equal([
        { from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }], ports: tcp(8080) },
      ]);
      expect(policy(deployed, "trivy-reports").egress).to.deep.equal([]);
    });

    it("takes an image without a host for one of Docker's registry", async () => {
      const deployed = await scan({ targets: [{ image: "alpine:3.10" }], javaRepositories: ["10.0.0.1:5000/java:1"] });
      expect(
        policy(deployed, "trivy-registry-scan")
          .egress.slice(2)
          .map(({ ports }: Manifest) => ports[0].port),
      ).to.deep.equal([443, 5000]);
    });

    it("goes through the proxy, but not to the reports server", async () => {
      const deployed = await scan({}, { proxy: { https: "http://10.0.0.9:3128" } });
      for (const container of [scanner(deployed), reports(deployed).containers[0]]) {
        expect(variable(container, "NO_PROXY").split(",")).to.include(".svc");
        expect(variable(container, "NODE_USE_ENV_PROXY")).to.equal("1");
      }
      expect(policy(deployed, "trivy-registry-scan").egress.slice(2)).to.deep.equal([
        { to: [{ ipBlock: { cidr: "10.0.0.9/32" } }], ports: tcp(3128) },
      ]);
      expect(variable(scanner(await scan()), "NODE_USE_ENV_PROXY")).to.equal(undefined);
    });
  });

  describe("before a gateway", () => {
    it("is a client of its own, whose token nobody else gets", async () => {
      const deployed = await scan({}, { gateway: { enabled: true, tls: true } });
      const token = deployed.resource("trivy-gateway-token-registry-scan-1");
      expect(token.type).to.equal("random:index/randomPassword:RandomPassword");
      expect(deployed.one("Secret", "trivy-gateway-clients").stringData["clients.map"]).to.match(/^[0-9a-f]{64} registry-scan$/m);
      const { name, key } = variable(scanner(deployed), "TRIVY_TOKEN").secretKeyRef;
      expect(deployed.all("Secret").find(({ metadata }) => metadata.name === name).stringData).to.have.property(key);
      const tokens = await new Promise((resolve) => deployed.service.tokens?.apply(resolve));
      expect(tokens).to.have.all.keys("default");
      expect(policy(deployed, "trivy-registry-scan").egress[0]).to.deep.equal({ to: [podsOf("gateway")], ports: tcp(8443) });
      expect(policy(deployed, "trivy-gateway").ingress).to.deep.equal([{ from: [podsOf("registry-scan")], ports: tcp(8443) }]);
    });

    it("trusts the gateway's authority, and those of the settings", async () => {
      const deployed = await scan({}, { gateway: { enabled: true, tls: true } });
      expect(configuration(deployed).service).to.equal("https://trivy.trivy.svc");
      expect(deployed.one("ConfigMap", "trivy-registry-scan-certificate-authorities").data["authorities.pem"]).to.match(
        /BEGIN CERTIFICATE/,
      );
      expect(variable(scanner(deployed), "SSL_CERT_DIR")).to.equal("/etc/ssl/certs:/etc/certificate-authorities");
      expect(variable(reports(deployed).containers[0], "NODE_EXTRA_CA_CERTS")).to.equal("/etc/certificate-authorities/authorities.pem");
    });
  });

  it("uses the servers' token without a gateway, and none where none is asked for", async () => {
    const deployed = await scan();
    expect(variable(scanner(deployed), "TRIVY_TOKEN").secretKeyRef.name).to.equal(deployed.variable("TRIVY_TOKEN").secretKeyRef.name);
    expect(variable(scanner(await scan({}, { server: { token: false } })), "TRIVY_TOKEN")).to.equal(undefined);
  });

  it("keeps every secret out of everything but Secrets", async () => {
    const secrets = { password: "pass-word-1", url: "https://hooks.example.com/very-secret", authorization: "Bearer very-secret" };
    const deployed = await scan({
      credentials: [{ registry: "docker.io", username: "u", password: secrets.password }],
      alerts: [{ name: "team", type: "slack", url: secrets.url, authorization: secrets.authorization }],
    });
    expect(plainSecrets(deployed.resources, Object.values(secrets))).to.deep.equal([]);
    expect(deployed.one("Secret", "trivy-registry-scan-receivers").stringData).to.deep.equal({
      "team.url": secrets.url,
      "team.authorization": secrets.authorization,
    });
    const login = JSON.parse(deployed.one("Secret", "trivy-registry-scan-registry-login").stringData[".dockerconfigjson"]);
    expect(login.auths).to.have.all.keys("https://index.docker.io/v1/");
    expect(reportsConfiguration(deployed).receivers).to.deep.equal([{ name: "team", type: "slack", authorized: true }]);
    // Where it leads to is all that a rule tells.
    expect(JSON.stringify(policy(deployed, "trivy-reports").egress))
      .to.include("0.0.0.0/0")
      .and.not.include("hooks");
  });

  it("takes addresses and keys from Secrets that exist", async () => {
    const deployed = await scan({
      existingSecret: "registry-login",
      alerts: [{ name: "team", type: "json", existingSecret: { name: "hook", key: "address" } }],
      reports: { bucket: { name: "reports", region: "eu-central-1", existingSecret: "bucket-keys" } },
    });
    const { volumes, containers } = reports(deployed);
    expect(volumes.find(({ name }: Manifest) => name === "receivers").projected.sources).to.deep.equal([
      { secret: { name: "hook", items: [{ key: "address", path: "team.url" }] } },
    ]);
    expect(containers[0].envFrom).to.deep.equal([{ secretRef: { name: "bucket-keys" } }]);
    expect(reportsConfiguration(deployed).bucket).to.deep.equal({
      endpoint: "https://s3.eu-central-1.amazonaws.com",
      region: "eu-central-1",
      name: "reports",
      prefix: "",
    });
    expect(pod(deployed).volumes).to.deep.include({
      name: "registry-login",
      secret: { secretName: "registry-login", items: [{ key: ".dockerconfigjson", path: "config.json" }], defaultMode: 0o440 },
    });
  });

  it("keeps its reports on a volume that only one pod ever has", async () => {
    const deployed = await scan({ reports: { keep: 7, size: "5Gi", storageClass: "fast", url: "https://reports.example.com" } });
    const { spec } = deployed.one("StatefulSet", "trivy-reports");
    expect(spec.replicas).to.equal(1);
    const claim = deployed.one("PersistentVolumeClaim", "trivy-reports");
    expect(claim.spec).to.deep.include({ storageClassName: "fast", accessModes: ["ReadWriteOnce"] });
    expect(claim.spec.resources.requests.storage).to.equal("5Gi");
    const { containers } = reports(deployed);
    expect(variable(containers[0], "NODE_OPTIONS")).to.equal("--max-old-space-size=614");
    expect(containers[0].resources.limits.memory).to.equal("1Gi");
    expect(reportsConfiguration(deployed)).to.deep.include({ folder: "/data", keep: 7, url: "https://reports.example.com" });
  });

  it("hands every child to its transform", async () => {
    const marked = <Args extends { metadata?: unknown }>(args: Args): Args => ({
      ...args,
      metadata: { ...(args.metadata as object), annotations: { marked: "yes" } },
    });
    const registryScan = { targets: [{ image: "alpine:3.10" }] };
    const kinds = ["cronJob", "statefulSet", "service", "persistentVolumeClaim", "networkPolicy", "configMap", "secret"];
    const transform = { registryScan: Object.fromEntries(kinds.map((kind) => [kind, marked])) };
    const deployed = await deploy({}, { registryScan, transform });
    const own = deployed.resources.filter(({ urn, custom, type }) => custom && /registry-scan/.test(urn) && type.startsWith("kubernetes:"));
    expect(own.length).to.be.above(9);
    for (const { name, inputs } of own) expect((inputs as Manifest).metadata.annotations?.marked, name).to.equal("yes");
  });
});
