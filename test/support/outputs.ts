import { modelOf, type Node, type Variant } from "../../stacks/model.ts";
import { schema } from "../../stacks/schema.ts";

const settings = modelOf(schema);

/** Returns arguments in which every value that may be an output is replaced by `wrap` of it. */
export function wrapInputs(args: Readonly<Record<string, unknown>>, wrap: (value: unknown) => unknown): Record<string, unknown> {
  return wrapped(settings, args, wrap) as Record<string, unknown>;
}

function wrapped(node: Node, value: unknown, wrap: (value: unknown) => unknown): unknown {
  if (value === undefined) return undefined;
  const block = value as Readonly<Record<string, unknown>>;
  switch (node.type) {
    case "list":
      return (value as unknown[]).map((item) => wrapped(node.item, item, wrap));
    case "table":
      return Object.fromEntries(Object.entries(block).map(([key, inner]) => [key, wrap(inner)]));
    case "union": {
      const { discriminator, variants } = node;
      const selected = ({ selector, isDefault }: Variant) =>
        discriminator === undefined ? selector in block : (block[discriminator] ?? (isDefault && selector)) === selector;
      const variant = variants.find(selected);
      if (!variant) throw new Error(`no variant of ${node.interface} has the keys ${Object.keys(block).join(", ")}`);
      return wrapped(variant, value, wrap);
    }
    case "block":
      return Object.fromEntries(
        Object.entries(block).map(([key, inner]) => {
          const field = node.fields.find((candidate) => candidate.key === key);
          if (!field) throw new Error(`${node.interface} has no ${key}`);
          return [key, wrapped(field.node, inner, wrap)];
        }),
      );
    default:
      return node.plain ? value : wrap(value);
  }
}
