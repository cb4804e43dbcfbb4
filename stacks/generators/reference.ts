import { project } from "../errors.ts";
import type { Block, Field, Node, Union, Variant } from "../model.ts";
import { defaultValues, wrap } from "./text.ts";

const introduction = `<!-- Generated from the schema in stacks/ by \`npm run generate\`: change it there. -->

# Settings

Settings are written in \`Pulumi.<stack>.yaml\` under \`config:\`, each block under its name after \`${project}:\`. \`pulumi config set --path\` takes
the paths in the first column: \`pulumi config set --path ${project}:server.replicas 3\`. Secrets must be encrypted: add \`--secret\`.`;

/** Returns the text of docs/reference/settings.md: a heading for each block, a row with an anchor for each setting. */
export function referenceFile({ fields }: Block): string {
  const blocks = fields.filter(({ node }) => isBlock(node));
  const others = fields.filter(({ node }) => !isBlock(node));
  const anchors = new Set<string>();
  const sections = [
    introduction,
    blocks.map(({ key, description }) => listItem(`[${key}](#${key.toLowerCase()}): ${description}`)).join("\n"),
    ...blocks.flatMap((field) => blockSection(field, anchors)),
    "## Other settings",
    table(
      others.flatMap((field) => rows(field, field.key)),
      anchors,
    ),
  ];
  return `${sections.join("\n\n")}\n`;
}

const isBlock = (node: Node): node is Block | Union => node.type === "block" || node.type === "union";

const paragraph = (text: string) => wrap(text, 140).join("\n");
const listItem = (text: string) => wrap(`- ${text}`, 138).join("\n  ");

function blockSection({ key, node, description }: Field, anchors: Set<string>): string[] {
  const head = [`## ${key}`, paragraph(description)];
  if (node.type === "block") return [...head, table(fieldRows(node, key), anchors)];
  if (node.type !== "union") return head;
  return [...head, ...node.variants.flatMap((variant) => variantSection(key, `${node.discriminator}`, variant, anchors))];
}

function variantSection(path: string, discriminator: string, variant: Variant, anchors: Set<string>): string[] {
  const heading = `### ${path}.${discriminator}: ${variant.selector}${variant.isDefault ? " (default)" : ""}`;
  return [heading, paragraph(variant.description), table(fieldRows(variant, path), anchors, `-${variant.selector}`)];
}

interface Row {
  readonly path: string;
  readonly kind: string;
  readonly standard: string;
  readonly description: string;
}

const fieldRows = ({ fields }: Block, path: string): Row[] => fields.flatMap((field) => rows(field, `${path}.${field.key}`));

/** The rows of a setting: of a block, and of a list of blocks, those of what is inside as well. */
function rows(field: Field, path: string): Row[] {
  const { node, description } = field;
  const inner = node.type === "list" ? node.item : node;
  const own = { path, kind: kindText(node), standard: defaultText(field), description };
  const innerPath = node.type === "list" ? `${path}[]` : path;
  if (inner.type === "union") return [own, ...inner.variants.flatMap((variant) => fieldRows(variant, innerPath))];
  return inner.type === "block" ? [own, ...fieldRows(inner, innerPath)] : [own];
}

function kindText(node: Node): string {
  switch (node.type) {
    case "block":
    case "union":
      return "block";
    case "list":
      return isBlock(node.item) ? "list of blocks" : `list: ${kindText(node.item)}`;
    case "table":
      return "`name: text` pairs";
    default:
      return node.kind;
  }
}

function defaultText(field: Field): string {
  if (field.otherwise !== undefined) return field.otherwise;
  const values = defaultValues(field).map((value) => `\`${value}\``);
  return values.length > 0 ? values.join(", ") : field.presence === "required" ? "**required**" : "";
}

/** A table of settings. In a second variant of a block, `suffix` tells the anchor from that of the first. */
function table(content: readonly Row[], anchors: Set<string>, suffix = ""): string {
  const lines = content.map(({ path, kind, standard, description }) => {
    const anchor = anchors.has(path) ? `${path}${suffix}` : path;
    if (anchors.has(anchor)) throw new Error(`two settings have the anchor ${anchor}`);
    anchors.add(anchor);
    return `| <a id="${anchor}"></a>\`${path}\` | ${kind} | ${standard} | ${description} |`;
  });
  return ["| setting | kind | default | |", "| --- | --- | --- | --- |", ...lines].join("\n");
}
