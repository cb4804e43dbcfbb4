import pMap from "p-map";
import type { PlanLine, PlanProblem } from "../protocol/api.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../protocol/image-reference.ts";
import { defaultPlatform, imageOfName, matchesPlatform, nameForPlatform } from "../protocol/platforms.ts";
import type { TargetArgs } from "../protocol/targets.ts";
import type { Description, Registry } from "./registry.ts";
import { selectTags } from "./tags.ts";

export interface PlanOptions {
  /** A glob or range that matches no tag is an error instead of a warning. */
  readonly strict: boolean;
  /** Platforms to scan of each image, or `all`. @default one: linux/amd64 if there is an image for it */
  readonly platforms?: readonly string[] | undefined;
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
 * Lists the images to scan, in the order of the settings, so that a second plan has the same ids. Images with the same digest are one target.
 * With several platforms, the result for linux/amd64, or for the first one without it, has the image's name; others have the platform in
 * their names, so that further platforms change no earlier result. An image whose digest the registry does not return is a target of its own, so that its scan fails with a reason.
 *
 * It keeps the names and digests of all images in memory, but never all lines at once.
 */
export async function plan(targets: readonly TargetArgs[], registry: Registry, options: PlanOptions): Promise<Plan> {
  const { strict, platforms, concurrency = 8 } = options;
  const known = new Map<string, Promise<Description | Error>>();
  /** Describes an image once; an error if the registry does not. */
  const describe = (name: string) => {
    const found = known.get(name) ?? registry.describe(name).catch((error: Error) => error);
    known.set(name, found);
    return found;
  };
  const { listed, problems } = await listImages(targets, { ...registry, describe }, strict, concurrency);
  const described = await pMap(
    listed,
    async (image): Promise<Described> => {
      const { name, repository } = image;
      // Of an image that the settings name, what it is does not matter, unless platforms are told apart.
      const found = repository === undefined && !platforms ? undefined : await describe(name);
      if (found instanceof Error) return { ...image, ...(platforms && { error: found.message }) };
      const digest = found?.digest ?? read(name).digest ?? (await registry.digest(name).catch(() => undefined));
      return {
        ...image,
        ...(found?.images && { images: found.images }),
        ...(digest !== undefined && { digest }),
        isImage: repository === undefined || found?.isImage !== false,
      };
    },
    { concurrency },
  );
  problems.push(...skipped(described.filter(({ isImage }) => isImage === false)), ...unlisted(described));
  const existing = described.filter(({ isImage, error }) => isImage !== false && error === undefined);
  const chosen = platforms ? existing.map((image) => ({ image, found: ofPlatforms(image, platforms) })) : [];
  problems.push(...chosen.flatMap(({ image, found }) => (found.length > 0 ? [] : [missingPlatform(image, platforms ?? [])])));
  const images = groupByDigest(platforms ? chosen.flatMap(({ found }) => found) : existing);

  if (images.length === 0 && !problems.some(({ kind }) => kind === "error"))
    problems.push({ kind: "error", about: "targets", message: "there is no image to scan" });

  function* lines(): Generator<PlanLine> {
    for (const problem of problems) yield { problem };
    let id = 0;
    for (const { digest, platform, names } of images) {
      const name = imageOfName(names[0]);
      const { registry, repository } = read(name);
      const pinned = digest !== undefined && { reference: formatImageReference({ registry, repository, digest }), digest };
      yield { target: { id: `${id++}`, reference: name, names, ...pinned, ...(platform !== undefined && { platform }) } };
    }
  }
  return { targets: images.length, lines };
}

interface Listed {
  readonly name: string;
  /** The repository that was listed; undefined for an image that the settings name. */
  readonly repository?: string;
}

/** An image, and what its registry says of it. */
interface Described extends Listed, Partial<Description> {
  /** Why its platforms are not known. */
  readonly error?: string;
}

/** Registries as planning sees them. */
type Queries = Pick<Registry, "tags" | "created"> & { readonly describe: (name: string) => Promise<Description | Error> };

/** Returns the names of all images, each once, and what could not be listed. */
async function listImages(targets: readonly TargetArgs[], registry: Queries, strict: boolean, concurrency: number) {
  const names = new Map<string, Listed>();
  const problems: PlanProblem[] = [];
  for (const target of targets) {
    if ("image" in target) {
      const name = formatImageReference(read(target.image));
      names.set(name, { name });
      continue;
    }
    const repository = formatImageReference(read(target.repository));
    try {
      const queries = {
        created: (tag: string) => registry.created(`${repository}:${tag}`),
        isImage: async (tag: string) => {
          const found = await registry.describe(`${repository}:${tag}`);
          return found instanceof Error || found.isImage;
        },
      };
      const { selected, unmatched } = await selectTags(await registry.tags(repository), target, queries, concurrency);
      for (const tag of selected) {
        const name = `${repository}:${tag}`;
        if (!names.has(name)) names.set(name, { name, repository });
      }
      for (const message of unmatched) problems.push({ kind: strict ? "error" : "warning", about: repository, message });
    } catch (error) {
      const message = `its tags cannot be listed: ${error instanceof Error ? error.message : error}`;
      problems.push({ kind: "error", about: repository, message });
    }
  }
  return { listed: [...names.values()], problems };
}

/** Says of each repository how many of its tags are no images. */
function skipped(listed: readonly Listed[]): PlanProblem[] {
  return [...Map.groupBy(listed, ({ repository }) => repository)].map(([repository = "", { length }]) => ({
    kind: "warning",
    about: repository,
    message: `${length === 1 ? "one tag is" : `${length} tags are`} no image, but a Helm chart, a build cache, a signature or the like, and skipped`,
  }));
}

/** Reports images whose platforms are not known: the results of all of their platforms stay as they are. */
const unlisted = (described: readonly Described[]): PlanProblem[] =>
  described.flatMap(({ name, error }) =>
    error === undefined ? [] : [{ kind: "error", about: name, message: `its platforms cannot be listed: ${error}` }],
  );

/** An image to scan, by one of its names. */
interface Named {
  readonly name: string;
  readonly digest?: string;
  readonly platform?: string;
}

/** Returns the images of an index for the platforms. What is no index is scanned whatever its platform, which only its configuration says. */
function ofPlatforms({ name, digest, images = [] }: Described, platforms: readonly string[]): Named[] {
  if (images.length === 0) return [{ name, ...(digest !== undefined && { digest }) }];
  const found = images.filter(({ platform }) => matchesPlatform(platform, platforms));
  const first = found.find(({ platform }) => platform === defaultPlatform) ?? found[0];
  return found.map((one) => ({ ...one, name: one === first ? name : nameForPlatform(name, one.platform) }));
}

const missingPlatform = ({ name, images = [] }: Described, platforms: readonly string[]): PlanProblem => ({
  kind: "warning",
  about: name,
  message: `it has no image for ${platforms.join(" or ")}, but for ${images.map(({ platform }) => platform).join(", ")}, and is not scanned`,
});

interface Image extends Pick<Named, "platform"> {
  readonly digest: string | undefined;
  readonly names: [string, ...string[]];
}

function groupByDigest(named: readonly Named[]): Image[] {
  const images = new Map<string, Image>();
  for (const { name, digest, platform } of named) {
    const key = digest ?? name;
    const image = images.get(key);
    if (image) image.names.push(name);
    else images.set(key, { digest, names: [name], ...(platform !== undefined && { platform }) });
  }
  return [...images.values()];
}

/** @throws {TypeError} for an invalid reference; the configuration was checked before */
function read(name: string): ImageReference {
  const reference = parseImageReference(name);
  if (!reference) throw new TypeError(`${name} is not a valid image reference`);
  return reference;
}
