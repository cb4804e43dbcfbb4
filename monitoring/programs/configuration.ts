/** What the component writes for the programs of its pods. */

/** The exporter's configuration file. */
export interface ExporterConfiguration {
  /** Groups of servers: those of each trust domain, and the others. */
  readonly servers: readonly {
    /** Name of the trust domain, the label `domain` of the group's metrics. @default no label */
    readonly domain?: string;
    /** DNS name that resolves to the address of every server, ready or not. */
    readonly host: string;
    readonly port: number;
    /** Number of servers that should be ready. */
    readonly expected: number;
  }[];
  /** Paths of certificates, PEM, by the name of what uses them. */
  readonly certificates: Readonly<Record<string, string>>;
  /** Secrets whose previous generation is still valid. */
  readonly previousSecrets: readonly PreviousSecret[];
  /** When the registry scan should run. @default there is none */
  readonly registryScan?: Schedule;
  /** When the synthetic scan should run. @default there is none */
  readonly probe?: Schedule;
  /** When the databases should be copied to a registry, and which. @default none is copied */
  readonly copy?: Schedule & { readonly artifacts: readonly string[] };
}

export interface PreviousSecret {
  readonly kind: "token" | "password" | "authority";
  /** The client of the token, `redis`, or `all certificates`. */
  readonly name: string;
}

export interface Schedule {
  /** Cron expression with five fields, or a macro. */
  readonly schedule: string;
  readonly timeZone: string;
}

/** Ports of the exporter: `metrics` for Prometheus, `results` for the jobs that report how they ended. */
export const exporterPorts = { metrics: 8080, results: 8081 } as const;

/** What the copy of one database to a registry reports to the exporter. */
export interface CopyResult {
  readonly artifact: string;
  /** Why the build of a source was refused, if no source had a good one. */
  readonly refused?: string;
  /** Whether the registry has the newest good build. */
  readonly success: boolean;
}

/** Outcomes of a synthetic scan: the finding was there, the scan failed, or the scan succeeded without the finding. */
export const probeOutcomes = ["success", "scan-failed", "finding-missing"] as const;

/** What a synthetic scan reports to the exporter. */
export interface ProbeResult {
  readonly outcome: (typeof probeOutcomes)[number];
  /** Duration in seconds. */
  readonly seconds: number;
  /** Why it failed, for the log. */
  readonly reason?: string;
}
