import type { PlanProblem, RunStart, Target } from "../protocol/api.ts";
import type { Finding, ScanResult } from "../protocol/findings.ts";
import { imageOfName } from "../protocol/platforms.ts";
import type { ScanPolicy } from "../protocol/policy.ts";
import type { ImageReport, RunReport } from "../protocol/report.ts";
import { addCounts, alphabetical, countBySeverity, type DatedFinding, findingIdentity, worstFirst } from "./findings.ts";

/** An image's last successful scan, by one of the image's names. */
export interface LastScan {
  readonly name: string;
  readonly digest?: string;
  readonly platform?: string;
  readonly os?: string;
  readonly endOfLife?: boolean;
  /** ISO 8601 */
  readonly scannedAt: string;
  readonly findings: readonly DatedFinding[];
}

/** The result of a target in a run. */
export interface TargetOutcome {
  readonly target: Target;
  readonly attempts: number;
  /** The result of the last attempt. Absent if no attempt had a result. */
  readonly result?: ScanResult;
  /** When the result was received, ISO 8601. @default the end of the run */
  readonly at?: string;
}

/** A run that has ended, with the state that it is compared with. */
export interface EndedRun {
  readonly run: string;
  readonly start: RunStart;
  /** ISO 8601 */
  readonly finishedAt: string;
  readonly ended: RunReport["ended"];
  /** Read once: what is compared need not stay in memory. */
  readonly outcomes: Iterable<TargetOutcome>;
  readonly problems: readonly PlanProblem[];
  /** Last successful scans before this run, by image name. */
  readonly before: ReadonlyMap<string, LastScan>;
}

/** Whether a finding is within the run's policy. A finding outside of it is not fixed when the run does not report it. */
const matchesPolicy =
  ({ severities, scanners, ignoreUnfixed }: ScanPolicy) =>
  (finding: Finding): boolean =>
    severities.includes(finding.severity) &&
    scanners.includes(finding.scanner) &&
    !(ignoreUnfixed && finding.scanner === "vuln" && finding.fixed === undefined);

const unscannedReasons = {
  complete: "it was not scanned",
  deadline: "it was not scanned before the run's deadline; allow the run more time or more parallelism",
  abandoned: "it was not scanned: none of the run's pods was left",
} as const;

const unplanned = "the run ended before its targets were listed";

function failureReason({ result, attempts }: TargetOutcome, ended: RunReport["ended"]): string {
  if (result?.outcome === "failed") return result.reason;
  if (attempts === 0) return unscannedReasons[ended];
  const lost = `its pod was lost during ${attempts === 1 ? "the scan" : `each of ${attempts} scans`}`;
  return ended === "complete" ? lost : `${unscannedReasons[ended]}; ${lost}`;
}

const dayOf = (time: string): string => time.slice(0, 10);

/** Returns the error because of which an image was not listed. */
function listingError(name: string, problems: readonly PlanProblem[]): string | undefined {
  const problem = problems.find(
    ({ kind, about }) => kind === "error" && (imageOfName(name) === about || name.startsWith(`${about}:`) || name.startsWith(`${about}@`)),
  );
  return problem && `it could not be listed: ${problem.message}`;
}

/**
 * Compares a run with the last successful scan of each image.
 *
 * An image that could not be scanned or listed keeps the findings of its last successful scan; none of them is fresh or gone. In a partial run, this
 * applies to all images that were not requested as well; they are not in the report.
 *
 * @returns the run's report, and the last successful scans after it
 */
export function compare({ run, start, finishedAt, ended, outcomes, problems, before }: EndedRun): {
  report: RunReport;
  after: Map<string, LastScan>;
} {
  const inPolicy = matchesPolicy(start.policy);
  const after = new Map(before);
  const images = new Map<string, ImageReport>();

  const failedImage = (name: string, error: string, attempts: number, target?: Target): ImageReport => {
    const last = before.get(name);
    const [digest, platform] = [target?.digest ?? last?.digest, target?.platform ?? last?.platform];
    const findings = (last?.findings ?? []).filter(inPolicy).sort(worstFirst);
    return {
      name,
      ...(digest && { digest }),
      ...(platform && { platform }),
      ...(last?.os && { os: last.os }),
      ...(last?.endOfLife && { endOfLife: true }),
      firstScan: last === undefined,
      counts: countBySeverity(findings),
      findings: findings.map((finding) => ({ ...finding, fresh: false })),
      gone: [],
      error,
      attempts,
      ...(last && { scannedAt: last.scannedAt }),
    };
  };

  // A plan is received as a whole: a run that ended without targets received none, and says nothing about which images are still targets.
  let planned = ended === "complete";
  for (const outcome of outcomes) {
    planned = true;
    const { target, result, attempts } = outcome;
    for (const name of target.names) {
      // Two entries of the targets may result in the same name: a successful scan takes precedence over a failed one.
      const other = images.get(name);
      if (other && (other.error === undefined || result?.outcome !== "scanned")) continue;
      if (result?.outcome !== "scanned") {
        images.set(name, failedImage(name, failureReason(outcome, ended), attempts, target));
        continue;
      }
      const last = before.get(name);
      const scannedAt = outcome.at ?? finishedAt;
      const firstSeen = new Map(last?.findings.map((finding) => [findingIdentity(finding), finding.since ?? dayOf(last.scannedAt)]));
      const dated = result.findings.map((finding) => ({ ...finding, since: firstSeen.get(findingIdentity(finding)) ?? dayOf(scannedAt) }));
      const identities = new Set(dated.map(findingIdentity));
      const image = {
        name,
        ...(target.digest && { digest: target.digest }),
        ...(target.platform && { platform: target.platform }),
        ...(result.os && { os: result.os }),
        ...(result.endOfLife && { endOfLife: true }),
      };
      images.set(name, {
        ...image,
        firstScan: last === undefined,
        counts: countBySeverity(result.findings),
        findings: dated.map((finding) => ({ ...finding, fresh: !firstSeen.has(findingIdentity(finding)) })).sort(worstFirst),
        gone: (last?.findings ?? []).filter((finding) => inPolicy(finding) && !identities.has(findingIdentity(finding))).sort(worstFirst),
        attempts,
        scannedAt,
      });
      after.set(name, { ...image, scannedAt, findings: dated });
    }
  }

  const removed: { name: string; findings: readonly Finding[] }[] = [];
  for (const [name, { findings }] of start.partial ? [] : before) {
    if (images.has(name)) continue;
    const error = listingError(name, problems) ?? (planned ? undefined : unplanned);
    if (error !== undefined) {
      images.set(name, failedImage(name, error, 0));
    } else {
      removed.push({ name, findings: [...findings].sort(worstFirst) });
      after.delete(name);
    }
  }

  const byName = (a: { name: string }, b: { name: string }) => alphabetical(a.name, b.name);
  const listed = [...images.values()].sort(byName);
  const totals = totalsOf(listed);
  const errors = totals.failed > 0 || ended !== "complete" || problems.some(({ kind }) => kind === "error");
  return {
    report: {
      run,
      startedAt: start.startedAt,
      finishedAt,
      ended,
      verdict: errors ? "errors" : listed.some(({ findings }) => findings.length > 0) ? "findings" : "clean",
      policy: {
        ...start.policy,
        partial: start.partial,
        cycloneDx: start.cycloneDx,
      },
      images: listed,
      problems: planned ? problems : [...problems, { kind: "error", about: run, message: unplanned }],
      removed: removed.sort(byName),
      totals,
    },
    after,
  };
}

function totalsOf(images: readonly ImageReport[]): RunReport["totals"] {
  const totals = { fresh: 0, gone: 0, scanned: 0, failed: 0 };
  for (const { findings, gone, error } of images) {
    totals.fresh += findings.filter(({ fresh }) => fresh).length;
    totals.gone += gone.length;
    totals[error === undefined ? "scanned" : "failed"]++;
  }
  return { counts: images.reduce((sum, { counts }) => addCounts(sum, counts), countBySeverity([])), ...totals };
}
