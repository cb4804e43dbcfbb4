import { type Block, fieldOf, type Node, type Union, type Variant, variantOf } from "./model.ts";
import { type Path, type Raw, valueAt } from "./paths.ts";

/** A part of the schema on the way to a setting. */
export interface Step {
  readonly path: Path;
  readonly node: Node;
  /** The same, but of a union the variant that the settings select, if they select one. */
  readonly selected: Exclude<Node, Union> | undefined;
  /** Whether the value must be given. */
  readonly required: boolean;
}

/** Returns the parts of the schema on the way from the root to a path, as far as they exist: the first for the root, the last for the path. */
export function trace(root: Block, settings: Raw, path: Path): Step[] {
  const steps: Step[] = [{ path: [], node: root, selected: root, required: true }];
  for (const [index, key] of path.entries()) {
    const child = childOf(steps[index]?.selected, key);
    if (!child) break;
    const at = path.slice(0, index + 1);
    const { node } = child;
    steps.push({ path: at, ...child, selected: node.type === "union" ? variantOf(node, valueAt(settings, at)) : node });
  }
  return steps;
}

function childOf(node: Step["selected"], key: PropertyKey): { readonly node: Node; readonly required: boolean } | undefined {
  switch (node?.type) {
    case "block": {
      const field = fieldOf(node, key);
      return field && { node: field.node, required: field.presence === "required" };
    }
    case "list":
      return { node: node.item, required: true };
    case "table":
      return { node: node.value, required: false };
    default:
      return undefined;
  }
}

/** A union on the way to a setting, and the variant that the settings select. */
export interface SelectedVariant {
  readonly path: Path;
  readonly union: Union;
  readonly variant: Variant;
}

/** Returns the unions around a path, the innermost first. */
export function variantsAround(root: Block, settings: Raw, path: Path): SelectedVariant[] {
  return trace(root, settings, path.slice(0, -1))
    .reverse()
    .flatMap(({ node, path: at }) => {
      const variant = node.type === "union" ? variantOf(node, valueAt(settings, at)) : undefined;
      return node.type === "union" && variant ? [{ path: at, union: node, variant }] : [];
    });
}
