import {
  type Counts,
  type Finding,
  type ImageReport,
  type Problem,
  type RunReport,
  type RunStart,
  type RunSummary,
  type ScanPolicy,
  type ScanResult,
  severities,
  type Target,
} from "../protocol/model.ts";

/** What is known of an image from its last good scan, by one of its names. */
export interface LastGood {
  readonly name: string;
  readonly digest?: string;
  readonly os?: string;
  readonly endOfLife?: boolean;
  /** ISO 8601 */
  readonly scannedAt: string;
  readonly findings: readonly Finding[];
}

/** What became of a target in a run. */
export interface TargetOutcome {
  readonly target: Target;
  readonly attempts: number;
  /** The last one. Absent: none ever came. */
  readonly result?: ScanResult;
  /** When the result came, ISO 8601. @default the end of the run */
  readonly at?: string;
}

/** What makes two findings of an image the same: not the version, so that a package that is raised to one that is vulnerable still brings nothing new. */
export const identity = (finding: Finding): string => `${finding.scanner}\0${finding.id}\0${finding.package}\0${finding.path ?? ""}`;

const rank = new Map(severities.map((severity, index) => [severity, index]));
const order = (a = "", b = ""): number => (a < b ? -1 : a > b ? 1 : 0);

/** The worst first, otherwise in an order that is the same in every run. */
export function worstFirst(a: Finding, b: Finding): number {
  return (
    (rank.get(b.severity) ?? 0) - (rank.get(a.severity) ?? 0) ||
    order(a.id, b.id) ||
    order(a.package, b.package) ||
    order(a.path, b.path) ||
    order(a.installed, b.installed)
  );
}

/** How many findings there are of each severity. */
export function count(findings: Iterable<Finding>): Counts {
  const counts = { UNKNOWN: 0, LOW: 0, MEDIUM: 0, HIGH: 0, CRITICAL: 0 };
  for (const { severity } of findings) counts[severity]++;
  return counts;
}

/** Whether this is the first run of all: there was nothing to compare with. */
export const firstRun = (report: Pick<RunReport, "images" | "removed" | "policy">): boolean =>
  !report.policy.partial && report.removed.length === 0 && report.images.every(({ firstScan }) => firstScan);

/** Whether findings like this one are looked for at all: what a narrower policy leaves out has not been mended. */
const within =
  ({ severities, scanners, ignoreUnfixed }: ScanPolicy) =>
  (finding: Finding): boolean =>
    severities.includes(finding.severity) &&
    scanners.includes(finding.scanner) &&
    !(ignoreUnfixed && finding.scanner === "vuln" && finding.fixed === undefined);

const why = {
  complete: "it was not scanned",
  deadline: "it was not scanned before the run's deadline: give the run more time, or more parallelism",
  abandoned: "it was not scanned: all pods of the run were gone",
} as const;

const unplanned = "the run ended before its targets were listed";

function reason({ result, attempts }: TargetOutcome, ended: RunReport["ended"]): string {
  if (result?.outcome === "failed") return result.reason;
  const lost = `its pod was lost during ${attempts === 1 ? "the scan" : `each of ${attempts} scans`}`;
  return attempts > 0 ? (ended === "complete" ? lost : `${why[ended]}; ${lost}`) : why[ended];
}

/** The error that kept an image from being listed. */
function unlisted(name: string, problems: readonly Problem[]): string | undefined {
  const problem = problems.find(
    ({ kind, about }) => kind === "error" && (name === about || name.startsWith(`${about}:`) || name.startsWith(`${about}@`)),
  );
  return problem && `it could not be listed: ${problem.message}`;
}

/**
 * A run's report, and what is known after it of the last good scan of each image.
 *
 * What could not be scanned or listed keeps what was known of it: its findings stay, none of them is fresh or gone. So do, in a partial run, all images that
 * it was not asked for, which are not in its report.
 * @param before - by the image's name
 */
export function compare(
  run: string,
  start: RunStart,
  finishedAt: string,
  ended: RunReport["ended"],
  outcomes: readonly TargetOutcome[],
  problems: readonly Problem[],
  before: ReadonlyMap<string, LastGood>,
): { report: RunReport; after: Map<string, LastGood> } {
  const looked = within(start.policy);
  const after = new Map(before);
  const images = new Map<string, ImageReport>();

  const failed = (name: string, error: string, attempts: number, digest?: string): ImageReport => {
    const known = before.get(name);
    const findings = (known?.findings ?? []).filter(looked).sort(worstFirst);
    return {
      name,
      ...((digest ?? known?.digest) && { digest: digest ?? known?.digest }),
      ...(known?.os && { os: known.os }),
      ...(known?.endOfLife && { endOfLife: true }),
      firstScan: known === undefined,
      counts: count(findings),
      findings: findings.map((finding) => ({ ...finding, fresh: false })),
      gone: [],
      error,
      attempts,
      ...(known && { scannedAt: known.scannedAt }),
    };
  };

  for (const outcome of outcomes) {
    const { target, result, attempts } = outcome;
    for (const name of target.names) {
      // Two entries of the targets may give one name: what was seen of it counts, not that it failed as well.
      const other = images.get(name);
      if (other && (other.error === undefined || result?.outcome !== "scanned")) continue;
      if (result?.outcome !== "scanned") {
        images.set(name, failed(name, reason(outcome, ended), attempts, target.digest));
        continue;
      }
      const known = before.get(name);
      const had = new Set(known?.findings.map(identity));
      const has = new Set(result.findings.map(identity));
      const scannedAt = outcome.at ?? finishedAt;
      const about = {
        name,
        ...(target.digest && { digest: target.digest }),
        ...(result.os && { os: result.os }),
        ...(result.endOfLife && { endOfLife: true }),
      };
      images.set(name, {
        ...about,
        firstScan: known === undefined,
        counts: count(result.findings),
        findings: result.findings.map((finding) => ({ ...finding, fresh: !had.has(identity(finding)) })).sort(worstFirst),
        gone: (known?.findings ?? []).filter((finding) => looked(finding) && !has.has(identity(finding))).sort(worstFirst),
        attempts,
        scannedAt,
      });
      after.set(name, { ...about, scannedAt, findings: result.findings });
    }
  }

  // The plan comes as a whole: a run that ended without any target never had it, and says nothing about what is still wanted.
  const planned = outcomes.length > 0 || ended === "complete";
  const removed: { name: string; findings: readonly Finding[] }[] = [];
  for (const [name, { findings }] of start.partial ? [] : before) {
    if (images.has(name)) continue;
    const error = unlisted(name, problems) ?? (planned ? undefined : unplanned);
    if (error !== undefined) {
      images.set(name, failed(name, error, 0));
    } else {
      removed.push({ name, findings: [...findings].sort(worstFirst) });
      after.delete(name);
    }
  }

  const byName = (a: { name: string }, b: { name: string }) => order(a.name, b.name);
  const listed = [...images.values()].sort(byName);
  const totals = { counts: count([]), fresh: 0, gone: 0, scanned: 0, failed: 0 };
  const counts: Record<keyof Counts, number> = { ...totals.counts };
  for (const image of listed) {
    for (const severity of severities) counts[severity] += image.counts[severity];
    totals.fresh += image.findings.filter(({ fresh }) => fresh).length;
    totals.gone += image.gone.length;
    totals[image.error === undefined ? "scanned" : "failed"]++;
  }
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
      totals: { ...totals, counts },
    },
    after,
  };
}

/** The report's line in the trend. */
export function summarised({ run, startedAt, finishedAt, verdict, ended, totals }: RunReport): RunSummary {
  const { counts, fresh, gone, scanned, failed } = totals;
  return { run, startedAt, finishedAt, verdict, ended, counts, fresh, gone, scanned, failed };
}

/** `1 image`, `2 images` */
export const number = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;

/** The run's verdict in sentences. */
export function sentence(report: RunReport): string {
  const { totals, verdict, problems, policy } = report;
  const errors = problems.filter(({ kind }) => kind === "error").length;
  const findings = severities.reduce((sum, severity) => sum + totals.counts[severity], 0);
  const said: string[] = [];
  if (report.ended === "deadline") said.push("The run reached its deadline.");
  if (report.ended === "abandoned") said.push("The run was given up: all its pods were gone.");
  if (totals.failed > 0) said.push(`${totals.failed} of ${number(totals.failed + totals.scanned, "image")} could not be scanned.`);
  if (errors > 0) said.push(`${number(errors, "error")} while the targets were listed.`);
  if (totals.scanned + totals.failed === 0) said.push(verdict === "errors" ? "Nothing was scanned." : "There was nothing to scan.");
  else if (findings === 0) said.push(`No findings in ${number(totals.scanned, "scanned image")}.`);
  else if (firstRun(report)) said.push(`${number(findings, "finding")}. It is the first run: there is nothing to compare with.`);
  else
    said.push(
      `${number(findings, "finding")}: ${totals.fresh.toLocaleString("en-US")} new, ${totals.gone.toLocaleString("en-US")} gone since the last good scans.`,
    );
  if (policy.partial) said.push("Only some images were asked for.");
  return said.join(" ");
}

const shown = 20;

/** A few lines for the log: the verdict, the numbers, and what could not be scanned. */
export function summary(report: RunReport): string {
  const { counts } = report.totals;
  const wrong = [
    ...report.problems.map(({ kind, about, message }) => `${kind}: ${about}: ${message}`),
    ...report.images.flatMap(({ name, error }) => (error === undefined ? [] : [`error: ${name}: ${error}`])),
  ].map((line) => line.replace(/\s+/g, " "));
  const fresh = report.images.filter(({ findings }) => findings.some((finding) => finding.fresh));
  return [
    `run ${report.run}: ${report.verdict}. ${sentence(report)}`,
    severities
      .toReversed()
      .filter((severity) => report.policy.severities.includes(severity) || counts[severity] > 0)
      .map((severity) => `${severity} ${counts[severity]}`)
      .join(", "),
    ...(firstRun(report)
      ? []
      : fresh
          .slice(0, shown)
          .map(({ name, findings }) => `new: ${name}: ${number(findings.filter((finding) => finding.fresh).length, "finding")}`)),
    ...(!firstRun(report) && fresh.length > shown ? [`and ${fresh.length - shown} more images with new findings`] : []),
    ...wrong.slice(0, shown),
    ...(wrong.length > shown ? [`and ${wrong.length - shown} more`] : []),
  ].join("\n");
}
