import { minVersion, validRange } from "semver";
import { imageReferenceProblem, parseImageReference } from "./image-reference.ts";

/** Orders of tags by which the newest are found. */
export const tagOrders = ["automatic", "built", "name"] as const;

/** What to scan: one image, or tags of a repository. */
export type TargetArgs =
  /** An image with its tag or digest. */
  | { readonly image: string }
  | {
      readonly repository: string;
      /** Names or globs, such as `release-*`; tags that match one of them are scanned. @default all tags */
      readonly tags?: readonly string[];
      /** Range of semantic versions, such as `>=1.4 <3`; tags that are not versions in it are left out. @default all tags */
      readonly versions?: string;
      /** Names or globs of tags that are left out. @default none */
      readonly exclude?: readonly string[];
      /** Maximum number of tags. @default unlimited */
      readonly newest?: number;
      /** What is the newest: `automatic`, the highest version if all tags are versions, otherwise the last built; `built`; `name`. @default automatic */
      readonly order?: (typeof tagOrders)[number];
    };

/**
 * Explains why a text does not name an image to scan: one with a tag, which may move, or a digest.
 *
 * @returns a phrase that follows the text in a sentence; `undefined` for a valid image
 */
export function scannedImageProblem(image: string): string | undefined {
  const reference = parseImageReference(image);
  if (!reference) return imageReferenceProblem(image);
  if (reference.tag === undefined && reference.digest === undefined)
    return `has neither a tag nor a digest; use \`${image}:latest\` if that is meant`;
  return undefined;
}

/**
 * Explains why a text does not name a repository whose tags are scanned.
 *
 * @returns a phrase that follows the text in a sentence; `undefined` for a valid repository
 */
export function scannedRepositoryProblem(repository: string): string | undefined {
  const reference = parseImageReference(repository);
  if (!reference) return imageReferenceProblem(repository);
  if (reference.tag !== undefined || reference.digest !== undefined)
    return "is an image, not a repository; remove its tag or digest, or set it as `image`";
  return undefined;
}

/**
 * Explains why a text is not a range of semantic versions.
 *
 * @returns a phrase that follows the text in a sentence; `undefined` for a valid range
 */
export function versionRangeProblem(range: string): string | undefined {
  const examples = "use one such as `>=1.4 <3`, `^2.1` or `1.x`";
  if (validRange(range) === null) return `is not a valid range of semantic versions; ${examples}`;
  return minVersion(range) === null ? `no version satisfies; ${examples}` : undefined;
}
