import { matchesGlob } from "node:path";
import pMap from "p-map";
import { Range, SemVer } from "semver";
import type { TargetArgs } from "../protocol/targets.ts";

/** Which tags of a repository to scan. */
export type TagSelection = Pick<Extract<TargetArgs, { readonly repository: string }>, "tags" | "versions" | "newest">;

/**
 * Selects tags of a repository. As in npm, a range contains a pre-release only if it names one of the same version.
 *
 * @param created returns when the image of a tag was built
 * @param concurrency maximum number of calls of `created` at a time
 * @returns the tags in the registry's order, or the newest first, and a sentence for each part of the selection that matches nothing
 */
export async function selectTags(
  tags: readonly string[],
  { tags: globs, versions, newest }: TagSelection,
  created: (tag: string) => Promise<Date>,
  concurrency = 8,
): Promise<{ readonly selected: readonly string[]; readonly unmatched: readonly string[] }> {
  const unmatched: string[] = [];
  let selected = tags;
  if (globs) {
    const matches = globs.map((glob) => tags.filter((tag) => tag === glob || matchesGlob(tag, glob)));
    unmatched.push(...globs.filter((_, index) => matches[index]?.length === 0).map((glob) => `no tag matches \`${glob}\``));
    const matched = new Set(matches.flat());
    selected = selected.filter((tag) => matched.has(tag));
  }
  if (versions !== undefined) {
    const range = new Range(versions);
    const among = selected.length;
    selected = selected.filter((tag) => {
      const version = versionOf(tag);
      return version !== undefined && range.test(version);
    });
    if (selected.length === 0 && among > 0) unmatched.push(`no tag is a version in \`${versions}\``);
  }
  if (tags.length === 0 && !globs && versions === undefined) unmatched.push("the repository has no tags");
  if (newest !== undefined && selected.length > newest) selected = await newestTags(selected, newest, created, concurrency);
  return { selected, unmatched };
}

async function newestTags(
  tags: readonly string[],
  count: number,
  created: (tag: string) => Promise<Date>,
  concurrency: number,
): Promise<string[]> {
  const versions = tags.map((tag) => ({ tag, version: versionOf(tag) }));
  const sorted = versions.every(hasVersion)
    ? versions.toSorted((a, b) => b.version.compare(a.version) || byLength(a, b))
    : (await buildTimes(tags, created, concurrency)).toSorted((a, b) => compare(b.time, a.time) || byLength(a, b));
  return sorted.slice(0, count).map(({ tag }) => tag);
}

/** A tag whose time is unknown counts as the newest: its scan will fail with the reason, instead of being left out silently. */
const buildTimes = (tags: readonly string[], created: (tag: string) => Promise<Date>, concurrency: number) =>
  pMap(tags, async (tag) => ({ tag, time: await created(tag).then(Number, () => Number.POSITIVE_INFINITY) }), { concurrency });

const hasVersion = (each: { tag: string; version: SemVer | undefined }): each is { tag: string; version: SemVer } =>
  each.version !== undefined;

const compare = <T extends string | number>(a: T, b: T): number => (a === b ? 0 : a < b ? -1 : 1);

/** Of several tags for one version or time, the longest is the most specific. */
const byLength = (a: { tag: string }, b: { tag: string }): number => b.tag.length - a.tag.length || compare(a.tag, b.tag);

const versionPattern = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(-[0-9a-z.-]+)?$/i;

/** The version that a tag stands for. Unlike semver, tags may leave out zeros (`3.20`) and start numbers with them (`24.04`). */
function versionOf(tag: string): SemVer | undefined {
  const [matched, major, minor, patch, prerelease = ""] = versionPattern.exec(tag) ?? [];
  if (matched === undefined) return undefined;
  try {
    return new SemVer(`${Number(major)}.${Number(minor ?? 0)}.${Number(patch ?? 0)}${prerelease}`);
  } catch {
    return undefined;
  }
}
