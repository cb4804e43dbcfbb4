import { z } from "zod";

/** The schema of the settings as plain data, for everything that is generated from it. */

export interface Block {
  readonly type: "block";
  /** Name of the interface in components/args.ts. */
  readonly interface: string;
  readonly description: string;
  readonly fields: readonly Field[];
}

/** A block of which there are several variants. */
export interface Union {
  readonly type: "union";
  readonly interface: string;
  readonly description: string;
  /** The key that says which variant it is; without one, each variant has a required key of its own, its first. */
  readonly discriminator?: string;
  readonly variants: readonly Block[];
}

export interface List {
  readonly type: "list";
  readonly item: Node;
  readonly atLeastOne: boolean;
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
  /** Whether components need the value while the program runs. */
  readonly plain: boolean;
  /** The values of a choice. */
  readonly values?: readonly string[];
  /** Bounds of a number, both included. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** A regular expression that every valid text matches. */
  readonly pattern?: string;
  /** Whether a number is accepted in place of the text. */
  readonly orNumber: boolean;
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
export function unwrap(type: z.ZodType): z.ZodType {
  return isWrapper(type) ? unwrap(type.unwrap() as z.ZodType) : type;
}

/** Returns what a type or one of its wrappers says about itself; the outermost wins. */
function metadata(type: z.ZodType): z.core.GlobalMeta {
  return { ...(isWrapper(type) && metadata(type.unwrap() as z.ZodType)), ...type.meta() };
}

/** Returns the model of a schema whose root is a block. */
export function modelOf(schema: z.ZodObject): Block {
  return blockOf(schema);
}

function blockOf(type: z.ZodObject): Block {
  const { interface: name = "", description = "" } = metadata(type);
  return {
    type: "block",
    interface: name,
    description,
    fields: Object.entries(type.shape).map(([key, child]) => fieldOf(key, child as z.ZodType)),
  };
}

function fieldOf(key: string, type: z.ZodType): Field {
  const { description = "", otherwise } = metadata(type);
  return {
    key,
    node: nodeOf(unwrap(type)),
    description,
    presence: presenceOf(type),
    ...defaultOf(type),
    ...(otherwise !== undefined && { otherwise }),
  };
}

function presenceOf(type: z.ZodType): Field["presence"] {
  if (type instanceof z.ZodPrefault) return "always";
  return isWrapper(type) ? "optional" : "required";
}

const defaultOf = (type: z.ZodType) => (type instanceof z.ZodDefault ? { default: type.def.defaultValue as unknown } : {});

function nodeOf(type: z.ZodType): Node {
  if (type instanceof z.ZodObject) return blockOf(type);
  if (type instanceof z.ZodArray) {
    const minimum = (type._zod.bag as { minimum?: number }).minimum ?? 0;
    return { type: "list", item: nodeOf(unwrap(type.element as z.ZodType)), atLeastOne: minimum > 0 };
  }
  if (type instanceof z.ZodRecord)
    return { type: "table", key: leafOf(type.keyType as z.ZodType), value: leafOf(type.valueType as z.ZodType) };
  if (type instanceof z.ZodUnion && type.options.every((option) => option instanceof z.ZodObject)) {
    const { interface: name = "", description = "" } = metadata(type);
    return {
      type: "union",
      interface: name,
      description,
      ...(type instanceof z.ZodDiscriminatedUnion && { discriminator: type.def.discriminator }),
      variants: type.options.map(blockOf),
    };
  }
  return leafOf(type);
}

function leafOf(type: z.ZodType): Leaf {
  const { kind = "", plain = false, pattern } = metadata(type);
  const common = { kind, plain, secret: kind === "secret", orNumber: innermost(type) instanceof z.ZodUnion, ...(pattern && { pattern }) };
  if (type instanceof z.ZodNumber) {
    const { minimum, maximum } = type._zod.bag as { minimum: number; maximum: number };
    return { ...common, type: "number", minimum, maximum };
  }
  if (type instanceof z.ZodBoolean) return { ...common, type: "boolean" };
  if (type instanceof z.ZodEnum) return { ...common, type: "choice", values: type.options.map(String) };
  if (type instanceof z.ZodLiteral) return { ...common, type: "choice", values: [...type.values].map(String), plain: true };
  return { ...common, type: "text" };
}

/** The type that a value is first parsed with. */
const innermost = (type: z.ZodType): z.ZodType => (type instanceof z.ZodPipe ? innermost(type.in as z.ZodType) : type);
