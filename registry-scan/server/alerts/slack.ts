import type { RunReport } from "../../protocol/report.ts";
import { singleLine } from "../../protocol/text.ts";
import { groupFindings, type ImageFindings } from "../findings.ts";
import { isFirstRun, verdictText } from "../summary.ts";
import { plural, truncate } from "../text.ts";
import { reportLink } from "./link.ts";

/** Maximum length of a section, in UTF-16 code units. Slack accepts 3000. */
const sectionLength = 2900;
/** Maximum number of lines in a list. */
const listLength = 15;

/** A message for Slack's incoming webhooks. */
export interface SlackMessage {
  readonly text: string;
  readonly blocks: readonly { readonly type: "section"; readonly text: { readonly type: "mrkdwn"; text: string; verbatim: true } }[];
}

/** Returns a message for Slack and compatible services, or `undefined` if the run has nothing new, fixed or failed. */
export function slackMessage(report: RunReport, link: string | undefined): SlackMessage | undefined {
  const { totals, images } = report;
  const errors = errorLines(report);
  if (totals.fresh + totals.gone + errors.length === 0 && report.ended === "complete") return undefined;
  const fresh = images.map(({ name, findings }) => ({ name, findings: findings.filter((finding) => finding.fresh) }));
  const gone = images.map(({ name, gone }) => ({ name, findings: gone }));
  const lines = [
    ...list("Could not be scanned", errors),
    ...list(isFirstRun(report) ? "Found in the first run" : "New", findingLines(fresh)),
    ...list("Fixed", findingLines(gone)),
  ];
  const parts = [
    `*Registry scan ${report.run}: ${report.verdict}*\n${verdictText(report)}`,
    withinSection(lines),
    footer(reportLink(link, report.run)),
  ].filter((part) => part !== "");
  return { text: parts.join("\n"), blocks: parts.map((text) => ({ type: "section", text: { type: "mrkdwn", text, verbatim: true } })) };
}

/** A text as code, in which Slack does not look for links, mentions or styles. */
const code = (text: string, length = 160) =>
  `\`${truncate(singleLine(text), length).replaceAll("`", "'").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}\``;

const errorLines = ({ problems, images }: RunReport): string[] => [
  ...problems.filter(({ kind }) => kind === "error").map(({ about, message }) => `${code(about)}: ${code(message)}`),
  ...images.flatMap(({ name, error }) => (error === undefined ? [] : [`${code(name)}: ${code(error)}`])),
];

const findingLines = (images: readonly ImageFindings[]): string[] =>
  groupFindings(images).map(({ finding, names: [first = "", ...others] }) => {
    const where = others.length === 0 ? code(first) : `${code(first)} and ${plural(others.length, "more image")}`;
    const fix = finding.fixed === undefined ? "" : `, fixed in ${code(finding.fixed, 40)}`;
    return `${finding.severity} ${code(finding.id, 60)} ${code(finding.package, 60)} in ${where}${fix}`;
  });

function list(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const rest = lines.length - listLength;
  return [
    `*${title}*`,
    ...lines.slice(0, listLength).map((line) => `• ${line}`),
    ...(rest > 0 ? [`and ${plural(rest, "more", "more")}`] : []),
  ];
}

/** Joins lines until the section is full, and says how many more there are. */
function withinSection(lines: readonly string[]): string {
  let section = "";
  for (const [index, line] of lines.entries()) {
    if (section.length + line.length > sectionLength) return `${section}and ${plural(lines.length - index, "more line")}`;
    section += `${line}\n`;
  }
  return section.trimEnd();
}

const footer = (page: string | undefined): string =>
  page === undefined ? "" : `<${page.replaceAll("&", "&amp;").replaceAll(">", "%3E").replaceAll("|", "%7C")}|Open the report>`;
