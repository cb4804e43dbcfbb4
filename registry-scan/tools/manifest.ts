import { createHash } from "node:crypto";
import { defaultPlatform } from "../protocol/platforms.ts";

/** What a manifest in a registry describes. `other`: a Helm chart, a build cache, a signature, an attestation, an SBOM, a Wasm module, … */
export type ManifestKind = "image" | "other";

interface Manifest {
  readonly schemaVersion?: unknown;
  readonly artifactType?: unknown;
  readonly config?: { readonly mediaType?: unknown };
  readonly layers?: readonly { readonly mediaType?: unknown }[];
  readonly manifests?: readonly Entry[];
}

interface Entry {
  readonly mediaType?: unknown;
  readonly digest?: unknown;
  readonly artifactType?: unknown;
  readonly platform?: { readonly os?: unknown; readonly architecture?: unknown; readonly variant?: unknown };
}

/** An image of an index. */
export interface PlatformImage {
  /** As `linux/arm64`. */
  readonly platform: string;
  readonly digest: string;
}

const imageConfig = /^application\/vnd\.(oci\.image\.config\.v1\+json|docker\.container\.image\.v1\+json)$/;
const imageLayer = /^application\/vnd\.(oci\.image\.layer\.|docker\.image\.rootfs\.)/;
const imageManifest = /^application\/vnd\.(oci\.image\.(manifest|index)|docker\.distribution\.manifest)\./;

/** Returns what a manifest describes. An image, if it does not say that it is something else. */
export function manifestKind(manifest: Manifest): ManifestKind {
  if (Array.isArray(manifest.manifests))
    return manifest.manifests.length === 0 || manifest.manifests.some(isImageEntry) ? "image" : "other";
  if (manifest.schemaVersion === 1) return "image";
  const { artifactType, config, layers = [] } = manifest;
  if (!isImageType(artifactType)) return "other";
  if (!imageConfig.test(`${config?.mediaType}`)) return "other";
  return layers.every(({ mediaType }) => imageLayer.test(`${mediaType}`)) ? "image" : "other";
}

/** Some tools name the type of an image's configuration as that of the artifact. */
const isImageType = (artifactType: unknown): boolean =>
  artifactType === undefined || artifactType === "" || imageConfig.test(`${artifactType}`);

/** The entries of a build cache are layers, those of attestations are for an unknown system. */
const isImageEntry = ({ mediaType, artifactType, platform }: Entry): boolean =>
  imageManifest.test(`${mediaType}`) && isImageType(artifactType) && platform?.os !== "unknown";

/** Returns the images of an index, each platform once. */
function imagesOf({ manifests }: Manifest): PlatformImage[] {
  if (!Array.isArray(manifests)) return [];
  const images = new Map<string, PlatformImage>();
  for (const entry of manifests.filter(isImageEntry)) {
    const platform = platformOf(entry);
    if (platform === undefined || images.has(platform)) continue;
    if (typeof entry.digest === "string" && /^sha256:[0-9a-f]{64}$/.test(entry.digest))
      images.set(platform, { platform, digest: entry.digest });
  }
  return [...images.values()];
}

function platformOf({ platform }: Entry): string | undefined {
  const { os, architecture, variant } = platform ?? {};
  // Every image for arm64 is for its version 8.
  const parts = [os, architecture, ...(variant === undefined || (architecture === "arm64" && variant === "v8") ? [] : [variant])];
  return parts.every((part) => typeof part === "string" && /^[a-z0-9_.]+$/.test(part)) ? parts.join("/") : undefined;
}

/**
 * Returns the digest of the image to scan in an index that has none for linux/amd64, which clients take by default: the first one for Linux,
 * or the first one. Undefined if there is one, or nothing else.
 */
function otherPlatform(images: readonly PlatformImage[]): string | undefined {
  if (images.some(({ platform }) => platform === defaultPlatform)) return undefined;
  return (images.find(({ platform }) => platform.startsWith("linux/")) ?? images[0])?.digest;
}

/**
 * Returns what a manifest describes, and its digest, or of an index that has no image for linux/amd64 the digest of another one; further the
 * images of an index.
 *
 * @returns undefined if the digest is not that of the text: manifests of the first schema are signed, and their digest leaves the signatures out
 */
export function describeManifest(
  text: string,
): { readonly digest: string; readonly kind: ManifestKind; readonly images: readonly PlatformImage[] } | undefined {
  const manifest: Manifest = JSON.parse(text);
  if (manifest.schemaVersion === 1) return undefined;
  const images = imagesOf(manifest);
  const digest = otherPlatform(images) ?? `sha256:${createHash("sha256").update(text).digest("hex")}`;
  return { digest, kind: manifestKind(manifest), images };
}
