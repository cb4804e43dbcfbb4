import service from "../../monitoring/dashboards/trivy.json" with { type: "json" };
import redis from "../../monitoring/dashboards/trivy-redis.json" with { type: "json" };
import registryScan from "../../monitoring/dashboards/trivy-registry-scan.json" with { type: "json" };
import type { RuleSubject } from "./rules/rule.ts";

/** A dashboard of Grafana. */
export interface Dashboard {
  /** Name of its ConfigMap, and of the file in it. */
  readonly name: string;
  /** The part that it shows. */
  readonly subject: RuleSubject;
  readonly content: object;
}

export const dashboards: readonly Dashboard[] = [
  { name: "trivy", subject: "service", content: service },
  { name: "trivy-redis", subject: "redis", content: redis },
  { name: "trivy-registry-scan", subject: "registryScan", content: registryScan },
];
