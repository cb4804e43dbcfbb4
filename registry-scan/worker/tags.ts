import { matchesGlob } from "node:path";
import pMap from "p-map";
import { Range, SemVer } from "semver";
import type { TargetArgs } from "../protocol/targets.ts";

/** Which tags of a repository to scan. */
export type TagSelection = Pick<Extract<TargetArgs, { readonly repository: string }>, "tags" | "versions" | "exclude" | "newest" | "order">;

/** What the selection asks the registry about a tag. */
export interface TagQueries {
  /** When the image was built. */
  created(tag: string): Promise<Date>;
  /** Whether it is an image. Of what cannot be queried, assumed: its scan will fail with the reason. */
  isImage(tag: string): Promise<boolean>;
}

export interface SelectedTags {
  /** In the registry's order, or the newest first. */
  readonly selected: readonly string[];
  /** A sentence for each part of the selection that matches nothing, or that does not decide. */
  readonly unmatched: readonly string[];
}

/**
 * Selects tags of a repository. As in npm, a range contains a pre-release only if it names one of the same version.
 *
 * @param concurrency maximum number of queries at a time
 */
export async function selectTags(
  tags: readonly string[],
  { tags: globs, versions, exclude = [], newest, order = "automatic" }: TagSelection,
  queries: TagQueries,
  concurrency = 8,
): Promise<SelectedTags> {
  const unmatched: string[] = [];
  let selected = tags;
  if (globs) {
    const matches = globs.map((glob) => tags.filter((tag) => isMatch(tag, glob)));
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
  const beforeExclusion = selected.length;
  selected = selected.filter((tag) => !exclude.some((glob) => isMatch(tag, glob)));
  if (selected.length === 0 && beforeExclusion > 0) unmatched.push("`exclude` leaves no tag");
  if (tags.length === 0 && !globs && versions === undefined) unmatched.push("the repository has no tags");
  if (newest === undefined || selected.length <= newest) return { selected, unmatched };
  const sorted = await sortedTags(selected, newest, order, queries, concurrency);
  return { selected: await firstImages(sorted.tags, newest, queries), unmatched: [...unmatched, ...sorted.doubts] };
}

const isMatch = (tag: string, glob: string) => tag === glob || matchesGlob(tag, glob);

/** Returns the first `count` tags that are images: what is none takes the place of no image. */
async function firstImages(tags: readonly string[], count: number, { isImage }: TagQueries): Promise<string[]> {
  const found: string[] = [];
  for (let next = 0; next < tags.length && found.length < count; ) {
    const candidates = tags.slice(next, next + count - found.length);
    next += candidates.length;
    const images = await pMap(candidates, isImage);
    found.push(...candidates.filter((_, index) => images[index]));
  }
  return found;
}

interface SortedTags {
  /** The newest first. */
  readonly tags: readonly string[];
  /** Sentences about what does not say which tags are the newest. */
  readonly doubts: readonly string[];
}

async function sortedTags(
  tags: readonly string[],
  count: number,
  order: NonNullable<TagSelection["order"]>,
  queries: TagQueries,
  concurrency: number,
): Promise<SortedTags> {
  const namesOf = (sorted: readonly { readonly tag: string }[]) => sorted.map(({ tag }) => tag);
  if (order === "name") {
    const { compare } = new Intl.Collator("en", { numeric: true });
    return { tags: tags.toSorted((a, b) => compare(b, a) || b.length - a.length), doubts: [] };
  }
  const versions = tags.map((tag) => ({ tag, version: versionOf(tag) }));
  if (order === "automatic" && versions.every(hasVersion))
    return { tags: namesOf(versions.toSorted((a, b) => b.version.compare(a.version) || byLength(a, b))), doubts: [] };
  const built = (await buildTimes(tags, queries, concurrency)).toSorted((a, b) => compare(b.time, a.time) || byLength(a, b));
  return { tags: namesOf(built), doubts: doubtsAbout(built, count) };
}

/** Times before this are those of reproducible builds, which set all times to the same one. */
const firstPlausible = Date.UTC(1990, 0);

interface Built {
  readonly tag: string;
  /** Milliseconds; minus infinity if it is unknown. */
  readonly time: number;
}

/** A tag whose time is unknown counts as the oldest, so that it takes the place of no other; it is reported. */
async function buildTimes(tags: readonly string[], { created, isImage }: TagQueries, concurrency: number): Promise<Built[]> {
  const built = await pMap(
    tags,
    async (tag) => {
      const time = await created(tag).then(Number, () => Number.NEGATIVE_INFINITY);
      // What is no image has no such time, or an implausible one.
      return isPlausible(time) || (await isImage(tag)) ? [{ tag, time }] : [];
    },
    { concurrency },
  );
  return built.flat();
}

const isPlausible = (time: number) => time >= firstPlausible;

/** @param sorted the newest first */
function doubtsAbout(sorted: readonly Built[], count: number): string[] {
  const [last, next] = [sorted[count - 1], sorted[count]];
  if (!last || !next) return [];
  const advice = "name tags or versions, or set `order`";
  const implausible = sorted.filter(({ time }) => !isPlausible(time));
  if (implausible.length > 0)
    return [
      `the build time of ${implausible.length} of ${sorted.length} tags is missing or before 1990, so it does not say which are the newest; ${advice}`,
    ];
  return last.time === next.time ? [`\`${last.tag}\` and \`${next.tag}\` were built at the same time; ${advice}`] : [];
}

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
