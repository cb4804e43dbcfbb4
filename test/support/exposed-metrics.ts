import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clientMetrics } from "../../components/gateway/balancer.cfg.ts";
import { recordingGroups } from "../../components/monitoring/rules/objective.ts";
import { metrics as mirrorMetrics } from "../../database-mirror/metrics.ts";
import { MirroredDatabase } from "../../database-mirror/mirrored-database.ts";
import { RegistryServer } from "../../database-mirror/registry-server.ts";
import { Copies, configuredMetrics, Probe } from "../../monitoring/programs/metrics.ts";
import { Servers } from "../../monitoring/programs/servers.ts";
import { metrics } from "../../registry-scan/server/report/metrics.ts";
import { addBuild } from "./mirror-builds.ts";
import { finding, Runs, scanned } from "./registry-reports.ts";

const recorded = (job: string) => readFileSync(join(import.meta.dirname, "../monitoring/recorded", `${job}.txt`), "utf8");

/** Returns the types of metrics by name, from their comments in Prometheus' text format. A histogram has three counters. */
export const types = (text: string): Map<string, string> =>
  new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = "", type = ""]) =>
      type === "histogram" ? ["bucket", "count", "sum"].map((part) => [`${name}_${part}`, "counter"] as const) : [[name, type] as const],
    ),
  );

async function exporterMetrics(): Promise<Map<string, string>> {
  const servers = await new Servers([{ host: "none", port: 1, expected: 0 }], async () => []).metrics(0);
  const configuration = { servers: [], certificates: {}, previousSecrets: [] };
  const copies = new Copies({ schedule: "@hourly", timeZone: "Etc/UTC", artifacts: ["java"] }, new Date());
  const others = [...new Probe().metrics(), ...copies.metrics(new Date()), ...configuredMetrics(configuration, new Date(), new Date())];
  return new Map([...servers, ...others].map(({ name, type }) => [name, type]));
}

function registryScanMetrics(): string {
  const report = new Runs().next([scanned("r/a:1", [finding()], { endOfLife: true })]);
  return metrics(
    report,
    { undelivered: { slack: 0 }, refused: { slack: 0 }, isRunning: false, pendingCopies: 0, hasVolumeError: false },
    true,
  );
}

/** Of a mirror that has been through everything that has a metric. */
async function databaseMirrorMetrics(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "mirror-metrics-"));
  try {
    const source = { artifact: "vulnerabilities", repositories: [] } as const;
    const database = new MirroredDatabase({ source, plainHttp: false, keep: 3, pin: undefined, folder, scratch: folder });
    await addBuild(database, "content", "2026-01-01T00:00:00Z");
    database.lastSuccess = Date.now();
    database.refusals.set("older", 1);
    database.upstreamRefusal = "older";
    database.upstreamRequests.set("digest/ok", 1);
    return mirrorMetrics(new RegistryServer([database]).served);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Returns the type of each metric that the service exposes, by the scrape job and the metric's name. */
export async function exposedMetrics(): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  return new Map([
    ["trivy-exporter", await exporterMetrics()],
    ["trivy-gateway", types(recorded("trivy-gateway"))],
    ["trivy-gateway-clients", types(clientMetrics(["ci"]))],
    ["trivy-redis", types(recorded("trivy-redis"))],
    ["trivy-registry-scan", types(registryScanMetrics())],
    ["trivy-mirror", types(await databaseMirrorMetrics())],
  ]);
}

/** The names of the recording rules, whose results have no scrape job. */
export const recordedNames = new Set(recordingGroups.flatMap(({ rules }) => rules.map(({ record }) => record)));
