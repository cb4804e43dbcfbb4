import type { ImageReport, RunReport } from "../../protocol/report.ts";
import { singleLine } from "../../protocol/text.ts";
import { firstFew, plural, truncate, visibleFinding } from "../text.ts";
import { reportLink } from "./link.ts";

/** An alert that is active until a run finds that its cause is gone. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** When a run first found the cause, ISO 8601. */
  readonly startsAt: string;
  /** The last run that found the cause, and the image in its report, for the link. */
  readonly run: string;
  readonly image?: string;
}

/** An alert in the form of Alertmanager's API. */
export interface PostedAlert {
  readonly labels: ActiveAlert["labels"];
  readonly annotations: ActiveAlert["annotations"];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL?: string;
}

/** Values of the label `alertname`. */
export const alertNames = { finding: "RegistryScanFinding", failed: "RegistryScanFailed" } as const;

/** Identity of an alert: its labels. */
export const alertKey = ({ labels }: Pick<ActiveAlert, "labels">): string => JSON.stringify(Object.entries(labels).sort());

/** Maximum length of annotations, in UTF-16 code units. */
const lengths = { summary: 400, title: 200, reason: 1000 };

const shorten = (text: string, length: number): string => truncate(singleLine(text), length);

const unique = (values: readonly (string | undefined)[]) => [...new Set(values.filter((value) => value !== undefined))];

/**
 * Returns the alerts that are active after a run, and those that it has resolved. In a partial run, alerts of images that were not requested do not
 * change. A listing that failed is an alert of the image or repository.
 */
export function nextAlerts(before: readonly ActiveAlert[], report: RunReport): { active: ActiveAlert[]; resolved: ActiveAlert[] } {
  const earlier = new Map(before.map((alert) => [alertKey(alert), alert]));
  const active = new Map(
    [...listingAlerts(report), ...report.images.flatMap((image) => imageAlerts(image, report))].map((alert) => [
      alertKey(alert),
      { ...alert, startsAt: earlier.get(alertKey(alert))?.startsAt ?? alert.startsAt },
    ]),
  );
  const requested = new Set(report.images.map(({ name }) => name));
  const resolved: ActiveAlert[] = [];
  for (const [key, alert] of earlier) {
    if (active.has(key)) continue;
    if (report.policy.partial && !requested.has(alert.labels["image"] ?? "")) active.set(key, alert);
    else resolved.push(alert);
  }
  return { active: [...active.values()], resolved };
}

function listingAlerts({ problems, run, finishedAt }: RunReport): ActiveAlert[] {
  return problems
    .filter(({ kind }) => kind === "error")
    .map(({ about, message }) => ({
      labels: { alertname: alertNames.failed, image: singleLine(about) },
      annotations: { summary: shorten(`${about} could not be listed`, lengths.summary), reason: shorten(message, lengths.reason) },
      startsAt: finishedAt,
      run,
    }));
}

function imageAlerts({ name, findings, error }: ImageReport, { run, finishedAt }: RunReport): ActiveAlert[] {
  const origin = { startsAt: finishedAt, run, image: name };
  const groups = Map.groupBy(findings.map(visibleFinding), ({ severity, package: affected }) => `${severity}\0${affected}`);
  const alerts = [...groups.values()].flatMap((group): ActiveAlert[] => {
    const [first] = group;
    if (!first) return [];
    const ids = unique(group.map(({ id }) => id));
    const fixed = unique(group.map((finding) => finding.fixed));
    const installed = unique(group.map((finding) => finding.installed));
    const summary = `${first.severity}: ${plural(ids.length, "finding")} of ${first.package} in ${name}`;
    return [
      {
        labels: { alertname: alertNames.finding, image: name, package: first.package, severity: first.severity },
        annotations: {
          summary: shorten(summary, lengths.summary),
          ids: firstFew(ids),
          ...(installed.length > 0 && { installed: firstFew(installed) }),
          ...(fixed.length > 0 && { fixed: firstFew(fixed) }),
          ...(first.title !== undefined && { title: shorten(first.title, lengths.title) }),
        },
        ...origin,
      },
    ];
  });
  if (error === undefined) return alerts;
  const failure: ActiveAlert = {
    labels: { alertname: alertNames.failed, image: name },
    annotations: { summary: shorten(`${name} could not be scanned`, lengths.summary), reason: shorten(error, lengths.reason) },
    ...origin,
  };
  return [...alerts, failure];
}

/**
 * Returns an alert in the form of Alertmanager's API.
 *
 * @param endsAt - now for a resolved alert; otherwise the time when Alertmanager resolves it unless it is sent again
 * @param link - where users open the reports
 */
export function toPostedAlert(alert: ActiveAlert, endsAt: Date, link: string | undefined): PostedAlert {
  const { labels, annotations, startsAt, run, image } = alert;
  const page = reportLink(link, run, image);
  return {
    labels,
    annotations: { ...annotations, first_seen: startsAt, ...(page && { link: page }) },
    startsAt,
    endsAt: endsAt.toISOString(),
    ...(page && { generatorURL: page }),
  };
}
