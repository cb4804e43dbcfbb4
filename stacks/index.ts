import * as pulumi from "@pulumi/pulumi";
import type { SettingsArgs } from "../components/args.ts";
import { checkSettings } from "./check.ts";
import { project } from "./errors.ts";
import { warnings } from "./rules.ts";
import type { Settings } from "./schema.ts";

export { checkSettings } from "./check.ts";
export { project, type SettingProblem, SettingsError } from "./errors.ts";
export type { Settings } from "./schema.ts";

/**
 * Returns the settings of the current stack, checked, with their defaults; warns of those that work, but hardly as intended.
 *
 * @throws {SettingsError} with every problem
 */
export function readSettings(): SettingsArgs & { readonly instance: string } {
  const given = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]) =>
    key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), parsed(value)] as const] : [],
  );
  const settings = checkSettings(Object.fromEntries(given), (key) => isConfigSecret(`${project}:${key}`));
  warn(settings);
  return { ...settings, instance: pulumi.getStack() };
}

/** Warns of settings that work, but hardly as intended. */
export function warn(settings: Settings): void {
  for (const { path, message } of warnings(settings)) pulumi.log.warn(`${project}:${path} ${message}`);
}

/** Pulumi's SDK knows which values were encrypted, but does not declare it. */
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret(key: string): boolean };

/** Parses structured values, which arrive as JSON. */
function parsed(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
