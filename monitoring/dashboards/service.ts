import { type DashboardBuilder, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { dashboard, own, series, stat } from "./parts.ts";

const rate = "$__rate_interval";
const slo = `${own}, sloth_service="trivy", sloth_slo="scans"`;
const servers = `${own}, proxy=~"servers.*"`;

/** The servers, their databases, the synthetic scan and the gateway. */
export const serviceDashboard = (): DashboardBuilder =>
  dashboard("Trivy", "trivy-server", "trivy_servers_expected")
    .withRow(new RowBuilder("Now"))
    .withPanel(stat("Servers that answer", [`sum(trivy_servers_ready{${own}})`, ""]))
    .withPanel(stat("Servers that should", [`sum(trivy_servers_expected{${own}})`, ""]))
    .withPanel(
      stat("Oldest database", [`time() - min(trivy_server_database_updated_timestamp_seconds{${own}})`, ""], {
        unit: "s",
        description: "Trivy publishes a build every six hours. Above 36 hours, TrivyDatabaseOld fires.",
      }),
    )
    .withPanel(stat("Failed synthetic scans in a row", [`trivy_probe_consecutive_failures{${own}}`, ""]))
    .withPanel(
      stat("Error budget left", [`slo:period_error_budget_remaining:ratio{${slo}}`, ""], {
        unit: "percentunit",
        description: "Of the 0.1 % of the scans that may fail within 30 days.",
      }),
    )
    .withPanel(stat("Next certificate expires in", [`min(trivy_certificate_expiry_timestamp_seconds{${own}}) - time()`, ""], { unit: "s" }))
    .withRow(new RowBuilder("Servers"))
    .withPanel(
      series("Servers", [
        [`trivy_servers_ready{${own}}`, "ready {{domain}}"],
        [`trivy_servers_expected{${own}}`, "expected {{domain}}"],
        [`count by (version) (trivy_server_info{${own}})`, "{{version}}"],
      ]),
    )
    .withPanel(
      series("Age of the databases", [[`time() - trivy_server_database_updated_timestamp_seconds{${own}}`, "{{server}}"]], {
        unit: "s",
        min: 0,
      }),
    )
    .withPanel(
      series("Time since a server became ready", [[`time() - trivy_server_ready_since_timestamp_seconds{${own}}`, "{{server}}"]], {
        unit: "s",
        min: 0,
        description: "As seen by the exporter. A drop is a restart.",
      }),
    )
    .withRow(new RowBuilder("Synthetic scan"))
    .withPanel(series("Duration", [[`trivy_probe_duration_seconds{${own}}`, "duration"]], { unit: "s", min: 0, width: 12 }))
    .withPanel(series("Outcomes in an hour", [[`increase(trivy_probe_runs_total{${own}}[1h])`, "{{outcome}}"]], { min: 0, width: 12 }))
    .withRow(new RowBuilder("Scans through the gateway"))
    .withPanel(
      series(
        "Successful scans",
        [[`sum by (client) (rate(trivy_gateway_client_scan_duration_seconds_count{${own}}[${rate}]))`, "{{client}}"]],
        {
          unit: "ops",
          min: 0,
        },
      ),
    )
    .withPanel(
      series(
        "Failures",
        [
          [`sum by (client) (rate(trivy_gateway_client_errors_total{${own}}[${rate}]))`, "{{client}}, scan lost"],
          [`sum by (client) (rate(trivy_gateway_client_unavailable_total{${own}}[${rate}]))`, "{{client}}, retried"],
        ],
        { unit: "ops", min: 0 },
      ),
    )
    .withPanel(
      series(
        "Duration of scans in the servers",
        [0.5, 0.95, 0.99].map(
          (quantile) =>
            [
              `histogram_quantile(${quantile}, sum by (le) (rate(trivy_gateway_client_scan_duration_seconds_bucket{${own}}[${rate}])))`,
              `${100 * quantile} %`,
            ] as const,
        ),
        { unit: "s", min: 0 },
      ),
    )
    .withPanel(
      series(
        "Failed scans",
        [
          [`slo:sli_error:ratio_rate5m{${slo}}`, "5 minutes"],
          [`slo:sli_error:ratio_rate1h{${slo}}`, "1 hour"],
          [`slo:sli_error:ratio_rate1d{${slo}}`, "1 day"],
        ],
        { unit: "percentunit", min: 0, description: "The objective is at most 0.1 %." },
      ),
    )
    .withPanel(
      series("Requests in progress", [[`sum by (client) (trivy_gateway_client_requests_running{${own}})`, "{{client}}"]], { min: 0 }),
    )
    .withPanel(
      series(
        "Time that requests queue",
        [[`sum by (client) (rate(trivy_gateway_client_queue_milliseconds_total{${own}}[${rate}])) / 1000`, "{{client}}"]],
        {
          unit: "s",
          min: 0,
          description: "Seconds of waiting in each second. High values: too few servers.",
        },
      ),
    )
    .withRow(new RowBuilder("Gateway"))
    .withPanel(series("Servers that each pod uses", [[`haproxy_backend_active_servers{${servers}}`, "{{pod}} {{proxy}}"]], { min: 0 }))
    .withPanel(
      series(
        "Retries on another server",
        [
          [`sum(rate(haproxy_backend_retry_warnings_total{${servers}}[${rate}]))`, "retries"],
          [`sum(rate(haproxy_backend_redispatch_warnings_total{${servers}}[${rate}]))`, "on another server"],
        ],
        { unit: "ops", min: 0 },
      ),
    )
    .withPanel(
      series("Connections", [[`haproxy_process_current_connections{${own}}`, "{{pod}}"]], { min: 0, description: "A pod accepts 1,000." }),
    );
