import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parse, stringify } from "yaml";
import { type CommandOptions, type CommandResult, must, run } from "../../support/command.ts";
import { deleteNamespaces, eventually, remains } from "./cluster.ts";
import { environmentSettings } from "./environment.ts";

const root = join(import.meta.dirname, "../../..");

export type Settings = Readonly<Record<string, unknown>>;

/** A copy of the project with its own stacks and Pulumi state, so that tests never touch the user's. */
export class Project {
  readonly folder: string;
  private readonly env: NodeJS.ProcessEnv;
  private readonly stacks = new Set<string>();

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.env = env;
  }

  /**
   * `newcomer`: the copy has neither a Pulumi backend nor a passphrase. `commit`: the copy has the files of that commit, with the packages that
   * are installed now.
   */
  static async create({ newcomer = false, commit }: { readonly newcomer?: boolean; readonly commit?: string } = {}): Promise<Project> {
    const temporary = await mkdtemp(join(tmpdir(), "trivy-server-e2e-"));
    const folder = join(temporary, "project");
    const state = join(temporary, "state");
    await mkdir(state);
    await (commit === undefined ? copySources(folder) : extract(commit, folder));
    await symlink(join(root, "node_modules"), join(folder, "node_modules"));
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^PULUMI_(BACKEND_URL|ACCESS_TOKEN|CREDENTIALS_PATH|CONFIG_PASSPHRASE)/.test(name) && !/^npm_/.test(name),
    );
    return new Project(folder, {
      ...Object.fromEntries(inherited),
      PATH: [join(folder, "node_modules/.bin"), process.env["PATH"]].join(delimiter),
      PULUMI_HOME: join(temporary, "home"),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      ...(!newcomer && { PULUMI_BACKEND_URL: pathToFileURL(state).href, PULUMI_CONFIG_PASSPHRASE: "end to end" }),
    });
  }

  /** Replaces the files of an earlier commit with the present ones; stacks' files and their state stay. */
  async upgrade(): Promise<void> {
    const kept = [...this.stacks].map((stack) => `Pulumi.${stack}.yaml`);
    for (const file of await readdir(this.folder))
      if (file !== "node_modules" && !kept.includes(file)) await rm(join(this.folder, file), { recursive: true });
    await copySources(this.folder);
  }

  /**
   * Writes a stack's file: the settings of the file of the `committed` stack, if given, overridden by those that the environment needs and then by
   * `settings`. The stack gets a namespace of its own, with the stack's name.
   */
  async writeStack(stack: string, settings: Settings, committed?: string): Promise<void> {
    const text = committed === undefined ? "" : await readFile(join(this.folder, `Pulumi.${committed}.yaml`), "utf8");
    const config: Record<string, unknown> = parse(text)?.config ?? {};
    const unprefixed = Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace("trivy-server:", ""), value]));
    const all = [await this.known(environmentSettings()), { namespace: { name: stack } }, settings].reduce<Settings>(merged, unprefixed);
    const prefixed = Object.fromEntries(Object.entries(all).map(([key, value]) => [`trivy-server:${key}`, value]));
    await writeFile(join(this.folder, `Pulumi.${stack}.yaml`), stringify({ config: prefixed }));
    this.stacks.add(stack);
  }

  /** Returns the settings that the copy's version knows. */
  private async known(settings: Settings): Promise<Settings> {
    const schema = await readFile(join(this.folder, "stacks/settings.schema.json"), "utf8");
    return Object.fromEntries(Object.entries(settings).filter(([key]) => schema.includes(`"trivy-server:${key}"`)));
  }

  /** Runs a command in the copy, with the copy's own Pulumi backend, whatever its exit code. */
  run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(command, args, this.inCopy(options));
  }

  /** Runs a command that must succeed; otherwise like `run`. @throws ExecaError with its output */
  must(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return must(command, args, this.inCopy(options));
  }

  private inCopy({ env, ...options }: CommandOptions): CommandOptions {
    return { cwd: this.folder, ...options, env: { ...this.env, ...env }, extendEnv: false };
  }

  /** Runs Pulumi's own CLI on a stack. */
  pulumi(stack: string, ...args: string[]): Promise<CommandResult> {
    return this.must("pulumi", [...args, "--stack", stack, "--non-interactive"]);
  }

  async output(stack: string, name: string): Promise<string> {
    return (await this.pulumi(stack, "stack", "output", name, "--show-secrets")).stdout.trim();
  }

  /** Writes a stack's certificate authority to a file, which exists until `remove`, and returns the path. */
  async caCertificate(stack: string): Promise<string> {
    const file = join(dirname(this.folder), `${stack}.crt`);
    await writeFile(file, await this.output(stack, "caCertificate"));
    return file;
  }

  /** Runs `npm run destroy` for a stack. @throws if any of its objects is left */
  async destroy(stack: string): Promise<CommandResult> {
    const result = await this.must("npm", ["run", "destroy", "--", stack, "--yes"]);
    let left: string[] = [];
    const nothingLeft = async () => {
      left = await remains(stack, stack);
      return left.length === 0 || undefined;
    };
    await eventually("the end of the stack's objects", nothingLeft).catch((error) => {
      throw new Error(`${error.message}; ${stack} still has ${left.join(", ")}`);
    });
    return result;
  }

  /** Destroys the stacks that still exist, by deleting their namespaces if `destroy` fails, and deletes the copy. */
  async remove(): Promise<void> {
    for (const stack of this.stacks) {
      if ((await remains(stack, stack)).length === 0) continue;
      const { exitCode } = await this.run("npm", ["run", "destroy", "--", stack, "--yes", "--skip-preview"]);
      if (exitCode !== 0) await deleteNamespaces(stack);
    }
    await rm(dirname(this.folder), { recursive: true, force: true });
  }
}

/** Copies the project's files, whether they are committed or not. */
async function copySources(folder: string): Promise<void> {
  const { stdout } = await must("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root });
  for (const file of stdout.split("\0").filter(Boolean)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    // Files that are deleted but not committed are still listed.
    await cp(join(root, file), join(folder, file)).catch(ignoreMissing);
  }
}

async function extract(commit: string, folder: string): Promise<void> {
  await mkdir(folder);
  await must("sh", ["-c", 'git archive "$1" | tar -x -C "$2"', "sh", commit, folder], { cwd: root });
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

const isBlock = (value: unknown): value is Settings => typeof value === "object" && value !== null && !Array.isArray(value);

/** Merges settings block by block; `over` takes precedence. */
export function merged(under: Settings, over: Settings): Settings {
  const result: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = isBlock(below) && isBlock(value) ? merged(below, value) : value;
  }
  return result;
}
