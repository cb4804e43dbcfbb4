import { createHash } from "node:crypto";
import { type Artifact, artifactType } from "./artifacts.ts";
import { Refusal } from "./refusal.ts";

export const manifestType = "application/vnd.oci.image.manifest.v1+json";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** What is used of a manifest that was checked. */
export interface Manifest {
  readonly config: Descriptor;
  readonly layer: Descriptor;
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** Maximum size of a configuration, which is empty in Trivy's databases. */
const maximumConfigSize = 64 << 10;

export const sha256 = (data: string | Buffer) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

/**
 * Reads the manifest of a database.
 *
 * @param digest the digest by which the registry knows it
 * @throws {Refusal} unless it is one that Trivy accepts
 */
export function parseManifest(text: string, digest: string, artifact: Artifact): Manifest {
  if (sha256(text) !== digest) throw new Refusal("digest", `the manifest is not the one of ${digest}`);
  const { mediaType, artifactType: type, config, layers } = parseObject(text);
  if (mediaType !== undefined && mediaType !== manifestType) throw new Refusal("manifest", `the manifest has the media type ${mediaType}`);
  if (!isDescriptor(config) || !Array.isArray(layers) || !layers.every(isDescriptor))
    throw new Refusal("manifest", "the manifest is not one of an OCI artifact");
  if ((type ?? config.mediaType) !== artifactType) throw new Refusal("manifest", `the artifact has the type ${type ?? config.mediaType}`);
  const [layer, ...others] = layers;
  if (!layer || others.length > 0) throw new Refusal("manifest", `the artifact has ${layers.length} layers, not one`);
  if (layer.mediaType !== artifact.layerType) throw new Refusal("manifest", `the layer has the media type ${layer.mediaType}`);
  if (config.size > maximumConfigSize) throw new Refusal("size", `the configuration has ${config.size} bytes`);
  if (layer.size === 0) throw new Refusal("size", "the layer is empty");
  return { config, layer };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Refused below.
  }
  throw new Refusal("manifest", "the manifest is not a JSON object");
}

function isDescriptor(value: unknown): value is Descriptor {
  const { mediaType, digest, size } = (value ?? {}) as Partial<Descriptor>;
  return typeof mediaType === "string" && digestPattern.test(digest ?? "") && Number.isSafeInteger(size) && Number(size) >= 0;
}

/** The configuration of artifacts that have none. */
export const emptyConfig = "{}";

/** Returns the manifest of a database that is given as a file, in the form in which Trivy's databases are published. */
export function manifestOf({ layerType, file }: Artifact, layer: Pick<Descriptor, "digest" | "size">): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: sha256(emptyConfig), size: emptyConfig.length },
    layers: [{ mediaType: layerType, digest: layer.digest, size: layer.size, annotations: { "org.opencontainers.image.title": file } }],
  });
}
