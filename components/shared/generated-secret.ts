import { createHash } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/**
 * 32 letters and digits, which stand in a URL, a header or a shell as they are. They are made once and kept in the state, encrypted; others are made when
 * one of the keepers changes.
 */
export function generatedSecret(name: string, parent: pulumi.Resource, keepers?: Readonly<Record<string, string>>): pulumi.Output<string> {
  return new random.RandomPassword(name, { length: 32, special: false, ...(keepers && { keepers: { ...keepers } }) }, { parent }).result;
}

/** The generations of a secret that are valid: the present one, and after it the one before, until that is retired. */
export function validGenerations<Secret>(
  generation: number,
  retire: number,
  make: (generation: number) => Secret,
): [present: Secret, ...before: Secret[]] {
  return [make(generation), ...(generation - 1 > retire ? [make(generation - 1)] : [])];
}

/** What may be known of a secret by those who only compare: hexadecimal digits. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
