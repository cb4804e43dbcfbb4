import { project } from "../errors.ts";
import type { Block, Conflict, Field, Leaf, Node, Variant } from "../model.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Returns the JSON schema of `Pulumi.<stack>.yaml`, for editors. It cannot express everything that the program checks, but accepts whatever the
 * program accepts. `patternErrorMessage` is an extension of the YAML language server.
 */
export function jsonSchemaFile(root: Block): string {
  const writer = new SchemaWriter();
  const keys = root.fields.map(({ key }) => key);
  const config = {
    type: ["object", "null"],
    description: `Configuration of the stack: the settings of ${project}, and those of providers such as \`kubernetes:context\`.`,
    properties: Object.fromEntries(root.fields.map((field) => [`${project}:${field.key}`, writer.setting(field)])),
    propertyNames: {
      pattern: `^(?!${project}:)|^${project}:(${keys.join("|")})$`,
      patternErrorMessage: `is not a setting; use one of ${keys.join(", ")}`,
    },
  };
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: `Stack of ${project}`,
    description: "Generated from the schema in stacks/ by `npm run generate`.",
    type: "object",
    properties: { config },
    definitions: writer.definitions,
  };
  return `${JSON.stringify(schema, undefined, 1)}\n`;
}

const encryptedName = "encrypted";

/** Writes kinds of values as definitions, because many settings share them. */
class SchemaWriter {
  readonly definitions: Record<string, JsonSchema> = {
    [encryptedName]: {
      type: "object",
      description: "A value that `pulumi config set --secret` has encrypted.",
      properties: { secure: { type: "string" } },
      required: ["secure"],
      additionalProperties: false,
    },
  };

  private define(kind: string, schema: JsonSchema): JsonSchema {
    // The YAML language server does not decode references.
    const name = kind.replaceAll(/[^A-Za-z]+([A-Za-z]?)/g, (_, letter: string) => letter.toUpperCase());
    const isFree = (key: string) => JSON.stringify(this.definitions[key] ?? schema) === JSON.stringify(schema);
    let key = name;
    for (let copy = 2; !isFree(key); copy++) key = `${name}${copy}`;
    this.definitions[key] = schema;
    return { $ref: `#/definitions/${key}` };
  }

  private readonly encrypted = { $ref: `#/definitions/${encryptedName}` };

  /** A value directly under `config`: also encrypted as a whole, or JSON in a text, which is how `pulumi config set` writes it without `--path`. */
  setting(field: Field): JsonSchema {
    const { description, ...schema } = this.field(field);
    const isText = field.node.type === "text";
    return { description, ...(isText ? schema : { anyOf: [schema, this.encrypted, { type: "string", pattern: "^\\s*\\{" }] }) };
  }

  private field({ node, description, default: value, otherwise }: Field): JsonSchema {
    const inWords = otherwise === undefined ? "" : ` Default: ${otherwise}.`;
    return { description: `${description}${inWords}`, ...this.node(node), ...(value !== undefined && { default: value }) };
  }

  private node(node: Node): JsonSchema {
    switch (node.type) {
      case "block":
        return this.block(node);
      case "union":
        return { anyOf: node.variants.map((variant) => this.variant(variant, node.discriminator)) };
      case "list":
        return {
          type: "array",
          items: this.node(node.item),
          ...(node.atLeastOne && { minItems: 1 }),
          ...(node.unique === true && { uniqueItems: true }),
        };
      case "table":
        return { type: "object", propertyNames: textSchema(node.key), additionalProperties: this.leaf(node.value) };
      default:
        return this.leaf(node);
    }
  }

  private block({ fields, conflicts }: Block): JsonSchema {
    const required = fields.filter(({ presence }) => presence === "required").map(({ key }) => key);
    const rules = [...conflicts.map(conflictRule), ...disabledRules(fields)];
    return {
      type: "object",
      properties: Object.fromEntries(fields.map((field) => [field.key, this.field(field)])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
      ...(rules.length > 0 && { allOf: rules }),
    };
  }

  /** A variant is only accepted with its own value of the discriminator. */
  private variant(variant: Variant, discriminator: string | undefined): JsonSchema {
    const schema = { title: variant.selector, description: variant.description, ...this.block(variant) };
    if (discriminator === undefined) return schema;
    const { properties } = schema as unknown as { readonly properties: Record<string, JsonSchema> };
    return { ...schema, properties: { ...properties, [discriminator]: { ...properties[discriminator], const: variant.selector } } };
  }

  private leaf(leaf: Leaf): JsonSchema {
    switch (leaf.type) {
      case "number":
        return { type: "integer", minimum: leaf.minimum, maximum: leaf.maximum };
      case "boolean":
        return { type: "boolean" };
      case "choice":
        return { enum: leaf.values };
      default:
        if (leaf.secret) return leaf.isPublic ? { anyOf: [this.encrypted, { type: "string" }] } : this.encrypted;
        return this.define(leaf.kind, { anyOf: [textSchema(leaf), this.encrypted] });
    }
  }
}

const conflictRule = (keys: Conflict): JsonSchema => ({ not: { required: keys } });

/** In a block with the key `enabled`, the other keys are only accepted if it is true. */
function disabledRules(fields: readonly Field[]): JsonSchema[] {
  const enabled = fields.find(({ key }) => key === "enabled");
  const others = fields.filter((field) => field !== enabled).map(({ key }) => [key, false] as const);
  if (!enabled || others.length === 0) return [];
  const isEnabled = { properties: { enabled: { const: true } }, ...(enabled.default === false && { required: ["enabled"] }) };
  return [{ if: isEnabled, else: { properties: Object.fromEntries(others) } }];
}

function textSchema({ pattern, advice, orNumber }: Leaf): JsonSchema {
  return {
    type: orNumber ? ["string", "number"] : "string",
    ...(pattern && { pattern, ...(advice && { patternErrorMessage: advice }) }),
    ...(orNumber && { exclusiveMinimum: 0 }),
  };
}
