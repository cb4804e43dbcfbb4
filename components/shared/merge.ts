import * as pulumi from "@pulumi/pulumi";

/**
 * Parts of T at any depth. Lists, outputs and promises are whole values.
 */
export type Patch<T> = T extends readonly unknown[] | pulumi.OutputInstance<unknown> | Promise<unknown>
  ? T
  : T extends object
    ? { readonly [Key in keyof T]?: Patch<T[Key]> }
    : T;

type Filled<Given, Default> = Default extends readonly unknown[] ? Given : Default extends object ? WithDefaults<Given, Default> : Given;

/** Arguments in which every key that has a default is set. */
export type WithDefaults<Given, Defaults> = Omit<Given, keyof Defaults> & {
  readonly [Key in keyof Defaults & keyof Given]-?: Filled<NonNullable<Given[Key]>, Defaults[Key]>;
};

/** Returns arguments completed with defaults, at any depth. Lists, outputs and promises that are given replace the default as a whole. */
export function withDefaults<Given extends object, const Defaults extends object>(
  defaults: Defaults,
  given: Given | undefined,
): WithDefaults<Given, Defaults> {
  return merge(defaults, given) as WithDefaults<Given, Defaults>;
}

/**
 * Returns a copy of `base` with the changes in it: object literals are merged key by key, everything else is replaced, and `undefined`
 * changes nothing. No object literal or list in the result is shared with `base`.
 */
export function merge(base: unknown, changes: unknown): unknown {
  if (changes === undefined) return copy(base);
  if (!isLiteral(changes)) return changes;
  if (pulumi.Output.isInstance(base)) return base.apply((value) => merge(value, changes));
  if (!isLiteral(base)) return copy(changes);
  const changed = Object.entries(changes).map(([key, change]) => [key, merge(base[key], change)]);
  return { ...(copy(base) as object), ...Object.fromEntries(changed) };
}

function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  return isLiteral(value) ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner)])) : value;
}

/** Whether a value is an object literal, not an output, a promise, a resource, an asset or a list. */
export function isLiteral(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
