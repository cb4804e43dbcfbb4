/** A value of the engine's JSON. */
export type Value = unknown;

export interface Difference {
  /** As the engine writes paths: `spec.template.spec.containers[0].image`. Empty for the whole value. */
  readonly path: string;
  /** Undefined if it is added. */
  readonly from: Value | undefined;
  /** Undefined if it is removed. */
  readonly to: Value | undefined;
}

const isObject = (value: Value): value is Readonly<Record<string, Value>> => typeof value === "object" && value !== null;

/** Returns the smallest parts in which two values differ. Elements of arrays are matched by `name`, otherwise by position. */
export function valueDifference(from: Value, to: Value, path = ""): Difference[] {
  if (from === to) return [];
  if (from === undefined || to === undefined || !isObject(from) || !isObject(to) || Array.isArray(from) !== Array.isArray(to))
    return [{ path, from, to }];
  if (Array.isArray(from) && Array.isArray(to)) return arrayDifference(from, to, path);
  const keys = new Set([...Object.keys(from), ...Object.keys(to)]);
  return [...keys].flatMap((key) => valueDifference(from[key], to[key], joined(path, key)));
}

function arrayDifference(from: readonly Value[], to: readonly Value[], path: string): Difference[] {
  const names = (values: readonly Value[]) =>
    values.map((value) => (isObject(value) && typeof value["name"] === "string" ? value["name"] : ""));
  const [before, after] = [names(from), names(to)];
  const named = [before, after].every((side) => side.every((name) => name !== "") && new Set(side).size === side.length);
  if (!named) {
    const length = Math.max(from.length, to.length);
    return Array.from({ length }, (_, index) => valueDifference(from[index], to[index], `${path}[${index}]`)).flat();
  }
  return [...new Set([...before, ...after])].flatMap((name) => {
    const [old, next] = [before.indexOf(name), after.indexOf(name)];
    return valueDifference(from[old], to[next], `${path}[${next < 0 ? old : next}]`);
  });
}

const joined = (path: string, key: string) =>
  /^[\w-]+$/.test(key) ? (path === "" ? key : `${path}.${key}`) : `${path}[${JSON.stringify(key)}]`;

/** Lines of unchanged text that are shown around a change. */
const context = 2;

/** Compares texts line by line. Everything between the first and the last changed line is shown as removed and added. */
export function lineDifference(from: string, to: string): string[] {
  const before = from.split("\n");
  const after = to.split("\n");
  let start = 0;
  while (start < Math.min(before.length, after.length) && before[start] === after[start]) start++;
  let end = 0;
  while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  return [
    ...before.slice(Math.max(0, start - context), start).map((line) => `  ${line}`),
    ...before.slice(start, before.length - end).map((line) => `- ${line}`),
    ...after.slice(start, after.length - end).map((line) => `+ ${line}`),
    ...after.slice(after.length - end, after.length - end + context).map((line) => `  ${line}`),
  ];
}
