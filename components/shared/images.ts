import * as pulumi from "@pulumi/pulumi";
import { imageReferenceProblem, parseImageReference } from "../../registry-scan/index.ts";
import type { ImagesArgs } from "../args.ts";
import type { Context } from "./context.ts";

/**
 * Version of the servers, and of the client that `scan` recommends. One constant, because a client of another version uses other keys in
 * the layer cache, so that it shares nothing with others.
 */
export const trivyVersion = "0.74.0";

/** The default images. All versions are in this file. */
export const images = {
  /** From GitHub's registry, because Docker Hub limits anonymous pulls. */
  trivy: `ghcr.io/aquasecurity/trivy:${trivyVersion}`,
  redis: "docker.io/library/redis:8.10.2-alpine3.23",
  /** Exports Redis' metrics to Prometheus. */
  redisExporter: "docker.io/oliver006/redis_exporter:v1.88.0",
  /** The branch with long-term support. */
  haproxy: "docker.io/library/haproxy:3.0.11",
  /** Runs the registry scan. The branch with long-term support. */
  node: "docker.io/library/node:24.21.0-alpine",
  /** Lists registries. The variant with a shell, which has `cp` to copy the binary with. */
  crane: "gcr.io/go-containerregistry/crane/debug:v0.21.6",
} as const;

/**
 * Returns the reference to pull for one of the service's images: the one that is given, or the default one, from the registry that is
 * given.
 */
export function imageReference(name: keyof typeof images, { registry, [name]: own }: pulumi.Unwrap<ImagesArgs> = {}): string {
  if (own !== undefined || registry === undefined) return own ?? images[name];
  return images[name].replace(/^[^/]+/, registry.replace(/\/+$/, ""));
}

/** Returns `imageReference` for the images of a context, which may be outputs. */
export function image(
  name: keyof typeof images,
  { images: { registry, [name]: own } = {} }: Pick<Context, "images">,
): pulumi.Output<string> {
  return pulumi.all({ registry, [name]: own }).apply((args) => imageReference(name, args));
}

/** Releases whose images contained malware: GHSA-69fq-xp46-6x23, March 2026. Pull-through caches may still hold them. */
const malicious = /^v?0\.69\.[456](?:-|$)/;

/**
 * Explains why an image reference cannot be used for the service's own pods, which need an exact version.
 *
 * @returns a phrase that follows the reference in a sentence; `undefined` for a reference that can be used
 */
export function pinnedImageProblem(text: string): string | undefined {
  const reference = parseImageReference(text);
  if (!reference) return imageReferenceProblem(text);
  const { repository, tag, digest } = reference;
  if (tag === "latest") return "names no version; use an exact tag instead of latest";
  if (tag === undefined && digest === undefined) return "names no version; add an exact tag or a digest";
  if (/(^|\/)trivy$/.test(repository) && tag !== undefined && malicious.test(tag))
    return `is a release that contained malware (GHSA-69fq-xp46-6x23); use ${trivyVersion}`;
  return undefined;
}
