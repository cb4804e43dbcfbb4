import { isDeepStrictEqual } from "node:util";
import { project } from "./errors.ts";
import { type Block, fieldOf, type List, type Node, type Union, variantOf } from "./model.ts";
import { formatPath, isRaw, type Path, type Raw } from "./paths.ts";
import type { RuleProblem } from "./rule.ts";

/**
 * Checks what follows from the structure of the schema: nothing is given in a block that is not enabled, only one of conflicting settings is given,
 * items of a list differ, and secrets are encrypted.
 *
 * @param settings valid settings, as they are written
 * @param isEncrypted whether the value at a path is encrypted in the stack's file
 */
export function* structuralRules(model: Block, settings: Raw, isEncrypted: IsEncrypted): Generator<RuleProblem> {
  const root = { node: model, value: settings, path: [] };
  yield* structureProblems(root);
  yield* plainTextSecrets(root, isEncrypted);
}

/** Returns whether a value is encrypted in the stack's file. */
export type IsEncrypted = (path: Path, value: unknown) => boolean;

/** A value and the part of the schema that it belongs to. */
interface Place {
  readonly node: Exclude<Node, Union>;
  readonly value: unknown;
  readonly path: Path;
}

/** Returns what is given inside of a block or a list. */
function placesIn({ node, value, path }: Place): Place[] {
  const places =
    node.type === "block" && isRaw(value)
      ? node.fields.map((field) => ({ node: field.node, value: value[field.key], path: [...path, field.key] }))
      : node.type === "list" && Array.isArray(value)
        ? value.map((item: unknown, index) => ({ node: node.item, value: item, path: [...path, index] }))
        : [];
  return places.flatMap((place) => {
    const selected = place.node.type === "union" ? variantOf(place.node, place.value) : place.node;
    return selected && place.value !== undefined ? [{ ...place, node: selected }] : [];
  });
}

function* structureProblems(place: Place): Generator<RuleProblem> {
  const { node, value, path } = place;
  if (node.type === "block" && isRaw(value)) {
    if (isDisabled(node, value)) {
      yield* disabledProblems(value, path);
      return;
    }
    yield* conflictProblems(node, value, path);
  }
  if (node.type === "list" && Array.isArray(value)) yield* repetitionProblems(node, value, path);
  for (const inner of placesIn(place)) yield* structureProblems(inner);
}

const isDisabled = (block: Block, value: Raw) => (value["enabled"] ?? fieldOf(block, "enabled")?.default) === false;

function* disabledProblems(value: Raw, path: Path): Generator<RuleProblem> {
  const enabled = formatPath([...path, "enabled"]);
  for (const key of Object.keys(value).filter((other) => other !== "enabled"))
    yield {
      path: formatPath([...path, key]),
      message: `has no effect because ${enabled} is false; remove it or set ${enabled}: true`,
      concerns: [enabled],
    };
}

function* conflictProblems({ conflicts }: Block, value: Raw, path: Path): Generator<RuleProblem> {
  for (const [key, other] of conflicts)
    if (value[key] !== undefined && value[other] !== undefined)
      yield {
        path: formatPath([...path, key]),
        message: `conflicts with ${formatPath([...path, other])}; remove one of the two`,
        concerns: [formatPath([...path, other])],
      };
}

function* repetitionProblems({ unique }: List, items: readonly unknown[], path: Path): Generator<RuleProblem> {
  if (unique === false) return;
  const inner = unique === true ? [] : [unique];
  const values = items.map((item) => (unique === true ? item : (item as Raw)[unique]));
  for (const [index, value] of values.entries()) {
    const first = values.findIndex((other) => isDeepStrictEqual(other, value));
    if (first === index) continue;
    const same = formatPath([...path, first, ...inner]);
    yield {
      path: formatPath([...path, index, ...inner]),
      message: `${typeof value === "string" ? `is ${value}, the same as ${same}` : `is the same as ${same}`}; keep one of the two`,
      concerns: [same],
    };
  }
}

function* plainTextSecrets(place: Place, isEncrypted: IsEncrypted): Generator<RuleProblem> {
  for (const inner of placesIn(place)) {
    const { node, path, value } = inner;
    if ("secret" in node && node.secret && !node.isPublic?.(place.value) && !isEncrypted(path, value))
      yield {
        path: formatPath(path),
        message: `is in plain text; set it with: pulumi config set --path --secret '${project}:${formatPath(path)}'`,
      };
    yield* plainTextSecrets(inner, isEncrypted);
  }
}
