/** Trivy's severities, from the least to the most severe. */
export const severities = ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;
export type Severity = (typeof severities)[number];

/** Trivy's scanners that the registry scan can run. */
export const scanners = ["vuln", "secret", "misconfig", "license"] as const;
export type Scanner = (typeof scanners)[number];

/** Which findings a run reports. */
export interface ScanPolicy {
  readonly severities: readonly Severity[];
  /** Leaves out vulnerabilities without a fixed version. */
  readonly ignoreUnfixed: boolean;
  readonly scanners: readonly Scanner[];
}
