import { type Block, modelOf, type Node, variantOf } from "../../stacks/model.ts";
import { schema } from "../../stacks/schema.ts";

const model: Block = modelOf(schema);

/** Returns settings as a `Pulumi.<stack>.yaml` holds them: under qualified keys, with secrets encrypted. */
export function stackFile(settings: object): object {
  const config = Object.entries(replaceSecrets(model, settings, () => ({ secure: "v1:abc" })) as object).map(([key, value]) => [
    `trivy-server:${key}`,
    value,
  ]);
  return { config: Object.fromEntries(config) };
}

/** Returns the secrets among valid settings. */
export function secretsIn(settings: object): string[] {
  const secrets: string[] = [];
  replaceSecrets(model, settings, (secret) => secrets.push(secret));
  return secrets;
}

/** Returns a value with every secret in it replaced. Mistakes are left as they are. */
function replaceSecrets(node: Node | undefined, value: unknown, replacement: (secret: string) => unknown): unknown {
  if (node?.type === "union") return replaceSecrets(variantOf(node, value), value, replacement);
  if (node?.type === "list" && Array.isArray(value)) return value.map((item) => replaceSecrets(node.item, item, replacement));
  if (node?.type === "block" && typeof value === "object" && value !== null && !Array.isArray(value)) {
    const nodes = new Map(node.fields.map((field) => [field.key, field.node]));
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, replaceSecrets(nodes.get(key), inner, replacement)]));
  }
  return node && "secret" in node && node.secret && typeof value === "string" ? replacement(value) : value;
}
