import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { type Recording, type RecordOptions, record } from "../recorder/record.ts";
import { type Project, readProject, type StackFile } from "./stack-file.ts";

/** The configuration of a stack as Pulumi passes it to the program, with placeholders for encrypted values. */
export interface StackConfig {
  /** By qualified key. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The placeholders by the path of the setting, such as `trivy-server:redis.password`. */
  readonly encrypted: ReadonlyMap<string, string>;
}

/**
 * Returns a value for an encrypted setting. It passes as a password and can be recognised wherever it ends up. Its last character shows
 * whether it was percent-encoded on the way.
 */
export function placeholder(setting: string): string {
  return `encrypted${createHash("sha256").update(setting).digest("hex").slice(0, 32)}@`;
}

/** Combines the defaults of the project with the stack's file. */
export function stackConfig(project: Pick<Project, "config">, file: Pick<StackFile, "config">): StackConfig {
  const encrypted = new Map<string, string>();
  const given = Object.entries(file.config).map(([key, value]) => [key, withPlaceholders(key, value, encrypted)] as const);
  const config = [...Object.entries(project.config), ...given].filter(([, value]) => value !== undefined && value !== null);
  return { config: Object.fromEntries(config), encrypted };
}

/** Replaces each encrypted part of a value with its placeholder and notes it in `encrypted`. */
function withPlaceholders(path: string, value: unknown, encrypted: Map<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item, index) => withPlaceholders(`${path}[${index}]`, item, encrypted));
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) {
    const text = placeholder(path);
    encrypted.set(path, text);
    return text;
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withPlaceholders(`${path}.${key}`, inner, encrypted)]));
}

let runs = 0;

/**
 * Records the project's program with a stack's configuration. The result is what the program exports: the stack's outputs.
 *
 * @throws pulumi.RunError if the program refuses the configuration.
 */
export function recordStack(
  folder: string,
  file: StackFile,
  { config, encrypted }: StackConfig,
  answer?: RecordOptions["answer"],
): Promise<Recording<Record<string, unknown>>> {
  const { name, program } = readProject(folder);
  return record(
    async () => {
      // The program is the body of its module, so each run imports a module of its own.
      const { default: all, ...named } = (await import(`${pathToFileURL(program).href}?run=${++runs}`)) as Record<string, unknown>;
      const outputs = all === undefined ? named : (all as typeof named);
      return Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== undefined));
    },
    {
      ...{ project: name, stack: file.name, config },
      secretKeys: [...encrypted.keys()].map((setting) => setting.replace(/[.[].*/, "")),
      ...(answer && { answer }),
    },
  );
}
