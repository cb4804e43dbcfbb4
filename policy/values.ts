/**
 * Values of resources as the rules see them: a property that is not known, in a preview or because it is encrypted, throws when it is read.
 */

/** A property that a rule wants to read is not known. */
export class UnknownValue extends Error {}

/** Marks a value that is not known. */
export const unknown: unique symbol = Symbol("unknown");

/**
 * Copies a value. `read` returns what a value stands for: the value itself, what a secret contains, or `unknown`. Properties whose getter
 * throws are unknown too, as those of Pulumi's policy packs.
 */
export function viewOf(value: unknown, read: (value: unknown) => unknown = (known) => known): unknown {
  const found = read(value);
  if (found === unknown) throw new UnknownValue();
  if (typeof found !== "object" || found === null) return found;
  const copy: object = Array.isArray(found) ? [] : {};
  for (const key of Object.keys(found)) {
    const get = () => viewOf((found as Record<string, unknown>)[key], read);
    Object.defineProperty(copy, key, known(get));
  }
  return copy;
}

/** Returns the descriptor of a property that has this value, or throws what reading the value throws. */
function known(get: () => unknown): PropertyDescriptor {
  try {
    return { enumerable: true, value: get() };
  } catch {
    return {
      enumerable: true,
      get: () => {
        throw new UnknownValue();
      },
    };
  }
}

/** Returns what a function returns; `otherwise` if it reads something unknown. */
export function ifKnown<T, U>(read: () => T, otherwise: U): T | U {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnknownValue) return otherwise;
    throw error;
  }
}

/** Returns the known items of a list by index; none of a list that is missing or not known. */
export function* itemsOf<T>(read: () => readonly T[] | undefined): Generator<readonly [index: number, item: T]> {
  const list = ifKnown(() => read() ?? [], []);
  for (const index of list.keys()) {
    const item = ifKnown(() => list[index], undefined);
    if (item !== undefined) yield [index, item];
  }
}

/** Whether something is certain to be so: false if it depends on an unknown value. */
export const isCertain = (condition: () => unknown): boolean => ifKnown(() => Boolean(condition()), false);

/** Returns the known texts in a value, at any depth, with their paths. */
export function* textsIn(value: unknown, path = ""): Generator<{ readonly path: string; readonly text: string }> {
  if (typeof value === "string") yield { path, text: value };
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value))
    yield* textsIn(
      ifKnown(() => (value as Record<string, unknown>)[key], undefined),
      path === "" ? key : `${path}.${key}`,
    );
}
