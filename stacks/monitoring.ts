import type { z } from "zod";
import { probeClient } from "../components/shared/parts.ts";
import { generation, generationRules, retire } from "./common.ts";
import type { Gateway } from "./gateway.ts";
import * as v from "./kinds/index.ts";
import type { RuleProblem } from "./rule.ts";

const dashboards = v
  .block("DashboardsArgs", {
    enabled: v.plain(v.flag()).default(true).describe("Creates a ConfigMap for each dashboard, which Grafana's sidecar loads."),
    labels: v.tableOf(v.labelKey(), v.labelValue()).optional().meta({
      description: "Labels of the dashboards' ConfigMaps, by which Grafana's sidecar finds them.",
      otherwise: '`grafana_dashboard: "1"`',
    }),
    annotations: v
      .tableOf(v.labelKey())
      .default({})
      .describe("Annotations of the dashboards' ConfigMaps, such as the one that names Grafana's folder."),
  })
  .describe("Dashboards for Grafana.")
  .prefault({});

const probe = v
  .block("ProbeArgs", {
    enabled: v.plain(v.flag()).default(true).describe("Scans a known package through the service on a schedule, as a client would."),
    schedule: v
      .schedule()
      .default("*/5 * * * *")
      .describe("When to scan: minute, hour, day of the month, month, day of the week; or a macro such as @hourly."),
    generation: generation("token"),
    retire: retire("token"),
  })
  .describe("A synthetic scan, the only check of the whole path: Service, token, gateway, server, cache and database.")
  .prefault({});

export const monitoring = v
  .block("MonitoringArgs", {
    enabled: v
      .plain(v.flag())
      .default(false)
      .describe(
        "Creates an exporter of the servers' metrics, a synthetic scan, alerting rules and dashboards, and lets Prometheus find all metrics.",
      ),
    namespaces: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe("Prometheus' namespaces, whose pods may read the metrics of every part; `*` means every namespace."),
    discovery: v
      .plain(v.choice(["podMonitors", "annotations"]))
      .default("podMonitors")
      .describe(
        "How Prometheus finds the pods and the rules: by PodMonitors and a PrometheusRule of the Prometheus operator, or by the annotations `prometheus.io/scrape`, `port` and `path` of pods and a ConfigMap with the rules.",
      ),
    labels: v
      .tableOf(v.labelKey(), v.labelValue())
      .default({})
      .describe(
        "Labels of the PodMonitors and of the rules, by which your Prometheus selects them, such as `release: kube-prometheus-stack`.",
      ),
    runbook: v.webUrl().optional().meta({
      description: "URL of docs/guides/alerts.md in your copy of this project, for the annotation `runbook_url` of the alerts.",
      otherwise: "the annotation `runbook` with the path of that page",
    }),
    dashboards,
    probe,
  })
  .describe("Metrics, alerts and dashboards for Prometheus and Grafana.")
  .prefault({});

export function* monitoringRules(settings: z.output<typeof monitoring>, gateway: Gateway): Generator<RuleProblem> {
  const { enabled, namespaces, dashboards: boards, probe: scan } = settings;
  if (!enabled) return;
  if (namespaces.length === 0)
    yield { path: "monitoring.namespaces", message: "is missing or empty; use the namespace of Prometheus, or it could read no metrics" };
  if (boards.enabled && boards.labels !== undefined && Object.keys(boards.labels).length === 0)
    yield {
      path: "monitoring.dashboards.labels",
      message: "is empty, so Grafana's sidecar could not find the dashboards; use the label that it selects, or set enabled: false",
    };
  yield* generationRules("monitoring.probe", scan);
  const own = gateway.enabled ? gateway.clients.findIndex(({ name }) => name === probeClient) : -1;
  if (own >= 0 && scan.enabled)
    yield { path: `gateway.clients[${own}].name`, message: `is ${probeClient}, the name that the synthetic scan itself uses; use another` };
}
