import { z } from "zod";
import { schema, unwrapped } from "./settings.ts";

/** One setting, as the README's table and Pulumi.yaml show it. */
interface Row {
  readonly path: string;
  readonly kind: string;
  readonly standard: string;
  readonly description: string;
}

/** What a wrapper or the type in it says of itself. */
function meta(type: z.ZodType): z.core.GlobalMeta {
  const inner = type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault ? type.unwrap() : undefined;
  return { ...(inner && meta(inner as z.ZodType)), ...type.meta() };
}

function standard(type: z.ZodType): string {
  const { otherwise } = meta(type);
  if (otherwise !== undefined) return otherwise;
  if (!(type instanceof z.ZodDefault)) return type instanceof z.ZodOptional ? "" : "**needed**";
  const value: unknown = type.def.defaultValue;
  if (Array.isArray(value)) return value.length > 0 ? value.map((item) => `\`${item}\``).join(", ") : "";
  if (typeof value === "object") return "";
  return `\`${value}\``;
}

function rows(type: z.ZodType, path: string): Row[] {
  const inner = unwrapped(type);
  const { description = "" } = meta(type);
  if (inner instanceof z.ZodObject) {
    const own = description ? [{ path, kind: "block", standard: "", description }] : [];
    return [...own, ...Object.entries(inner.shape).flatMap(([key, child]) => rows(child as z.ZodType, path ? `${path}.${key}` : key))];
  }
  if (inner instanceof z.ZodArray) {
    const element = unwrapped(inner.element as z.ZodType);
    const kind = element instanceof z.ZodObject ? "list" : `list, ${meta(element).kind}`;
    const own = { path, kind, standard: standard(type), description };
    return element instanceof z.ZodObject ? [own, ...rows(element, `${path}[]`)] : [own];
  }
  const kind = inner instanceof z.ZodRecord ? "name: text" : (meta(type).kind ?? "");
  return [{ path, kind, standard: standard(type), description }];
}

/** Every setting with its default, a Markdown table. */
export function settingsTable(): string {
  const lines = rows(schema, "").map((row) => `| \`${row.path}\` | ${row.kind} | ${row.standard} | ${row.description} |`);
  return ["| setting | what it is | default | what it does |", "| --- | --- | --- | --- |", ...lines].join("\n");
}

/**
 * The `config:` section of Pulumi.yaml. An empty block stands for the defaults: Pulumi would ask for a key that has none. Where `true` is short for a
 * block there is no type, because Pulumi would refuse it.
 */
export function configSection(): Record<string, { type?: string; description: string; default: unknown }> {
  return Object.fromEntries(
    Object.entries(schema.shape).map(([key, type]) => {
      const keys = rows(type as z.ZodType, "").map(({ path }) => path);
      const direct = [...new Set(keys.map((path) => path.split(/[.[]/)[0]).filter((path) => path))];
      const description = meta(type as z.ZodType).description ?? `Settings ${direct.join(", ")}; see README.md.`;
      const inner = unwrapped(type as z.ZodType);
      const abbreviated = inner instanceof z.ZodObject && "enabled" in inner.shape;
      return [key, { ...(!abbreviated && { type: "object" }), description, default: {} }];
    }),
  );
}
