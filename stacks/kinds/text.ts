import { z } from "zod";
import { describeValue, wrong } from "./message.ts";

/** A text that matches `pattern`. */
export const matching = (kind: string, advice: string, pattern: RegExp) => text(kind, advice, (value) => pattern.test(value), pattern);

/** A text that `isValid` accepts; `pattern`, for the JSON schema, accepts at least those. */
export const text = (kind: string, advice: string, isValid: (value: string) => boolean, pattern?: RegExp) =>
  z
    .string({ error: wrong(advice) })
    .refine(isValid, { error: wrong(advice) })
    .meta({ kind, advice, ...(pattern && { pattern: pattern.source }) });

/** A text that can be wrong in several ways: `problem` returns which one it is, in words that follow `joint`. */
export const checked = (
  kind: string,
  advice: string,
  problem: (value: string) => string | undefined,
  { joint = "; ", pattern }: Checked = {},
) =>
  z
    .string({ error: wrong(advice) })
    .superRefine((value, context) => {
      const found = problem(value);
      if (found === undefined) return;
      context.addIssue({ code: "custom", message: `${describeValue(value)}${joint}${found}` });
    })
    .meta({ kind, advice, ...(pattern && { pattern: pattern.source }) });

interface Checked {
  /** What connects the value with the problem. @default "; " */
  readonly joint?: string;
  /** For the JSON schema: accepts at least every valid text. */
  readonly pattern?: RegExp;
}

/** Any text. */
export const anyText = () => z.string({ error: wrong("use a text (put numbers and true or false in quotes)") }).meta({ kind: "text" });
