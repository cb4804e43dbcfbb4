import type { Mistakes } from "./mistake.ts";

const enabled = { enabled: true, namespaces: ["monitoring"] };

export const monitoring: Mistakes = {
  inSchema: [
    [
      "labels without monitoring",
      { monitoring: { labels: { release: "prometheus" } } },
      "monitoring.labels",
      /has no effect because monitoring\.enabled is false; remove it or set monitoring\.enabled: true/,
    ],
    [
      "another way of discovery",
      { monitoring: { ...enabled, discovery: "serviceMonitors" } },
      "monitoring.discovery",
      /is "serviceMonitors"; use one of podMonitors, annotations/,
    ],
    [
      "a label with a number",
      { monitoring: { ...enabled, labels: { release: 1 } } },
      "monitoring.labels.release",
      /is 1; use at most 63 letters/,
    ],
    ["a runbook that is no URL", { monitoring: { ...enabled, runbook: "docs/alerts.md" } }, "monitoring.runbook", /use a URL/],
    [
      "a schedule with seconds",
      { monitoring: { ...enabled, probe: { schedule: "0 */5 * * * *" } } },
      "monitoring.probe.schedule",
      /has five fields, not 6/,
    ],
    [
      "a namespace with a capital",
      { monitoring: { ...enabled, namespaces: ["Monitoring"] } },
      "monitoring.namespaces[0]",
      /use a DNS label/,
    ],
  ],
  beyondSchema: [
    [
      "no namespace of Prometheus",
      { monitoring: { enabled: true } },
      "monitoring.namespaces",
      /is missing or empty; use the namespace of Prometheus/,
    ],
    [
      "dashboards without a label",
      { monitoring: { ...enabled, dashboards: { labels: {} } } },
      "monitoring.dashboards.labels",
      /is empty, so Grafana's sidecar could not find the dashboards; use the label that it selects/,
    ],
    [
      "retiring the current token of the synthetic scan",
      { monitoring: { ...enabled, probe: { retire: 1 } } },
      "monitoring.probe.retire",
      /generation 1 is the current one; remove it/,
    ],
    [
      "a client with the name of the synthetic scan",
      { gateway: { enabled: true, clients: [{ name: "probe" }] }, monitoring: enabled },
      "gateway.clients[0].name",
      /is probe, the name that the synthetic scan itself uses; use another/,
    ],
  ],
};
