import type { Finding } from "../protocol/findings.ts";
import { singleLine } from "../protocol/text.ts";

/** Wording shared by pages, messages and the log, and the treatment of texts and links that come from scanned images. */

/** Returns a number with its noun: `1 image`, `2,000 images`. */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;

/** Joins the first values of a list, and says how many more there are. */
export function firstFew(values: readonly string[], maximum = 20): string {
  const rest = values.length - maximum;
  return `${values.slice(0, maximum).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** Returns a finding whose texts are on one line each, with every character visible. */
export const visibleFinding = <Kind extends Finding>(finding: Kind): Kind =>
  Object.fromEntries(Object.entries(finding).map(([key, value]) => [key, typeof value === "string" ? singleLine(value) : value])) as Kind;

/** Shortens a text to a number of UTF-16 code units, and marks the cut with an ellipsis. */
export const truncate = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}…` : text);

/**
 * Returns an address if it is an HTTP or HTTPS URL, in its normalised form. Findings come from images, which may have been made to do harm:
 * other schemes, such as `javascript:`, must not become links.
 */
export function webAddress(address: string | undefined): string | undefined {
  const url = address === undefined ? null : URL.parse(address);
  return url && ["http:", "https:"].includes(url.protocol) ? url.href : undefined;
}
