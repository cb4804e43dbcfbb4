import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { SettingsArgs } from "../components/args.ts";
import { checkSettings } from "./check.ts";
import { project, type SettingProblem, SettingsError } from "./errors.ts";
import { kubeconfigProblem } from "./kubeconfig.ts";
import { linesOf } from "./locations.ts";
import { isRaw, valueAt } from "./paths.ts";
import { warnings } from "./rules.ts";
import type { Settings } from "./schema.ts";
import type { IsEncrypted } from "./structural-rules.ts";
import { parseYaml } from "./yaml.ts";

export { type CheckOptions, checkSettings } from "./check.ts";
export { project, type SettingProblem, SettingsError } from "./errors.ts";
export type { Settings } from "./schema.ts";

/**
 * Returns the settings of the current stack, checked, with their defaults; warns of those that work, but hardly as intended.
 *
 * @throws {SettingsError} with every problem
 */
export function readSettings(): SettingsArgs & { readonly instance: string } {
  const given = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]) =>
    key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), parsedSetting(value)] as const] : [],
  );
  const settings = withPlaces(() =>
    checkSettings(Object.fromEntries(given), { isEncrypted: isEncrypted(), others: [...providerProblems()] }),
  );
  warn(settings);
  return { ...settings, instance: pulumi.getStack() };
}

/** Adds to an error about settings where each of them is in the stack's file. */
function withPlaces<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const file = stackFile();
    if (!file) throw error;
    const lineOf = linesOf(file.text);
    throw new SettingsError(error.problems, (problem) => {
      const line = lineOf(problem);
      return line === undefined ? undefined : `${file.name}:${line}`;
    });
  }
}

/** Returns the stack's file; undefined if Pulumi uses another one. */
function stackFile(): { readonly name: string; readonly text: string } | undefined {
  const name = `Pulumi.${pulumi.getStack()}.yaml`;
  const path = join(process.cwd(), name);
  return existsSync(path) ? { name, text: readFileSync(path, "utf8") } : undefined;
}

/** Warns of settings that work, but hardly as intended. */
export function warn(settings: Settings): void {
  for (const { path, message } of warnings(settings)) pulumi.log.warn(`${project}:${path} ${message}`);
}

/** Checks the settings of the Kubernetes provider, which Pulumi would otherwise use unseen. */
function* providerProblems(): Generator<SettingProblem> {
  const kubeconfig = new pulumi.Config("kubernetes").get("kubeconfig");
  const message = kubeconfig === undefined ? undefined : kubeconfigProblem(kubeconfig, process.cwd());
  if (message !== undefined) yield { namespace: "kubernetes", path: "kubeconfig", message };
}

/**
 * Returns whether a value is encrypted. To Pulumi, all of a block is a secret if anything in it is, so a value next to an encrypted one is
 * looked up in the stack's file: if it is there as it arrived, it is in plain text.
 */
function isEncrypted(): IsEncrypted {
  const file = stackFile();
  const written: unknown = file && parseYaml(file.text);
  const config = isRaw(written) && isRaw(written["config"]) ? written["config"] : {};
  return ([block, ...path], value) => {
    const key = `${project}:${String(block)}`;
    return isConfigSecret(key) && valueAt(config[key], path) !== value;
  };
}

/** Pulumi's SDK knows which values were encrypted, but does not declare it. */
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret(key: string): boolean };

/** Returns a setting as it is meant: blocks, numbers and switches arrive as JSON, and `pulumi config set` writes them as texts. */
export function parsedSetting(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
