import type { PlanProblem, RunStart } from "../../registry-scan/protocol/api.ts";
import type { Finding, ScanResult } from "../../registry-scan/protocol/findings.ts";
import type { RunReport } from "../../registry-scan/protocol/report.ts";
import { compare, type LastScan, type TargetOutcome } from "../../registry-scan/server/compare.ts";

/** A vulnerability of a package. */
export const finding = (given: Partial<Finding> = {}): Finding => ({
  id: "CVE-2021-36159",
  scanner: "vuln",
  severity: "CRITICAL",
  package: "apk-tools",
  installed: "2.10.6-r0",
  fixed: "2.10.7-r0",
  title: "libfetch: an out of boundary read",
  url: "https://avd.example/CVE-2021-36159",
  ...given,
});

/** The start of a run with every severity and scanner. */
export const start = (given: Partial<RunStart> = {}): RunStart => ({
  startedAt: "2026-01-02T03:00:00.000Z",
  deadline: 3600,
  timeout: 300,
  policy: {
    severities: ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"],
    ignoreUnfixed: false,
    scanners: ["vuln", "secret", "misconfig", "license"],
  },
  partial: false,
  cycloneDx: false,
  ...given,
});

/** The outcome of a target that was scanned, by its name. */
export const scanned = (name: string, findings: readonly Finding[], given: Partial<Extract<ScanResult, { outcome: "scanned" }>> = {}) =>
  outcome(name, { outcome: "scanned", findings, os: "alpine 3.10.9", seconds: 1, ...given });

/** The outcome of a target that could not be scanned, by its name. */
export const failed = (name: string, reason = "MANIFEST_UNKNOWN") => outcome(name, { outcome: "failed", reason, seconds: 1 });

function outcome(name: string, result: ScanResult): TargetOutcome {
  return { target: { id: name, reference: name, names: [name] }, attempts: 1, result };
}

/** Runs one after another, each compared with the ones before. */
export class Runs {
  lastScans: ReadonlyMap<string, LastScan> = new Map();
  #count = 0;

  next(outcomes: readonly TargetOutcome[], given: Partial<RunStart> = {}, problems: readonly PlanProblem[] = []): RunReport {
    const number = ++this.#count;
    const finishedAt = `2026-01-${String(number + 1).padStart(2, "0")}T04:00:00.000Z`;
    const { report, after } = compare({
      run: `registry-scan-${number}`,
      start: start(given),
      finishedAt,
      ended: "complete",
      outcomes,
      problems,
      before: this.lastScans,
    });
    this.lastScans = after;
    return report;
  }
}
