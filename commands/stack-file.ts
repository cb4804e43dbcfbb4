import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, parseDocument, visit } from "yaml";
import { z } from "zod";
import { UserError } from "./user-error.ts";

/** A `Pulumi.<stack>.yaml`. */
export interface StackFile {
  /** The stack as Pulumi's commands take it: `dev`, `acme/dev`. */
  readonly stack: string;
  /** Its name without an organisation, which is also the label of its objects. */
  readonly name: string;
  /** The name of the project. */
  readonly project: string;
  readonly path: string;
  readonly text: string;
  /** Whether the file holds encrypted values, which only its own secrets provider can decrypt. */
  readonly encrypted: boolean;
  /** The configuration by qualified key, such as `trivy-server:redis`. Encrypted values are `{ secure: ciphertext }`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** The project's folder. Commands work from any current folder. */
export const projectFolder = join(import.meta.dirname, "..");

const projectFile = z.object({
  name: z.string(),
  main: z.string().default("index.ts"),
  backend: z.object({ url: z.string() }).partial().optional(),
  config: z.record(z.string(), z.object({ default: z.unknown(), value: z.unknown() }).partial().nullable().catch(null)).default({}),
});

export interface Project {
  readonly name: string;
  /** Path of the program. */
  readonly program: string;
  /** URL of the backend that the project prescribes. */
  readonly backend: string | undefined;
  /** Default configuration by qualified key. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Reads `Pulumi.yaml`. */
export function readProject(folder: string): Project {
  const { name, main, backend, config } = projectFile.parse(parseDocument(readFileSync(join(folder, "Pulumi.yaml"), "utf8")).toJS());
  const defaults = Object.entries(config).map(([key, setting]) => [qualified(name, key), setting?.value ?? setting?.default]);
  return { name, program: join(folder, main), backend: backend?.url, config: Object.fromEntries(defaults) };
}

/** Keys without a prefix are the project's. */
const qualified = (project: string, key: string) => (key.includes(":") ? key : `${project}:${key}`);

/** Returns the names of all stacks that have a file. */
export function stacksOf(folder: string): string[] {
  return readdirSync(folder).flatMap((file) => /^Pulumi\.(.+)\.ya?ml$/.exec(file)?.[1] ?? []);
}

/** @throws UserError if the stack has no file or the file is not valid YAML. */
export function readStackFile(folder: string, stack: string): StackFile {
  const name = stack.split("/").at(-1) ?? stack;
  const file = `Pulumi.${name}.yaml`;
  const path = join(folder, file);
  if (!existsSync(path)) {
    throw new UserError(
      `There is no stack ${stack}: ${file} does not exist.\nStacks: ${stacksOf(folder).join(", ") || "none"}. To add one, copy the file of another stack.`,
    );
  }
  const text = readFileSync(path, "utf8");
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new UserError(`${file} is not valid YAML: ${error.message}`);
  let encrypted = false;
  visit(document, {
    Map(_, map) {
      encrypted ||= map.has("secure") && map.items.length === 1;
    },
  });
  const config = document.get("config");
  const values = isMap(config) ? (config.toJSON() as Record<string, unknown>) : {};
  const { name: project } = readProject(folder);
  return {
    ...{ stack, name, project, path, text, encrypted },
    config: Object.fromEntries(Object.entries(values).map(([key, value]) => [qualified(project, key), value])),
  };
}
