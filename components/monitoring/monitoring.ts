import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { defaults, type MonitoringArgs } from "../args.ts";
import type { ServiceConnection } from "../registry-scan/scan-job.ts";
import { Component, optional, several, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { eachGeneration, numbered, secretText } from "../shared/generated-secret.ts";
import { labels, selector } from "../shared/labels.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { configMap, secret } from "../shared/objects.ts";
import { objectsName, parts } from "../shared/parts.ts";
import type { SecretKey } from "../shared/pod.ts";
import { monitoringPrograms } from "./bundle.ts";
import { dashboards } from "./dashboards.ts";
import { MetricsExporter, type MonitoredStack, type ResultsConnection } from "./metrics-exporter.ts";
import { stackRules } from "./rules/render.ts";
import type { RuleSubject } from "./rules/rule.ts";
import { type ScrapeTarget, scrapeTargets } from "./scrape-targets.ts";
import { SyntheticScan } from "./synthetic-scan.ts";

const tokenKey = "token";

/** Name of the PrometheusRule, or of the ConfigMap with the rules. */
const rulesName = "trivy";

const children = {
  /** The ConfigMap with the programs of the pods. */
  programs: k8s.core.v1.ConfigMap,
  /** The generated tokens by which the exporter recognises jobs that report results. */
  generatedTokens: several(random.RandomPassword),
  /** The Secrets with those tokens. */
  tokens: several(k8s.core.v1.Secret),
  exporter: MetricsExporter,
  probe: optional(SyntheticScan),
  podMonitors: several(k8s.apiextensions.CustomResource),
  /** The PrometheusRule. */
  rules: optional(k8s.apiextensions.CustomResource),
  /** The ConfigMap with the rules, for a Prometheus without the operator. */
  rulesFile: optional(k8s.core.v1.ConfigMap),
  /** The ConfigMaps with the dashboards. */
  dashboards: several(k8s.core.v1.ConfigMap),
};

/** The label that the sidecar of Grafana's Helm chart selects. */
const dashboardLabels = { grafana_dashboard: "1" };

export interface MonitoringComponentArgs {
  readonly context: Context;
  readonly monitoring?: MonitoringArgs;
  /** What is monitored. */
  readonly stack: MonitoredStack;
  /** The parts of the service that there are, in addition to the servers. */
  readonly parts: readonly Exclude<RuleSubject, "service" | "probe">[];
  /** The service as the synthetic scan reaches it. */
  readonly service: ServiceConnection;
  readonly transform?: Transforms<typeof children> | undefined;
}

type Settings = WithDefaults<MonitoringArgs, typeof defaults.monitoring>;

/**
 * What Prometheus and Grafana need to watch the service: an exporter of the servers' metrics, a synthetic scan, PodMonitors, rules and
 * dashboards.
 *
 * @example
 * const watch = new Monitoring("watch", {
 *   context,
 *   monitoring: { namespaces: ["monitoring"], labels: { release: "kube-prometheus-stack" } },
 *   stack: { servers: [{ selector: { app: "trivy" }, port: 4954, expected: 2 }] },
 *   parts: ["redis"],
 *   service: { url: "http://trivy.scanning.svc", selector: { app: "trivy" }, ports: [4954] },
 * });
 * export const results = watch.nodes.exporter.resultsUrl;
 */
export class Monitoring extends Component<MonitoringComponentArgs, typeof children> {
  /** Where jobs report their results. */
  readonly results: ResultsConnection;

  constructor(name: string, args: MonitoringComponentArgs, options?: pulumi.ComponentResourceOptions) {
    super("Monitoring", name, args, { children, settings: ["monitoring"] }, options);
    const monitoring = withDefaults(defaults.monitoring, this.args.monitoring);
    const subjects: RuleSubject[] = ["service", ...(monitoring.probe.enabled ? (["probe"] as const) : []), ...this.args.parts];
    this.results = this.createPods(monitoring);
    if (monitoring.discovery === "podMonitors")
      for (const target of scrapeTargets.filter(({ subject }) => subjects.includes(subject))) this.createPodMonitor(monitoring, target);
    this.createRules(monitoring, subjects);
    if (monitoring.dashboards.enabled) this.createDashboards(monitoring, subjects);
    this.registerOutputs({});
  }

  private createPods({ namespaces, probe }: Settings): ResultsConnection {
    const { context, stack, service } = this.args;
    const programs = this.create("programs", configMap(context, parts.exporter, monitoringPrograms())).metadata.name;
    const [token, ...previousTokens] = this.createTokens(probe);
    const { resultsUrl } = this.create(
      "exporter",
      {
        ...{ context, ...stack, monitors: namespaces, programs, token, previousTokens },
        probe: probe.enabled ? pulumi.output(probe.schedule).apply((schedule) => ({ schedule, timeZone: "Etc/UTC" })) : undefined,
      },
      { dependsOn: [...this.dependencies] },
    );
    const results = { url: resultsUrl, token };
    if (probe.enabled)
      this.create("probe", { context, service, schedule: probe.schedule, results, programs }, { dependsOn: [...this.dependencies] });
    return results;
  }

  /** Returns the valid tokens, newest first. */
  private createTokens(probe: Settings["probe"]): [SecretKey, ...SecretKey[]] {
    return eachGeneration(probe, (generation) => {
      const name = numbered("token", generation);
      const token = this.create("generatedTokens", secretText(), {}, name).result;
      const { metadata } = this.create("tokens", secret(this.args.context, parts.exporter, { [tokenKey]: token }), {}, name);
      return { name: metadata.name, key: tokenKey };
    });
  }

  private createPodMonitor(monitoring: Settings, { part, jobs }: ScrapeTarget): void {
    const relabelings = (replacement: string) => [{ targetLabel: "job", replacement }];
    this.create(
      "podMonitors",
      {
        apiVersion: "monitoring.coreos.com/v1",
        kind: "PodMonitor",
        metadata: this.metadata(monitoring.labels, objectsName(part, this.args.context.sharedNamespace)),
        spec: {
          selector: { matchLabels: selector(part) },
          podMetricsEndpoints: Object.entries(jobs).map(([job, endpoint]) => ({ ...endpoint, relabelings: relabelings(job) })),
        },
      },
      {},
      `${part.component}-monitor`,
    );
  }

  private createRules({ discovery, labels: own, runbook }: Settings, subjects: readonly RuleSubject[]): void {
    const { namespace } = this.args.context;
    const groups = pulumi
      .output({ namespace, runbook })
      .apply((stack) => stackRules({ namespace: stack.namespace, runbook: stack.runbook, discovery, subjects }));
    const metadata = this.metadata(own, rulesName);
    if (discovery === "podMonitors") {
      this.create("rules", { apiVersion: "monitoring.coreos.com/v1", kind: "PrometheusRule", metadata, spec: { groups } });
      return;
    }
    // JSON is YAML.
    const file = groups.apply((all) => `${JSON.stringify({ groups: all }, undefined, 2)}\n`);
    this.create("rulesFile", { metadata: { ...metadata, name: `${rulesName}-rules` }, data: { "trivy.rules.yaml": file } });
  }

  private createDashboards(
    { dashboards: { labels: own = dashboardLabels, annotations } }: Settings,
    subjects: readonly RuleSubject[],
  ): void {
    for (const { name, content } of dashboards.filter(({ subject }) => subjects.includes(subject))) {
      const metadata = {
        ...this.metadata(own, `${name}-dashboard`),
        ...(Object.keys(annotations).length > 0 && { annotations: { ...annotations } }),
      };
      this.create("dashboards", { metadata, data: { [`${name}.json`]: JSON.stringify(content) } }, {}, `${name}-dashboard`);
    }
  }

  private metadata(own: Settings["labels"], name: string) {
    const { context } = this.args;
    return { namespace: context.namespace, labels: { ...own, ...labels(context, { component: "monitoring" }) }, name };
  }
}
