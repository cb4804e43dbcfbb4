import { maximumMatches, type SearchMatch, type SearchQuery, type SearchResult } from "../search.ts";
import { plural } from "../text.ts";
import { document } from "./document.ts";
import { type Content, findingLink, fixedVersion, type Html, html, imageLink, name, number, printable, severityBadge } from "./html.ts";
import { foldedTable, type Row } from "./table.ts";

/** Number of findings that are visible without unfolding. */
const visible = 500;

/** What a search came to: the result, or why the query cannot be answered. */
export type SearchOutcome = { readonly result: SearchResult } | { readonly refusal: string } | undefined;

/**
 * Returns the page on which findings in the last scans of all images are searched.
 *
 * @param outcome - undefined if nothing was searched
 * @param latest - the last run, which has the images' pages
 */
export function searchPage(query: SearchQuery, outcome: SearchOutcome, latest: string | undefined): string {
  return document(
    "Search",
    [html`<a href="runs/index.html">All runs</a>`],
    html`<h1>Search</h1>
<form method="get" action="find">
${field("term", "Id or package", query.term ?? query.id ?? query.package)}
${field("versions", "Installed versions", query.versions)}
${field("image", "Image", query.image)}
<button>Find</button>
</form>
${outcome && ("refusal" in outcome ? html`<p class="verdict errors">${printable(outcome.refusal)}</p>` : found(query, outcome.result, latest))}`,
    { searches: true },
  );
}

const field = (key: keyof SearchQuery, label: string, value: string | undefined): Html =>
  html`<label>${label} <input name="${key}" value="${printable(value ?? "")}"></label>`;

function found(query: SearchQuery, { images, matches, omitted }: SearchResult, latest: string | undefined): Html {
  const names = new Set(matches.map(({ image }) => image)).size;
  const parameters = new URLSearchParams(Object.entries(query)).toString();
  if (matches.length === 0) return html`<p>Not found in the last scans of ${plural(images, "image")}.</p>`;
  const hasPaths = matches.some(({ path }) => path !== undefined);
  const columns = ["Finding", "Severity", "Image", "Package or file", ...(hasPaths ? ["Path"] : []), "Installed", "Fixed in", "First seen"];
  return html`<p>${plural(matches.length + omitted, "finding")} in ${number(names)} of ${plural(images, "image")}${
    omitted > 0 && `, of which the ${number(maximumMatches)} most severe are shown`
  }: <a href="findings.json?${parameters}">JSON</a>, <a href="findings.csv?${parameters}">CSV</a>.</p>
${foldedTable(
  "The most severe first",
  columns.map((title) => ({ title })),
  matches.map((match) => row(match, hasPaths, latest)),
  visible,
)}`;
}

const row = (match: SearchMatch, hasPaths: boolean, latest: string | undefined): Row => [
  findingLink(match),
  severityBadge(match.severity),
  latest === undefined ? name(match.image) : imageLink(match.image, `runs/${encodeURIComponent(latest)}/images/`),
  name(match.package),
  ...(hasPaths ? [optionalName(match.path)] : []),
  optionalName(match.installed),
  fixedVersion(match),
  optionalName(match.since),
];

const optionalName = (text: string | undefined): Content => text !== undefined && name(text);
