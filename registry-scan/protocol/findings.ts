import * as z from "zod/mini";
import { scanners, severities } from "./policy.ts";
import { nonEmptyString, nonNegativeNumber, type Parsed } from "./validation.ts";

/**
 * Maximum size of a scan's result as JSON, in bytes: about 25,000 findings. An image whose author lists packages without end must not fill the
 * reports server's memory.
 */
export const resultLimit = 8 << 20;

export const findingSchema = z.object({
  /** CVE-2021-36159, AVD-DS-0002, aws-access-key-id, GPL-3.0 */
  id: nonEmptyString,
  scanner: z.enum(scanners),
  severity: z.enum(severities),
  /** The package; for scanners other than `vuln`, the file. */
  package: z.string(),
  /** The file in the image that a language's package was found in. */
  path: z.optional(z.string()),
  /** The installed version. */
  installed: z.optional(z.string()),
  /** The version that fixes it. */
  fixed: z.optional(z.string()),
  title: z.optional(z.string()),
  url: z.optional(z.string()),
});
/** Something that a scanner reports about an image. */
export interface Finding extends Parsed<typeof findingSchema> {}

export const scannedSchema = z.object({
  outcome: z.literal("scanned"),
  findings: z.array(findingSchema),
  /** `alpine 3.10.9` */
  os: z.optional(z.string()),
  /** The distribution no longer publishes fixes, so the findings are incomplete. */
  endOfLife: z.optional(z.boolean()),
  /** Duration of the scan. */
  seconds: nonNegativeNumber,
});
/** The outcome of a successful scan. */
export interface Scanned extends Parsed<typeof scannedSchema> {}

export const scanFailedSchema = z.object({
  outcome: z.literal("failed"),
  reason: nonEmptyString,
  /** Duration of the attempt. */
  seconds: nonNegativeNumber,
});

export const scanResultSchema = z.discriminatedUnion("outcome", [scannedSchema, scanFailedSchema]);
/** The outcome of one attempt to scan a target. */
export type ScanResult = Parsed<typeof scanResultSchema>;
