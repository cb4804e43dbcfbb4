import { alertGroups } from "./alerts.ts";
import { recordingGroups } from "./objective.ts";
import type { Alert, RecordingRule, RuleSubject } from "./rule.ts";

/** The page of the documentation with an entry for each alert. */
const runbookPage = "docs/guides/alerts.md";

/**
 * The scrape jobs, and the names of their pods. With annotations, one job of the Prometheus scrapes all pods, so the rules select the pods
 * instead.
 */
export const scrapeJobs: Readonly<Record<string, string>> = {
  "trivy-exporter": "trivy-exporter-.+",
  "trivy-gateway": "trivy-gateway-.+",
  "trivy-gateway-clients": "trivy-gateway-.+",
  "trivy-redis": "(trivy-)?redis-exporter-.+",
  "trivy-registry-scan": "trivy-reports-.+",
  "trivy-mirror": "trivy-database-.+",
};

/** A rule in the format of Prometheus. */
export interface PrometheusRule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface PrometheusGroup {
  readonly name: string;
  readonly rules: readonly PrometheusRule[];
}

/** Returns the alerts for every stack that Prometheus watches. */
export const allAlerts = (): PrometheusGroup[] =>
  alertGroups.map(({ name, rules }) => ({ name, rules: rules.map((rule) => alertRule(rule, undefined)) }));

/** Returns the recording rules for every stack that Prometheus watches. */
export const allRecordings = (): PrometheusGroup[] =>
  recordingGroups.map(({ name, rules }) => ({ name, rules: rules.map((rule) => ({ ...rule })) }));

export interface StackRules {
  readonly namespace: string;
  readonly discovery: "podMonitors" | "annotations";
  /** The parts that the stack has. */
  readonly subjects: readonly RuleSubject[];
  /** URL of the page with an entry for each alert. @default the page's path in this project */
  readonly runbook: string | undefined;
}

/** Returns the rules of one stack: those of its parts, narrowed to its namespace. */
export function stackRules({ namespace, discovery, subjects, runbook }: StackRules): PrometheusGroup[] {
  const isIncluded = ({ subject }: { readonly subject: RuleSubject }) => subjects.includes(subject);
  const own = (expr: string) => narrowed(expr, namespace, discovery);
  return [
    ...recordingGroups.filter(isIncluded).map(({ name, rules }) => ({
      name,
      rules: rules.map((rule: RecordingRule) => ({ ...rule, expr: own(rule.expr), labels: { ...rule.labels, namespace } })),
    })),
    ...alertGroups.filter(isIncluded).map(({ name, rules }) => ({
      name,
      rules: rules.map((rule) => alertRule({ ...rule, expr: own(withAbsence(rule)) }, runbook)),
    })),
  ];
}

/** Whether a part should be there is known of one stack only. */
const withAbsence = ({ expr, absent }: Alert) => (absent === undefined ? expr : `${expr} or absent(${absent})`);

/** Returns an expression whose selectors select only the metrics of one stack. In PromQL, only selectors have braces. */
function narrowed(expr: string, namespace: string, discovery: StackRules["discovery"]): string {
  const inNamespace = expr.replaceAll("{", `{namespace="${namespace}", `);
  if (discovery === "podMonitors") return inNamespace;
  return inNamespace.replaceAll(/job="([^"]+)"/g, (_, job: string) => `pod=~"${scrapeJobs[job]}"`);
}

function alertRule({ alert, expr, for: duration, severity, labels, summary, description }: Alert, runbook: string | undefined) {
  const anchor = alert.toLowerCase();
  return {
    alert,
    expr,
    ...(duration !== undefined && { for: duration }),
    labels: { severity, ...labels },
    annotations: {
      summary,
      description,
      ...(runbook === undefined ? { runbook: `${runbookPage}#${anchor}` } : { runbook_url: `${runbook}#${anchor}` }),
    },
  };
}
