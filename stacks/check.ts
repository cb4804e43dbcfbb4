import type { z } from "zod";
import { type SettingProblem, SettingsError } from "./errors.ts";
import { withHiddenValues } from "./hidden-values.ts";
import { exampleOf, modelOf, type Union, type Variant, variantOf } from "./model.ts";
import { formatPath, isRaw, overlaps, type Path, parsePath, type Raw, valueAt } from "./paths.ts";
import type { RuleProblem } from "./rule.ts";
import { rules } from "./rules.ts";
import { type Settings, schema } from "./schema.ts";
import { type IsEncrypted, structuralRules } from "./structural-rules.ts";
import { readTargetsFile } from "./targets-file.ts";
import { trace, variantsAround } from "./trace.ts";
import { unknownKeyProblem } from "./unknown-keys.ts";

const model = modelOf(schema);

export interface CheckOptions {
  /** Returns whether a value is encrypted in the stack's file. @default unknown: no secret is reported as plain text */
  readonly isEncrypted?: IsEncrypted;
  /**
   * Paths of settings whose values are not known yet, so that the settings have examples: no problem that depends on one is reported.
   * @default none
   */
  readonly assumed?: readonly string[];
  /** Problems of settings outside of the schema, to be reported with those found here. @default none */
  readonly others?: readonly SettingProblem[];
}

/**
 * Checks settings as they are written in a stack's file, and fills in the defaults.
 *
 * @param given the settings by block, secrets in plain text
 * @throws {SettingsError} with every problem
 */
export function checkSettings(given: Raw, { isEncrypted, assumed = [], others = [] }: CheckOptions = {}): Settings {
  const problems: SettingProblem[] = [...others];
  // Whatever cannot be used is replaced by something that can, and the rest checked again, so that one mistake does not hide another.
  const { settings, problem, located } = readTargetsFile(given);
  const usable = copyOf(settings) as Raw;
  const unusable = new Set<string>();
  if (problem) {
    problems.push(problem);
    unusable.add("registryScan.targets");
  }
  for (;;) {
    const { data, error } = schema.safeParse(usable);
    if (data) {
      const found = [
        ...rules(data, (path) => valueAt(usable, parsePath(path))),
        ...structuralRules(model, usable, isEncrypted ?? (() => true)),
      ];
      problems.push(...reliable(found, [...unusable, ...assumed]).map((problem) => withDefaultNamed(problem, usable, data)));
      if (problems.length > 0) throw new SettingsError(withHiddenValues(problems.map(located), model, given, isEncrypted ?? (() => false)));
      return data;
    }
    const replaced = new Set(unusable);
    for (const issue of error.issues.flatMap((one) => specificIssues(one, usable))) {
      if (issue.code === "unrecognized_keys") {
        for (const key of issue.keys) {
          const path = [...issue.path, key];
          const { message, ofOtherVariant } = unknownKeyProblem(model, usable, path);
          if (!(ofOtherVariant && isVariantAssumed(usable, path, unusable))) problems.push({ path: formatPath(path), message });
          remove(usable, path);
        }
        continue;
      }
      const path = formatPath(issue.path);
      if (replaced.has(path)) throw new TypeError(`${path} was replaced by an example of its kind that is not valid`);
      const isMissing = valueAt(usable, issue.path) === undefined;
      if (!assumed.includes(path) && !(isMissing && isVariantAssumed(usable, issue.path, unusable)))
        problems.push({ path, message: messageOf(issue) });
      unusable.add(path);
      repair(usable, issue);
    }
  }
}

/** Returns a deep copy in which nothing is shared: aliases in YAML give several settings the same list or block. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  return isRaw(value) ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copyOf(inner)])) : value;
}

/** Says of a value in a message that it is the default, if nobody wrote it. */
function withDefaultNamed(problem: SettingProblem, given: Raw, settings: Settings): SettingProblem {
  const path = parsePath(problem.path);
  const start = `is ${String(valueAt(settings, path))}`;
  if (valueAt(given, path) !== undefined || !/^[ ,;]/.test(problem.message.slice(start.length)) || !problem.message.startsWith(start))
    return problem;
  return { ...problem, message: `${start} (the default)${problem.message.slice(start.length)}` };
}

/** Returns the problems that do not depend on something unusable, one for each path. */
function reliable(found: readonly RuleProblem[], unusable: readonly string[]): SettingProblem[] {
  const byPath = new Map<string, SettingProblem>();
  for (const { path, message, concerns = [] } of found)
    if (!byPath.has(path) && ![path, ...concerns].some((one) => unusable.some((bad) => overlaps(one, bad))))
      byPath.set(path, { path, message });
  return [...byPath.values()];
}

/** Whether the variant of the block around a path is a guess, because what selects it is unusable: then keys may be missing or too many. */
function isVariantAssumed(settings: Raw, path: Path, unusable: ReadonlySet<string>): boolean {
  return variantsAround(model, settings, path).some(
    ({ path: block, union: { discriminator } }) => discriminator !== undefined && unusable.has(formatPath([...block, discriminator])),
  );
}

type Issue = z.core.$ZodIssue;

/** Returns the issues of the variant that the settings select, in place of the issue that no variant matches. */
function specificIssues(issue: Issue, settings: Raw): Issue[] {
  const { node } = trace(model, settings, issue.path)[issue.path.length] ?? {};
  const value = valueAt(settings, issue.path);
  if (issue.code !== "invalid_union" || node?.type !== "union" || !isRaw(value)) return [issue];
  const selected = variantOf(node, value);
  const issues = selected && issue.errors[node.variants.indexOf(selected)];
  return issues?.map((one) => ({ ...one, path: [...issue.path, ...one.path] })) ?? [issue];
}

const messageOf = (issue: Issue) =>
  issue.code === "invalid_key" ? `is not a valid name; ${issue.issues[0]?.message.split("; ").at(-1)}` : issue.message;

/** Replaces a value that cannot be used by a valid one where one is required, and removes it elsewhere. */
function repair(settings: Raw, { code, path }: Issue): void {
  const steps = trace(model, settings, path);
  const parent = steps[path.length - 1]?.node;
  const target = steps[path.length];
  const key = path.at(-1) ?? "";
  const replacement =
    parent?.type === "union" && parent.discriminator === key
      ? likelySelector(parent, valueAt(settings, path.slice(0, -1)))
      : code !== "invalid_key" && target?.required
        ? exampleOf(target.node)
        : undefined;
  if (replacement !== undefined) Object.assign(valueAt(settings, path.slice(0, -1)) as object, { [key]: replacement });
  else remove(settings, path);
}

function remove(settings: Raw, path: Path): void {
  delete (valueAt(settings, path.slice(0, -1)) as Record<PropertyKey, unknown>)[path.at(-1) ?? ""];
}

/** Returns the value of the discriminator whose variant has most of the keys that are given. */
function likelySelector({ variants }: Union, given: unknown): string | undefined {
  const matches = ({ fields }: Variant) => fields.filter(({ key }) => isRaw(given) && Object.hasOwn(given, key)).length;
  return variants.toSorted((one, other) => matches(other) - matches(one))[0]?.selector;
}
