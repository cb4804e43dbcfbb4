import { inspect } from "node:util";
import type { Block, Field, Leaf, Node, Union } from "../model.ts";
import { defaultValues, wrap } from "./text.ts";

/** Longest line of the generated file, as the formatter has it. */
const lineWidth = 140;

const header = `/**
 * Arguments of the components, and their defaults. Generated from the schema in stacks/ by \`npm run generate\`: change it there.
 */

import type { Input } from "@pulumi/pulumi";
`;

/** Returns the text of components/args.ts before formatting: an interface for each block, and the defaults. */
export function argumentsFile(root: Block, defaults: object): string {
  const types = collectTypes(root);
  const varied = variedBlocks(root);
  const interfaces = [...types.values()].map((uses) =>
    uses[0].type === "union" ? unionText(uses[0]) : interfaceText(uses as Uses<Block>, varied),
  );
  const ofBlocks = Object.fromEntries(optionalBlocks(root).map((block) => [block.interface, defaultsOf(block)]));
  return [
    header,
    ...interfaces,
    `${comment("What holds for settings that are not given.")}\nexport const defaults = ${literal(defaults)} as const;\n`,
    `${comment("What holds for settings that are not given in blocks that are themselves optional: items of lists, variants, blocks without a default.")}\nexport const blockDefaults = ${literal(ofBlocks)} as const;\n`,
    `${comment("Paths of the settings that are secrets; a path leads through lists to each of their items.")}\nexport const secretPaths = ${literal(secretPaths(root))} as const;\n`,
  ].join("\n");
}

/** Returns the names of the blocks whose defaults depend on where they are used. */
export const variedBlocks = (root: Block): ReadonlySet<string> =>
  new Set([...collectTypes(root)].filter(([, uses]) => new Set(uses.map(defaultsKey)).size > 1).map(([name]) => name));

const defaultsKey = (node: Block | Union) => (node.type === "block" ? JSON.stringify(defaultsOf(node)) : "");

type Uses<Type> = [Type, ...Type[]];

/** Returns each named type with all its uses, in the order of a reader who goes from the top down. */
function collectTypes(root: Block): Map<string, Uses<Block | Union>> {
  const types = new Map<string, Uses<Block | Union>>();
  const visit = (node: Node): void => {
    if (node.type === "list") visit(node.item);
    if (node.type !== "block" && node.type !== "union") return;
    const uses = types.get(node.interface);
    if (uses) uses.push(node);
    else types.set(node.interface, [node]);
    for (const child of node.type === "union" ? node.variants : node.fields.map((field) => field.node)) visit(child);
  };
  visit(root);
  return types;
}

/** `varied`: names of the blocks whose defaults depend on where they are used; the places document those. */
function interfaceText(uses: Uses<Block>, varied: ReadonlySet<string>): string {
  const [{ interface: name, description }] = uses;
  const texts = uses.map(({ fields }) => fields.map((field) => propertyText(field, varied, varied.has(name))).join("\n"));
  if (new Set(texts).size > 1) throw new Error(`the blocks called ${name} differ in more than their defaults`);
  return `${comment(description)}\nexport interface ${name} {\n${texts[0]}\n}\n`;
}

function unionText({ interface: name, description, variants }: Union): string {
  return `${comment(description)}\nexport type ${name} = ${variants.map((variant) => variant.interface).join(" | ")};\n`;
}

function propertyText(field: Field, varied: ReadonlySet<string>, withoutDefault: boolean): string {
  const { key, node, description, presence } = field;
  const text = withoutDefault ? undefined : defaultText(field, varied);
  const optional = presence === "required" ? "" : "?";
  return `${comment(description, text, "  ")}\n  readonly ${key}${optional}: ${typeText(node)};`;
}

/** Returns the default in words or as a literal; nothing for a required setting and for a block whose interface documents its defaults. */
export function defaultText(field: Field, varied: ReadonlySet<string>): string | undefined {
  const { node, presence, otherwise } = field;
  if (otherwise !== undefined) return otherwise;
  if (node.type === "block" && presence === "always")
    return varied.has(node.interface)
      ? inspect(defaultsOf(node), { breakLength: Number.POSITIVE_INFINITY }).replaceAll("'", '"')
      : undefined;
  return presence === "optional" ? defaultValues(field).join(", ") || "none" : undefined;
}

function typeText(node: Node): string {
  switch (node.type) {
    case "block":
    case "union":
      return node.interface;
    case "list": {
      const item = typeText(node.item);
      return `readonly ${/ /.test(item) && !item.startsWith("Input<") ? `(${item})` : item}[]`;
    }
    case "table":
      return `Readonly<Record<string, ${typeText(node.value)}>>`;
    default:
      return leafText(node);
  }
}

function leafText({ type, values = [], plain }: Leaf): string {
  const text = type === "choice" ? values.map((value) => JSON.stringify(value)).join(" | ") : type === "text" ? "string" : type;
  return plain ? text : `Input<${text}>`;
}

/** The blocks that are not there unless they are given, and have defaults inside. */
function optionalBlocks(root: Block): Block[] {
  const found = new Map<string, Block>();
  const visit = (node: Node, always: boolean): void => {
    if (node.type === "list") visit(node.item, false);
    if (node.type === "union") for (const variant of node.variants) visit(variant, false);
    if (node.type !== "block") return;
    if (!always && Object.keys(defaultsOf(node)).length > 0) found.set(node.interface, node);
    for (const field of node.fields) visit(field.node, field.presence === "always");
  };
  visit(root, true);
  return [...found.values()];
}

/** Returns the path of each secret, once for all items of a list and all variants of a block. */
function secretPaths(root: Block): string[] {
  const visit = (node: Node, path: readonly string[]): string[] => {
    switch (node.type) {
      case "list":
        return visit(node.item, path);
      case "union":
        return node.variants.flatMap((variant) => visit(variant, path));
      case "block":
        return node.fields.flatMap((field) => visit(field.node, [...path, field.key]));
      case "table":
        return [];
      default:
        return node.secret ? [path.join(".")] : [];
    }
  };
  return [...new Set(visit(root, []))];
}

/** The defaults inside a block, without those of blocks that are optional themselves. */
function defaultsOf(block: Block): Record<string, unknown> {
  return Object.fromEntries(
    block.fields.flatMap(({ key, node, presence, default: value }) => {
      if (value !== undefined) return [[key, value]];
      return presence === "always" && node.type === "block" ? [[key, defaultsOf(node)]] : [];
    }),
  );
}

const literal = (value: unknown) => JSON.stringify(value, undefined, 2);

/** A JSDoc comment, on one line if it fits. A default such as a cron expression must not end it. */
function comment(description: string, defaultValue?: string, indent = ""): string {
  const tag = defaultValue === undefined ? "" : `@default ${defaultValue.replaceAll("`", "").replaceAll("*/", "*\\/")}`;
  const line = `${indent}/** ${description}${tag && ` ${tag}`} */`;
  if (line.length <= lineWidth) return line;
  const lines = [...wrap(description, lineWidth - indent.length - 3), ...(tag ? wrap(tag, lineWidth - indent.length - 3) : [])];
  return [`${indent}/**`, ...lines.map((text) => `${indent} * ${text}`), `${indent} */`].join("\n");
}
