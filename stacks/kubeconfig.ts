import { existsSync, readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { isRaw } from "./paths.ts";
import { parseYaml } from "./yaml.ts";

/**
 * Returns why a stack's `kubernetes:kubeconfig`, a path or the content, must not be used: a user in it names a program, which would run on
 * every machine that previews the stack, so a pull request that changes nothing but a stack's file would run commands there. A file outside
 * of the project's folder belongs to the machine and may name programs, as those of most clouds do.
 *
 * @param folder the project's folder
 */
export function kubeconfigProblem(kubeconfig: string, folder: string): string | undefined {
  const isContent = !existsSync(resolve(folder, kubeconfig));
  if (!isContent && relative(folder, resolve(folder, kubeconfig)).startsWith("..")) return undefined;
  const programs = programsIn(isContent ? kubeconfig : readFileSync(resolve(folder, kubeconfig), "utf8"));
  return programs.length === 0
    ? undefined
    : `has ${programs.join(" and ")}, a program that would run on every machine that previews the stack; remove the setting, and name the cluster with kubernetes:context and the machine's own KUBECONFIG`;
}

/** Returns the keys of a kubeconfig's users that name programs. */
function programsIn(text: string): string[] {
  const content: unknown = parseYaml(text);
  const users = isRaw(content) && Array.isArray(content["users"]) ? content["users"] : [];
  return ["exec", "auth-provider"].filter((key) =>
    users.some((entry: unknown) => isRaw(entry) && isRaw(entry["user"]) && key in entry["user"]),
  );
}
