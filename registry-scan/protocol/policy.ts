import * as z from "zod/mini";
import type { Parsed } from "./validation.ts";

/** Trivy's severities, from the least to the most severe. */
export const severities = ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;
export const severitySchema = z.enum(severities);
export type Severity = (typeof severities)[number];

/** Trivy's scanners that the registry scan can run. */
export const scanners = ["vuln", "secret", "misconfig", "license"] as const;
export const scannerSchema = z.enum(scanners);
export type Scanner = (typeof scanners)[number];

export const scanPolicySchema = z.object({
  severities: z.array(severitySchema),
  /** Leaves out vulnerabilities without a fixed version. */
  ignoreUnfixed: z.boolean(),
  scanners: z.array(scannerSchema),
});
/** Which findings a run reports. */
export interface ScanPolicy extends Parsed<typeof scanPolicySchema> {}
