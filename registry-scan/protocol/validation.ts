import * as z from "zod/mini";
import { toDotPath } from "zod/v4/core";

/** A value that is read, never changed: what the schemas' types describe. */
export type Immutable<T> = T extends readonly (infer Item)[]
  ? readonly Immutable<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Immutable<T[Key]> }
    : T;

/** The type of the values that a schema accepts. */
export type Parsed<Schema extends z.ZodMiniType> = Immutable<z.output<Schema>>;

/** Data that does not match its schema. */
export class InvalidData extends Error {
  /** One sentence per invalid field, starting with its path: ``"`timeout` is missing"``. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("; "));
    this.problems = problems;
  }
}

/**
 * Checks data from outside the process.
 *
 * @returns the data without fields that the schema does not know
 * @throws {InvalidData} naming every invalid field
 */
export function parse<Schema extends z.ZodMiniType>(schema: Schema, data: unknown): Parsed<Schema> {
  const { data: parsed, error } = z.safeParse(schema, data, { error: phrase });
  if (error) throw new InvalidData(sentences(error.issues));
  return parsed as Parsed<Schema>;
}

/**
 * Reads JSON from outside the process and checks it.
 *
 * @throws {InvalidData} when the text is not valid JSON, or naming every invalid field
 */
export function parseJson<Schema extends z.ZodMiniType>(schema: Schema, text: string): Parsed<Schema> {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new InvalidData([`the text is not valid JSON: ${(error as Error).message}`]);
  }
  return parse(schema, data);
}

/** A string with a rule of its own; `problem` returns a phrase that follows the string in a sentence, or `undefined` for a valid one. */
export const stringWith = (problem: (value: string) => string | undefined) =>
  z.string().check(
    z.superRefine((value, context) => {
      const found = problem(value);
      if (found !== undefined) context.addIssue(`is \`${value}\`, which ${found}`);
    }),
  );

export const nonEmptyString = z.string().check(z.minLength(1));
export const nonNegativeNumber = z.number().check(z.nonnegative());
export const positiveInteger = z.int().check(z.positive());
export const url = stringWith((value) => (URL.canParse(value) ? undefined : "is not a valid URL"));

const missing = "is missing";
const invalid = "is not valid";

function phrase(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined ? missing : `is not a valid ${issue.expected}`;
    case "invalid_value":
      return `is not one of ${issue.values.join(", ")}`;
    case "invalid_union":
      // Of a discriminated union.
      return Array.isArray(issue.options) ? `is not one of ${issue.options.join(", ")}` : invalid;
    case "too_small":
      if (issue.origin === "string" || issue.origin === "array") return "is empty";
      return issue.inclusive ? `is less than ${issue.minimum}` : `is not more than ${issue.minimum}`;
    default:
      return invalid;
  }
}

function sentences(issues: readonly z.core.$ZodIssue[], parents: readonly PropertyKey[] = []): string[] {
  return issues.flatMap((issue) => {
    const path = [...parents, ...issue.path];
    if (issue.code === "invalid_union") {
      // The alternative that was meant has all of its required fields.
      const [first, ...others] = issue.errors;
      const meant = [first, ...others].find((errors) => errors?.every(({ message }) => message !== missing)) ?? first;
      if (meant) return sentences(meant, path);
    }
    return [`${path.length === 0 ? "the value" : `\`${toDotPath(path)}\``} ${issue.message}`];
  });
}
