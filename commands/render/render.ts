/**
 * `npm start [-- <stack>] [--secrets=omit]`: shows what a stack would create and writes it as manifests, with neither a cluster nor Pulumi's CLI. It runs the very
 * program that `pulumi up` runs.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs, styleText } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { isSecret, plain, record, settled } from "../../recorder/record.ts";
import { projectFolder, readStackFile } from "../stack-file.ts";
import { main, Problem } from "../user-error.ts";
import { type Manifest, manifests, secretsFile, toYaml } from "./manifests.ts";
import { placeholder, RenderedSecrets } from "./rendered-secrets.ts";
import { type Paint, tree } from "./tree.ts";

export interface RenderOptions {
  /** The project's folder. */
  readonly project: string;
  readonly stack: string;
  /** Writes no secret; whoever applies the manifests creates the Secrets. */
  readonly omitSecrets?: boolean;
  /** Columns of the terminal. */
  readonly width?: number;
  readonly paint?: Paint;
}

/** Writes the manifests of a stack to `out/<stack>/` and returns what there is to say. */
export async function render({
  project,
  stack,
  omitSecrets = false,
  width = 120,
  paint = (_, text) => text,
}: RenderOptions): Promise<string> {
  const { name, entry, config, encrypted, stackName } = readConfig(project, stack);
  const folder = join(project, "out", stackName);
  const secretsPath = join(folder, secretsFile);
  const before = existsSync(secretsPath) ? readFileSync(secretsPath, "utf8") : undefined;
  const secrets = new RenderedSecrets(before, encrypted, !omitSecrets, display(secretsPath));

  const { resources, result } = await record(() => run(entry), {
    project: name,
    stack: stackName,
    config,
    secretKeys: [...encrypted.keys()].map((setting) => setting.replace(/[.[].*/, "")),
    answer: secrets.answer,
  }).catch((error: unknown) => {
    if (!pulumi.RunError.isInstance(error)) throw error;
    const note =
      encrypted.size > 0 &&
      `\nEncrypted settings cannot be read here, so a problem of these may be none: ${[...encrypted.keys()].join(", ")}`;
    throw new Problem(`${secrets.masked(error.message)}${note || ""}`);
  });
  const outputs = Object.entries((await settled(result)) as Record<string, unknown>);

  const all = manifests(resources);
  const inOrder = [...all].sort((a, b) => (a.file < b.file ? -1 : 1));
  const open = inOrder.filter(({ object }) => object.kind !== "Secret");
  const closed = inOrder.filter(({ object }) => object.kind === "Secret");
  refuseEncrypted(open, secrets);
  const byHand = closed.filter(({ body }) => omitSecrets || secrets.encryptedIn(body).length > 0);
  const written = closed.filter((manifest) => !byHand.includes(manifest));

  const files = new Map(open.map(({ file, body }) => [file, `${marker(stackName)}\n${toYaml(body)}`]));
  if (written.length > 0) files.set(secretsFile, secrets.file(secretsHead(stackName), written));
  const removed = write(folder, files);

  const title = (text: string) => paint("bold", text);
  const indented = (lines: readonly string[]) => lines.map((line) => `  ${line}`);
  const labels = Math.max(0, ...outputs.map(([key]) => key.length));
  const sections = [
    [
      title(`${name}, stack ${stackName}`),
      ...tree(
        resources,
        all.map((manifest) => (byHand.includes(manifest) ? { ...manifest, file: "not written" } : manifest)),
        width,
        paint,
      ),
    ],
    outputs.length > 0 && [
      title("Outputs"),
      ...indented(outputs.map(([key, value]) => `${key.padEnd(labels)}  ${isSecret(value) ? "[secret]" : printable(plain(value))}`)),
    ],
    [
      title("Files"),
      ...indented([
        `${display(folder)}/  ${files.size} files, ${open.length + written.length} objects`,
        ...(written.length > 0 ? [`${display(secretsPath)}  secrets in plain text: only you can read it, do not commit it`] : []),
        ...(omitSecrets && removed.includes(secretsFile)
          ? [`${display(secretsPath)} of an earlier run is removed, and its passwords with it`]
          : []),
      ]),
    ],
    byHand.length > 0 && [
      title("Secrets to create; pods wait for them"),
      ...indented(secrets.instructions(byHand, written.length > 0 ? display(secretsPath) : undefined)),
    ],
    [
      // Client-side, kubectl would write the whole of a Secret into an annotation as well.
      title("Next"),
      ...indented([
        `kubectl apply --server-side -f ${display(folder)}/`,
        `npm run up -- ${stack}   # by Pulumi instead: waits, shows differences, removes what is no longer wanted`,
      ]),
    ],
  ];
  return secrets.masked(sections.flatMap((section) => (section ? [section.join("\n")] : [])).join("\n\n"));
}

const display = (path: string) => relative(process.cwd(), path) || ".";

function printable(value: unknown): string {
  const [first = "", ...more] = (typeof value === "string" ? value : JSON.stringify(value)).trimEnd().split("\n");
  return more.length > 0 ? `${first} … (${more.length + 1} lines)` : first;
}

let runs = 0;

/** Each run is a module of its own: the program is the module's body. */
async function run(entry: string): Promise<Record<string, unknown>> {
  const { default: whole, ...named } = (await import(`${pathToFileURL(entry).href}?run=${++runs}`)) as Record<string, unknown>;
  const outputs = whole === undefined ? named : (whole as typeof named);
  return Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== undefined));
}

interface ProjectFile {
  readonly name: string;
  readonly main?: string;
  readonly config?: Readonly<Record<string, { readonly default?: unknown; readonly value?: unknown } | null>>;
}

/** The configuration of a stack as Pulumi hands it to the program, with placeholders for what is encrypted. */
function readConfig(project: string, stack: string) {
  const { name, main: entry = "index.ts", config: declared } = parse(readFileSync(join(project, "Pulumi.yaml"), "utf8")) as ProjectFile;
  const { text, name: stackName } = readStackFile(project, name, stack);
  const { config: given } = (parse(text) ?? {}) as { config?: Record<string, unknown> | null };
  const qualified = (key: string) => (key.includes(":") ? key : `${name}:${key}`);
  const defaults = Object.entries(declared ?? {}).map(([key, setting]) => [qualified(key), setting?.value ?? setting?.default] as const);
  const encrypted = new Map<string, string>();
  const config = Object.fromEntries(
    [
      ...defaults,
      ...Object.entries(given ?? {}).map(([key, value]) => [qualified(key), decrypted(qualified(key), value, encrypted)] as const),
    ].filter(([, value]) => value !== undefined && value !== null),
  );
  return { name, stackName, entry: join(project, entry), config, encrypted };
}

/** The value with something in the place of each encrypted part, which is noted. */
function decrypted(path: string, value: unknown, encrypted: Map<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item, index) => decrypted(`${path}[${index}]`, item, encrypted));
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) {
    const stand = placeholder(path);
    encrypted.set(path, stand);
    return stand;
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decrypted(`${path}.${key}`, inner, encrypted)]));
}

/** An encrypted setting in anything but a Secret cannot be rendered, and everybody in the cluster could read it. */
function refuseEncrypted(open: readonly Manifest[], secrets: RenderedSecrets): void {
  const found = open.flatMap(({ object, body }) =>
    secrets.encryptedIn(body).map((setting) => `  ${setting} stands in ${object.kind} ${object.name}`),
  );
  if (found.length > 0)
    throw new Problem(
      `Encrypted settings cannot be read without Pulumi, and these are needed in plain text:\n${found.join("\n")}\nUse \`npm run preview\`, or write them unencrypted.`,
    );
}

const mark = "# Written by npm start";
const marker = (stack: string) => `${mark} -- ${stack}; the next run overwrites it.`;
const secretsHead = (stack: string) =>
  `${marker(stack)}
#
# SECRETS IN PLAIN TEXT. Do not commit this file, do not send it to anybody.
# \`npm start -- ${stack} --secrets=omit\` leaves it out. The next run reads back the generated values below; without them it generates others.
#
`;

/** Replaces what an earlier run wrote, and returns what of it there is no longer. */
function write(folder: string, files: ReadonlyMap<string, string>): string[] {
  const ours = (file: string) => readFileSync(join(folder, file), "utf8").startsWith(mark);
  const foreign = [...files.keys()].find((file) => existsSync(join(folder, file)) && !ours(file));
  if (foreign) throw new Problem(`${display(join(folder, foreign))} is not from npm start, and would be overwritten. Move it elsewhere.`);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of files) {
    const temporary = join(folder, `.${file}.new`);
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: file === secretsFile ? 0o600 : 0o644 });
    renameSync(temporary, join(folder, file));
  }
  const stale = readdirSync(folder).filter((file) => file.endsWith(".yaml") && !files.has(file) && ours(file));
  for (const file of stale) rmSync(join(folder, file));
  return stale;
}

const usage = `Usage: npm start -- [<stack>] [--secrets=omit]

Shows what a stack would create, dev unless another is named, and writes the manifests to out/<stack>/.
  --secrets=omit   writes no secrets; says which Secrets to create instead`;

async function start(args: readonly string[]): Promise<number> {
  const { stack, omitSecrets, help } = parseArguments(args);
  if (help) {
    console.log(usage);
    return 0;
  }
  const width = Math.min(Math.max(process.stdout.columns ?? 120, 80), 140);
  const paint: Paint = (style, text) => styleText(style, text, { stream: process.stdout });
  console.log(await render({ project: projectFolder, stack, omitSecrets, width, paint }));
  return 0;
}

export function parseArguments(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { secrets: { type: "string" }, help: { type: "boolean", short: "h", default: false } },
    });
    const [stack = "dev", ...others] = positionals;
    if (others.length > 0) throw new Error(`One stack at a time: ${positionals.join(", ")}`);
    if (values.secrets !== undefined && values.secrets !== "omit") throw new Error(`--secrets knows only omit, not ${values.secrets}`);
    return { stack, omitSecrets: values.secrets === "omit", help: values.help };
  } catch (error) {
    throw new Problem(`${error instanceof Error ? error.message.split(". ")[0] : error}\n\n${usage}`, 2);
  }
}

if (import.meta.main) await main(() => start(process.argv.slice(2)));
