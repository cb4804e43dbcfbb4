import { z } from "zod";
import { wrong } from "./message.ts";
import { anyText } from "./text.ts";

declare module "zod" {
  interface GlobalMeta {
    /** What the documentation calls this kind of value. */
    kind?: string;
    /** What holds without the setting, where that is not a value of the schema. */
    otherwise?: string;
    /** Name of the interface in components/args.ts; on blocks and unions. */
    interface?: string;
    /** Whether the components need the value while the program runs, so that it cannot be an output of another resource. */
    plain?: boolean;
    /** Regular expression for the JSON schema. */
    pattern?: string;
    /** What would be valid, as an imperative. */
    advice?: string;
    /** A valid value. */
    example?: unknown;
    /** Of a secret: whether it need not be one in a certain block. */
    isPublic?: (block: unknown) => boolean;
    /** On blocks: pairs of keys of which only one can be used; the first is the one that a problem names. */
    conflicts?: readonly (readonly [key: string, other: string])[];
    /** On lists: items must differ, or the values of this key in them. */
    unique?: boolean | string;
  }
}

/** Returns the message for what is not a block. A text is not shown: the short form of a block is often its secret. */
const notBlock = (advice: string) => (issue: { readonly input?: unknown }) =>
  typeof issue.input === "string" ? `is a text; ${advice}` : wrong(advice)(issue);

const blockAdvice = (keys: readonly string[]) => `use a block of settings with ${either(keys)}`;

const either = (words: readonly string[]) => (words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`);

/** Values that users write in place of a block that can be enabled; those of YAML 1.1 are texts in YAML 1.2. */
const switches: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...([true, "true", "yes", "on"] as const).map((value) => [value, true] as const),
  ...([false, "false", "no", "off"] as const).map((value) => [value, false] as const),
]);

/** A block of settings, in components/args.ts the interface called `name`; unknown keys are refused. */
export const block = <Shape extends z.core.$ZodShape>(name: string, shape: Shape) =>
  z
    .strictObject(shape, {
      error: ({ code, input }) => {
        if (code === "unrecognized_keys") return undefined;
        const enabled = "enabled" in shape ? switches.get(input) : undefined;
        return enabled === undefined
          ? notBlock(blockAdvice(Object.keys(shape)))({ input })
          : `is ${input}; use the block { enabled: ${enabled} }`;
      },
    })
    .meta({ interface: name });

/** A block of which there are several variants: `key` says which one it is. */
export const variants = <Key extends string, Options extends readonly [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]]>(
  name: string,
  key: Key,
  options: Options,
) =>
  z
    .discriminatedUnion(key, options, {
      error: (issue) => {
        if (issue.code !== "invalid_union") return notBlock(`use a block of settings with ${key}`)(issue);
        const values = (issue["options"] as unknown[]).filter((value) => value !== undefined);
        return wrong(`use one of ${values.join(", ")}`)({ input: (issue.input as Record<string, unknown>)[key] });
      },
    })
    .meta({ interface: name });

type Variant = z.ZodObject<{ readonly [key: string]: z.ZodType }>;

/** A block of which there are several variants: each has a required key of its own, which is the first of its keys. */
export const alternatives = <const Options extends readonly [Variant, ...Variant[]]>(name: string, options: Options) => {
  const keys = options.map(({ shape }) => Object.keys(shape)[0]);
  return z
    .union(options, {
      error: ({ code, input }) =>
        code === "invalid_union" && typeof input === "object" && !Array.isArray(input) && input !== null
          ? `has neither ${keys.join(" nor ")}; use one of them`
          : notBlock(blockAdvice(keys.filter((key) => key !== undefined)))({ input }),
    })
    .meta({ interface: name });
};

export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.array(item, { error: notBlock("use a list, each item on its own line after a dash") });

/** A list whose items differ; of blocks, in the value of `key`, or without it altogether. */
export const uniqueListOf = <Item extends z.ZodType>(item: Item, key?: string) => listOf(item).meta({ unique: key ?? true });

/** A table of names and texts. */
export const tableOf = <Key extends z.core.$ZodRecordKey>(key: Key, value = anyText()) =>
  z.record(key, value, { error: notBlock("use `name: value` pairs") }).meta({ kind: "name: text" });

/** A value that decides which resources exist or what they are called: components take it as it is, not as an output. */
export const plain = <Type extends z.ZodType>(type: Type) => type.meta({ plain: true });

/** The one value of a key that says which variant a block is. */
export const literal = <const Value extends string>(value: Value) => z.literal(value).meta({ kind: value });
