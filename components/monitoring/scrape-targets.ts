import { type Part, parts } from "../shared/parts.ts";
import type { RuleSubject } from "./rules/rule.ts";

/** Pods with metrics, and the names of their containers' ports. */
export interface ScrapeTarget {
  readonly part: Pick<Part, "component" | "objectName">;
  /** Where the metrics are, by the scrape job in which the rules expect them. */
  readonly jobs: Readonly<Record<string, { readonly port: string; readonly path: string }>>;
  /** The rules about these pods; there are no such pods in a stack without it. */
  readonly subject: RuleSubject;
}

const path = "/metrics";

export const scrapeTargets: readonly ScrapeTarget[] = [
  { part: parts.exporter, jobs: { "trivy-exporter": { port: "metrics", path } }, subject: "service" },
  {
    part: parts.gateway,
    jobs: {
      "trivy-gateway": { port: "admin", path },
      "trivy-gateway-clients": { port: "admin", path: "/metrics/clients" },
      "trivy-gateway-edge": { port: "edge-admin", path },
    },
    subject: "gateway",
  },
  { part: parts.redisExporter, jobs: { "trivy-redis": { port: "metrics", path } }, subject: "redis" },
  { part: parts.reports, jobs: { "trivy-registry-scan": { port: "metrics", path } }, subject: "registryScan" },
  { part: parts.database, jobs: { "trivy-mirror": { port: "metrics", path } }, subject: "mirror" },
];
