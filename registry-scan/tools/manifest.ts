import { createHash } from "node:crypto";

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
  readonly platform?: { readonly os?: unknown; readonly architecture?: unknown };
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

/**
 * Returns the digest of the image to scan in an index that has none for linux/amd64, which clients take by default: the first one for Linux,
 * or the first one. Undefined if there is one, or nothing else.
 */
function otherPlatform({ manifests }: Manifest): string | undefined {
  if (!Array.isArray(manifests)) return undefined;
  const images = manifests.filter(isImageEntry);
  const isLinux = ({ platform }: Entry) => platform?.os === "linux";
  if (images.some((entry) => isLinux(entry) && entry.platform?.architecture === "amd64")) return undefined;
  const digest = (images.find(isLinux) ?? images[0])?.digest;
  return typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined;
}

/**
 * Returns what a manifest describes, and its digest, or of an index that has no image for linux/amd64 the digest of another one.
 *
 * @returns undefined if the digest is not that of the text: manifests of the first schema are signed, and their digest leaves the signatures out
 */
export function describeManifest(text: string): { readonly digest: string; readonly kind: ManifestKind } | undefined {
  const manifest: Manifest = JSON.parse(text);
  if (manifest.schemaVersion === 1) return undefined;
  const digest = otherPlatform(manifest) ?? `sha256:${createHash("sha256").update(text).digest("hex")}`;
  return { digest, kind: manifestKind(manifest) };
}
