/** Which images a run is about: their references, the tags that are chosen, and images with the same content taken as one. */
import { matchesGlob } from "node:path";
import { Range, SemVer } from "semver";
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

interface Reference {
  /** `registry/repository`, as a whole: `docker.io/library/alpine` for `alpine`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

const host = /^(?:(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d{1,5})?$/i;
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** What is wrong with the reference of an image, and what would be right; nothing when it is a good one. */
export function imageProblem(image: string): string | undefined {
  const parsed = parse(image);
  if (typeof parsed === "string") return parsed;
  if (parsed.tag === undefined && parsed.digest === undefined)
    return `has neither a tag nor a digest; \`${image}:latest\` if that is meant`;
  return undefined;
}

/** What is wrong with the reference of a repository, and what would be right; nothing when it is a good one. */
export function repositoryProblem(repository: string): string | undefined {
  const parsed = parse(repository);
  if (typeof parsed === "string") return parsed;
  if (parsed.tag !== undefined || parsed.digest !== undefined)
    return "is an image, not a repository; leave its tag or digest out, or give it as `image`";
  return undefined;
}

/** What is wrong with a range of versions; nothing when it is a good one. */
export function versionsProblem(versions: string): string | undefined {
  return rangeOf(versions) ? undefined : "is no range of semantic versions; one is `>=1.4 <3`, `^2.1` or `1.x`";
}

function parse(text: string): Reference | string {
  if (text === "") return "is empty; an image is `registry/repository:tag`";
  if (/\s/.test(text)) return "has a blank in it; an image is `registry/repository:tag`";
  if (text.includes("://")) return `has a scheme; leave \`${text.slice(0, text.indexOf("://") + 3)}\` out`;
  const [named = "", digest, ...more] = text.split("@");
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest)))
    return "has a digest that is none; one is `sha256:` and 64 digits from 0 to f";
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const name = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag))
    return `has the tag \`${tag}\`, which is none; one is 1 to 128 letters, digits, \`_\`, \`.\` and \`-\`, the first a letter, a digit or \`_\``;
  const [first = "", ...rest] = name.split("/");
  const hosted = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  if (hosted && !host.test(first))
    return `has the registry \`${first}\`, which is neither a host nor host:port; one is \`registry.example.com:5000\``;
  const path = hosted ? rest : [first, ...rest];
  if (!path.every((each) => component.test(each))) {
    const lower = path.join("/").toLowerCase();
    const right = lower.split("/").every((each) => component.test(each)) ? `, such as \`${lower}\`` : "";
    return `has the repository \`${path.join("/")}\`, which is none; one is lower-case letters and digits, with \`.\`, \`_\`, \`-\` and \`/\` between them${right}`;
  }
  // As Docker and Trivy read short names: one image that is written in two ways is one.
  const registry = hosted && first !== "index.docker.io" ? first : "docker.io";
  const repository = `${registry}/${registry === "docker.io" && path.length === 1 ? "library/" : ""}${path.join("/")}`;
  return { repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

function parsed(text: string): Reference {
  const reference = parse(text);
  if (typeof reference === "string") throw new Error(`${text} ${reference}`);
  return reference;
}

function rangeOf(versions: string): Range | undefined {
  try {
    return new Range(versions);
  } catch {
    return undefined;
  }
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
    const range = rangeOf(choice.versions);
    if (!range) throw new Error(`\`${choice.versions}\` ${versionsProblem(choice.versions)}`);
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
      images.add(nameOf(parsed(target.image)));
      continue;
    }
    const { repository } = parsed(target.repository);
    try {
      const tags = await registry.tags(repository);
      const created = (tag: string) => registry.created(`${repository}:${tag}`);
      const { chosen, unmatched } = await chooseTags(tags, target, created, parallel);
      for (const message of unmatched) problems.push({ kind: strict ? "error" : "warning", about: repository, message });
      for (const tag of chosen) images.add(nameOf({ repository, tag }));
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
  const digests = await inParallel(names, parallel, (name) => digestOf(name) ?? registry.digest(name).catch(() => undefined));
  // By digest where it is known, else by name: a name has a slash in it, a digest has none.
  const groups = new Map<string, [string, ...string[]]>();
  for (const [index, name] of names.entries()) {
    const key = digests[index] ?? name;
    const group = groups.get(key);
    if (group) group.push(name);
    else groups.set(key, [name]);
  }
  function* lines(): Generator<PlanLine> {
    for (const problem of problems) yield { problem };
    let id = 0;
    for (const [key, names] of groups) {
      const known = key.includes("/") ? undefined : { reference: `${repositoryOf(names[0])}@${key}`, digest: key };
      yield { target: { id: `${id++}`, reference: names[0], names, ...known } };
    }
  }
  return { targets: groups.size, lines };
}

/** As people know it. A digest that was asked for is part of the name: its tag may have moved on since. */
function nameOf({ repository, tag, digest }: Reference): string {
  return `${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

const digestOf = (name: string): string | undefined => name.split("@")[1];

function repositoryOf(name: string): string {
  const [tagged = ""] = name.split("@");
  const colon = tagged.indexOf(":", tagged.lastIndexOf("/"));
  return colon < 0 ? tagged : tagged.slice(0, colon);
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
