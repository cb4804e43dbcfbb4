import type { PlanProblem, RunStart } from "./api.ts";
import type { Finding } from "./findings.ts";
import type { ScanPolicy, Severity } from "./policy.ts";
import type { Verdict } from "./verdict.ts";

/** Numbers of findings by severity. */
export type Counts = Readonly<Record<Severity, number>>;

/** A run's result for one image, by one of its names. */
export interface ImageReport {
  readonly name: string;
  readonly digest?: string;
  /** The platform, such as `linux/arm64`, if the image was chosen by it. */
  readonly platform?: string;
  readonly os?: string;
  readonly endOfLife?: boolean;
  /** The image had no successful scan before, which is why all its findings are fresh. */
  readonly firstScan: boolean;
  readonly counts: Counts;
  /** The most severe first; `fresh` findings were not in the last successful scan. `since` is the day on which a finding was first seen. */
  readonly findings: readonly (Finding & { readonly fresh: boolean; readonly since?: string })[];
  /** Findings of the last successful scan that are not in this one. */
  readonly gone: readonly Finding[];
  /** Why the image could not be scanned; the findings are those of the last successful scan then. */
  readonly error?: string;
  readonly attempts: number;
  /** Time of the last successful scan, ISO 8601. */
  readonly scannedAt?: string;
}

/** A run's report: the source of the pages, the JSON and SARIF files, the metrics and the alerts. */
export interface RunReport {
  readonly run: string;
  /** ISO 8601 */
  readonly startedAt: string;
  /** ISO 8601 */
  readonly finishedAt: string;
  /** After `deadline` and `abandoned` (no pod is left) images may be unscanned: each has an error. */
  readonly ended: "complete" | "deadline" | "abandoned";
  readonly verdict: Verdict;
  readonly policy: ScanPolicy & Pick<RunStart, "partial" | "cycloneDx">;
  /** Sorted by name. */
  readonly images: readonly ImageReport[];
  readonly problems: readonly PlanProblem[];
  /** Findings of images that are no longer among the targets. */
  readonly removed: readonly { readonly name: string; readonly findings: readonly Finding[] }[];
  readonly totals: {
    readonly counts: Counts;
    readonly fresh: number;
    readonly gone: number;
    readonly scanned: number;
    readonly failed: number;
  };
}

/** A kept run's line in the trend. */
export type RunSummary = Pick<RunReport, "run" | "startedAt" | "finishedAt" | "verdict" | "ended"> &
  Pick<RunReport["totals"], "counts" | "fresh" | "gone" | "scanned" | "failed">;
