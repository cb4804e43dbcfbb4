import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Cron } from "croner";
import { type CopyResult, type ExporterConfiguration, type ProbeResult, probeOutcomes, type Schedule } from "./configuration.ts";
import type { Metric, Sample } from "./text-format.ts";

/** What the exporter knows of synthetic scans since it started. */
export class Probe {
  readonly #runs = new Map(probeOutcomes.map((outcome) => [outcome, 0]));
  #last: (ProbeResult & { readonly time: number }) | undefined;
  #lastSuccess: number | undefined;
  #failures = 0;

  /** `time` is in seconds since 1970. */
  add(result: ProbeResult, time: number): void {
    this.#runs.set(result.outcome, (this.#runs.get(result.outcome) ?? 0) + 1);
    this.#last = { ...result, time };
    if (result.outcome === "success") this.#lastSuccess = time;
    this.#failures = result.outcome === "success" ? 0 : this.#failures + 1;
  }

  metrics(): Metric[] {
    const last = this.#last;
    return [
      {
        name: "trivy_probe_runs_total",
        type: "counter",
        help: "Number of synthetic scans by outcome.",
        samples: [...this.#runs].map(([outcome, runs]) => [{ outcome }, runs]),
      },
      gauge("trivy_probe_consecutive_failures", "Number of synthetic scans that failed since the last success.", this.#failures),
      gauge("trivy_probe_success", "Whether the last synthetic scan succeeded: 1 or 0.", last && (last.outcome === "success" ? 1 : 0)),
      gauge("trivy_probe_duration_seconds", "Duration of the last synthetic scan.", last?.seconds),
      gauge("trivy_probe_timestamp_seconds", "Time of the last synthetic scan.", last?.time),
      gauge("trivy_probe_last_success_timestamp_seconds", "Time of the last successful synthetic scan.", this.#lastSuccess),
    ];
  }
}

/** What the exporter knows of the copies of the databases to a registry since it started. */
export class Copies {
  readonly #plan: ExporterConfiguration["copy"];
  readonly #startedAt: Date;
  readonly #refused = new Map<string, string | undefined>();
  readonly #lastSuccess = new Map<string, number>();

  constructor(plan: ExporterConfiguration["copy"], startedAt: Date) {
    this.#plan = plan;
    this.#startedAt = startedAt;
    for (const artifact of plan?.artifacts ?? []) this.#lastSuccess.set(artifact, startedAt.getTime() / 1000);
  }

  /** Returns whether the database is one of those that are copied. `time` is in seconds since 1970. */
  add({ artifact, refused, success }: CopyResult, time: number): boolean {
    if (!this.#lastSuccess.has(artifact)) return false;
    this.#refused.set(artifact, refused);
    if (success) this.#lastSuccess.set(artifact, time);
    return true;
  }

  metrics(now: Date): Metric[] {
    if (!this.#plan) return [];
    return [
      {
        name: "trivy_database_copy_last_success_timestamp_seconds",
        type: "gauge",
        help: "Time when the registry last had the newest good build, or when the exporter started.",
        samples: [...this.#lastSuccess].map(([artifact, time]) => [{ artifact }, time]),
      },
      {
        name: "trivy_database_copy_refused",
        type: "gauge",
        help: "Builds that the last copy refused, by the reason: 1.",
        samples: [...this.#refused].flatMap(([artifact, reason]): Sample[] => (reason === undefined ? [] : [[{ artifact, reason }, 1]])),
      },
      gauge(
        "trivy_database_copy_scheduled_timestamp_seconds",
        "Time when the databases should have been copied last, since the start of the exporter.",
        lastScheduled(this.#plan, this.#startedAt, now),
      ),
    ];
  }
}

/** Returns the metrics that follow from the configuration and the time. */
export function configuredMetrics(
  { certificates, previousSecrets, registryScan, probe }: ExporterConfiguration,
  startedAt: Date,
  now: Date,
): Metric[] {
  const expiries = Object.entries(certificates).flatMap(([certificate, path]): Sample[] => {
    const time = expiryOf(path);
    return time === undefined ? [] : [[{ certificate }, time]];
  });
  return [
    {
      name: "trivy_certificate_expiry_timestamp_seconds",
      type: "gauge",
      help: "Time when the certificate expires.",
      samples: expiries,
    },
    {
      name: "trivy_previous_secret_valid",
      type: "gauge",
      help: "Secrets whose previous generation is still valid: 1.",
      samples: previousSecrets.map(({ kind, name }) => [{ kind, name }, 1]),
    },
    gauge(
      "trivy_registry_scan_scheduled_timestamp_seconds",
      "Time when the registry scan should have started last, since the start of the exporter.",
      registryScan && lastScheduled(registryScan, startedAt, now),
    ),
    gauge("trivy_probe_interval_seconds", "Time between two scheduled synthetic scans.", probe && interval(probe, now)),
  ];
}

const gauge = (name: string, help: string, value: number | undefined): Metric => ({
  name,
  type: "gauge",
  help,
  samples: value === undefined ? [] : [[{}, value]],
});

/** Returns when the first certificate of a file expires; `undefined` if there is none, as before cert-manager has issued it. */
function expiryOf(path: string): number | undefined {
  try {
    return Date.parse(new X509Certificate(readFileSync(path)).validTo) / 1000;
  } catch (error) {
    console.error(`the certificate ${path} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}

/** Returns the last scheduled time between the two, in seconds since 1970. */
function lastScheduled({ schedule, timeZone }: Schedule, startedAt: Date, now: Date): number | undefined {
  const [time] = new Cron(schedule, { timezone: timeZone, paused: true }).previousRuns(1, now);
  return time && time > startedAt ? time.getTime() / 1000 : undefined;
}

function interval({ schedule, timeZone }: Schedule, now: Date): number | undefined {
  const [first, second] = new Cron(schedule, { timezone: timeZone, paused: true }).nextRuns(2, now);
  return first && second && (second.getTime() - first.getTime()) / 1000;
}
