import * as pulumi from "@pulumi/pulumi";
import { imageReferenceProblem, parseImageReference } from "../../registry-scan/index.ts";
import type { ImagesArgs } from "../args.ts";
import type { Context } from "./context.ts";

/**
 * Version of the servers, and of the client that `scan` recommends. One constant, because a client of another version uses other keys in
 * the layer cache, so that it shares nothing with others.
 */
export const trivyVersion = "0.74.0";

/**
 * The default images. All versions are in this file. A digest is that of an index, so it serves every architecture, and it is the same in every
 * registry that the image is copied to. `npm run images -- --verify` compares them with the registries.
 */
export const images = {
  /** From GitHub's registry, because Docker Hub limits anonymous pulls. */
  trivy: `ghcr.io/aquasecurity/trivy:${trivyVersion}@sha256:62b1e65e8869bc4b4c6aa4fa2b21595256c7c2f6018a9d9ad61caf87187c1969`,
  redis: "docker.io/library/redis:8.10.2-alpine3.23@sha256:3811787313eba226a2ef38658c6ccb91cd5e110edc89c37767de373120a0e5a0",
  /** Exports Redis' metrics to Prometheus. */
  redisExporter: "docker.io/oliver006/redis_exporter:v1.88.0",
  /** The branch with long-term support. */
  haproxy: "docker.io/library/haproxy:3.0.11",
  /** Runs the registry scan. The branch with long-term support. */
  node: "docker.io/library/node:24.21.0-alpine@sha256:ebfe2f90462722a7a4de65e91990e97fe0d401c70e0e762c5b53302f905ec1c1",
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

/** Tags that name another image with every build. */
const movingTags = new Set(["latest", "canary", "edge", "nightly", "main", "master", "stable"]);

/** Releases whose images contained malware: GHSA-69fq-xp46-6x23, March 2026. Pull-through caches may still hold them. */
const malicious = {
  tag: /^v?0\.69\.[456](?:-|$)/,
  /** Of the indexes and of the images in them, according to the advisory. */
  digests: new Set([
    // 0.69.4
    "sha256:27f446230c60bbf0b70e008db798bd4f33b7826f9f76f756606f5417100beef3",
    "sha256:12c702212dee1cbec9471e9261501a3335963321fe76e60e5a715b5acd3c40a2",
    "sha256:2d7cee41048988eec27615412e7c6e2e21046f2b5faa888c24e11ca6764058ed",
    "sha256:ae3494bd6ae860d7727116681bd09fc7b20dc994ec7a8105738f0a623ea93427",
    "sha256:43f46547efd488e56dcf862ed4d7cc342730a803f8d5bec5cac443028fefabef",
    // 0.69.5
    "sha256:5aaa1d7cfa9ca4649d6ffad165435c519dc836fa6e21b729a2174ad10b057d2b",
    "sha256:95ff680103570179feb0c6667a9b9b2d98c53fa5a9a451265036810390bbe70a",
    "sha256:4f7a06bb51714713ab308d2f8125f3b09ee1c3ffbba1a5ffd0cc80da95fbb6cc",
    "sha256:edef8e5816eced552a909b878ff262c0c47776d3297bcc23796ad4cce1e85414",
    // 0.69.6
    "sha256:425cd3e1a2846ac73944e891250377d2b03653e6f028833e30fc00c1abbc6d33",
    "sha256:dd8beb3b40df080b3fd7f9a0f5a1b02f3692f65c68980f46da8328ce8bb788ef",
    "sha256:4b22cedea58780ff76735c3e08b9ee8cb5d06c908ffa868152f11d45349eb696",
    "sha256:9efd59534d2b6b81b8b7a0eeb3ad0e74015f358650e24b9dab00c900d3118593",
    "sha256:5e5fb53cf4ce5555171ff5206302ba2f4f66f5381bbf673c354c87a925473f07",
  ]),
};

/**
 * The programs that can play a role, by the name of their image, with the oldest version that has what the service uses: Trivy the keys by
 * which it deletes layers, Redis and Valkey an append-only file of several parts, HAProxy JSON logs, Node the variables for proxies.
 */
const programs: Readonly<Record<keyof typeof images, Readonly<Record<string, readonly [major: number, minor: number]>>>> = {
  trivy: { trivy: [0, 62] },
  redis: { redis: [7, 0], valkey: [7, 2] },
  haproxy: { haproxy: [3, 0] },
  node: { node: [24, 5] },
  crane: { crane: [0, 0], debug: [0, 0] },
  redisExporter: { redis_exporter: [0, 0] },
};

/** Returns why an image cannot play a role, as far as its name and tag tell: images of a registry of one's own may be called anything. */
function roleProblem({ repository, tag = "" }: { readonly repository: string; readonly tag?: string }, role: keyof typeof images) {
  const name = repository.slice(repository.lastIndexOf("/") + 1);
  const suitable = programs[role];
  const minimum = suitable[name];
  if (!minimum) {
    const isOther = Object.values(programs).some((others) => name in others) || /(^|\/)library\/[^/]+$/.test(repository);
    return isOther ? `is another program; use an image of ${Object.keys(suitable).join(" or ")}, such as ${images[role]}` : undefined;
  }
  const [, major, minor = "999"] = /^v?(\d+)(?:\.(\d+))?(?![\w])/.exec(tag) ?? [];
  const isOld = major !== undefined && (Number(major) - minimum[0] || Number(minor) - minimum[1]) < 0;
  return isOld ? `is too old; use ${minimum.join(".")} or newer, such as ${images[role]}` : undefined;
}

/**
 * Explains why an image reference cannot be used for the service's own pods, which need an exact version without malware.
 *
 * @param role what the image is for; @default unknown
 * @returns a phrase that follows the reference in a sentence; `undefined` for a reference that can be used
 */
export function pinnedImageProblem(text: string, role?: keyof typeof images): string | undefined {
  const reference = parseImageReference(text);
  if (!reference) return imageReferenceProblem(text);
  const { repository, tag, digest } = reference;
  if (tag !== undefined && digest === undefined && movingTags.has(tag)) return `names no version; use an exact tag instead of ${tag}`;
  if (tag === undefined && digest === undefined) return "names no version; add an exact tag or a digest";
  const isTrivy = role === undefined ? /(^|\/)trivy$/.test(repository) : role === "trivy";
  const hasMaliciousTag = isTrivy && tag !== undefined && malicious.tag.test(tag);
  if (hasMaliciousTag || (digest !== undefined && malicious.digests.has(digest)))
    return `is a release that contained malware (GHSA-69fq-xp46-6x23); use ${trivyVersion}`;
  return role && roleProblem(reference, role);
}
