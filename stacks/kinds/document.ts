import { existsSync, readFileSync, statSync } from "node:fs";
import { parseDocument } from "yaml";
import { z } from "zod";
import { describeText, wrong } from "./message.ts";
import { matching } from "./text.ts";

/** A path of a file with one of these extensions below the project's folder. */
const pathWith = (extensions: string) => new RegExp(`^(?!/)(?!.*(^|/)\\.\\.(/|$))[\\w./-]+\\.(${extensions})$`);

/** A path of a document. No document is on one line without white space and ends like this. */
const path = pathWith("ya?ml|json");

/**
 * A text in a format, or the path of a file with one: Pulumi passes at most 128 KiB of settings to a program. The parser's error says where
 * the mistake is, so no message repeats the text.
 */
const document = (kind: string, advice: string, problem: (value: string) => string | undefined) =>
  z
    .string({ error: wrong(advice) })
    .transform((value, context) => {
      const isPath = path.test(value);
      if (isPath && !(existsSync(value) && statSync(value).isFile())) {
        const message = `is ${describeText(value)}, a file that does not exist in the project's folder; ${advice}`;
        context.addIssue({ code: "custom", message });
        return z.NEVER;
      }
      const text = isPath ? readFileSync(value, "utf8") : value;
      const found = problem(text);
      if (found === undefined) return text;
      context.addIssue({ code: "custom", message: `${isPath ? `is ${describeText(value)}, which ` : ""}${found}; ${advice}` });
      return z.NEVER;
    })
    .meta({ kind });

/** A path of a YAML file below the project's folder. */
export const yamlPath = pathWith("ya?ml");

/** The path of a YAML file, which is read where it is used. */
export const yamlFile = (advice: string) => matching("path of a YAML file", advice, yamlPath);

/** What tells the formats of VEX documents from each other and from other JSON. */
const vexFormats: readonly ((document: Record<string, unknown>) => boolean)[] = [
  (document) => /openvex/.test(JSON.stringify(document["@context"] ?? "")),
  (document) => document["bomFormat"] === "CycloneDX",
  (document) => typeof document["document"] === "object" && document["document"] !== null && "csaf_version" in document["document"],
];

/** A VEX document. */
export const vexDocument = (advice: string) =>
  document("JSON", advice, (value) => {
    try {
      const found: unknown = JSON.parse(value);
      if (typeof found !== "object" || found === null || Array.isArray(found)) return "is JSON, but not an object";
      return vexFormats.some((is) => is(found as Record<string, unknown>)) ? undefined : "is JSON, but none of these formats";
    } catch (error) {
      // The parser repeats some of the text.
      return `is not valid JSON (${(error as SyntaxError).message.replace(/, .*is not valid JSON$/s, "")})`;
    }
  }).meta({ example: JSON.stringify({ bomFormat: "CycloneDX" }) });

/** What Trivy's ignore file may contain: https://trivy.dev/docs/latest/configuration/filtering/#trivyignoreyaml */
const ignoredKinds = ["vulnerabilities", "misconfigurations", "secrets", "licenses"];
const ignoreEntry = z.looseObject({ id: z.string(), expired_at: z.unknown().optional() });

/** The content of an ignore file; it may be empty. Trivy would ignore what it does not know, and so report what should be left out. */
export const ignoreFile = (advice: string) =>
  document("YAML", advice, (value) => {
    const parsed = parseDocument(value);
    if (parsed.errors[0]) return `is not valid YAML (${parsed.errors[0].message.split("\n")[0]?.replace(/:$/, "")})`;
    const content: unknown = parsed.toJS();
    if (content === null || content === undefined) return undefined;
    if (typeof content !== "object" || Array.isArray(content)) return "is YAML, but not a table of names and values";
    for (const [kind, entries] of Object.entries(content)) {
      if (!ignoredKinds.includes(kind)) return `has the key ${kind}, which Trivy does not read: it reads ${ignoredKinds.join(", ")}`;
      if (!Array.isArray(entries)) return `has no list below ${kind}`;
      for (const [index, entry] of entries.entries()) {
        const { data } = ignoreEntry.safeParse(entry);
        if (!data) return `has no id in ${kind}[${index}]`;
        if (data.expired_at !== undefined && !isDate(data.expired_at))
          return `has in ${kind}[${index}] an expired_at that is not a date such as 2027-01-31`;
      }
    }
    return undefined;
  });

const isDate = (value: unknown) =>
  value instanceof Date || (typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value)));
