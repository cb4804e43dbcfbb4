import { pairProblem, validityProblem } from "./kinds/certificate.ts";
import type { Given, RuleProblem } from "./rule.ts";

/** Checks a certificate and its key, both in the block at `path`. */
export function* certificateRules(
  path: string,
  keys: { readonly certificate: string; readonly key: string },
  given: Given,
): Generator<RuleProblem> {
  const certificatePath = `${path}.${keys.certificate}`;
  const keyPath = `${path}.${keys.key}`;
  const certificate = given(certificatePath);
  const key = given(keyPath);
  if (typeof certificate !== "string") return;
  const invalid = validityProblem(certificate);
  if (invalid !== undefined) yield { path: certificatePath, message: invalid };
  const mismatch = typeof key === "string" && pairProblem(certificate, key, certificatePath);
  if (mismatch) yield { path: keyPath, message: mismatch };
}
