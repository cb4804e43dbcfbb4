import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, parseDocument, visit } from "yaml";
import { z } from "zod";
import { Problem } from "./user-error.ts";

/** A `Pulumi.<stack>.yaml`, as far as the commands must understand it before Pulumi does. */
export interface StackFile {
  /** The stack as Pulumi's commands take it: `dev`, `acme/dev`. */
  readonly stack: string;
  /** Its own name, without an organisation: what the objects are labelled with. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
  /** Whether it holds encrypted values, which only their own secrets provider can read. */
  readonly encrypted: boolean;
  readonly namespace: { readonly name: string; readonly create: boolean };
  /** Which optional parts create further kinds of objects. */
  readonly autoscaling: boolean;
  readonly registryScan: boolean;
  readonly exposure: string | undefined;
  /** Configuration of the Kubernetes provider; `encrypted` stands for a value that only Pulumi can read. */
  readonly kubernetes: { readonly kubeconfig?: ProviderSetting; readonly context?: ProviderSetting };
}

export type ProviderSetting = string | { readonly encrypted: string };

const settings = z.object({
  namespace: z.object({ name: z.string().default("trivy"), create: z.boolean().default(true) }).prefault({}),
  server: z.object({ autoscaling: z.unknown() }).partial().default({}),
  registryScan: z.unknown().optional(),
  exposure: z.object({ type: z.string() }).partial().default({}),
});

/** The project's folder: all paths are below it, whatever folder a command is called from. */
export const projectFolder = join(import.meta.dirname, "..");

export function readProject(folder: string): { readonly name: string; readonly backend: string | undefined } {
  const project = z
    .object({ name: z.string(), backend: z.object({ url: z.string() }).partial().optional() })
    .parse(parseDocument(readFileSync(join(folder, "Pulumi.yaml"), "utf8")).toJS());
  return { name: project.name, backend: project.backend?.url };
}

export function stacksOf(folder: string): string[] {
  return readdirSync(folder).flatMap((file) => /^Pulumi\.(.+)\.ya?ml$/.exec(file)?.[1] ?? []);
}

export function readStackFile(folder: string, project: string, stack: string): StackFile {
  const name = stack.split("/").at(-1) ?? stack;
  const file = `Pulumi.${name}.yaml`;
  const path = join(folder, file);
  if (!existsSync(path)) {
    throw new Problem(
      `There is no stack ${stack}: ${file} does not exist.\nStacks: ${stacksOf(folder).join(", ") || "none"}. A new one begins as a copy of the file of another.`,
    );
  }
  const text = readFileSync(path, "utf8");
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new Problem(`${file} is no YAML: ${error.message}`);
  let encrypted = false;
  visit(document, {
    Map(_, map) {
      encrypted ||= map.has("secure") && map.items.length === 1;
    },
  });
  const config = document.get("config");
  const values = new Map(
    Object.entries(isMap(config) ? (config.toJSON() as Record<string, unknown>) : {}).map(([key, value]) => [
      key.includes(":") ? key : `${project}:${key}`,
      structured(value),
    ]),
  );
  const known = settings.safeParse(Object.fromEntries(Object.keys(settings.shape).map((key) => [key, values.get(`${project}:${key}`)])));
  // Wrong settings are the program's to report, all of them at once; until then the defaults will do.
  const { namespace, server, exposure, registryScan } = known.success ? known.data : settings.parse({});
  const provider = (key: string): ProviderSetting | undefined => {
    const value = values.get(`kubernetes:${key}`);
    if (value === undefined) return undefined;
    return typeof value === "string" ? value : { encrypted: `kubernetes:${key}` };
  };
  const kubeconfig = provider("kubeconfig");
  const context = provider("context");
  return {
    stack,
    name,
    path,
    text,
    encrypted,
    namespace,
    autoscaling: server.autoscaling !== undefined,
    registryScan: registryScan !== undefined,
    exposure: exposure.type,
    kubernetes: { ...(kubeconfig && { kubeconfig }), ...(context && { context }) },
  };
}

/** `pulumi config set` without `--path` stores an object as a string of JSON. */
function structured(value: unknown): unknown {
  if (typeof value !== "string" || !value.startsWith("{")) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
