/**
 * `npm start [-- <stack>] [--secrets=omit]`: shows what a stack would create and writes it as manifests, without a cluster and without
 * Pulumi's CLI. It records the same program that `pulumi up` runs.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs, styleText } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { isSecret, plain, settled } from "../../recorder/record.ts";
import { recordStack, stackConfig } from "../program.ts";
import { projectFolder, readProject, readStackFile } from "../stack-file.ts";
import { main, UserError } from "../user-error.ts";
import { type Manifest, manifests, secretsFile, toYaml } from "./manifests.ts";
import { display, fileHead, secretsHead, writeFiles } from "./output-folder.ts";
import { RenderedSecrets } from "./rendered-secrets.ts";
import { type Paint, tree } from "./tree.ts";

export interface RenderOptions {
  /** The project's folder. */
  readonly project: string;
  readonly stack: string;
  /** Writes no secrets and describes the Secrets to create instead. @default false */
  readonly omitSecrets?: boolean;
  /** Columns of the terminal. @default 120 */
  readonly width?: number;
  /** @default no styles */
  readonly paint?: Paint;
}

/**
 * Writes the manifests of a stack to `out/<stack>/` and returns the text to print.
 *
 * @throws UserError if the settings are invalid, an encrypted setting is needed in plain text, or a file would be overwritten that this
 * program has not written.
 */
export async function render({
  project,
  stack,
  omitSecrets = false,
  width = 120,
  paint = (_, text) => text,
}: RenderOptions): Promise<string> {
  const file = readStackFile(project, stack);
  const config = stackConfig(readProject(project), file);
  const folder = join(project, "out", file.name);
  const secretsPath = join(folder, secretsFile);
  const before = existsSync(secretsPath) ? readFileSync(secretsPath, "utf8") : undefined;
  const secrets = new RenderedSecrets(before, config.encrypted, !omitSecrets, display(secretsPath));

  const { resources, result } = await recordStack(project, file, config, secrets.answer).catch((error: unknown) => {
    if (!pulumi.RunError.isInstance(error)) throw error;
    const encrypted = [...config.encrypted.keys()].join(", ");
    const note = encrypted && `\nThis command cannot decrypt settings, so it may be wrong about these: ${encrypted}`;
    throw new UserError(`${secrets.masked(error.message)}${note}`);
  });
  const outputs = Object.entries((await settled(result)) as Record<string, unknown>);

  const all = manifests(resources);
  // Secrets share a file. Their order must not depend on which of them was declared first, which varies between runs.
  const key = ({ file, object }: Manifest) => `${file} ${object.name}`;
  const inOrder = [...all].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const open = inOrder.filter(({ object }) => object.kind !== "Secret");
  const closed = inOrder.filter(({ object }) => object.kind === "Secret");
  refuseEncrypted(open, secrets);
  const byHand = closed.filter(({ body }) => omitSecrets || secrets.encryptedIn(body).length > 0);
  const written = closed.filter((manifest) => !byHand.includes(manifest));

  const files = new Map(open.map(({ file: name, body }) => [name, `${fileHead(file.name)}\n${toYaml(body)}`]));
  if (written.length > 0) files.set(secretsFile, secrets.file(secretsHead(file.name), written));
  const removed = writeFiles(folder, files);

  const title = (text: string) => paint("bold", text);
  const indented = (lines: readonly string[]) => lines.map((line) => `  ${line}`);
  const labels = Math.max(0, ...outputs.map(([key]) => key.length));
  const sections = [
    [
      title(`${file.project}, stack ${file.name}`),
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
        ...(written.length > 0 ? [`${display(secretsPath)}  secrets in plain text: only you can read it; do not commit it`] : []),
        ...(omitSecrets && removed.includes(secretsFile)
          ? [`${display(secretsPath)} of an earlier run has been removed, with its passwords`]
          : []),
      ]),
    ],
    byHand.length > 0 && [
      title("Secrets to create; pods wait for them"),
      ...indented(secrets.instructions(byHand, written.length > 0 ? display(secretsPath) : undefined)),
    ],
    [
      // With client-side apply, kubectl would also copy the whole Secret into an annotation.
      title("Next"),
      ...indented([
        `kubectl apply --server-side -f ${display(folder)}/`,
        ...(written.length > 0 && "tokens" in Object.fromEntries(outputs)
          ? [`grep 'gateway-token' ${display(secretsPath)}   # the clients' tokens`]
          : []),
        `npm run up -- ${stack}   # by Pulumi instead: waits, shows differences, removes what is no longer declared`,
      ]),
    ],
  ];
  return secrets.masked(sections.flatMap((section) => (section ? [section.join("\n")] : [])).join("\n\n"));
}

function printable(value: unknown): string {
  const [first = "", ...more] = (typeof value === "string" ? value : JSON.stringify(value)).trimEnd().split("\n");
  return more.length > 0 ? `${first} … (${more.length + 1} lines)` : first;
}

/** An encrypted setting cannot be rendered outside a Secret, where everyone in the cluster could read it. */
function refuseEncrypted(open: readonly Manifest[], secrets: RenderedSecrets): void {
  const found = open.flatMap(({ object, body }) =>
    secrets.encryptedIn(body).map((setting) => `  ${setting} is used in ${object.kind} ${object.name}`),
  );
  if (found.length > 0)
    throw new UserError(
      `This command cannot decrypt settings, and these are needed in plain text:\n${found.join("\n")}\nUse \`npm run preview\`, or do not encrypt them.`,
    );
}

const usage = `Usage: npm start -- [<stack>] [--secrets=omit]

Shows what a stack (default: dev) would create and writes the manifests to out/<stack>/.
  --secrets=omit   writes no secrets and describes the Secrets to create instead

Exit codes: 0 success, 1 error, 2 wrong usage`;

async function start(args: readonly string[]): Promise<number> {
  const { stack, omitSecrets } = parseArguments(args);
  const width = Math.min(Math.max(process.stdout.columns ?? 120, 80), 140);
  const paint: Paint = (style, text) => styleText(style, text, { stream: process.stdout });
  console.log(await render({ project: projectFolder, stack, omitSecrets, width, paint }));
  return 0;
}

/** @throws UserError with exit code 2 and the usage. */
export function parseArguments(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { secrets: { type: "string" } },
    });
    // Without `--` before it, npm takes the option for one of its own.
    values.secrets ??= process.env["npm_config_secrets"];
    const [stack = "dev", ...others] = positionals;
    if (others.length > 0) throw new Error(`${positionals.join(", ")} are several stacks; name one`);
    if (values.secrets !== undefined && values.secrets !== "omit") throw new Error(`--secrets is ${values.secrets}; use --secrets=omit`);
    return { stack, omitSecrets: values.secrets === "omit" };
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message.split(". ")[0] : error}\n\n${usage}`, 2);
  }
}

if (import.meta.main) await main(start, { usage: () => usage });
