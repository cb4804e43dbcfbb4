import { distance } from "fastest-levenshtein";
import { type Block, fieldOf, type Node, type Variant } from "./model.ts";
import { formatPath, type Path, parsePath, type Raw } from "./paths.ts";
import { type SelectedVariant, trace, variantsAround } from "./trace.ts";

/** Settings that had another name before. */
const formerNames: ReadonlyMap<string, string> = new Map([
  ["clients", "access"],
  ["gateway.clusterDomain", "clusterDomain"],
]);

interface UnknownKey {
  readonly message: string;
  /** Whether another variant of the block has this key. */
  readonly ofOtherVariant: boolean;
}

/** Explains why a key is not accepted, and what to use instead. */
export function unknownKeyProblem(model: Block, settings: Raw, path: Path): UnknownKey {
  const former = formerNames.get(formatPath(path));
  if (former !== undefined) return { message: `is now called ${former}; use that name`, ofOtherVariant: false };
  for (const around of variantsAround(model, settings, path)) {
    const others = around.union.variants.filter((other) => other !== around.variant && hasPath(other, path.slice(around.path.length)));
    if (others.length > 0) return { message: otherVariantMessage(around, others, path), ofOtherVariant: true };
  }
  const key = String(path.at(-1));
  if (path.length === 1 && key.includes(".")) return { message: nestingAdvice(model, key), ofOtherVariant: false };
  const block = trace(model, settings, path.slice(0, -1))[path.length - 1]?.selected;
  const known = block?.type === "block" ? block.fields.map((field) => field.key) : [];
  const [nearest] = known
    .map((name) => ({ name, away: distance(key.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, away }) => away <= Math.max(1, Math.ceil(name.length / 3)))
    .sort((one, other) => one.away - other.away);
  const elsewhere = nearest ? [] : [...pathsTo(model, key)].filter((other) => other.length <= deepest);
  const advice = nearest
    ? `did you mean ${nearest.name}?`
    : elsewhere.length > 0 && elsewhere.length <= 3
      ? `did you mean ${elsewhere.map(formatPath).join(" or ")}?`
      : `use one of ${known.join(", ")}`;
  return { message: `is not a setting; ${advice}`, ofOtherVariant: false };
}

/** Number of keys down to which a setting is suggested for a key in another block. */
const deepest = 3;

/** Returns where blocks have a key, outside of lists. */
function* pathsTo(node: Node, key: string, at: Path = []): Generator<Path> {
  for (const { fields } of node.type === "block" ? [node] : node.type === "union" ? node.variants : [])
    for (const field of fields) {
      if (field.key === key) yield [...at, key];
      yield* pathsTo(field.node, key, [...at, field.key]);
    }
}

/** Explains a key with dots, as `pulumi config set` writes it without `--path`. */
function nestingAdvice(model: Block, key: string): string {
  const path = parsePath(key);
  if (!hasPath(model, path)) return "is not a setting; write blocks of settings, not names with dots";
  const block = path.toReversed().reduce((inner, part) => `{ ${part}: ${inner} }`, "…");
  return `is not a setting; write the block ${block.slice(2, -2)}, or use pulumi config set --path`;
}

function otherVariantMessage({ path: block, union, variant }: SelectedVariant, others: readonly Variant[], path: Path): string {
  const selectors = others.map(({ selector }) => selector);
  if (union.discriminator !== undefined) {
    const discriminator = formatPath([...block, union.discriminator]);
    return `has no effect because ${discriminator} is ${variant.selector}; remove it or set ${discriminator}: ${selectors.join(" or ")}`;
  }
  const selecting = formatPath([...block, variant.selector]);
  return selectors.includes(String(path[block.length]))
    ? `conflicts with ${selecting}; use a separate item for each`
    : `has no effect because ${selecting} is set; remove it or use ${selectors.join(" or ")} instead of ${variant.selector}`;
}

/** Whether a path exists in a part of the schema, in any of its variants. */
function hasPath(node: Node, path: Path): boolean {
  const [key, ...rest] = path;
  if (key === undefined) return true;
  if (node.type === "union") return node.variants.some((variant) => hasPath(variant, path));
  if (node.type === "list") return hasPath(node.item, rest);
  const field = node.type === "block" ? fieldOf(node, key) : undefined;
  return field !== undefined && hasPath(field.node, rest);
}
