import { visible } from "../../protocol/text.ts";
import type { SearchMatch } from "../search.ts";

const columns = [
  "image",
  "platform",
  "id",
  "severity",
  "scanner",
  "package",
  "path",
  "installed",
  "fixed",
  "since",
  "scannedAt",
  "title",
] as const satisfies (keyof SearchMatch)[];

/** Returns findings as CSV (RFC 4180), for spreadsheets. */
export const csv = (matches: readonly SearchMatch[]): string =>
  [columns, ...matches.map((match) => columns.map((column) => match[column] ?? ""))]
    .map((row) => `${row.map(cell).join(",")}\r\n`)
    .join("");

/** Spreadsheets take a cell that begins like this for a formula, which an image's author may have written. */
const formula = /^[=+\-@\t\r]/;

function cell(text: string): string {
  const shown = visible(formula.test(text) ? `'${text}` : text);
  return /[",\r\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}
