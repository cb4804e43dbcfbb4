import { type Block, modelOf, type Node, variantOf } from "../../stacks/model.ts";
import { schema } from "../../stacks/schema.ts";

const model: Block = modelOf(schema);

/** Returns settings as a `Pulumi.<stack>.yaml` holds them: under qualified keys, with secrets encrypted. */
export function stackFile(settings: object): object {
  const config = Object.entries(encrypted(model, settings) as object).map(([key, value]) => [`trivy-server:${key}`, value]);
  return { config: Object.fromEntries(config) };
}

/** Returns a value with every secret in it encrypted. Mistakes are left as they are. */
function encrypted(node: Node | undefined, value: unknown): unknown {
  if (node?.type === "union") return encrypted(variantOf(node, value), value);
  if (node?.type === "list" && Array.isArray(value)) return value.map((item) => encrypted(node.item, item));
  if (node?.type === "block" && typeof value === "object" && value !== null && !Array.isArray(value)) {
    const nodes = new Map(node.fields.map((field) => [field.key, field.node]));
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, encrypted(nodes.get(key), inner)]));
  }
  return node && "secret" in node && node.secret && typeof value === "string" ? { secure: "v1:abc" } : value;
}
