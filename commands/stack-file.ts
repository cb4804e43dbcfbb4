import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { distance } from "fastest-levenshtein";
import { type Document, LineCounter, parseDocument, visit } from "yaml";
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

/**
 * Reads `Pulumi.yaml`.
 *
 * @throws UserError if it is not a project's file.
 */
export function readProject(folder: string): Project {
  const { data, error } = projectFile.safeParse(parseYaml("Pulumi.yaml", readFileSync(join(folder, "Pulumi.yaml"), "utf8")).toJS());
  if (error)
    throw new UserError(
      `Pulumi.yaml is not a project's file: ${error.issues.map(({ path }) => path.join(".") || "its content").join(", ")}`,
    );
  const { name, main, backend, config } = data;
  const defaults = Object.entries(config).map(([key, setting]) => [qualified(name, key), setting?.value ?? setting?.default]);
  return { name, program: join(folder, main), backend: backend?.url, config: Object.fromEntries(defaults) };
}

/** Keys without a prefix are the project's. */
const qualified = (project: string, key: string) => (key.includes(":") ? key : `${project}:${key}`);

/** Returns the names of all stacks that have a file. */
export function stacksOf(folder: string): string[] {
  return readdirSync(folder).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);
}

/** @throws UserError if the stack has no file or the file is not valid YAML. */
export function readStackFile(folder: string, stack: string): StackFile {
  const name = stack.split("/").at(-1) ?? stack;
  const file = `Pulumi.${name}.yaml`;
  const path = join(folder, file);
  if (!existsSync(path)) {
    const misnamed = `Pulumi.${name}.yml`;
    const next = existsSync(join(folder, misnamed))
      ? `Pulumi does not read ${misnamed}; rename it to ${file}.`
      : `Stacks: ${stacksOf(folder).join(", ") || "none"}. To add one, copy the file of another stack.`;
    throw new UserError(`There is no stack ${stack}: ${file} does not exist.\n${next}`);
  }
  const text = readFileSync(path, "utf8");
  const { name: project } = readProject(folder);
  const document = parseYaml(file, text);
  let encrypted = false;
  visit(document, {
    Map(_, map) {
      encrypted ||= map.has("secure") && map.items.length === 1;
    },
  });
  const problems = [...shapeProblems(document, project)];
  if (problems.length > 0) throw new UserError(`${file} is not a stack's file:\n${problems.map((line) => `  ${line}`).join("\n")}`);
  const { config } = (document.toJS() ?? {}) as { config?: Record<string, unknown> | null };
  return {
    ...{ stack, name, project, path, text, encrypted },
    config: Object.fromEntries(Object.entries(config ?? {}).map(([key, value]) => [qualified(project, key), value])),
  };
}

/**
 * Parses YAML as Pulumi does, with merge keys.
 *
 * @throws UserError with the line. It does not repeat the text, which may hold secrets.
 */
function parseYaml(file: string, text: string): Document.Parsed {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, merge: true, logLevel: "error" });
  const problem = (offset: number, message: string) => new UserError(`${file}, line ${lineCounter.linePos(offset).line}: ${message}`);
  const [error = document.warnings[0]] = document.errors;
  if (error?.code === "MULTIPLE_DOCS") throw problem(error.pos[0], "a second document begins; a stack's file has one");
  if (error?.code === "TAG_RESOLVE_FAILED") throw problem(error.pos[0], "has a tag that is not known; quote texts that begin with `!`");
  if (error) throw problem(error.pos[0], `is not valid YAML: ${error.message}`);
  const anchors = new Set<string>();
  visit(document, {
    Node(_, node) {
      if ("anchor" in node && node.anchor !== undefined) anchors.add(node.anchor);
    },
    Alias(_, alias) {
      if (anchors.has(alias.source)) return;
      throw problem(alias.range?.[0] ?? 0, `*${alias.source} reads as a YAML alias; quote it: "*${alias.source}"`);
    },
  });
  return document;
}

const topKeys = ["config", "environment", "secretsprovider", "encryptionsalt", "encryptedkey"];

/** Returns what is wrong with the shape of a stack's file: otherwise, Pulumi would use the defaults without a word. */
function* shapeProblems(document: Document.Parsed, project: string): Generator<string> {
  const content: unknown = document.toJS();
  if (content === null || content === undefined) return;
  if (typeof content !== "object" || Array.isArray(content)) {
    yield "use `config:` with the settings below it";
    return;
  }
  for (const key of Object.keys(content))
    if (!topKeys.includes(key))
      yield `${key} is not a key of a stack's file; use one of ${topKeys.join(", ")}${key.toLowerCase() === "config" ? "" : ", and write settings below `config:`"}`;
  const { config } = content as { config?: unknown };
  if (config === undefined || config === null) return;
  if (typeof config !== "object" || Array.isArray(config)) {
    yield "config is not a block; use `project:setting: value` lines";
    return;
  }
  const keys = Object.keys(config);
  for (const key of keys) {
    const [namespace = "", ...rest] = key.split(":");
    const away = distance(namespace, project);
    if (rest.length > 0 && away > 0 && away <= 3)
      yield `config.${key} is not a setting of ${project}; did you mean ${project}:${rest.join(":")}?`;
    if (rest.length === 0 && keys.includes(`${project}:${key}`))
      yield `config.${key} and config.${project}:${key} are the same; keep one of the two`;
  }
}
