import type { Finding } from "../../protocol/findings.ts";
import type { RunReport } from "../../protocol/report.ts";
import { worstFirst } from "../findings.ts";
import { isFirstRun, verdictText } from "../summary.ts";
import { reportLink } from "./link.ts";

/** Maximum number of new findings, and of fixed findings, in a message. */
export const maximumListed = 10_000;

type ImageFinding = Finding & { readonly image: string };

/** The message for receivers of type `json`. Its `version` changes when a field is removed or changes its meaning. */
export interface JsonMessage {
  readonly version: 1;
  readonly run: string;
  /** ISO 8601 */
  readonly startedAt: string;
  /** ISO 8601 */
  readonly finishedAt: string;
  readonly ended: RunReport["ended"];
  readonly verdict: RunReport["verdict"];
  /** The result in sentences. */
  readonly summary: string;
  /** This is the first run: all its findings are new, because there is no earlier scan. */
  readonly first: boolean;
  readonly policy: RunReport["policy"];
  /** Numbers of findings by severity, of new and fixed findings, and of images that were and were not scanned. */
  readonly totals: RunReport["totals"];
  /** Findings that the last successful scan of the image did not have, the most severe first. */
  readonly new: readonly ImageFinding[];
  /** Findings of the last successful scan of the image that are fixed or gone, the most severe first. */
  readonly fixed: readonly ImageFinding[];
  /** Number of findings left out of `new` and `fixed`. They are less severe than those listed. */
  readonly omitted: { readonly new: number; readonly fixed: number };
  /** Images that could not be scanned, and images or repositories that could not be listed. */
  readonly errors: readonly { readonly about: string; readonly message: string }[];
  readonly warnings: readonly { readonly about: string; readonly message: string }[];
  /** Images that are no longer targets. */
  readonly removed: readonly string[];
  /** URL of the run's page, if `reports.url` is set. */
  readonly link?: string;
}

/** Returns a message without all but a few of its findings and problems, for receivers that limit the length of messages. */
export function shortened(message: JsonMessage): JsonMessage {
  const { new: fresh, fixed, errors, warnings, removed, omitted } = message;
  const left = <Item>(items: readonly Item[]) => items.slice(0, 10);
  return {
    ...message,
    ...{ new: left(fresh), fixed: left(fixed), errors: left(errors), warnings: left(warnings), removed: left(removed) },
    omitted: { new: omitted.new + fresh.length - left(fresh).length, fixed: omitted.fixed + fixed.length - left(fixed).length },
  };
}

/** @param link - where users open the reports */
export function jsonMessage(report: RunReport, link: string | undefined): JsonMessage {
  const { run, startedAt, finishedAt, ended, verdict, policy, totals, problems, images, removed } = report;
  const fresh = images.flatMap(({ name, findings }) =>
    findings.flatMap(({ fresh, ...finding }) => (fresh ? [{ image: name, ...finding }] : [])),
  );
  const gone = images.flatMap(({ name, gone }) => gone.map((finding) => ({ image: name, ...finding })));
  const problemsOf = (wanted: "warning" | "error") =>
    problems.filter(({ kind }) => kind === wanted).map(({ about, message }) => ({ about, message }));
  const page = reportLink(link, run);
  return {
    version: 1,
    run,
    startedAt,
    finishedAt,
    ended,
    verdict,
    summary: verdictText(report),
    first: isFirstRun(report),
    policy,
    totals,
    new: fresh.sort(worstFirst).slice(0, maximumListed),
    fixed: gone.sort(worstFirst).slice(0, maximumListed),
    omitted: { new: Math.max(0, fresh.length - maximumListed), fixed: Math.max(0, gone.length - maximumListed) },
    errors: [
      ...problemsOf("error"),
      ...images.flatMap(({ name, error }) => (error === undefined ? [] : [{ about: name, message: error }])),
    ],
    warnings: problemsOf("warning"),
    removed: removed.map(({ name }) => name),
    ...(page && { link: page }),
  };
}
