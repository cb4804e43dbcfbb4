import { images as defaultImages } from "../components/shared/images.ts";
import * as v from "./kinds/index.ts";

/** An image instead of the default one of that name. */
const ownImage = (name: keyof typeof defaultImages, description: string) =>
  v
    .image(name)
    .optional()
    .meta({ description, otherwise: `\`${defaultImages[name]}\`` });

export const images = v
  .block("ImagesArgs", {
    registry: v.registry().optional().meta({
      description:
        "Registry, with an optional path, that replaces the host of the default images: a mirror, for clusters without internet access.",
      otherwise: "the public registries",
    }),
    pullSecrets: v
      .uniqueListOf(v.objectName())
      .default([])
      .describe("Names of existing Secrets of type kubernetes.io/dockerconfigjson for pulling images."),
    trivy: ownImage(
      "trivy",
      "Complete reference of the servers' image, Trivy 0.62 or newer; `registry` does not change it. Releases that contained malware are refused.",
    ),
    haproxy: ownImage("haproxy", "Complete reference of the gateway's image, HAProxy 3.0 or newer."),
    node: ownImage("node", "Complete reference of an image with Node 24.5 or newer, for the registry scan, the mirror and the monitoring."),
    crane: ownImage("crane", "Complete reference of the image that the registry scan copies `crane` from."),
    redis: ownImage("redis", "Complete reference of the cache's image: Redis 7.0 or newer, or Valkey 7.2 or newer."),
    redisExporter: ownImage("redisExporter", "Complete reference of the image that exports Redis' metrics to Prometheus."),
  })
  .describe("Container images, and where they are pulled from.")
  .prefault({});
