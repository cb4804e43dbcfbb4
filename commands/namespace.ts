import { checkSettings, parsedSetting, SettingsError } from "../stacks/index.ts";
import type { StackFile } from "./stack-file.ts";

/** The namespace of a stack: its settings `namespace.name` and `namespace.create`. */
export interface StackNamespace {
  readonly name: string;
  readonly create: boolean;
}

/** Returns a stack's namespace. The defaults take the place of an invalid setting, which the program reports with all others. */
export function stackNamespace({ project, config }: Pick<StackFile, "project" | "config">): StackNamespace {
  const namespace = parsedSetting(config[`${project}:namespace`]);
  try {
    return checkSettings(namespace === undefined ? {} : { namespace }).namespace;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return checkSettings({}).namespace;
  }
}
