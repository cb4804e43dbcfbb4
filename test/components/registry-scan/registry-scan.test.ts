import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { RegistryScanArgs } from "../../../components/args.ts";
import type { ScanServiceArgs } from "../../../components/scan-service.ts";
import { plain } from "../../../recorder/record.ts";
import { plainSecrets } from "../../../recorder/secret-leaks.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const scan = (args: RegistryScanArgs = {}, others: Partial<ScanServiceArgs> = {}) =>
  deploy({ ...others, registryScan: { enabled: true, targets: [{ image: "registry.example.com/team/app:1.0" }], ...args } });

const job = (deployed: Deployed): Manifest => deployed.one("CronJob").spec.jobTemplate.spec;
const pod = (deployed: Deployed): Manifest => job(deployed).template.spec;
const scanner = (deployed: Deployed): Manifest => pod(deployed).containers[0];
/** The container that runs trivy and crane. */
const tools = (deployed: Deployed): Manifest => pod(deployed).initContainers.find(({ name }: Manifest) => name === "tools");
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
  it("by default, there is no registry scan", async () => {
    const deployed = await deploy();
    expect(deployed.resources.filter(({ urn }) => /registry-scan|reports/.test(urn))).to.deep.equal([]);
    expect(deployed.service.reports).to.equal(undefined);
  });

  describe("of each run", () => {
    it("runs are scheduled Jobs that never overlap, end at their deadline and are removed", async () => {
      const deployed = await scan({ schedule: "30 2 * * MON-FRI", timeZone: "Europe/Berlin", parallelism: 7, deadline: "2h" });
      const { spec } = deployed.one("CronJob");
      expect(spec).to.deep.include({ schedule: "30 2 * * MON-FRI", timeZone: "Europe/Berlin", concurrencyPolicy: "Forbid" });
      expect(job(deployed)).to.deep.include({ completionMode: "Indexed", completions: 7, parallelism: 7, ttlSecondsAfterFinished: 604800 });
      // The reports server ends the run at its deadline, and writes the report, before Kubernetes ends the Job.
      expect(job(deployed).activeDeadlineSeconds).to.be.above(7200);
      expect(configuration(deployed).deadline).to.equal(7200);
    });

    it("a lost scanning pod is started again, and a Job fails with the verdict of its first pod", async () => {
      const { backoffLimit, podFailurePolicy } = job(await scan({ parallelism: 5 }));
      expect(backoffLimit).to.equal(15);
      expect(podFailurePolicy.rules).to.deep.equal([
        { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
        { action: "FailJob", onExitCodes: { containerName: "scan", operator: "In", values: [1, 2] } },
      ]);
    });

    it("scanning pods have the servers' version of Trivy, use the service, and list tags with crane", async () => {
      const deployed = await scan({}, { images: { registry: "mirror.example.com" } });
      const { initContainers } = pod(deployed);
      const server = deployed.one("Deployment").spec.template.spec.containers[0].image;
      expect(initContainers.map(({ image }: Manifest) => image)).to.deep.equal([
        server,
        "mirror.example.com/go-containerregistry/crane/debug:v0.21.6",
        scanner(deployed).image,
      ]);
      expect(scanner(deployed).image).to.match(/^mirror\.example\.com\/library\/node:24\./);
      expect(variable(tools(deployed), "PATH")).to.match(/^\/tools:/);
      expect(configuration(deployed)).to.include({ service: "http://trivy.trivy.svc", reports: "https://trivy-reports.trivy.svc:8081" });
      expect(variable(scanner(deployed), "JOB").fieldRef.fieldPath).to.equal("metadata.labels['batch.kubernetes.io/job-name']");
      expect(variable(scanner(deployed), "JOB_UID").fieldRef.fieldPath).to.equal("metadata.labels['batch.kubernetes.io/controller-uid']");
    });

    it("trivy and crane run in a container with the registries' login and the volumes, and without any token", async () => {
      const deployed = await scan(
        { existingSecret: "logins", resources: { limits: { memory: "3Gi" } } },
        { gateway: { enabled: true, tls: { enabled: true } } },
      );
      expect(tools(deployed)).to.include({ restartPolicy: "Always" });
      expect(tools(deployed).env.filter(({ valueFrom }: Manifest) => valueFrom)).to.deep.equal([]);
      expect(tools(deployed).volumeMounts.map(({ name }: Manifest) => name)).to.have.members([
        "programs",
        "certificate-authorities",
        "configuration",
        "registry-login",
        "tools",
        "temporary",
      ]);
      expect(tools(deployed).resources.limits.memory).to.equal("3Gi");
      const secrets = scanner(deployed).env.filter(({ valueFrom }: Manifest) => valueFrom?.secretKeyRef);
      expect(secrets.map(({ name }: Manifest) => name)).to.have.members(["REPORTS_TOKEN", "TRIVY_TOKEN"]);
      expect(scanner(deployed).volumeMounts.map(({ name }: Manifest) => name)).to.have.members([
        "programs",
        "certificate-authorities",
        "configuration",
      ]);
    });

    it("the configuration of the scanning pods contains the targets and the policy", async () => {
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

  it("the programs in the ConfigMap need nothing but Node", async () => {
    const deployed = await scan();
    const { data } = deployed.one("ConfigMap", "trivy-registry-scan-programs");
    expect(data).to.have.all.keys("scan.js", "tools.js", "reports.js", "package.json", "page.css");
    const application = mkdtempSync(join(tmpdir(), "programs-"));
    try {
      for (const [name, text] of Object.entries(data as Record<string, string>)) writeFileSync(join(application, name), text);
      // They start, and report that their configuration is missing.
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

  it("the pods of the registry scan are restricted", async () => {
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
    it("the registry scan may connect only to the service, the registries and the receivers", async () => {
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
          { to: [inNamespace("infra")], ports: tcp(5000) },
        ],
      });
      expect(policy(deployed, "trivy-reports")).to.deep.include({
        ingress: [{ from: [podsOf("registry-scan")], ports: tcp(8081) }],
        egress: [{ to: [inNamespace("monitoring")], ports: tcp(9093) }],
      });
      expect(policy(deployed, "trivy-server").ingress).to.deep.equal([{ from: [podsOf("registry-scan")], ports: tcp(4954) }]);
    });

    it("only the named namespaces may read the reports", async () => {
      const deployed = await scan({ reports: { viewers: ["monitoring"] } });
      expect(policy(deployed, "trivy-reports").ingress.slice(1)).to.deep.equal([
        { from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }], ports: tcp(8080) },
      ]);
      expect(policy(deployed, "trivy-reports").egress).to.deep.equal([]);
    });

    it("namespaces that may read the metrics cannot read the reports", async () => {
      const deployed = await scan({ reports: { monitors: ["monitoring"] } });
      expect(policy(deployed, "trivy-reports").ingress.slice(1)).to.deep.equal([
        { from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }], ports: tcp(8083) },
      ]);
    });

    it("an image without a registry is on Docker Hub", async () => {
      const deployed = await scan({ targets: [{ image: "alpine:3.10" }], javaRepositories: ["10.0.0.1:5000/java:1"] });
      expect(
        policy(deployed, "trivy-registry-scan")
          .egress.slice(2)
          .map(({ ports }: Manifest) => ports[0].port),
      ).to.deep.equal([443, 5000]);
    });

    it("the registry scan uses the proxy, but not for the reports server", async () => {
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

    it("a receiver in a block of noProxy is reached directly by Node too, which knows no blocks", async () => {
      const alerts = ["http://10.30.0.5:9093", "http://[fd00::5]:9093", "http://10.40.0.5:9093"].map((url, index) => ({
        ...{ name: `a${index}`, type: "alertmanager" as const, url },
      }));
      const deployed = await scan({ alerts }, { proxy: { https: "http://10.0.0.9:3128", noProxy: ["10.30.0.0/16", "fd00::/8"] } });
      const direct = variable(reports(deployed).containers[0], "NO_PROXY").split(",");
      expect(direct).to.include.members(["10.30.0.0/16", "10.30.0.5", "[fd00::5]"]).and.not.include("10.40.0.5");
      expect(policy(deployed, "trivy-reports").egress).to.deep.equal([
        { to: [{ ipBlock: { cidr: "10.0.0.9/32" } }], ports: tcp(3128) },
        { to: [{ ipBlock: { cidr: "10.30.0.5/32" } }], ports: tcp(9093) },
        { to: [{ ipBlock: { cidr: "fd00::5/128" } }], ports: tcp(9093) },
      ]);
    });
  });

  it("the token for the reports server is rotated by its number, and the previous one stays valid until it is retired", async () => {
    const tokens = async (settings: object) => {
      const deployed = await scan(settings);
      const secretOf = (container: Manifest, name: string) =>
        container.env.find((one: Manifest) => one.name === name)?.valueFrom.secretKeyRef.name as string | undefined;
      const names = [
        secretOf(scanner(deployed), "REPORTS_TOKEN"),
        secretOf(reports(deployed).containers[0], "REPORTS_TOKEN"),
        secretOf(reports(deployed).containers[0], "REPORTS_PREVIOUS_TOKEN"),
      ];
      const logical = (name: string | undefined) =>
        name &&
        deployed.resources.find(({ type, state }) => type.endsWith(":Secret") && (state["metadata"] as { name: string }).name === name)
          ?.name;
      return names.map(logical);
    };
    const [first, second] = ["trivy-registry-scan-token", "trivy-registry-scan-token-2"];
    expect(await tokens({})).to.deep.equal([first, first, undefined]);
    expect(await tokens({ generation: 2 })).to.deep.equal([second, second, first]);
    expect(await tokens({ generation: 2, retire: 1 })).to.deep.equal([second, second, undefined]);
  });

  describe("with a gateway", () => {
    it("the client of the registry scan is rotated by the same number", async () => {
      const clients = async (settings: object) => {
        const deployed = await scan(settings, { gateway: { enabled: true, tls: { enabled: true } } });
        return deployed.one("Secret", "trivy-gateway-clients").stringData["clients.map"].match(/ registry-scan$/gm)?.length;
      };
      expect(await clients({})).to.equal(1);
      expect(await clients({ generation: 2 })).to.equal(2);
      expect(await clients({ generation: 2, retire: 1 })).to.equal(1);
    });

    it("the registry scan is a client of the gateway, and its token is not in the outputs", async () => {
      const deployed = await scan({}, { gateway: { enabled: true, tls: { enabled: true } } });
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

    it("the registry scan trusts the gateway's certificate authority", async () => {
      const deployed = await scan({}, { gateway: { enabled: true, tls: { enabled: true } } });
      expect(configuration(deployed).service).to.equal("https://trivy.trivy.svc");
      expect(deployed.one("ConfigMap", "trivy-registry-scan-certificate-authorities").data["authorities.pem"]).to.match(
        /BEGIN CERTIFICATE/,
      );
      expect(variable(scanner(deployed), "SSL_CERT_DIR")).to.equal("/etc/ssl/certs:/etc/certificate-authorities");
      expect(variable(reports(deployed).containers[0], "NODE_EXTRA_CA_CERTS")).to.equal("/etc/certificate-authorities/authorities.pem");
    });
  });

  it("without a gateway, the registry scan uses the servers' token, if there is one", async () => {
    const deployed = await scan();
    expect(variable(scanner(deployed), "TRIVY_TOKEN").secretKeyRef.name).to.equal(deployed.variable("TRIVY_TOKEN").secretKeyRef.name);
    expect(variable(scanner(await scan({}, { server: { token: { enabled: false } } })), "TRIVY_TOKEN")).to.equal(undefined);
  });

  it("the secrets of the registry scan are only in Secrets", async () => {
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
    // A rule shows nothing of a URL but where it leads to.
    expect(JSON.stringify(policy(deployed, "trivy-reports").egress))
      .to.include("0.0.0.0/0")
      .and.not.include("hooks");
  });

  it("logins, URLs of receivers and keys of buckets can be in existing Secrets", async () => {
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

  it("reports are on a volume that only one pod uses", async () => {
    const deployed = await scan({ reports: { keep: 7, size: "5Gi", storageClass: "fast", url: "https://reports.example.com" } });
    const { spec } = deployed.one("StatefulSet", "trivy-reports");
    expect(spec.replicas).to.equal(1);
    const claim = deployed.one("PersistentVolumeClaim", "trivy-reports");
    expect(claim.spec).to.deep.include({ storageClassName: "fast", accessModes: ["ReadWriteOnce"] });
    expect(claim.spec.resources.requests.storage).to.equal("5Gi");
    const { containers } = reports(deployed);
    expect(variable(containers[0], "NODE_OPTIONS")).to.equal("--max-old-space-size=614");
    expect(containers[0].resources.limits.memory).to.equal("1Gi");
    expect(reportsConfiguration(deployed)).to.deep.include({
      ...{ folder: "/data", keep: 7, imageMetrics: false, url: "https://reports.example.com" },
      hosts: ["trivy-reports", "trivy-reports.trivy", "trivy-reports.trivy.svc", "trivy-reports.trivy.svc.cluster.local"],
    });
  });

  it("scanning pods recognise the reports server by a certificate of the stack's own authority", async () => {
    const deployed = await scan({}, { namespace: { name: "scans" } });
    const request = deployed.resource("trivy-registry-scan-authority-server-request").inputs as Manifest;
    expect(request.dnsNames).to.deep.equal(["trivy-reports.scans.svc", "trivy-reports.scans.svc.cluster.local"]);
    const { metadata, stringData } = deployed.one("Secret", "trivy-registry-scan-certificate");
    expect(stringData).to.have.keys("tls.crt", "tls.key");
    const { volumes, containers } = reports(deployed);
    expect(volumes.find(({ name }: Manifest) => name === "certificate").secret.secretName).to.equal(metadata.name);
    expect(variable(containers[0], "API_CERTIFICATE")).to.equal("/etc/reports-certificate");
    expect(pod(deployed).volumes.map(({ secret }: Manifest) => secret?.secretName)).not.to.include(metadata.name);
    const { data } = deployed.one("ConfigMap", "trivy-registry-scan-certificate-authorities");
    const { state } = deployed.resource("trivy-registry-scan-authority-certificate");
    expect(data["authorities.pem"]).to.include((plain(state) as { certPem: string }).certPem.trim());
    expect(variable(scanner(deployed), "NODE_EXTRA_CA_CERTS")).to.equal("/etc/certificate-authorities/authorities.pem");
  });

  it("every child of the registry scan can be transformed", async () => {
    const marked = { metadata: { annotations: { marked: "yes" } } };
    const own = (kinds: readonly string[]) => Object.fromEntries(kinds.map((kind) => [kind, marked]));
    const transform = {
      registryScan: {
        ...own(["programs", "tokens", "receivers", "certificate", "certificateAuthorities"]),
        reports: own(["config", "policy", "claim", "service", "statefulSet"]),
        job: own(["config", "registryLogin", "policy", "cronJob"]),
      },
    };
    const deployed = await scan(
      {
        credentials: [{ registry: "docker.io", username: "u", password: "p" }],
        alerts: [{ name: "team", type: "slack", url: "https://hooks.example.com/x" }],
      },
      { transform },
    );
    const created = deployed.resources.filter(
      ({ urn, custom, type }) => custom && /registry-scan/.test(urn) && type.startsWith("kubernetes:"),
    );
    expect(created).to.have.length(14);
    for (const { name, inputs } of created) expect((inputs as Manifest).metadata.annotations?.marked, name).to.equal("yes");
  });
});
