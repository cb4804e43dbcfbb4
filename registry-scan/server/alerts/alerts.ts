import { type Counts, type Finding, type ImageReport, type RunReport, severities } from "../../protocol/model.ts";
import { firstRun, number, sentence, worstFirst } from "../compare.ts";
import { imageFile } from "../report/page.ts";
import { webAddress } from "../report/sarif.ts";

/** What stands at a receiver as an alert, until a run finds that it is over. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** When a run first said so, ISO 8601. */
  readonly startsAt: string;
  /** The last run that said so, and the image in it, if it was listed: for the link. */
  readonly run: string;
  readonly image?: string;
}

/** An alert as Alertmanager's API takes it. */
export interface PostedAlert {
  readonly labels: ActiveAlert["labels"];
  readonly annotations: ActiveAlert["annotations"];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL?: string;
}

export const alertNames = { finding: "RegistryScanFinding", failed: "RegistryScanFailed" } as const;

const key = ({ labels }: ActiveAlert) => JSON.stringify(Object.entries(labels).sort());
const flat = (value: string, length = 200) => {
  const line = value.toWellFormed().replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length)}…` : line;
};
const unique = (values: readonly (string | undefined)[]) => [...new Set(values.filter((value) => value !== undefined))];

/** So many of them in words, and how many more there are. */
function some(values: readonly string[], most = 20): string {
  const rest = values.length - most;
  return `${values.slice(0, most).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function imageAlerts({ name, findings, error }: ImageReport, { run, finishedAt }: RunReport): ActiveAlert[] {
  const groups = Map.groupBy(findings, (finding) => `${finding.severity}\0${finding.package}`);
  const alerts = [...groups.values()].flatMap((group): ActiveAlert[] => {
    const [first] = group;
    if (!first) return [];
    const ids = unique(group.map(({ id }) => id));
    const fixed = unique(group.map((finding) => finding.fixed));
    const installed = unique(group.map((finding) => finding.installed));
    return [
      {
        labels: { alertname: alertNames.finding, image: name, package: first.package, severity: first.severity },
        annotations: {
          summary: flat(`${first.severity}: ${number(ids.length, "finding")} of ${first.package} in ${name}`, 400),
          ids: some(ids),
          ...(installed.length > 0 && { installed: some(installed) }),
          ...(fixed.length > 0 && { fixed: some(fixed) }),
          ...(first.title !== undefined && { title: flat(first.title) }),
        },
        startsAt: finishedAt,
        run,
        image: name,
      },
    ];
  });
  if (error === undefined) return alerts;
  return [
    ...alerts,
    {
      labels: { alertname: alertNames.failed, image: name },
      annotations: { summary: flat(`${name} could not be scanned`, 400), reason: flat(error, 1000) },
      startsAt: finishedAt,
      run,
      image: name,
    },
  ];
}

/**
 * What is active after a run, and what a run has ended. Alerts of images that a partial run was not asked for stay as they are.
 * A listing that failed is an alert too, by the name of the image or repository.
 */
export function nextAlerts(before: readonly ActiveAlert[], report: RunReport): { active: ActiveAlert[]; over: ActiveAlert[] } {
  const problems = report.problems.flatMap(({ kind, about, message }): ActiveAlert[] =>
    kind === "warning"
      ? []
      : [
          {
            labels: { alertname: alertNames.failed, image: about },
            annotations: { summary: flat(`${about} could not be listed`, 400), reason: flat(message, 1000) },
            startsAt: report.finishedAt,
            run: report.run,
          },
        ],
  );
  const known = new Map(before.map((alert) => [key(alert), alert]));
  const active = new Map(
    [...problems, ...report.images.flatMap((image) => imageAlerts(image, report))].map((alert) => [
      key(alert),
      { ...alert, startsAt: known.get(key(alert))?.startsAt ?? alert.startsAt },
    ]),
  );
  const asked = new Set(report.images.map(({ name }) => name));
  const over: ActiveAlert[] = [];
  for (const [id, alert] of known) {
    if (active.has(id)) continue;
    if (report.policy.partial && !asked.has(alert.labels["image"] ?? "")) active.set(id, alert);
    else over.push(alert);
  }
  return { active: [...active.values()], over };
}

/** The page of a run, or of an image in it. */
function pageOf(link: string | undefined, run: string, image?: string): string | undefined {
  if (webAddress(link) === undefined) return undefined;
  const page = image === undefined ? "index.html" : `images/${imageFile(image)}`;
  return `${link?.replace(/\/+$/, "")}/runs/${encodeURIComponent(run)}/${page}`;
}

/**
 * An alert for Alertmanager's API.
 * @param endsAt - in the future: when it is to be forgotten unless it is sent again; now: it is over
 * @param link - where people open reports
 */
export function posted(alert: ActiveAlert, endsAt: Date, link: string | undefined): PostedAlert {
  const { labels, annotations, startsAt, run, image } = alert;
  const page = pageOf(link, run, image);
  return {
    labels,
    annotations: { ...annotations, first_seen: startsAt, ...(page && { link: page }) },
    startsAt,
    endsAt: endsAt.toISOString(),
    ...(page && { generatorURL: page }),
  };
}

/** As code, in which neither Slack nor those like it look for links, mentions or styles. */
const code = (value: string, length = 160) =>
  `\`${flat(value, length).replaceAll("`", "'").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}\``;

/** Slack takes 3000 characters in a section. */
const section = 2900;
const listed = 15;

function list(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const rest = lines.length - listed;
  return [`*${title}*`, ...lines.slice(0, listed).map((line) => `• ${line}`), ...(rest > 0 ? [`and ${number(rest, "more", "more")}`] : [])];
}

function byFinding(images: readonly { readonly name: string; readonly findings: readonly Finding[] }[]): string[] {
  const groups = new Map<string, { finding: Finding; names: Set<string> }>();
  for (const { name, findings } of images) {
    for (const finding of findings) {
      const id = `${finding.scanner}\0${finding.id}\0${finding.package}`;
      const group = groups.get(id) ?? { finding, names: new Set() };
      group.names.add(name);
      groups.set(id, group);
    }
  }
  return [...groups.values()]
    .sort(
      (a, b) =>
        severities.indexOf(b.finding.severity) - severities.indexOf(a.finding.severity) ||
        b.names.size - a.names.size ||
        worstFirst(a.finding, b.finding),
    )
    .map(({ finding, names }) => {
      const [name = ""] = names;
      const where = names.size === 1 ? code(name) : `${code(name)} and ${number(names.size - 1, "more image")}`;
      return `${finding.severity} ${code(finding.id, 60)} ${code(finding.package, 60)} in ${where}${finding.fixed === undefined ? "" : `, fixed in ${code(finding.fixed, 40)}`}`;
    });
}

/** A message for Slack and those that take the same; none when nothing is new, gone or wrong. */
export function slackMessage(report: RunReport, link: string | undefined): { text: string; blocks: object[] } | undefined {
  const { totals, problems, images } = report;
  const errors = [
    ...problems.filter(({ kind }) => kind === "error").map(({ about, message }) => `${code(about)}: ${code(message)}`),
    ...images.flatMap(({ name, error }) => (error === undefined ? [] : [`${code(name)}: ${code(error)}`])),
  ];
  if (totals.fresh + totals.gone + errors.length === 0 && report.ended === "complete") return undefined;
  const first = firstRun(report);
  const lines = [
    ...list("Could not be scanned", errors),
    ...list(
      first ? "Found in the first run" : "New",
      byFinding(images.map(({ name, findings }) => ({ name, findings: findings.filter(({ fresh }) => fresh) }))),
    ),
    ...list("Fixed", byFinding(images.map(({ name, gone }) => ({ name, findings: gone })))),
  ];
  const head = `*Registry scan ${report.run}: ${report.verdict}*\n${sentence(report)}`;
  const page = pageOf(link, report.run);
  const foot = page ? `<${page.replaceAll("&", "&amp;").replaceAll(">", "%3E").replaceAll("|", "%7C")}|Open the report>` : undefined;
  let body = "";
  for (const [index, line] of lines.entries()) {
    if (body.length + line.length > section) {
      body += `and ${number(lines.length - index, "more line")}`;
      break;
    }
    body += `${line}\n`;
  }
  const block = (text: string) => ({ type: "section", text: { type: "mrkdwn", text, verbatim: true } });
  const parts = [head, body.trimEnd(), foot].filter((part) => part !== undefined && part !== "");
  return { text: parts.join("\n"), blocks: parts.map((part) => block(part ?? "")) };
}

/** Findings that a JSON message lists at most, of the new and of the fixed ones. */
export const maximumListed = 10_000;

/** The message for any receiver of JSON. Its `version` changes when a field changes its meaning or goes. */
export interface JsonMessage {
  readonly version: 1;
  readonly run: string;
  /** ISO 8601 */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly ended: RunReport["ended"];
  readonly verdict: RunReport["verdict"];
  /** The verdict in sentences. */
  readonly summary: string;
  /** The first run of all: nothing was known before, so everything in it is new. */
  readonly first: boolean;
  readonly policy: RunReport["policy"];
  /** Numbers of all findings, of new and gone ones, of images that were scanned and that could not be. */
  readonly totals: RunReport["totals"] & { readonly counts: Counts };
  /** Findings that the last good scan of their image did not have; the worst first. */
  readonly new: readonly (Finding & { readonly image: string })[];
  /** Findings that the last good scan of their image had and this one has not. */
  readonly fixed: readonly (Finding & { readonly image: string })[];
  /** How many of either are left out here, being less severe than those that are listed. */
  readonly omitted: { readonly new: number; readonly fixed: number };
  /** Images that could not be scanned, and images or repositories that could not be listed. */
  readonly errors: readonly { readonly about: string; readonly message: string }[];
  readonly warnings: readonly { readonly about: string; readonly message: string }[];
  /** Images that are no longer among the targets. */
  readonly removed: readonly string[];
  /** The run's page, if the service knows where people open it. */
  readonly link?: string;
}

export function jsonMessage(report: RunReport, link: string | undefined): JsonMessage {
  const { run, startedAt, finishedAt, ended, verdict, policy, totals, problems, images } = report;
  const fresh = images.flatMap(({ name, findings }) =>
    findings.flatMap(({ fresh, ...finding }) => (fresh ? [{ image: name, ...finding }] : [])),
  );
  const gone = images.flatMap(({ name, gone }) => gone.map((finding) => ({ image: name, ...finding })));
  const said = (wanted: "warning" | "error") =>
    problems.flatMap(({ kind, about, message }) => (kind === wanted ? [{ about, message }] : []));
  const page = pageOf(link, run);
  return {
    version: 1,
    run,
    startedAt,
    finishedAt,
    ended,
    verdict,
    summary: sentence(report),
    first: firstRun(report),
    policy,
    totals,
    new: fresh.sort(worstFirst).slice(0, maximumListed),
    fixed: gone.sort(worstFirst).slice(0, maximumListed),
    omitted: { new: Math.max(0, fresh.length - maximumListed), fixed: Math.max(0, gone.length - maximumListed) },
    errors: [...said("error"), ...images.flatMap(({ name, error }) => (error === undefined ? [] : [{ about: name, message: error }]))],
    warnings: said("warning"),
    removed: report.removed.map(({ name }) => name),
    ...(page && { link: page }),
  };
}
