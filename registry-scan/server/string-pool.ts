import type { Finding } from "../protocol/findings.ts";

/** Holds each text once. Findings, and with them their texts, repeat from image to image and from run to run. */
export class StringPool {
  readonly #strings = new Map<string, string>();

  /** Replaces the texts of findings with equal ones from the pool, in place. */
  intern<T extends Finding>(findings: readonly T[]): readonly T[] {
    for (const finding of findings as readonly Record<string, unknown>[]) {
      for (const key in finding) {
        const text = finding[key];
        if (typeof text !== "string") continue;
        const pooled = this.#strings.get(text);
        if (pooled === undefined) this.#strings.set(text, text);
        else finding[key] = pooled;
      }
    }
    return findings;
  }
}
