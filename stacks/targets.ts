import { tagOrders } from "../registry-scan/index.ts";
import * as v from "./kinds/index.ts";

const imageTarget = v
  .block("ImageTargetArgs", {
    image: v.scannedImage().describe("An image, with its tag or digest."),
  })
  .describe("One image to scan.");

const repositoryTarget = v
  .block("RepositoryTargetArgs", {
    repository: v.scannedRepository().describe("A repository, whose tags are listed at the start of each run."),
    tags: v
      .uniqueListOf(v.tagPattern())
      .min(1, { error: "is empty; name a tag or a glob, or remove the setting for all tags" })
      .optional()
      .meta({ description: "Tags and globs, such as `release-*`; tags that match one of them are scanned.", otherwise: "all tags" }),
    versions: v.versionRange().optional().meta({
      description: "Range of semantic versions, such as `>=1.4 <3`; tags outside the range, or that are not versions, are left out.",
      otherwise: "any version",
    }),
    exclude: v
      .uniqueListOf(v.tagPattern())
      .min(1, { error: "is empty; name a tag or a glob, or remove the setting" })
      .optional()
      .meta({ description: "Tags and globs, such as `*-cache`; tags that match one of them are left out.", otherwise: "none" }),
    newest: v.count(1, 10_000).optional().meta({ description: "Maximum number of tags: the newest by `order`.", otherwise: "no limit" }),
    order: v.choice(tagOrders).optional().meta({
      description:
        "Which tags are the newest: `built`, those of the images that were built last; `name`, the last names, as in `nightly-2026-11-27`; `automatic`, the highest versions if all tags are semantic versions, otherwise as `built`.",
      otherwise: "automatic",
    }),
  })
  .describe("A repository, of which some or all tags are scanned.");

export const targets = v
  .uniqueListOf(v.alternatives("TargetArgs", [imageTarget, repositoryTarget]).describe("What to scan: an image or a repository."))
  .default([])
  .describe("Images and repositories to scan. An image with several tags is scanned once.");
