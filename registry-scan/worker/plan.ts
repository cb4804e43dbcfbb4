/** Which images a run is about: their references, the tags that are chosen, and images with the same content taken as one. */
import { matchesGlob } from "node:path";
import { Range, SemVer } from "semver";
import { formatImageReference, type ImageReference, parseImageReference } from "../protocol/image-reference.ts";
import type { PlanLine, Problem, TargetArgs } from "../protocol/model.ts";

/** What is asked of a registry while a run is planned. What it cannot tell is thrown, with its reason in a sentence. */
export interface Registry {
  tags(repository: string): Promise<readonly string[]>;
  digest(image: string): Promise<string>;
  /** When the image was built. */
  created(image: string): Promise<Date>;
}

export interface PlanOptions {
  /** A glob or range that matches nothing is an error, not a warning. */
  readonly strict: boolean;
  /** Questions that a registry is asked at a time. @default 8 */
  readonly parallel?: number;
}

/** Repeatable: a plan whose sending broke off is sent once more, from its start. */
export interface Plan {
  readonly targets: number;
  lines(): Iterable<PlanLine>;
}

const versionPattern = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(-[0-9a-z.-]+)?$/i;

/** The version that a tag is. Tags leave out what is zero (`3.20`), and write zeros before (`24.04`): both are versions as well. */
function versionOf(tag: string): SemVer | undefined {
  const [matched, major, minor, patch, prerelease = ""] = versionPattern.exec(tag) ?? [];
  if (matched === undefined) return undefined;
  try {
    return new SemVer(`${Number(major)}.${Number(minor ?? 0)}.${Number(patch ?? 0)}${prerelease}`);
  } catch {
    return undefined;
  }
}

/**
 * The tags that are chosen from all of a repository, and what matched nothing. As with npm, a pre-release is in a range only when the range names one of
 * the same version. Of tags that are the same version the longest counts as the newest: it is the one that stays.
 */
export async function chooseTags(
  tags: readonly string[],
  choice: { readonly tags?: readonly string[]; readonly versions?: string; readonly newest?: number },
  created: (tag: string) => Promise<Date>,
  parallel = 8,
): Promise<{ readonly chosen: readonly string[]; readonly unmatched: readonly string[] }> {
  const unmatched: string[] = [];
  let chosen = tags;
  if (choice.tags) {
    const taken = new Set<string>();
    for (const glob of choice.tags) {
      const matched = tags.filter((tag) => tag === glob || matchesGlob(tag, glob));
      if (matched.length === 0) unmatched.push(`no tag matches \`${glob}\``);
      for (const tag of matched) taken.add(tag);
    }
    chosen = tags.filter((tag) => taken.has(tag));
  }
  if (choice.versions !== undefined) {
    const range = new Range(choice.versions);
    const before = chosen.length;
    chosen = chosen.filter((tag) => {
      const version = versionOf(tag);
      return version !== undefined && range.test(version);
    });
    if (before > 0 && chosen.length === 0) unmatched.push(`no tag is a version in \`${choice.versions}\``);
  }
  if (!choice.tags && choice.versions === undefined && tags.length === 0) unmatched.push("there is no tag");
  if (choice.newest !== undefined && chosen.length > choice.newest) chosen = await newest(chosen, choice.newest, created, parallel);
  return { chosen, unmatched };
}

async function newest(
  tags: readonly string[],
  count: number,
  created: (tag: string) => Promise<Date>,
  parallel: number,
): Promise<string[]> {
  const versions = tags.map((tag) => ({ tag, version: versionOf(tag) }));
  const order = (a: { tag: string }, b: { tag: string }) => b.tag.length - a.tag.length || (a.tag < b.tag ? -1 : 1);
  if (versions.every((each): each is { tag: string; version: SemVer } => each.version !== undefined)) {
    return versions
      .toSorted((a, b) => b.version.compare(a.version) || order(a, b))
      .slice(0, count)
      .map(({ tag }) => tag);
  }
  // One whose time cannot be had is taken, not left out in silence: its scan will say what is wrong with it.
  const dated = await inParallel(tags, parallel, async (tag) => ({
    tag,
    at: await created(tag).then(Number, () => Number.POSITIVE_INFINITY),
  }));
  return dated
    .toSorted((a, b) => (a.at === b.at ? order(a, b) : b.at > a.at ? 1 : -1))
    .slice(0, count)
    .map(({ tag }) => tag);
}

/**
 * Lists the targets, in the order of the settings, so that planning again gives the same ids. In memory there are the digests and names of all images,
 * never all lines at once.
 *
 * An image whose digest the registry does not tell is a target all the same: it is tried, and named when it cannot be scanned.
 */
export async function plan(targets: readonly TargetArgs[], registry: Registry, options: PlanOptions): Promise<Plan> {
  const { strict, parallel = 8 } = options;
  const problems: Problem[] = [];
  const images = new Set<string>();
  for (const target of targets) {
    if ("image" in target) {
      images.add(formatImageReference(parsed(target.image)));
      continue;
    }
    const repository = formatImageReference(parsed(target.repository));
    try {
      const tags = await registry.tags(repository);
      const created = (tag: string) => registry.created(`${repository}:${tag}`);
      const { chosen, unmatched } = await chooseTags(tags, target, created, parallel);
      for (const message of unmatched) problems.push({ kind: strict ? "error" : "warning", about: repository, message });
      for (const tag of chosen) images.add(`${repository}:${tag}`);
    } catch (error) {
      problems.push({
        kind: "error",
        about: repository,
        message: `its tags cannot be listed: ${error instanceof Error ? error.message : error}`,
      });
    }
  }
  if (images.size === 0 && !problems.some(({ kind }) => kind === "error"))
    problems.push({ kind: "error", about: "targets", message: "there is no image to scan" });

  const names = [...images];
  const digests = await inParallel(names, parallel, (name) => parsed(name).digest ?? registry.digest(name).catch(() => undefined));
  // By digest, or by name if the digest is unknown.
  const groups = new Map<string, { readonly digest: string | undefined; readonly names: [string, ...string[]] }>();
  for (const [index, name] of names.entries()) {
    const digest = digests[index];
    const group = groups.get(digest ?? name);
    if (group) group.names.push(name);
    else groups.set(digest ?? name, { digest, names: [name] });
  }
  function* lines(): Generator<PlanLine> {
    for (const problem of problems) yield { problem };
    let id = 0;
    for (const { digest, names } of groups.values()) {
      const [name] = names;
      const { registry, repository } = parsed(name);
      const pinned = digest !== undefined && { reference: formatImageReference({ registry, repository, digest }), digest };
      yield { target: { id: `${id++}`, reference: name, names, ...pinned } };
    }
  }
  return { targets: groups.size, lines };
}

/** Settings are checked before a run is planned. */
function parsed(text: string): ImageReference {
  const reference = parseImageReference(text);
  if (!reference) throw new TypeError(`${text} is not an image reference`);
  return reference;
}

/** The results in the order of the items, of which `parallel` at most are worked on at a time. */
async function inParallel<T, R>(items: readonly T[], parallel: number, work: (item: T) => R | Promise<R>): Promise<R[]> {
  const results: R[] = [];
  results.length = items.length;
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker));
  return results;
}
