import { checkSettings, SettingsError } from "../stacks/index.ts";
import type { StackFile } from "./stack-file.ts";

/** The namespace of a stack: its settings `namespace.name` and `namespace.create`. */
export interface StackNamespace {
  readonly name: string;
  readonly create: boolean;
}

/** Returns a stack's namespace. The defaults take the place of an invalid setting, which the program reports with all others. */
export function stackNamespace({ project, config }: Pick<StackFile, "project" | "config">): StackNamespace {
  const namespace = parsed(config[`${project}:namespace`]);
  try {
    return checkSettings(namespace === undefined ? {} : { namespace }).namespace;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return checkSettings({}).namespace;
  }
}

/** `pulumi config set` without `--path` stores an object as a string of JSON. */
export function parsed(value: unknown): unknown {
  if (typeof value !== "string" || !value.startsWith("{")) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
