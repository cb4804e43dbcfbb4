import { existsSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { coerce, Range, satisfies } from "semver";
import { versionRangeProblem } from "../protocol/targets.ts";
import type { LastScan } from "./compare.ts";
import { completeLines, parseObject } from "./durable.ts";
import { alphabetical, type DatedFinding, worstFirst } from "./findings.ts";

/** What to find: findings for which everything holds that is given. */
export interface SearchQuery {
  /** Id of a finding, such as CVE-2021-44228, or the name of a package. */
  readonly term?: string;
  readonly id?: string;
  readonly package?: string;
  /** Range of the package's installed version, in npm's notation. Versions that are no semantic ones are read as far as they look like one. */
  readonly versions?: string;
  /** A part of the image's name. */
  readonly image?: string;
}

/** A finding with its image. */
export interface SearchMatch extends DatedFinding, Pick<LastScan, "digest" | "platform" | "scannedAt"> {
  readonly image: string;
}

export interface SearchResult {
  /** Number of images that were searched. */
  readonly images: number;
  /** The most severe first. */
  readonly matches: readonly SearchMatch[];
  /** Number of matches that are left out, because there are more than {@link maximumMatches}. */
  readonly omitted: number;
}

/** A query that cannot be answered. */
export class InvalidQuery extends Error {}

export const maximumMatches = 10_000;
/** Characters of the longest text in a query. */
const longestText = 300;
/** Number of images between two pauses, in which other requests are answered. */
const pause = 500;

/** @throws {InvalidQuery} that says what would be valid */
export function checkedQuery(given: Readonly<Record<string, string | undefined>>): SearchQuery {
  const query: Record<string, string> = {};
  for (const key of ["term", "id", "package", "versions", "image"]) {
    const text = given[key]?.trim() ?? "";
    if (text === "") continue;
    if (text.length > longestText) throw new InvalidQuery(`\`${key}\` is longer than ${longestText} characters`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are in no name.
    if (/[\u0000-\u001f\u007f]/.test(text)) throw new InvalidQuery(`\`${key}\` contains control characters`);
    query[key] = text;
  }
  if (!(query["term"] ?? query["id"] ?? query["package"] ?? query["image"]))
    throw new InvalidQuery("name what to find: an id such as CVE-2021-44228, a package, or an image");
  const { versions } = query;
  if (versions !== undefined) {
    const problem = versionRangeProblem(versions);
    if (problem !== undefined) throw new InvalidQuery(`\`versions\` ${problem}`);
    if (!(query["package"] ?? query["term"])) throw new InvalidQuery("`versions` needs the `package` that they are of");
  }
  return query;
}

/**
 * Finds findings in the last successful scan of each image.
 *
 * @param path the file of the last scans
 */
export async function search(path: string, query: SearchQuery): Promise<SearchResult> {
  let images = 0;
  const matches: SearchMatch[] = [];
  if (existsSync(path)) {
    const isMatch = matcher(query);
    // Most lines do not contain the texts, and are not parsed.
    const needles = [query.term, query.id, query.package].flatMap((text) => (text === undefined ? [] : [asJson(canonical(text))]));
    for (const { text, offset } of completeLines(path)) {
      if (offset === 0) continue;
      if (++images % pause === 0) await setImmediate();
      if (!needles.every((needle) => text.includes(needle))) continue;
      const scan = parseObject<LastScan>(text);
      if (typeof scan?.name !== "string" || !Array.isArray(scan.findings)) continue;
      if (query.image !== undefined && !scan.name.includes(query.image)) continue;
      const { name, digest, platform, scannedAt } = scan;
      for (const finding of scan.findings.filter(isMatch))
        matches.push({ image: name, ...(digest && { digest }), ...(platform && { platform }), scannedAt, ...finding });
    }
  }
  matches.sort((a, b) => worstFirst(a, b) || alphabetical(a.image, b.image));
  return { images, matches: matches.slice(0, maximumMatches), omitted: Math.max(0, matches.length - maximumMatches) };
}

/** CVE ids are written in capitals; others, such as GHSA's, keep their letters. */
const canonical = (text: string): string => (/^cve-/i.test(text) ? text.toUpperCase() : text);

const asJson = (text: string): string => JSON.stringify(text).slice(1, -1);

function matcher({ term, id, package: name, versions }: SearchQuery): (finding: DatedFinding) => boolean {
  const [wantedTerm, wantedId] = [term, id].map((text) => text && canonical(text));
  const range = versions === undefined ? undefined : new Range(versions);
  return (finding) =>
    (wantedTerm === undefined || finding.id === wantedTerm || finding.package === wantedTerm) &&
    (wantedId === undefined || finding.id === wantedId) &&
    (name === undefined || finding.package === name) &&
    (range === undefined || isIn(range, finding.installed));
}

function isIn(range: Range, installed: string | undefined): boolean {
  const version = coerce(installed);
  return version !== null && satisfies(version, range);
}
