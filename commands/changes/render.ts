import { type Change, changesOf, type Operation, operations } from "./changes.ts";
import type { Digest } from "./digest.ts";
import { block, code } from "./markdown.ts";
import { dataLoss, meaning } from "./meaning.ts";
import type { Redactor } from "./redactor.ts";

/** What a stack's preview found. */
export interface StackReport {
  readonly stack: string;
  readonly changes: readonly Change[];
  /** Why the preview failed, free of secrets; undefined if it succeeded. */
  readonly error: string | undefined;
}

/** How the engine's command ended. */
export interface EngineResult {
  readonly status: number;
  /** Undefined if the engine printed no JSON. */
  readonly digest: Digest | undefined;
  /** What else is known of an error. */
  readonly error: string;
}

/** The engine's exit code if `--expect-no-changes` finds changes. */
const changesFound = 7;

/** Turns an engine's result into a report without secrets. */
export function stackReport(stack: string, { status, digest, error }: EngineResult, redactor: Redactor): StackReport {
  const changes = digest ? changesOf(digest, redactor) : [];
  if (digest && (status === 0 || status === changesFound)) return { stack, changes, error: undefined };
  const messages = (digest?.diagnostics ?? []).flatMap(({ severity, message }) => (severity === "error" ? [withoutPrefix(message)] : []));
  const text = redactor.text([...new Set([...messages, withoutPrefix(error)])].filter(Boolean).join("\n\n"));
  return { stack, changes: [], error: text || `Pulumi exited with ${status} and no message.` };
}

const withoutPrefix = (message: string) => message.replace(/^\s*error: /, "").trim();

/** The texts around the stacks' changes. They are trusted Markdown. */
export interface Frame {
  readonly title: string;
  /** Sentences below the table. */
  readonly notes?: readonly string[];
  /** What to do, if there are changes. */
  readonly advice?: string;
  /** What the table says of a stack without changes. */
  readonly unchanged: string;
  readonly failed: string;
  /** Where the complete text is, for a text that is cut off. */
  readonly rest: string;
  /** Whether to say what the changes mean for the service. */
  readonly meaning: boolean;
  /** The headings of the table. */
  readonly headings: Readonly<Record<Operation, string>>;
}

export const previewFrame: Frame = {
  title: "Preview of the stacks",
  unchanged: "no changes",
  failed: "**preview failed**",
  rest: "the complete text is in the job's artifact",
  meaning: true,
  headings: { create: "create", update: "update", replace: "replace", delete: "delete" },
};

/** Entries of the lists above the collapsed differences. The differences have everything. */
const longestList = 30;
/** Characters of an error in a text with a limit. */
const longestError = 4000;
/** Lines and columns of one resource's difference in a text with a limit; the bundled programs have a million characters. */
const longestChange = 200;
const longestLine = 300;

/**
 * Renders the reports of several stacks as Markdown: a table, warnings, the meaning of changes, errors, and each stack's difference,
 * collapsed.
 *
 * @param limit of the text's length, in characters. The differences are cut off to fit, at the ends of lines.
 */
export function render(reports: readonly StackReport[], frame: Frame, limit = Number.POSITIVE_INFINITY): string {
  const limited = Number.isFinite(limit);
  const failed = reports.filter(({ error }) => error !== undefined);
  const errorLength = Math.min(longestError, Math.floor(limit / 3 / Math.max(1, failed.length)));
  const shortened = limited && reports.length > longestList ? reports.slice(0, longestList) : reports;
  const head = [
    `## ${frame.title}`,
    table(shortened, frame),
    ...(shortened.length < reports.length ? [`… and ${reports.length - shortened.length} more stacks: ${frame.rest}.`] : []),
    ...(frame.notes ?? []),
    ...(frame.advice && reports.some(({ changes }) => changes.length > 0) ? [frame.advice] : []),
    ...(frame.meaning
      ? alert(
          "CAUTION",
          listOf(reports, (change) => dataLoss(change) ?? [], limited),
        )
      : []),
    ...(frame.meaning ? list(listOf(reports, meaning, limited)) : []),
    ...failed.map(({ stack, error = "" }) => `${code(stack)} failed:\n\n${block(limited ? cut(error, errorLength, frame) : error)}`),
  ];
  const withChanges = reports.filter(({ changes }) => changes.length > 0);
  // Each section is preceded by an empty line, and the text ends with a line break.
  let left = limit - head.join("\n\n").length - 2 * withChanges.length - 1;
  const sections = withChanges.map((report, index) => {
    const section = details(report, frame, limited, left / (withChanges.length - index));
    left -= section.length;
    return section;
  });
  const text = [...head, ...sections.filter(Boolean)].join("\n\n");
  // Only many long errors or labels can still be too long.
  return `${
    text.length <= limit - 1
      ? text
      : `${head
          .slice(0, 2)
          .join("\n\n")
          .slice(0, limit - 200)}\n\nThe text is too long: ${frame.rest}.`
  }\n`;
}

function table(reports: readonly StackReport[], { headings, unchanged, failed, meaning }: Frame): string {
  const rows = reports.map(({ stack, changes, error }) => {
    const counts = operations.map((operation) => changes.filter((change) => change.operation === operation).length);
    const lost = meaning && changes.some((change) => dataLoss(change) !== undefined);
    const remark = error !== undefined ? failed : changes.length === 0 ? unchanged : lost ? "⚠️ stored data" : "";
    const cells = counts.map((count) => (error !== undefined ? "–" : String(count)));
    return `| ${[code(stack), ...cells, remark].join(" | ")} |`;
  });
  const titles = operations.map((operation) => headings[operation]);
  return [`| stack | ${titles.join(" | ")} | |`, `| --- |${" ---: |".repeat(operations.length)} --- |`, ...rows].join("\n");
}

/** Returns the notes on all changes, each with its stack. */
function listOf(reports: readonly StackReport[], notesOf: (change: Change) => string | readonly string[], limited: boolean): string[] {
  const notes = reports.flatMap(({ stack, changes }) => changes.flatMap(notesOf).map((note) => `${code(stack)}: ${note}`));
  if (!limited || notes.length <= longestList) return notes;
  return [...notes.slice(0, longestList), `… and ${notes.length - longestList} more.`];
}

const list = (items: readonly string[]) => (items.length === 0 ? [] : [items.map((item) => `- ${item}`).join("\n")]);

const alert = (kind: string, items: readonly string[]) =>
  items.length === 0 ? [] : [[`> [!${kind}]`, ...items.map((item) => `> - ${item}`)].join("\n")];

const signs: Readonly<Record<Operation, string>> = { create: "+", update: "~", replace: "±", delete: "-" };

/** @returns an empty text if not even the beginning fits into `limit`. */
function details({ stack, changes }: StackReport, frame: Frame, limited: boolean, limit: number): string {
  const lines = changes.flatMap((change) => {
    const reasons = change.reasons.length > 0 ? `, because of ${change.reasons.join(", ")}` : "";
    const shown = limited ? shortened(change.lines, frame) : change.lines;
    return [`@@ ${signs[change.operation]} ${frame.headings[change.operation]} ${change.label}${reasons} @@`, ...shown, ""];
  });
  const summary = `<details><summary>${changes.length} ${changes.length === 1 ? "change" : "changes"} of <code>${html(stack)}</code></summary>`;
  const wrapped = (text: string) => `${summary}\n\n${block(text.trimEnd(), "diff")}\n\n</details>`;
  const complete = wrapped(lines.join("\n"));
  if (complete.length <= limit) return complete;
  let [low, high] = [0, lines.length];
  const partial = (count: number) => wrapped(`${lines.slice(0, count).join("\n")}\n… ${lines.length - count} more lines: ${frame.rest}`);
  if (partial(0).length > limit) return "";
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (partial(middle).length <= limit) low = middle;
    else high = middle;
  }
  return partial(low);
}

function shortened(lines: readonly string[], frame: Frame): string[] {
  const narrow = lines.slice(0, longestChange).map((line) => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line));
  return lines.length > longestChange ? [...narrow, `  … ${lines.length - longestChange} more lines: ${frame.rest}`] : narrow;
}

const cut = (text: string, length: number, frame: Frame) => (text.length > length ? `${text.slice(0, length)}…\n(${frame.rest})` : text);

const html = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("@", "@\u200b");
