import { type Part, parts } from "../shared/parts.ts";
import type { RuleSubject } from "./rules/rule.ts";

/** Pods with metrics. */
export interface ScrapeTarget {
  readonly part: Pick<Part, "component" | "objectName">;
  /** Name of the container's port. */
  readonly port: string;
  /** The paths of the metrics, by the scrape job in which the rules expect them. */
  readonly jobs: Readonly<Record<string, string>>;
  /** The rules about these pods; there are no such pods in a stack without it. */
  readonly subject: RuleSubject;
}

export const scrapeTargets: readonly ScrapeTarget[] = [
  { part: parts.exporter, port: "metrics", jobs: { "trivy-exporter": "/metrics" }, subject: "service" },
  {
    part: parts.gateway,
    port: "admin",
    jobs: { "trivy-gateway": "/metrics", "trivy-gateway-clients": "/metrics/clients" },
    subject: "gateway",
  },
  { part: parts.redisExporter, port: "metrics", jobs: { "trivy-redis": "/metrics" }, subject: "redis" },
  { part: parts.reports, port: "http", jobs: { "trivy-registry-scan": "/metrics" }, subject: "registryScan" },
];
