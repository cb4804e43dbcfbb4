import { expect } from "chai";
import type { MonitoringArgs } from "../../../components/args.ts";
import { scrapeTargets } from "../../../components/monitoring/scrape-targets.ts";
import type { ScanServiceArgs } from "../../../components/scan-service.ts";
import type { ExporterConfiguration } from "../../../monitoring/programs/configuration.ts";
import { plain } from "../../../recorder/record.ts";
import { plainSecrets } from "../../../recorder/secret-leaks.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

const targets = [{ image: "registry.example.com/team/app:1.0" }];
const everything: Partial<ScanServiceArgs> = {
  gateway: { enabled: true },
  registryScan: { enabled: true, targets },
  database: { mirror: { enabled: true } },
};

const watched = (monitoring: MonitoringArgs = {}, more: Partial<ScanServiceArgs> = {}) =>
  deploy({ ...more, monitoring: { enabled: true, namespaces: ["monitoring"], ...monitoring } });

const label = (component: string) => ({ "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": component });
const peer = (component: string) => ({ podSelector: { matchLabels: label(component) } });
const prometheus = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } };

/** The ports of a pod's containers, with those that start before the others. */
const ports = ({ spec }: Manifest): Manifest[] =>
  [...(spec.initContainers ?? []), ...spec.containers].flatMap((container: Manifest) => container.ports ?? []);

/** The pods' templates of a service, by their component. */
const templates = (deployed: Deployed): Map<string, Manifest> =>
  new Map(
    [
      ...["Deployment", "StatefulSet"].flatMap((kind) => deployed.all(kind)),
      ...deployed.all("CronJob").map(({ spec }) => spec.jobTemplate),
    ].map(({ spec }) => [spec.template.metadata.labels["app.kubernetes.io/component"], spec.template] as const),
  );
const policy = (deployed: Deployed, component: string): Manifest =>
  deployed.all("NetworkPolicy").find(({ spec }) => spec.podSelector.matchLabels?.["app.kubernetes.io/component"] === component).spec;
const configuration = (deployed: Deployed): ExporterConfiguration =>
  JSON.parse(deployed.one("ConfigMap", "trivy-monitoring-exporter-config").data["exporter.json"]);
const environment = ({ spec }: Manifest): Manifest =>
  Object.fromEntries(spec.containers[0].env.map(({ name, value, valueFrom }: Manifest) => [name, value ?? valueFrom]));
const groupNames = ({ spec }: Manifest) => spec.groups.map(({ name }: Manifest) => name);

describe("the monitoring", () => {
  it("a service without monitoring has nothing of it", async () => {
    const { resources, ...deployed } = await deploy(everything);
    expect(deployed.service.nodes.monitoring).to.equal(undefined);
    expect(resources.map(({ name }) => name).join()).not.to.match(/monitoring|trivy-exporter|probe/);
  });

  it("each part with metrics has a PodMonitor with the given labels that selects its pods and a port that they have", async () => {
    const deployed = await watched({ labels: { release: "kube-prometheus-stack" } }, everything);
    const monitors = deployed.all("PodMonitor");
    expect(monitors.map(({ metadata }) => metadata.name)).to.have.members([
      "trivy-exporter",
      "trivy-gateway",
      "redis-exporter",
      "trivy-reports",
      "trivy-database",
    ]);
    for (const { metadata, spec } of monitors) {
      expect(metadata).to.deep.include({ namespace: "trivy" });
      expect(metadata.labels).to.include({ release: "kube-prometheus-stack", "app.kubernetes.io/part-of": "trivy-server" });
      const template = templates(deployed).get(spec.selector.matchLabels["app.kubernetes.io/component"]);
      expect(template.metadata.labels).to.include(spec.selector.matchLabels);
      for (const { port, relabelings } of spec.podMetricsEndpoints) {
        expect(ports(template).map(({ name }) => name)).to.include(port);
        expect(relabelings[0]).to.have.keys("targetLabel", "replacement");
      }
    }
    const endpoints = monitors.flatMap(({ spec }) =>
      spec.podMetricsEndpoints.map(({ path, relabelings }: Manifest) => [relabelings[0].replacement, path]),
    );
    expect(Object.fromEntries(endpoints)).to.deep.equal({
      "trivy-exporter": "/metrics",
      "trivy-gateway": "/metrics",
      "trivy-gateway-clients": "/metrics/clients",
      "trivy-gateway-edge": "/metrics",
      "trivy-mirror": "/metrics",
      "trivy-redis": "/metrics",
      "trivy-registry-scan": "/metrics",
    });
  });

  it("a service has PodMonitors and rules only of the parts that it has", async () => {
    const small = await watched({ probe: { enabled: false } }, { redis: { mode: "external", host: "redis.example.com" } });
    expect(small.all("PodMonitor").map(({ metadata }) => metadata.name)).to.deep.equal(["trivy-exporter"]);
    expect(groupNames(small.one("PrometheusRule"))).to.deep.equal(["trivy-service"]);
    const whole = await watched({}, everything);
    expect(groupNames(whole.one("PrometheusRule"))).to.include.members([
      "trivy-gateway",
      "trivy-redis",
      "trivy-registry-scan",
      "trivy-probe",
      "trivy-mirror",
    ]);
  });

  it("the rules of a service select only metrics of its namespace, and link to the runbook", async () => {
    const { spec } = (await watched({ runbook: "https://wiki.example.com/alerts" }, { ...everything, namespace: { name: "scans" } })).one(
      "PrometheusRule",
    );
    for (const { alert, expr, annotations, labels } of spec.groups.flatMap(({ rules }: Manifest) => rules)) {
      const selectors: string[] = expr.match(/\{[^}]*\}/g) ?? [];
      for (const selector of selectors) expect(selector).to.match(/^\{namespace="scans", /);
      if (alert) expect(annotations.runbook_url).to.equal(`https://wiki.example.com/alerts#${alert.toLowerCase()}`);
      else expect(labels.namespace).to.equal("scans");
    }
  });

  it("without the operator, pods with metrics have annotations, and the rules are a ConfigMap that selects the pods", async () => {
    const deployed = await watched({ discovery: "annotations", labels: { prometheus: "rules" } }, everything);
    expect([...deployed.all("PodMonitor"), ...deployed.all("PrometheusRule")]).to.deep.equal([]);
    const annotated = [...templates(deployed)].flatMap(([component, template]) => {
      const {
        "prometheus.io/scrape": scrape,
        "prometheus.io/port": port,
        "prometheus.io/path": path,
      } = template.metadata.annotations ?? {};
      if (scrape !== "true") return [];
      expect(ports(template).map(({ containerPort }) => String(containerPort))).to.include(port);
      return [[component, path]];
    });
    expect(Object.fromEntries(annotated)).to.deep.equal({
      exporter: "/metrics",
      database: "/metrics",
      gateway: "/metrics/clients",
      "redis-exporter": "/metrics",
      reports: "/metrics",
    });
    const { metadata, data } = deployed.one("ConfigMap", "trivy-rules");
    expect(metadata.labels).to.include({ prometheus: "rules" });
    const { groups } = JSON.parse(data["trivy.rules.yaml"]);
    const [rule] = groups.flatMap(({ rules }: Manifest) => rules).filter(({ alert }: Manifest) => alert === "TrivyCacheDown");
    expect(rule.expr).to.equal('redis_up{namespace="trivy", pod=~"(trivy-)?redis-exporter-.+"} == 0');
    expect(JSON.stringify(groups)).not.to.contain('job=\\"');
  });

  it("annotations of every pod are kept, and the user's win over those of the scrape", async () => {
    const podAnnotations = { team: "security", "prometheus.io/scrape": "false" };
    const deployed = await watched({ discovery: "annotations" }, { podAnnotations });
    expect(templates(deployed).get("exporter").metadata.annotations).to.include({ ...podAnnotations, "prometheus.io/path": "/metrics" });
    expect(templates(deployed).get("server").metadata.annotations).to.deep.equal(podAnnotations);
  });

  it("Prometheus' namespaces may connect to the metrics of every part, in addition to the part's own", async () => {
    const deployed = await watched({}, { ...everything, gateway: { enabled: true, monitors: ["grafana"] } });
    const port = { exporter: 8080, database: 8080, gateway: 8405, "redis-exporter": 9121, reports: 8083 };
    for (const [component, number] of Object.entries(port)) {
      const rule = policy(deployed, component).ingress.find(({ ports }: Manifest) => ports[0].port === number);
      expect(rule.from, component).to.deep.include(prometheus);
    }
    expect(policy(deployed, "gateway").ingress.at(-1).from).to.have.length(2);
    expect(scrapeTargets.map(({ part }) => part.component)).to.have.members(Object.keys(port));
  });

  it("the exporter may connect to the servers only, and the synthetic scan to the service and the exporter only", async () => {
    for (const [more, front, port] of [
      [{}, "server", 4954],
      [everything, "gateway", 8080],
    ] as const) {
      const deployed = await watched({}, more);
      expect(policy(deployed, "exporter").egress).to.deep.equal([{ to: [peer("server")], ports: [{ port: 4954, protocol: "TCP" }] }]);
      expect(policy(deployed, "exporter").ingress[1]).to.deep.equal({ from: [peer("probe")], ports: [{ port: 8081, protocol: "TCP" }] });
      expect(policy(deployed, "probe")).to.deep.include({
        ingress: [],
        egress: [
          { to: [peer(front)], ports: [{ port, protocol: "TCP" }] },
          { to: [peer("exporter")], ports: [{ port: 8081, protocol: "TCP" }] },
        ],
      });
      expect(policy(deployed, "server").ingress[0].from).to.deep.include(peer("exporter"));
      expect(policy(deployed, front).ingress[0].from).to.deep.include(peer("probe"));
    }
  });

  it("the exporter finds all servers, also those that are not ready, and knows how many there should be", async () => {
    const deployed = await watched({}, { server: { replicas: 3 }, namespace: { name: "scans" }, clusterDomain: "corp.local" });
    const { metadata, spec } = deployed.one("Service", "trivy-server-pods");
    expect(spec).to.deep.include({ clusterIP: "None", publishNotReadyAddresses: true, selector: label("server") });
    expect(configuration(deployed).servers).to.deep.equal([{ host: `${metadata.name}.scans.svc.corp.local`, port: 4954, expected: 3 }]);
    const scaled = await watched({}, { server: { autoscaling: { minReplicas: 4, maxReplicas: 9 } } });
    expect(configuration(scaled).servers[0]?.expected).to.equal(4);
  });

  it("the exporter knows the schedules", async () => {
    const scan = { enabled: true, targets, schedule: "0 1 * * *", timeZone: "Europe/Berlin" };
    const deployed = await watched({ probe: { schedule: "@hourly" } }, { registryScan: scan });
    expect(configuration(deployed)).to.deep.include({
      registryScan: { schedule: "0 1 * * *", timeZone: "Europe/Berlin" },
      probe: { schedule: "@hourly", timeZone: "Etc/UTC" },
    });
    expect(deployed.one("CronJob", "trivy-probe").spec).to.include({
      schedule: "@hourly",
      timeZone: "Etc/UTC",
      concurrencyPolicy: "Forbid",
    });
    expect(configuration(await watched({ probe: { enabled: false } }))).not.to.have.any.keys("registryScan", "probe");
  });

  it("the exporter reads the certificates of the gateway and of Redis, without their keys", async () => {
    const deployed = await watched(
      {},
      { gateway: { enabled: true, tls: { enabled: true } }, redis: { tls: { enabled: true } }, database: { mirror: { enabled: true } } },
    );
    const { volumes, containers } = templates(deployed).get("exporter").spec;
    const names = {
      gateway: "trivy-gateway-certificate",
      redis: "trivy-redis-client-certificate",
      mirror: "trivy-database-mirror-certificate",
    };
    for (const [certificate, name] of Object.entries(names)) {
      const { secret } = volumes.find((volume: Manifest) => volume.name === `certificate-${certificate}`);
      expect(secret.secretName).to.equal(deployed.one("Secret", name).metadata.name);
      expect(secret.items).to.deep.equal([{ key: "tls.crt", path: "tls.crt" }]);
      const { mountPath } = containers[0].volumeMounts.find((mount: Manifest) => mount.name === `certificate-${certificate}`);
      expect(configuration(deployed).certificates[certificate]).to.equal(`${mountPath}/tls.crt`);
    }
    expect(configuration(await watched()).certificates).to.deep.equal({});
  });

  it("the exporter knows the secrets whose previous generation is still valid", async () => {
    const clients = [
      { name: "rotating", generation: 2 },
      { name: "retired", generation: 2, retire: 1 },
      { name: "given", token: "0123456789abcdef", previousToken: "fedcba9876543210" },
      { name: "fresh" },
    ];
    const deployed = await watched({}, { gateway: { enabled: true, clients }, redis: { generation: 3 }, authorities: { generation: 2 } });
    expect(configuration(deployed).previousSecrets).to.deep.equal([
      { kind: "token", name: "rotating" },
      { kind: "token", name: "given" },
      { kind: "password", name: "redis" },
      { kind: "authority", name: "all certificates" },
    ]);
    expect(JSON.stringify(configuration(deployed))).not.to.contain("0123456789abcdef");
  });

  it("the synthetic scan is a client of the gateway with a token of its own, which no output and no plain text contains", async () => {
    const deployed = await watched({}, { gateway: { enabled: true, tls: { enabled: true }, clients: [{ name: "team-a" }] } });
    const { token } = deployed.one("Secret", "trivy-monitoring-probe-credentials").stringData;
    const variables = environment(templates(deployed).get("probe"));
    expect(variables).to.deep.include({
      SERVICE_URL: "https://trivy.trivy.svc",
      EXPORTER_URL: "http://trivy-exporter.trivy.svc:8081",
      SSL_CERT_DIR: "/etc/ssl/certs:/etc/certificate-authorities",
      TRIVY_TOKEN: { secretKeyRef: { name: deployed.one("Secret", "trivy-monitoring-probe-credentials").metadata.name, key: "token" } },
    });
    expect(deployed.one("ConfigMap", "trivy-gateway-config").data["client-metrics.txt"]).to.contain('{client="probe"}');
    const generated = deployed.one("Secret", "trivy-monitoring-token").stringData.token;
    expect(variables.EXPORTER_TOKEN.secretKeyRef.name).to.equal(deployed.one("Secret", "trivy-monitoring-token").metadata.name);
    const inputs = deployed.resources.map((resource) => ({ ...resource, state: {} }));
    expect(plainSecrets(inputs, [token, generated])).to.deep.equal([]);
    const tokens = await new Promise((resolve) => deployed.service.tokens?.apply(resolve));
    expect(tokens).to.have.all.keys("team-a");
  });

  it("during a rotation of the synthetic scan's tokens, gateway and exporter accept the old and the new ones", async () => {
    const rotated = (retire: number) => watched({ probe: { generation: 2, retire } }, { gateway: { enabled: true } });
    const secrets = (deployed: Deployed, component: string) =>
      [environment(templates(deployed).get(component))]
        .flatMap((variables) => [variables.EXPORTER_TOKEN, variables.EXPORTER_PREVIOUS_TOKEN])
        .map((variable) => variable?.secretKeyRef.name);
    const during = await rotated(0);
    const [current, old] = secrets(during, "exporter");
    expect(current).to.match(/^trivy-monitoring-token-2-/);
    expect(old).to.match(/^trivy-monitoring-token-(?!2-)/);
    expect(secrets(during, "probe")).to.deep.equal([current, undefined]);
    expect(during.resources.map(({ name }) => name)).to.include.members(["trivy-gateway-token-probe-1", "trivy-gateway-token-probe-2"]);
    expect(configuration(during).previousSecrets).to.deep.equal([{ kind: "token", name: "probe" }]);
    const after = await rotated(1);
    expect(secrets(after, "exporter")[1]).to.equal(undefined);
    expect(after.resources.map(({ name }) => name))
      .not.to.include("trivy-gateway-token-probe-1")
      .and.not.to.include("trivy-monitoring-token");
  });

  it("without a gateway, the synthetic scan has the servers' token", async () => {
    const deployed = await watched();
    const { name } = deployed.one("Secret", "trivy-server-credentials").metadata;
    expect(environment(templates(deployed).get("probe"))).to.deep.include({
      SERVICE_URL: "http://trivy.trivy.svc",
      TRIVY_TOKEN: { secretKeyRef: { name, key: "token" } },
    });
    const open = await watched({}, { server: { token: { enabled: false } } });
    expect(environment(templates(open).get("probe"))).not.to.have.property("TRIVY_TOKEN");
  });

  it("the synthetic scan does not copy Trivy to the node's disk every few minutes", async () => {
    const { spec } = templates(await watched()).get("probe");
    expect(spec.volumes.find(({ name }: Manifest) => name === "tools").emptyDir.medium).to.equal("Memory");
    expect(spec.initContainers[0].resources.limits.memory).to.equal("512Mi");
  });

  it("the monitoring's pods are restricted, and run the bundled programs with Node", async () => {
    const deployed = await watched({}, { images: { registry: "mirror.example.com" } });
    const programs = deployed.one("ConfigMap", "trivy-monitoring-programs");
    expect(programs.data).to.have.all.keys("package.json", "exporter.js", "probe.js");
    for (const [component, userId, file] of [
      ["exporter", 10008, "exporter.js"],
      ["probe", 10009, "probe.js"],
    ] as const) {
      const { spec } = templates(deployed).get(component);
      expect(spec).to.deep.include({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(spec.securityContext).to.include({ runAsNonRoot: true, runAsUser: userId, fsGroup: userId });
      for (const { securityContext, image, resources } of [...spec.containers, ...(spec.initContainers ?? [])]) {
        expect(securityContext).to.deep.equal({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        expect(image).to.match(/^mirror\.example\.com\//);
        expect(resources.limits).to.include.keys("memory", "ephemeral-storage");
      }
      expect(spec.containers[0].command).to.deep.equal(["node", `/app/${file}`]);
      expect(spec.volumes).to.deep.include({ name: "programs", configMap: { name: programs.metadata.name } });
    }
  });

  it("each part has a dashboard in a ConfigMap with the label that Grafana's sidecar selects, or the given ones", async () => {
    const found = (deployed: Deployed) => deployed.all("ConfigMap").filter(({ metadata }) => metadata.name.endsWith("-dashboard"));
    const whole = found(await watched({}, everything));
    expect(whole.map(({ data }) => Object.keys(data)[0])).to.have.members(["trivy.json", "trivy-redis.json", "trivy-registry-scan.json"]);
    for (const { metadata, data } of whole) {
      expect(metadata.labels).to.include({ grafana_dashboard: "1", "app.kubernetes.io/part-of": "trivy-server" });
      expect(JSON.parse(Object.values(data)[0] as string)).to.include.keys("panels", "uid");
    }
    const labels = { dashboards: "yes" };
    const [own, ...others] = found(
      await watched(
        { dashboards: { labels, annotations: { folder: "Security" } } },
        { redis: { mode: "external", host: "redis.example.com" } },
      ),
    );
    expect(others).to.deep.equal([]);
    expect(own.metadata.labels).to.include(labels).and.not.to.have.property("grafana_dashboard");
    expect(own.metadata.annotations).to.deep.equal({ folder: "Security" });
    expect(found(await watched({ dashboards: { enabled: false } }, everything))).to.deep.equal([]);
  });

  it("the children of the monitoring can be transformed", async () => {
    const annotate = { metadata: { annotations: { changed: "yes" } } };
    const transform = {
      monitoring: { podMonitors: annotate, rules: annotate, exporter: { deployment: annotate }, probe: { cronJob: annotate } },
    };
    const { resources } = await watched({}, { transform });
    const changed = resources.filter(({ inputs }) => (plain(inputs["metadata"]) as Manifest)?.annotations?.changed === "yes");
    expect(changed.map(({ name }) => name)).to.have.members([
      "trivy-monitoring-exporter-monitor",
      "trivy-monitoring-redis-exporter-monitor",
      "trivy-monitoring-rules",
      "trivy-monitoring-exporter-deployment",
      "trivy-monitoring-probe-cron-job",
    ]);
  });
});
