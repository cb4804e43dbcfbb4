/**
 * The service level objective: 99.9 % of the scans succeed within 30 days. Recording rules and alerts are those that sloth
 * (github.com/slok/sloth) generates, so its dashboards can show them. There are two differences. The rules are grouped by namespace, because
 * one Prometheus may watch several stacks. And the alerts require five failed scans, so that a few failures in an idle service alert no one.
 */
import type { Alert, AlertGroup, RecordingGroup, RecordingRule } from "./rule.ts";

const objective = 0.999;
const days = 30;

/** Labels by which sloth's dashboards find the objective. */
const identity = { sloth_id: "trivy-scans", sloth_service: "trivy", sloth_slo: "scans" } as const;
const selector = Object.entries(identity)
  .map(([label, value]) => `${label}="${value}"`)
  .join(", ");

const metric = (name: string) => `trivy_gateway_client_${name}{job="trivy-gateway-clients"}`;

/**
 * Returns the scans that failed in a window, as a rate or an increase. An answer with status 500 ends a scan. A client retries after other
 * answers of this kind ten times, so each of them counts as a tenth of a failed scan.
 */
const failed = (by: "rate" | "increase", window: string) =>
  `sum by (namespace) (${by}(${metric("errors_total")}[${window}]) + ${by}(${metric("unavailable_total")}[${window}]) / 10)`;

const succeeded = (window: string) => `sum by (namespace) (rate(${metric("scan_duration_seconds_count")}[${window}]))`;

/** Returns the share of failed scans in a window; nothing while there are no scans. */
const errorRatio = (window: string) => `${failed("rate", window)}\n/\n((${succeeded(window)} + ${failed("rate", window)}) > 0)`;

const windows = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"] as const;
type Window = (typeof windows)[number];

const ratioOf = (window: Window | `${typeof days}d`) => `slo:sli_error:ratio_rate${window}`;

const windowRules: readonly RecordingRule[] = windows.map((window) => ({
  record: ratioOf(window),
  expr: errorRatio(window),
  labels: { ...identity, sloth_window: window },
}));

const period: RecordingRule = {
  record: ratioOf(`${days}d`),
  expr: `sum_over_time(slo:sli_error:ratio_rate5m{${selector}}[${days}d])\n/ ignoring (sloth_window)\ncount_over_time(slo:sli_error:ratio_rate5m{${selector}}[${days}d])`,
  labels: { ...identity, sloth_window: `${days}d` },
};

const metadata: readonly RecordingRule[] = [
  { record: "slo:objective:ratio", expr: `vector(${objective})`, labels: identity },
  { record: "slo:error_budget:ratio", expr: `vector(1 - ${objective})`, labels: identity },
  { record: "slo:time_period:days", expr: `vector(${days})`, labels: identity },
  {
    record: "slo:current_burn_rate:ratio",
    expr: `slo:sli_error:ratio_rate5m{${selector}} / ${budget()}`,
    labels: identity,
  },
  { record: "slo:period_burn_rate:ratio", expr: `slo:sli_error:ratio_rate${days}d{${selector}} / ${budget()}`, labels: identity },
  {
    record: "slo:period_error_budget_remaining:ratio",
    expr: `1 - slo:period_burn_rate:ratio{${selector}}`,
    labels: identity,
  },
];

function budget(): string {
  return `(1 - ${objective})`;
}

/** Returns the condition that both windows burn the budget of the period faster than by a factor. */
const burns = (factor: number, short: Window, long: Window) =>
  [short, long].map((window) => `${ratioOf(window)}{${selector}} > (${factor} * ${budget()})`).join(" and ignoring (sloth_window) ");

/** Returns the condition that at least five scans failed in a window. */
const several = (window: Window) => `(${failed("increase", window)} > 4)`;

const burnAlert = (pairs: readonly (readonly [factor: number, short: Window, long: Window])[]) =>
  pairs.map(([factor, short, long]) => `((${burns(factor, short, long)}) and on (namespace) ${several(long)})`).join("\nor\n");

export const recordingGroups: readonly RecordingGroup[] = [
  { name: "sloth-slo-sli-recordings-trivy-scans", subject: "gateway", rules: [...windowRules, period] },
  { name: "sloth-slo-meta-recordings-trivy-scans", subject: "gateway", rules: metadata },
];

const alerts: readonly Alert[] = [
  {
    alert: "TrivyScansFail",
    // The factors spend 2 % of the budget of 30 days in an hour, and 5 % in six hours.
    expr: `max by (namespace) (\n${burnAlert([
      [14.4, "5m", "1h"],
      [6, "30m", "6h"],
    ])}\n)`,
    severity: "critical",
    labels: identity,
    summary: "Many scans fail",
    description:
      "{{ $value | humanizePercentage }} of the scans in {{ $labels.namespace }} failed during the last minutes, and the budget of 0.1 % failed scans in 30 days is being spent quickly. The gateway's log has a `reason` for each failed request.",
  },
  {
    alert: "TrivyScansFailSlowly",
    // 10 % of the budget in a day, and in three days.
    expr: `max by (namespace) (\n${burnAlert([
      [3, "2h", "1d"],
      [1, "6h", "3d"],
    ])}\n)`,
    severity: "warning",
    labels: identity,
    summary: "Some scans fail all the time",
    description:
      "{{ $value | humanizePercentage }} of the scans in {{ $labels.namespace }} failed during the last hours. At this rate more than 0.1 % of the scans fail in 30 days. The gateway's log has a `reason` for each failed request.",
  },
];

export const objectiveAlerts: AlertGroup = { name: "sloth-slo-alerts-trivy-scans", subject: "gateway", rules: alerts };
