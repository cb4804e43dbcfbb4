import type { SettingProblem } from "./errors.ts";

/** Something wrong between settings that are valid by themselves. */
export interface RuleProblem extends SettingProblem {
  /** Paths of other settings that the rule looked at: if one of those is wrong by itself, the problem is not reported. */
  readonly concerns?: readonly string[];
}

/** Returns what the stack's file says at a path: without defaults, and with secrets in plain text. */
export type Given = (path: string) => unknown;

/** Reports those of the keys of the block at `path` that are given although they have no effect. */
export function* withoutEffect(
  given: Given,
  path: string,
  keys: readonly string[],
  message: string,
  concerns: readonly string[] = [],
): Generator<RuleProblem> {
  for (const key of keys) if (given(`${path}.${key}`) !== undefined) yield { path: `${path}.${key}`, message, concerns };
}
