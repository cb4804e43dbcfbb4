/** The settings of a stack as they are written in its file. */
export type Raw = { readonly [key: string]: unknown };

/** Keys and indices that lead from the settings to one of them. */
export type Path = readonly PropertyKey[];

export const isRaw = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a path leads to the same setting as another, to one inside of it or to one that contains it. */
export const overlaps = (path: string, other: string) => isInside(path, other) || isInside(other, path);

const isInside = (path: string, outer: string) => path === outer || path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`);

/** Returns a path as `pulumi config set --path` takes it. */
export function formatPath(path: Path): string {
  return path.map(String).reduce((text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : text ? `${text}.${part}` : part), "");
}

/** The reverse of `formatPath`, for keys without dots and brackets. */
export const parsePath = (path: string): string[] => path.split(/[.[\]]+/).filter((part) => part !== "");

/** Returns the value at a path, or `undefined` if there is none. */
export function valueAt(settings: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Raw)[String(key)] : undefined),
    settings,
  );
}
