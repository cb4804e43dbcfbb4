import { type DashboardBuilder, RowBuilder } from "@grafana/grafana-foundation-sdk/dashboard";
import { dashboard, own, series, stat, table } from "./parts.ts";

const scan = (name: string, matchers = "") => `trivy_registry_scan_${name}{${own}${matchers}}`;

/** The registry scan: its runs, the findings, and messages about them. */
export const registryScanDashboard = (): DashboardBuilder =>
  dashboard("Trivy / Registry scan", "trivy-server-registry-scan", "trivy_registry_scan_running")
    .withRow(new RowBuilder("Last run"))
    .withPanel(
      stat("Ended", [`time() - ${scan("end_timestamp_seconds")}`, ""], { unit: "s", description: "Time since the end of the last run." }),
    )
    .withPanel(stat("Duration", [`${scan("end_timestamp_seconds")} - ${scan("start_timestamp_seconds")}`, ""], { unit: "s" }))
    .withPanel(stat("Images that failed", [scan("images", ', outcome="failed"'), ""]))
    .withPanel(stat("New findings", [scan("new_findings"), ""]))
    .withPanel(stat("Fixed findings", [scan("gone_findings"), ""]))
    .withPanel(stat("Messages not delivered", [`sum(${scan("undelivered_alerts")})`, ""]))
    .withRow(new RowBuilder("Findings"))
    .withPanel(series("Findings", [[`sum by (severity) (${scan("findings")})`, "{{severity}}"]], { min: 0, width: 12 }))
    .withPanel(
      series(
        "Images",
        [
          [scan("images"), "{{outcome}}"],
          [`sum(${scan("images_end_of_life")})`, "without support"],
        ],
        { min: 0, width: 12, description: "Without support: the image's distribution publishes no more fixes." },
      ),
    )
    .withPanel(table("Repositories with the most critical findings", `topk(20, ${scan("findings", ', severity="CRITICAL"')}) > 0`))
    .withPanel(
      table(
        "Repositories with images whose last scan failed",
        `(time() - ${scan("oldest_success_timestamp_seconds")}) and on (repository) ${scan("images_failed")} > 0`,
        {
          description: "The value is the time since the oldest last success, in seconds.",
        },
      ),
    )
    .withRow(new RowBuilder("Server"))
    .withPanel(series("A run is in progress", [[scan("running"), "running"]], { min: 0, max: 1 }))
    .withPanel(series("Messages not delivered", [[scan("undelivered_alerts"), "{{receiver}}"]], { min: 0 }))
    .withPanel(
      series(
        "Trouble",
        [
          [scan("volume_trouble"), "volume refuses writes"],
          [scan("runs_not_copied"), "runs not in the bucket"],
          [scan("problems"), "{{kind}} while listing targets"],
        ],
        { min: 0 },
      ),
    );
