import type { DashboardBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { redisDashboard } from "./redis.ts";
import { registryScanDashboard } from "./registry-scan.ts";
import { serviceDashboard } from "./service.ts";

/** Every dashboard, by the name of its JSON file. */
export const dashboards: Readonly<Record<string, () => DashboardBuilder>> = {
  trivy: serviceDashboard,
  "trivy-redis": redisDashboard,
  "trivy-registry-scan": registryScanDashboard,
};
