import { createHash } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import type * as random from "@pulumi/random";

/**
 * Returns the arguments of a generated secret: 32 letters and digits, which need no escaping in a URL, a header or a shell. It is generated
 * once and kept in the state, encrypted; it is generated again when one of the keepers changes.
 */
export function secretText(keepers?: Readonly<Record<string, pulumi.Input<string>>>): random.RandomPasswordArgs {
  return { length: 32, special: false, ...(keepers && { keepers: { ...keepers } }) };
}

/**
 * Returns the numbers of the valid generations of a secret, newest first: the current one and the one before it, unless that is retired.
 */
export function validGenerations({ generation, retire }: { readonly generation: number; readonly retire: number }): [number, ...number[]] {
  return [generation, ...(generation - 1 > retire ? [generation - 1] : [])];
}

/** Creates every valid generation of a secret, newest first. */
export function eachGeneration<T>(
  generations: Parameters<typeof validGenerations>[0],
  create: (generation: number) => T,
): [current: T, ...earlier: T[]] {
  const [current, ...earlier] = validGenerations(generations);
  return [create(current), ...earlier.map(create)];
}

/** Returns the name in the state of a generation of what is called `name`: the first one has no number. */
export const numbered = (name: string, generation: number): string => (generation === 1 ? name : `${name}-${generation}`);

/** Returns the SHA-256 digest of a text, in hexadecimal. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
