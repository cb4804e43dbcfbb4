/**
 * The monitoring with a real Prometheus and Alertmanager, whose pods find the stack's by annotations: the cluster need not have the operator.
 * Durations and windows of the rules are a 60th of the real ones: minutes become seconds. In addition to the environment of the other tests:
 *
 * | variable | description | default |
 * | --- | --- | --- |
 * | E2E_HOST | this machine's address, as reached from pods | required |
 * | E2E_PROMETHEUS_IMAGE, E2E_ALERTMANAGER_IMAGE | images of the pods | Prometheus' own |
 */
import { expect } from "chai";
import { parse } from "yaml";
import { dashboards } from "../../components/monitoring/dashboards.ts";
import type { PrometheusGroup } from "../../components/monitoring/rules/render.ts";
import { apply, deleteNamespaces, eventually, get, kubectl, namespaceObject, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { Receiver } from "./support/receivers.ts";

const stack = "e2e-monitoring";
const namespace = "e2e-prometheus";
const {
  E2E_HOST: host = "",
  E2E_PROMETHEUS_IMAGE: prometheusImage = "quay.io/prometheus/prometheus:v2.53.3",
  E2E_ALERTMANAGER_IMAGE: alertmanagerImage = "quay.io/prometheus/alertmanager:v0.28.1",
} = process.env;

/** Seconds for what takes a pod to start or to be noticed. */
const patience = 180;

const annotation = (name: string) => `__meta_kubernetes_pod_annotation_prometheus_io_${name}`;

const prometheusConfiguration = {
  global: { scrape_interval: "2s", scrape_timeout: "2s", evaluation_interval: "2s" },
  alerting: { alertmanagers: [{ static_configs: [{ targets: ["localhost:9093"] }] }] },
  rule_files: ["/etc/prometheus/rules.yaml"],
  scrape_configs: [
    {
      job_name: "kubernetes-pods",
      kubernetes_sd_configs: [{ role: "pod", namespaces: { names: [stack] } }],
      relabel_configs: [
        { source_labels: [annotation("scrape")], action: "keep", regex: "true" },
        { source_labels: [annotation("path")], action: "replace", target_label: "__metrics_path__" },
        {
          source_labels: ["__meta_kubernetes_pod_ip", annotation("port")],
          action: "replace",
          regex: "(.+);(.+)",
          replacement: "$1:$2",
          target_label: "__address__",
        },
        // One target for each pod, not for each of its ports.
        { source_labels: ["__meta_kubernetes_pod_container_port_number"], action: "keepequal", target_label: annotation("port") },
        { source_labels: ["__meta_kubernetes_namespace"], target_label: "namespace" },
        { source_labels: ["__meta_kubernetes_pod_name"], target_label: "pod" },
      ],
    },
  ],
};

const alertmanagerConfiguration = (url: string) => ({
  route: { receiver: "test", group_by: ["alertname"], group_wait: "1s", group_interval: "1s", repeat_interval: "1h" },
  receivers: [{ name: "test", webhook_configs: [{ url: `${url}/alerts`, send_resolved: true }] }],
});

const unit: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** Returns a duration such as `5m`, 60 times as short. */
const shortened = (duration: string) =>
  duration.replace(/^(\d+)([mhd])$/, (_, count: string, name: string) => `${(Number(count) * (unit[name] ?? 0)) / 60}s`);

/** Returns rules in which all durations and windows are 60 times as short; 30 days stay, of which there is no data. */
const quick = (groups: readonly PrometheusGroup[]) =>
  groups.map(({ name, rules }) => ({
    name,
    rules: rules.map(({ for: duration, expr, ...rule }) => ({
      ...rule,
      expr: expr.replaceAll(/\[(?!30d)(\w+)\]/g, (_, window: string) => `[${shortened(window)}]`),
      ...(duration && { for: shortened(duration) }),
    })),
  }));

describe("the monitoring", () => {
  let project: Project;
  let token: string;
  let server: string;
  let prometheus: string;
  const receiver = new Receiver();

  const settings = {
    server: { replicas: 2, drainSeconds: 1 },
    gateway: { enabled: true, clients: [{ name: "ci" }] },
    // Synthetic scans are started by hand.
    monitoring: { enabled: true, namespaces: [namespace], discovery: "annotations", probe: { schedule: "0 0 1 1 *" } },
  };

  const query = async (expr: string): Promise<{ metric: Record<string, string>; value: number }[]> => {
    const response = await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`);
    const { data, error } = (await response.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
      error?: string;
    };
    if (error) throw new Error(`${expr}: ${error}`);
    return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  };
  const value = async (expr: string) => (await query(expr))[0]?.value;
  const until = (what: string, expr: string, wanted: number) =>
    eventually(what, async () => (await value(expr).catch(() => undefined)) === wanted || undefined, patience);

  /** Waits until Alertmanager has sent a message of this status after the number of earlier ones. */
  const notified = (alert: string, status: "firing" | "resolved") =>
    eventually(`the message that ${alert} is ${status}`, async () => messages(alert, status) > 0 || undefined, patience);
  const messages = (alert: string, status: string) =>
    receiver
      .at("/alerts")
      .flatMap(({ body }) => body.alerts)
      .filter((each) => each.labels.alertname === alert && each.status === status).length;

  const scale = (resource: string, replicas: number) => kubectl("scale", resource, `--replicas=${replicas}`, "-n", stack);
  let probes = 0;
  /** Runs a synthetic scan, and returns whether it succeeded. */
  const probe = async (): Promise<boolean> => {
    const name = `probe-${++probes}`;
    await kubectl("create", "job", name, "--from=cronjob/trivy-probe", "-n", stack);
    return eventually(
      `the end of ${name}`,
      async () => {
        const { status } = await get("job", name, "-n", stack);
        return status.succeeded ? true : status.failed ? false : undefined;
      },
      patience,
    );
  };

  before(async function () {
    this.timeout(900_000);
    await checkEnvironment();
    if (!host) throw new Error("E2E_HOST must be set; see the comment at the top of this file");
    project = await Project.create();
    await project.writeStack(stack, settings);
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    server = await serviceUrl(stack);
    token = JSON.parse(await project.output(stack, "tokens")).ci;
    const url = await receiver.open(host);
    const { data } = await get("configmap", "trivy-rules", "-n", stack);
    const { groups } = parse(data["trivy.rules.yaml"]) as { groups: PrometheusGroup[] };
    const files = {
      "prometheus.yaml": JSON.stringify(prometheusConfiguration),
      "alertmanager.yaml": JSON.stringify(alertmanagerConfiguration(url)),
      "rules.yaml": JSON.stringify({ groups: quick(groups) }),
      // Debian's Alertmanager does not start without these files.
      "default.tmpl": "",
      "email.tmpl": "",
    };
    const labels = { app: "prometheus" };
    const configuration = [{ name: "configuration", mountPath: "/etc/prometheus" }];
    await apply(
      namespaceObject(namespace),
      { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "prometheus", namespace } },
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: { name: "prometheus", namespace: stack },
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] }],
      },
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "RoleBinding",
        metadata: { name: "prometheus", namespace: stack },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "prometheus" },
        subjects: [{ kind: "ServiceAccount", name: "prometheus", namespace }],
      },
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "configuration", namespace }, data: files },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "trivy", namespace },
        spec: { selector: labels, ports: [{ port: 9090 }] },
      },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "prometheus", namespace, labels },
        spec: {
          serviceAccountName: "prometheus",
          securityContext: { runAsUser: 65534, fsGroup: 65534 },
          containers: [
            {
              name: "prometheus",
              image: prometheusImage,
              args: ["--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/data"],
              volumeMounts: [...configuration, { name: "data", mountPath: "/data" }],
            },
            {
              name: "alertmanager",
              image: alertmanagerImage,
              args: ["--config.file=/etc/prometheus/alertmanager.yaml", "--storage.path=/data", "--cluster.listen-address="],
              volumeMounts: [
                ...configuration,
                { name: "configuration", mountPath: "/usr/share/prometheus/alertmanager" },
                { name: "state", mountPath: "/data" },
              ],
            },
          ],
          volumes: [
            { name: "configuration", configMap: { name: "configuration" } },
            { name: "data", emptyDir: {} },
            { name: "state", emptyDir: {} },
          ],
        },
      },
    );
    await kubectl("wait", "--for=condition=Ready", "pod/prometheus", "-n", namespace, "--timeout=120s");
    prometheus = await serviceUrl(namespace);
  });
  after(async function () {
    this.timeout(600_000);
    await receiver.close();
    await project?.remove();
    await deleteNamespaces(namespace);
  });

  it("a cluster without the operator refuses PodMonitors before anything is created", async () => {
    const other = `${stack}-operator`;
    await project.writeStack(other, { monitoring: { enabled: true, namespaces: [namespace] } });
    const { exitCode, stderr, stdout } = await project.run("npm", ["run", "--silent", "up", "--", other, "--yes"]);
    expect(exitCode).to.equal(1);
    expect(stdout + stderr).to.match(/has no PodMonitor and no PrometheusRule \(monitoring\.coreos\.com\/v1\), which this stack needs/);
    expect(await kubectl("get", "namespaces", "-o", "name")).not.to.include(other);
  });

  it("Prometheus reads every part, and each server has its version and its database", async () => {
    await until("the metrics of both servers", `sum(trivy_server_up{namespace="${stack}"})`, 2);
    // The exporter, two gateway pods, Redis' exporter.
    await until("the metrics of all pods", `sum(up{namespace="${stack}"})`, 4);
    const [info] = await query(`trivy_server_info{namespace="${stack}"}`);
    expect(info?.metric["version"]).to.match(/^\d+\.\d+\.\d+$/);
    const ages = await query(`time() - trivy_server_database_updated_timestamp_seconds{namespace="${stack}"}`);
    expect(ages.map((age) => age.value > 0 && age.value < 30 * 86400)).to.deep.equal([true, true]);
  });

  it("a synthetic scan goes through the whole service, has a metric, and leaves no more in the cache each time", async () => {
    expect(await probe()).to.equal(true);
    await until("the success", `trivy_probe_success{namespace="${stack}"}`, 1);
    const scans = `sum(trivy_gateway_client_scan_duration_seconds_count{namespace="${stack}", client="probe"})`;
    await until("the scan in the gateway", scans, 1);
    // The gateway refuses to delete entries. Those of the next scan have the same keys.
    expect(await probe()).to.equal(true);
    await until("the second scan in the gateway", scans, 2);
    await until("few entries", `sum(redis_db_keys{namespace="${stack}"}) <= bool 2`, 1);
  });

  it("after some scans, each query of the dashboards for these parts has data", async () => {
    for (const image of [...environment.images, ...environment.images]) await scan(image, { server, token });
    await scan(environment.alpine, { server, token });
    const empty = async () => {
      const queries = dashboards
        .filter(({ subject }) => subject !== "registryScan")
        .flatMap(({ content }) => (content as { panels: { title: string; targets?: { expr: string }[] }[] }).panels)
        .flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const))
        // Without TLS there is no certificate. With annotations, Prometheus does not read HAProxy's own metrics.
        .filter(([, expr]) => !/trivy_certificate|haproxy_/.test(expr))
        .map(([title, expr]) => [title, expr.replaceAll("$__rate_interval", "1m").replaceAll("$namespace", stack)] as const);
      const results = await Promise.all(
        queries.map(async ([title, expr]) => ((await query(expr)).length === 0 ? [`${title}: ${expr}`] : [])),
      );
      return results.flat();
    };
    let missing: string[] = [];
    await eventually(
      "data of each panel",
      async () => {
        missing = await empty();
        return missing.length === 0 || undefined;
      },
      patience,
    ).catch((error: Error) => expect.fail(`${error.message}\n${missing.join("\n")}`));
  });

  it("nothing is wrong with a healthy service: no alert fires", async () => {
    expect(await query('ALERTS{alertstate="firing"}')).to.deep.equal([]);
  });

  it("without servers TrivyServiceDown, TrivyScansFail and TrivyProbeFails fire; they are resolved afterwards", async function () {
    this.timeout(1_200_000);
    await scale("deployment/trivy-server", 0);
    await until("the end of the servers", `trivy_servers_ready{namespace="${stack}"}`, 0);
    const send = async () =>
      (
        await fetch(`${server}/twirp/trivy.scanner.v1.Scanner/Scan`, {
          method: "POST",
          body: "{}",
          headers: { "Content-Type": "application/json", "Trivy-Token": token },
        })
      ).status;
    // As many as seven scans send until they fail.
    for (let request = 0; request < 70; request++) expect(await send()).to.equal(503);
    const failing = Promise.all([probe(), probe(), probe()]);
    await notified("TrivyServiceDown", "firing");
    await notified("TrivyScansFail", "firing");
    expect(await failing).to.deep.equal([false, false, false]);
    await notified("TrivyProbeFails", "firing");

    await scale("deployment/trivy-server", 2);
    await notified("TrivyServiceDown", "resolved");
    expect(await probe()).to.equal(true);
    await notified("TrivyProbeFails", "resolved");
    await notified("TrivyScansFail", "resolved");
  });

  it("without Redis TrivyCacheDown fires, and without gateway TrivyGatewayDown; they are resolved afterwards", async function () {
    this.timeout(900_000);
    await scale("statefulset/redis", 0);
    await scale("deployment/trivy-gateway", 0);
    await notified("TrivyCacheDown", "firing");
    await notified("TrivyGatewayDown", "firing");
    await scale("statefulset/redis", 1);
    await scale("deployment/trivy-gateway", 2);
    await notified("TrivyCacheDown", "resolved");
    await notified("TrivyGatewayDown", "resolved");
  });
});
