import { isMap, parseDocument } from "yaml";
import { z } from "zod";
import { wrong } from "./message.ts";

/** A text in a format. The parser's error says where the mistake is, so no message repeats the text. */
const document = (kind: string, advice: string, problem: (value: string) => string | undefined) =>
  z
    .string({ error: wrong(advice) })
    .superRefine((value, context) => {
      const found = problem(value);
      if (found !== undefined) context.addIssue({ code: "custom", message: `${found}; ${advice}` });
    })
    .meta({ kind });

/** A JSON object, such as a VEX document. */
export const jsonText = (advice: string) =>
  document("JSON", advice, (value) => {
    try {
      const found: unknown = JSON.parse(value);
      return typeof found === "object" && found !== null && !Array.isArray(found) ? undefined : "is JSON, but not an object";
    } catch (error) {
      // The parser repeats some of the text.
      return `is not valid JSON (${(error as SyntaxError).message.replace(/, .*is not valid JSON$/s, "")})`;
    }
  }).meta({ example: "{}" });

/** YAML with names and values, such as an ignore file; it may be empty. */
export const yamlText = (advice: string) =>
  document("YAML", advice, (value) => {
    const { errors, contents } = parseDocument(value);
    if (errors[0]) return `is not valid YAML (${errors[0].message.split("\n")[0]?.replace(/:$/, "")})`;
    return contents === null || isMap(contents) ? undefined : "is YAML, but not a table of names and values";
  });
