/**
 * The one place where versions stand. The server's and the recommended client's version are the same constant: a client of another
 * version keys the layer cache differently, so that nothing which it analyses is shared.
 */
export const trivyVersion = "0.74.0";

export const images = {
  /** GitHub's registry, because Docker Hub limits anonymous pulls. */
  trivy: `ghcr.io/aquasecurity/trivy:${trivyVersion}`,
  redis: "docker.io/library/redis:8.10.2-alpine3.23",
  /** Reads Redis' figures for Prometheus. */
  redisExporter: "docker.io/oliver006/redis_exporter:v1.88.0",
  /** The long-term supported branch. */
  haproxy: "docker.io/library/haproxy:3.0.11",
  /** Runs the registry scan's programs. The long-term supported branch. */
  node: "docker.io/library/node:24.21.0-alpine",
  /** Lists registries; with a shell, from which the binary is copied. */
  crane: "gcr.io/go-containerregistry/crane/debug:v0.21.6",
} as const;

export interface ImagesArgs {
  /** Registry, with an optional path, that stands in for the host of the default images: a mirror, for clusters without internet. @default the public registries */
  readonly registry?: string;
  /** Names of existing Secrets of type kubernetes.io/dockerconfigjson in the namespace. @default none */
  readonly pullSecrets?: readonly string[];
  /** The Trivy server's image, whole; `registry` does not change it. @default ghcr.io/aquasecurity/trivy at `trivyVersion` */
  readonly trivy?: string;
  /** The gateway's image, whole. `registry` does not change it. @default docker.io/library/haproxy */
  readonly haproxy?: string;
  /** The registry scan's image with Node 24, whole. `registry` does not change it. @default docker.io/library/node */
  readonly node?: string;
  /** The image from which the registry scan takes `crane`, whole. `registry` does not change it. @default gcr.io/go-containerregistry/crane/debug */
  readonly crane?: string;
  /** The cache's image, whole; Valkey's works as well. `registry` does not change it. @default docker.io/library/redis */
  readonly redis?: string;
  /** The image of the cache's exporter for Prometheus, whole. `registry` does not change it. @default docker.io/oliver006/redis_exporter */
  readonly redisExporter?: string;
}

/** The reference to pull for one of the service's images. */
export function imageReference(name: keyof typeof images, args: ImagesArgs = {}): string {
  const own = args[name];
  if (own !== undefined || args.registry === undefined) return own ?? images[name];
  return images[name].replace(/^[^/]+/, args.registry.replace(/\/+$/, ""));
}

export const imagePattern =
  /^(?<repository>(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[a-f0-9]{64}))?$/;

/** Releases whose images carried malware: GHSA-69fq-xp46-6x23, March 2026. Pull-through mirrors may still hold them. */
const malicious = /^v?0\.69\.[456](?:-|$)/;

/** What is wrong with an image's reference, or nothing. */
export function imageProblem(reference: string): string | undefined {
  const parts = imagePattern.exec(reference)?.groups;
  if (!parts) return "is no image's name; write registry/repository:tag or registry/repository@sha256:…";
  const { repository = "", tag, digest } = parts;
  if (tag === "latest") return "names no version; write an exact tag instead of latest";
  if (tag === undefined && digest === undefined) return "names no version; add an exact tag or a digest";
  if (/(^|\/)trivy$/.test(repository) && tag !== undefined && malicious.test(tag))
    return `is a release with malware in it (GHSA-69fq-xp46-6x23); write ${trivyVersion}`;
  return undefined;
}
