import type { ImageReference } from "../../registry-scan/index.ts";
import { type RegistryClient, RegistryError } from "./registry.ts";

/** What a registry says about an image. */
export interface Verification {
  readonly status: "correct" | "moved" | "missing" | "incomplete" | "unpinned" | "unknown";
  /** A phrase that follows the image's reference. */
  readonly message: string;
}

/** What the service's images must exist for. */
const platforms = ["linux/amd64", "linux/arm64"];

/** Compares a reference's tag and digest with what its registry has. */
export async function verifyImage(client: RegistryClient, image: ImageReference): Promise<Verification> {
  try {
    return await compare(client, image);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return { status: "unknown", message: `could not be checked: ${error.message}` };
  }
}

async function compare(client: RegistryClient, image: ImageReference): Promise<Verification> {
  const { tag, digest } = image;
  const current = tag === undefined ? undefined : await client.digestOf(image, tag);
  if (digest === undefined) {
    if (current === undefined) return { status: "missing", message: `does not exist: there is no tag ${tag ?? "latest"}` };
    return { status: "unpinned", message: `has no digest; to pin it, append @${current}` };
  }
  const pinned = await client.manifest(image, digest);
  if (!pinned)
    return {
      status: "missing",
      message: `does not exist: there is no ${digest}${current === undefined ? "" : `; the tag ${tag} is ${current}`}`,
    };
  const lacking = platforms.filter((platform) => !pinned.platforms?.includes(platform));
  if (lacking.length > 0)
    return {
      status: "incomplete",
      message: pinned.platforms
        ? `is an index without ${lacking.join(" and ")}; use a digest that has both`
        : "is the manifest of one architecture; use the digest of the index",
    };
  if (tag === undefined) return { status: "correct", message: `is there, for ${platforms.join(" and ")}` };
  if (current === undefined)
    return { status: "moved", message: `has lost its tag: there is no ${tag} any more, but the digest is still there` };
  if (current !== digest) return { status: "moved", message: `has a tag that moved: ${tag} is now ${current}; the digest is still there` };
  return { status: "correct", message: `is what the tag ${tag} names, for ${platforms.join(" and ")}` };
}
