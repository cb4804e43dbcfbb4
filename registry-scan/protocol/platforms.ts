/** Platforms of images, as `linux/amd64` or `linux/arm/v7`. */

/** In place of a list of platforms: every one for Linux. */
export const allPlatforms = "all";

/** The platform that clients take by default. */
export const defaultPlatform = "linux/amd64";

const pattern = /^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9.]+)?$/;

/** Architectures that images are published for; of others, Trivy knows no packages. */
const architectures = ["386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"];

/**
 * Explains why a text is not a platform whose images can be scanned.
 *
 * @returns a phrase that follows the text in a sentence; `undefined` for a valid platform, and for `all`
 */
export function platformProblem(text: string): string | undefined {
  if (text === allPlatforms) return undefined;
  const [os, architecture = ""] = text.split("/");
  if (!pattern.test(text)) return "is not a platform; use one such as linux/arm64, or all";
  if (os !== "linux") return `is for ${os}, whose images Trivy does not scan; use one such as linux/arm64, or all`;
  return architectures.includes(architecture) ? undefined : `has an unknown architecture; use one of ${architectures.join(", ")}`;
}

/** Whether an image's platform is one of those that are wanted. One without a variant stands for all variants. */
export const matchesPlatform = (platform: string, wanted: readonly string[]): boolean =>
  wanted.some((one) => (one === allPlatforms ? platform.startsWith("linux/") : platform === one || platform.startsWith(`${one}/`)));

/** Returns the name of an image's result for a further platform. */
export const nameForPlatform = (name: string, platform: string): string => `${name} (${platform})`;

/** Returns the image that a result's name is about. */
export const imageOfName = (name: string): string => name.replace(/ \([a-z0-9]+\/[a-z0-9_./]+\)$/, "");
