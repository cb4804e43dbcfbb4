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
  readonly artifactType?: unknown;
  readonly platform?: { readonly os?: unknown };
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
  if (artifactType !== undefined && artifactType !== "" && !imageConfig.test(`${artifactType}`)) return "other";
  if (!imageConfig.test(`${config?.mediaType}`)) return "other";
  return layers.every(({ mediaType }) => imageLayer.test(`${mediaType}`)) ? "image" : "other";
}

/** The entries of a build cache are layers, those of attestations are for an unknown system. */
const isImageEntry = ({ mediaType, artifactType, platform }: Entry): boolean =>
  imageManifest.test(`${mediaType}`) && artifactType === undefined && platform?.os !== "unknown";

/**
 * Returns what a manifest describes, and its digest.
 *
 * @returns undefined if the digest is not that of the text: manifests of the first schema are signed, and their digest leaves the signatures out
 */
export function describeManifest(text: string): { readonly digest: string; readonly kind: ManifestKind } | undefined {
  const manifest: Manifest = JSON.parse(text);
  if (manifest.schemaVersion === 1) return undefined;
  return { digest: `sha256:${createHash("sha256").update(text).digest("hex")}`, kind: manifestKind(manifest) };
}
