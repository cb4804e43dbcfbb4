import { resources } from "./common.ts";
import * as v from "./kinds/index.ts";

const bucket = v
  .block("BucketArgs", {
    endpoint: v.serviceUrl().optional().meta({ description: "URL of the service.", otherwise: "Amazon's, of the region" }),
    region: v.region().default("us-east-1").describe("Region."),
    name: v.bucketName().describe("Name of the bucket."),
    prefix: v.anyText().default("").describe("Prefix of the objects' names."),
    existingSecret: v
      .objectName()
      .describe("Name of an existing Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if needed, AWS_SESSION_TOKEN."),
  })
  .describe("An S3-compatible bucket that receives a copy of all reports.")
  .optional();

export const reports = v
  .block("ReportsArgs", {
    keep: v.count(1, 1000).default(30).describe("Number of runs whose reports are kept."),
    size: v
      .size({ least: "64Mi", because: "the reports of a few runs need" })
      .default("2Gi")
      .describe("Size of the volume claim for the reports."),
    storageClass: v.objectName().optional().meta({ description: "StorageClass of the claim.", otherwise: "the cluster's default" }),
    cycloneDx: v.flag().default(false).describe("Also writes a CycloneDX document for each image: a list of its components."),
    url: v.webUrl().optional().meta({ description: "URL under which users open the reports, for links in alerts.", otherwise: "no links" }),
    viewers: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe("Namespaces whose pods may read the reports; `*` means every namespace. Without any, only `kubectl port-forward` works."),
    monitors: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe("Namespaces whose pods may read the metrics, on port 8083; `*` means every namespace."),
    imageMetrics: v
      .flag()
      .default(false)
      .describe("Whether each image has metrics of its own, up to 2,000 images; otherwise each repository has."),
    bucket,
    resources: resources(
      { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "1Gi" } },
      "CPU and memory of the reports server. 10,000 images need about half of the memory limit.",
    ),
  })
  .describe("The reports of the runs, and the server that keeps them.")
  .prefault({});
