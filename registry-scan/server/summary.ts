/** A run's report in a few words. */
import { severities } from "../protocol/policy.ts";
import type { RunReport, RunSummary } from "../protocol/report.ts";
import { singleLine } from "../protocol/text.ts";
import { plural } from "./text.ts";

/** Whether no image was scanned before this run, so that there is nothing to compare it with. */
export const isFirstRun = (report: Pick<RunReport, "images" | "removed" | "policy">): boolean =>
  !report.policy.partial && report.removed.length === 0 && report.images.every(({ firstScan }) => firstScan);

/** Returns the report's line in the trend. */
export function toRunSummary({ run, startedAt, finishedAt, verdict, ended, totals }: RunReport): RunSummary {
  const { counts, fresh, gone, scanned, failed } = totals;
  return { run, startedAt, finishedAt, verdict, ended, counts, fresh, gone, scanned, failed };
}

/** Returns the run's result in sentences. */
export function verdictText(report: RunReport): string {
  const { totals, verdict, problems, policy } = report;
  const errors = problems.filter(({ kind }) => kind === "error").length;
  const findings = severities.reduce((sum, severity) => sum + totals.counts[severity], 0);
  const sentences: string[] = [];
  if (report.ended === "deadline") sentences.push("The run reached its deadline.");
  if (report.ended === "abandoned") sentences.push("The run was abandoned: none of its pods was left.");
  if (totals.failed > 0) sentences.push(`${totals.failed} of ${plural(totals.failed + totals.scanned, "image")} could not be scanned.`);
  if (errors > 0) sentences.push(`${plural(errors, "error")} while targets were listed.`);
  if (totals.scanned + totals.failed === 0) sentences.push(verdict === "errors" ? "No image was scanned." : "There was no image to scan.");
  else if (findings === 0) sentences.push(`No findings in ${plural(totals.scanned, "scanned image")}.`);
  else if (isFirstRun(report))
    sentences.push(`${plural(findings, "finding")}. This is the first run: there is no earlier scan to compare with.`);
  else
    sentences.push(
      `${plural(findings, "finding")}: ${totals.fresh.toLocaleString("en-US")} new, ${totals.gone.toLocaleString("en-US")} fixed or gone since the last successful scans.`,
    );
  if (policy.partial) sentences.push("Only the requested images were scanned.");
  return sentences.join(" ");
}

/** Maximum number of images, and of problems, in the log. */
const maximumLogged = 20;

/** Returns a few lines for the log: the verdict, the numbers, images with new findings, and images that could not be scanned. */
export function logSummary(report: RunReport): string {
  const { counts } = report.totals;
  const problems = [
    ...report.problems.map(({ kind, about, message }) => `${kind}: ${about}: ${message}`),
    ...report.images.flatMap(({ name, error }) => (error === undefined ? [] : [`error: ${name}: ${error}`])),
  ].map(singleLine);
  const fresh = isFirstRun(report)
    ? []
    : report.images.flatMap(({ name, findings }) => {
        const count = findings.filter((finding) => finding.fresh).length;
        return count > 0 ? [`new: ${name}: ${plural(count, "finding")}`] : [];
      });
  return [
    `run ${report.run}: ${report.verdict}. ${verdictText(report)}`,
    severities
      .toReversed()
      .filter((severity) => report.policy.severities.includes(severity) || counts[severity] > 0)
      .map((severity) => `${severity} ${counts[severity]}`)
      .join(", "),
    ...fresh.slice(0, maximumLogged),
    ...(fresh.length > maximumLogged ? [`and ${fresh.length - maximumLogged} more images with new findings`] : []),
    ...problems.slice(0, maximumLogged),
    ...(problems.length > maximumLogged ? [`and ${problems.length - maximumLogged} more problems`] : []),
  ].join("\n");
}
