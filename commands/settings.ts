import { checkSettings, parsedSetting, type Settings, SettingsError } from "../stacks/index.ts";
import { stackConfig } from "./program.ts";
import { projectFolder, readProject, type StackFile } from "./stack-file.ts";

/**
 * Returns the settings of a stack with their defaults, and placeholders in place of encrypted values.
 *
 * @throws SettingsError if the stack's file has mistakes
 */
export function stackSettings(file: Pick<StackFile, "project" | "config">): Settings {
  const { config } = stackConfig(readProject(projectFolder), file);
  const prefix = `${file.project}:`;
  const given = Object.entries(config).flatMap(([key, value]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), parsedSetting(value)] as const] : [],
  );
  return checkSettings(Object.fromEntries(given));
}

/** Returns the settings of a stack, like `stackSettings`; undefined if the stack's file has mistakes, which the program reports. */
export function validSettings(file: Pick<StackFile, "project" | "config">): Settings | undefined {
  try {
    return stackSettings(file);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return undefined;
  }
}

/** Returns the DNS domain of a stack's cluster; the default one if the stack's file has mistakes. */
export const clusterDomain = (file: StackFile): string => (validSettings(file) ?? checkSettings({})).clusterDomain;
