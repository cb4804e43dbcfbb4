import { z } from "zod";
import { isRaw } from "./paths.ts";

/*
 * The schema of the settings as plain data: for the checks that follow from its structure, and for everything that is generated from it.
 */

export interface Block {
  readonly type: "block";
  /** Name of the interface in components/args.ts. */
  readonly interface: string;
  readonly description: string;
  readonly fields: readonly Field[];
  /** Pairs of keys of which only one can be used; the first is the one that a problem names. */
  readonly conflicts: readonly Conflict[];
}

export type Conflict = readonly [key: string, other: string];

/** A block of which there are several variants. */
export interface Union {
  readonly type: "union";
  readonly interface: string;
  readonly description: string;
  /** The key whose value says which variant it is; without one, each variant has a key of its own that does. */
  readonly discriminator?: string;
  readonly variants: readonly Variant[];
}

export interface Variant extends Block {
  /** The value of the discriminator, or the key of its own, that selects the variant. */
  readonly selector: string;
  /** Whether it is the variant of a union without a discriminator's value. */
  readonly isDefault: boolean;
}

export interface List {
  readonly type: "list";
  readonly item: Node;
  readonly atLeastOne: boolean;
  /** Items must differ, or the values of this key in them. */
  readonly unique: boolean | string;
}

/** Names and texts. */
export interface Table {
  readonly type: "table";
  readonly key: Leaf;
  readonly value: Leaf;
}

export interface Leaf {
  readonly type: "text" | "number" | "boolean" | "choice";
  /** What the documentation calls this kind of value. */
  readonly kind: string;
  readonly secret: boolean;
  /** Of a secret that need not be one in some blocks: in which. */
  readonly isPublic?: (block: unknown) => boolean;
  /** Whether components need the value while the program runs. */
  readonly plain: boolean;
  /** The values of a choice. */
  readonly values?: readonly string[];
  /** Bounds of a number, both included. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** A regular expression that every valid text matches. */
  readonly pattern?: string;
  /** What would be valid, as an imperative. */
  readonly advice?: string;
  /** Whether a number is accepted in place of the text. */
  readonly orNumber: boolean;
  /** A valid value. */
  readonly example: unknown;
}

export type Node = Block | Union | List | Table | Leaf;

export interface Field {
  readonly key: string;
  readonly node: Node;
  readonly description: string;
  /** `always`: a block that is there even if it is not given. */
  readonly presence: "required" | "optional" | "always";
  readonly default?: unknown;
  /** What holds without the setting, in words. */
  readonly otherwise?: string;
}

type Wrapper = z.ZodOptional | z.ZodDefault | z.ZodPrefault;
const isWrapper = (type: z.ZodType): type is Wrapper =>
  type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault;

/** Returns a type without the wrappers that make it optional or give it a default. */
const unwrap = (type: z.ZodType): z.ZodType => (isWrapper(type) ? unwrap(type.unwrap() as z.ZodType) : type);

/** Returns what a type or one of its wrappers says about itself; the outermost wins. */
function metadata(type: z.ZodType): z.core.GlobalMeta {
  return { ...(isWrapper(type) && metadata(type.unwrap() as z.ZodType)), ...type.meta() };
}

/** Returns the model of a block's schema. */
export function modelOf(type: z.ZodObject): Block {
  const { interface: name = "", description = "", conflicts = [] } = metadata(type);
  return {
    type: "block",
    interface: name,
    description,
    fields: Object.entries(type.shape).map(([key, child]) => toField(key, child as z.ZodType)),
    conflicts,
  };
}

function toField(key: string, type: z.ZodType): Field {
  const { description = "", otherwise } = metadata(type);
  return {
    key,
    node: nodeOf(unwrap(type)),
    description,
    presence: presenceOf(type),
    ...(type instanceof z.ZodDefault && { default: type.def.defaultValue as unknown }),
    ...(otherwise !== undefined && { otherwise }),
  };
}

function presenceOf(type: z.ZodType): Field["presence"] {
  if (type instanceof z.ZodPrefault) return "always";
  return isWrapper(type) ? "optional" : "required";
}

function nodeOf(type: z.ZodType): Node {
  if (type instanceof z.ZodObject) return modelOf(type);
  if (type instanceof z.ZodArray) {
    const checks = type.def.checks ?? [];
    return {
      type: "list",
      item: nodeOf(unwrap(type.element as z.ZodType)),
      atLeastOne: checks.some((check) => check._zod.def.check === "min_length"),
      unique: metadata(type).unique ?? false,
    };
  }
  if (type instanceof z.ZodRecord)
    return { type: "table", key: leafOf(type.keyType as z.ZodType), value: leafOf(type.valueType as z.ZodType) };
  if (type instanceof z.ZodUnion && type.options.every((option) => option instanceof z.ZodObject)) {
    const { interface: name = "", description = "" } = metadata(type);
    const blocks = type.options.map(modelOf);
    const union = { type: "union", interface: name, description } as const;
    if (!(type instanceof z.ZodDiscriminatedUnion)) return { ...union, variants: blocks.map(alternative) };
    const { discriminator } = type.def;
    return { ...union, discriminator, variants: blocks.map((block) => variant(block, discriminator)) };
  }
  return leafOf(type);
}

/** A variant that the value of a key selects. */
function variant(block: Block, discriminator: string): Variant {
  const field = fieldOf(block, discriminator);
  if (field?.node.type !== "choice") throw new TypeError(`${block.interface}.${discriminator} is not a literal`);
  return { ...block, selector: String(field.node.example), isDefault: field.default !== undefined };
}

/** A variant that its first key selects. */
const alternative = (block: Block): Variant => ({ ...block, selector: block.fields[0]?.key ?? "", isDefault: false });

function leafOf(type: z.ZodType): Leaf {
  const { kind = "", plain = false, pattern, advice, isPublic, example = "example" } = metadata(type);
  const common = {
    kind,
    plain,
    secret: kind === "secret",
    ...(isPublic && { isPublic }),
    orNumber: innermost(type) instanceof z.ZodUnion,
    ...(pattern && { pattern }),
    ...(advice && { advice }),
  };
  if (type instanceof z.ZodNumber) {
    const [minimum, maximum] = [type.minValue ?? 0, type.maxValue ?? 0];
    return { ...common, type: "number", minimum, maximum, example: minimum };
  }
  if (type instanceof z.ZodBoolean) return { ...common, type: "boolean", example: false };
  if (type instanceof z.ZodEnum) return { ...common, ...choice(type.options.map(String)) };
  if (type instanceof z.ZodLiteral) return { ...common, ...choice([...type.values].map(String)), plain: true };
  return { ...common, type: "text", example };
}

const choice = (values: readonly string[]) => ({ type: "choice", values, example: values[0] }) as const;

/** The type that a value is first parsed with. */
const innermost = (type: z.ZodType): z.ZodType => (type instanceof z.ZodPipe ? innermost(type.in as z.ZodType) : type);

/** Returns the field of a block with that key. */
export const fieldOf = (block: Block, key: PropertyKey) => block.fields.find((field) => field.key === key);

/** Returns the variant that a value selects, if it selects one. */
export function variantOf({ discriminator, variants }: Union, value: unknown): Variant | undefined {
  const given = isRaw(value) ? value : {};
  if (discriminator === undefined) return variants.find(({ selector }) => Object.hasOwn(given, selector));
  const selected = given[discriminator];
  return variants.find(({ selector, isDefault }) => (selected === undefined ? isDefault : selected === selector));
}

/** Returns a valid value: of a block, only what is required. */
export function exampleOf(node: Node): unknown {
  switch (node.type) {
    case "block":
      return Object.fromEntries(
        node.fields.filter(({ presence }) => presence === "required").map((field) => [field.key, exampleOf(field.node)]),
      );
    case "union":
      return node.variants[0] && exampleOf(node.variants[0]);
    case "list":
      return node.atLeastOne ? [exampleOf(node.item)] : [];
    case "table":
      return {};
    default:
      return node.example;
  }
}
