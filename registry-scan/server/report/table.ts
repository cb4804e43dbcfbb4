import type { Severity } from "../../protocol/policy.ts";
import type { Counts } from "../../protocol/report.ts";
import { type Content, type Html, html, number } from "./html.ts";

/** The title of a column, and whether it contains numbers. */
export interface Column {
  readonly title: string;
  readonly numeric?: boolean;
}

/** A cell with a class of its own. */
interface ClassedCell {
  readonly content: Content;
  readonly kind: string;
}

export type Cell = Content | ClassedCell;
export type Row = readonly Cell[];

const isClassed = (cell: Cell): cell is ClassedCell => typeof cell === "object" && "kind" in cell;

/** A number, pale if it is zero. */
export const numberCell = (value: number, kind = ""): ClassedCell => ({ content: number(value), kind: value === 0 ? "zero" : kind });

export const numericColumns = (titles: readonly string[]): Column[] => titles.map((title) => ({ title, numeric: true }));

/** The numbers of findings of each severity. */
export const severityCells = (severities: readonly Severity[], counts: Counts): ClassedCell[] =>
  severities.map((severity) => numberCell(counts[severity], severity));

/** A table. The first column contains the headings of the rows. */
export function table(caption: string, columns: readonly Column[], rows: readonly Row[]): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption>
<thead><tr>${columns.map(({ title, numeric }) => html`<th scope="col"${numeric && html` class="n"`}>${title}</th>`)}</tr></thead>
<tbody>
${rows.map((cells) => html`<tr>${cells.map((cell, index) => tableCell(cell, index, columns[index]?.numeric))}</tr>\n`)}</tbody></table></div>`;
}

function tableCell(cell: Cell, index: number, numeric = false): Html {
  const { content, kind } = isClassed(cell) ? cell : { content: cell, kind: "" };
  const classes = [numeric && "n", kind].filter(Boolean).join(" ");
  const attributes = classes !== "" && html` class="${classes}"`;
  return index === 0 ? html`<th scope="row"${attributes}>${content}</th>` : html`<td${attributes}>${content}</td>`;
}

/**
 * A table of which only the first rows are visible. The other rows are folded in parts, which a browser lays out when they are opened.
 *
 * @param visible - number of visible rows
 * @param part - number of rows in a folded part
 */
export function foldedTable(caption: string, columns: readonly Column[], rows: readonly Row[], visible: number, part = 1000): Html {
  const parts: Html[] = [];
  for (let from = visible; from < rows.length; from += part) {
    const to = Math.min(from + part, rows.length);
    parts.push(html`<details><summary>${number(from + 1)} to ${number(to)} of ${number(rows.length)}</summary>
${table(`${caption}, ${from + 1} to ${to}`, columns, rows.slice(from, to))}</details>\n`);
  }
  return html`${table(caption, columns, rows.slice(0, visible))}${parts}`;
}
