import pMap from "p-map";
import type { PlanLine, PlanProblem } from "../protocol/api.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../protocol/image-reference.ts";
import type { TargetArgs } from "../protocol/targets.ts";
import type { Registry } from "./registry.ts";
import { selectTags } from "./tags.ts";

export interface PlanOptions {
  /** A glob or range that matches no tag is an error instead of a warning. */
  readonly strict: boolean;
  /** Maximum number of queries to registries at a time. @default 8 */
  readonly concurrency?: number;
}

export interface Plan {
  /** Number of targets. */
  readonly targets: number;
  /** Generates the plan's lines. Can be called again, to send the plan again. */
  lines(): Iterable<PlanLine>;
}

/**
 * Lists the images to scan, in the order of the settings, so that a second plan has the same ids. Images with the same digest are one target;
 * an image whose digest the registry does not return is a target of its own, so that its scan fails with a reason.
 *
 * It keeps the names and digests of all images in memory, but never all lines at once.
 */
export async function plan(targets: readonly TargetArgs[], registry: Registry, options: PlanOptions): Promise<Plan> {
  const { strict, concurrency = 8 } = options;
  const { names, problems } = await listImages(targets, registry, strict, concurrency);
  const digests = await pMap(names, (name) => read(name).digest ?? registry.digest(name).catch(() => undefined), { concurrency });
  const images = groupByDigest(names, digests);

  function* lines(): Generator<PlanLine> {
    for (const problem of problems) yield { problem };
    let id = 0;
    for (const { digest, names } of images) {
      const [name] = names;
      const { registry, repository } = read(name);
      const pinned = digest !== undefined && { reference: formatImageReference({ registry, repository, digest }), digest };
      yield { target: { id: `${id++}`, reference: name, names, ...pinned } };
    }
  }
  return { targets: images.length, lines };
}

/** Returns the names of all images, each once, and what could not be listed. */
async function listImages(targets: readonly TargetArgs[], registry: Registry, strict: boolean, concurrency: number) {
  const names = new Set<string>();
  const problems: PlanProblem[] = [];
  for (const target of targets) {
    if ("image" in target) {
      names.add(formatImageReference(read(target.image)));
      continue;
    }
    const repository = formatImageReference(read(target.repository));
    try {
      const created = (tag: string) => registry.created(`${repository}:${tag}`);
      const { selected, unmatched } = await selectTags(await registry.tags(repository), target, created, concurrency);
      for (const tag of selected) names.add(`${repository}:${tag}`);
      for (const message of unmatched) problems.push({ kind: strict ? "error" : "warning", about: repository, message });
    } catch (error) {
      const message = `its tags cannot be listed: ${error instanceof Error ? error.message : error}`;
      problems.push({ kind: "error", about: repository, message });
    }
  }
  if (names.size === 0 && !problems.some(({ kind }) => kind === "error"))
    problems.push({ kind: "error", about: "targets", message: "there is no image to scan" });
  return { names: [...names], problems };
}

interface Image {
  readonly digest: string | undefined;
  readonly names: [string, ...string[]];
}

function groupByDigest(names: readonly string[], digests: readonly (string | undefined)[]): Image[] {
  const images = new Map<string, Image>();
  for (const [index, name] of names.entries()) {
    const digest = digests[index];
    const key = digest ?? name;
    const image = images.get(key);
    if (image) image.names.push(name);
    else images.set(key, { digest, names: [name] });
  }
  return [...images.values()];
}

/** @throws {TypeError} for an invalid reference; the configuration was checked before */
function read(name: string): ImageReference {
  const reference = parseImageReference(name);
  if (!reference) throw new TypeError(`${name} is not a valid image reference`);
  return reference;
}
