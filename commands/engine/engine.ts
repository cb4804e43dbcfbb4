import { execFile, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { constants, homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify, stripVTControlCharacters } from "node:util";
import { PulumiCommand } from "@pulumi/pulumi/automation/cmd.js";
import errors from "@pulumi/pulumi/automation/errors.js";
import { version as sdkVersion } from "@pulumi/pulumi/version.js";
import type { StackFile } from "../stack-file.ts";
import { UserError } from "../user-error.ts";
import { type Backend, chooseBackend, localStackFile } from "./backend.ts";
import { commandError, explain } from "./explain.ts";
import { installPulumi } from "./install.ts";

/** Pulumi's CLI with the environment that it needs. */
export interface Engine {
  /** The project's folder. */
  readonly project: string;
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
  readonly backend: Backend;
}

/** How a command in the foreground ended. */
export interface Outcome {
  /** The exit code; 128 and the number of the signal that ended the command. */
  readonly status: number;
  /** The engine's error, which has not been printed yet. */
  readonly error: string;
  readonly interrupted: boolean;
}

/** The first release that keeps the inputs of components in the state. */
const oldest = "3.202.0";

/**
 * Finds Pulumi's CLI, installs it if necessary, and chooses the backend.
 *
 * @throws UserError if the CLI cannot be installed or the local state has lost its passphrase.
 */
export async function openEngine(project: string): Promise<Engine> {
  const command = await findCommand();
  const backend = chooseBackend(project, process.env, (line) => console.error(line));
  // Pulumi's language host uses the `node` on the PATH, and the project provides one that runs TypeScript.
  const folders = [join(project, "node_modules", ".bin"), ...(isAbsolute(command) ? [dirname(command)] : [])];
  const env = {
    PULUMI_SKIP_UPDATE_CHECK: "true",
    ...process.env,
    ...backend.env,
    PATH: [...folders, process.env["PATH"]].join(delimiter),
  };
  return { project, command, env, backend };
}

async function findCommand(): Promise<string> {
  const found = await PulumiCommand.get().catch(() => undefined);
  if (found?.version && found.version.compare(oldest) >= 0) return found.command;
  const root = join(homedir(), ".pulumi", "versions", sdkVersion);
  try {
    if (!existsSync(join(root, "bin"))) {
      const reason = found ? `The Pulumi CLI on the PATH is ${found.version}, older than ${oldest}` : "There is no Pulumi CLI on the PATH";
      console.error(`${reason}: installing ${sdkVersion} into ${root}, from get.pulumi.com with the checksum published on github.com`);
      await installPulumi(sdkVersion, root);
    }
    return (await PulumiCommand.get({ root })).command;
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").slice(0, 300);
    throw new UserError(
      `The Pulumi CLI could not be installed: ${reason}\nInstall at least ${oldest} by hand and try again: https://www.pulumi.com/docs/install/`,
    );
  }
}

/** The error of a Pulumi command in the background. The message explains it. */
export class PulumiError extends UserError {
  override readonly cause: errors.CommandError;

  constructor(engine: Engine, stack: string, stderr: string) {
    super(explain(stderr, { stack, backend: engine.backend, env: process.env }));
    this.cause = commandError(stderr);
  }
}

interface AskOptions {
  readonly stack?: string;
  /** What the command reads from standard input. */
  readonly input?: string;
}

/** Runs a Pulumi command in the background and returns how it ended. */
export async function capture(
  { command, project, env }: Engine,
  args: readonly string[],
  input = "",
): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
  const running = promisify(execFile)(command, args, { cwd: project, env, maxBuffer: 256 * 2 ** 20 });
  // A command that ends without reading its input reports why by itself.
  running.child.stdin?.on("error", () => {}).end(input);
  try {
    return { status: 0, ...(await running) };
  } catch (error) {
    const { code, stdout = "", stderr = "", message } = error as Error & { code?: unknown; stdout?: string; stderr?: string };
    return { status: typeof code === "number" ? code : 1, stdout, stderr: stderr.trim() || message };
  }
}

/**
 * Runs a Pulumi command in the background and returns its output.
 *
 * @throws PulumiError if the command fails.
 */
export async function ask(engine: Engine, args: readonly string[], { stack, input = "" }: AskOptions = {}): Promise<string> {
  const all = [...args, ...(stack === undefined ? [] : ["--stack", stack]), "--non-interactive"];
  const { status, stdout, stderr } = await capture(engine, all, input);
  if (status !== 0) throw new PulumiError(engine, stack ?? "", stderr);
  return stdout;
}

/** Returns whether Pulumi can ask questions on this terminal, by its own rules. */
export const isInteractive = () =>
  Boolean(process.stdin.isTTY && process.stdout.isTTY && process.env["TERM"] !== "dumb" && !process.env["CI"]);

/**
 * Runs a Pulumi command in the foreground, with the user's terminal. Only its final error is withheld, so that it can be explained.
 *
 * @param cancelled makes the engine end as ^C does: it records what it has done.
 */
export async function run(engine: Engine, args: readonly string[], cancelled?: AbortSignal): Promise<Outcome> {
  // On a terminal, ^C reaches the engine because it is in the foreground process group. Elsewhere it gets a group of its own and each
  // signal once from here: a signal to a whole group would otherwise reach it twice, and the second one makes it drop everything.
  const interactive = isInteractive();
  const child = spawn(engine.command, args, {
    cwd: engine.project,
    env: engine.env,
    stdio: ["inherit", "inherit", "pipe"],
    detached: !interactive,
  });
  let signalled = Number.NEGATIVE_INFINITY;
  const forward = (signal: NodeJS.Signals) => {
    const now = performance.now();
    // npm repeats a signal that this process has already received.
    if (!interactive && now - signalled > 500) child.kill(signal);
    signalled = now;
  };
  process.on("SIGINT", forward).on("SIGTERM", forward);
  cancelled?.addEventListener("abort", () => child.kill("SIGINT"));
  const error: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (error.length > 0 || stripVTControlCharacters(line).startsWith("error: ")) error.push(line);
    else console.error(line);
  });
  const status = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
  process.off("SIGINT", forward).off("SIGTERM", forward);
  return { status, error: error.join("\n"), interrupted: signalled > 0 };
}

/** Returns a stack's state as `pulumi stack export` prints it, with secrets encrypted; undefined if the stack does not exist. */
export async function exportStack(engine: Engine, stack: string): Promise<string | undefined> {
  try {
    return await ask(engine, ["stack", "export"], { stack });
  } catch (error) {
    if (!(error instanceof PulumiError)) throw error;
    if (error.cause instanceof errors.StackNotFoundError) return undefined;
    throw new UserError(`Pulumi cannot read the stack ${stack} from ${engine.backend.url}:\n${error.message}`);
  }
}

/**
 * Creates a stack, in the foreground because Pulumi may have to ask for a passphrase. A local state leaves the stack's file unchanged.
 *
 * @throws UserError if that fails.
 */
export async function createStack(engine: Engine, file: StackFile): Promise<void> {
  const { local } = engine.backend;
  const args = ["stack", "init", file.stack, "--no-select"];
  if (local && localStackFile(local, file)) {
    // `stack init` can only write the salt to a stack's file next to a Pulumi.yaml.
    writeFileSync(join(local, "Pulumi.yaml"), `name: ${file.project}\nruntime: nodejs\n`);
    args.push("--cwd", local);
  }
  const { status, error } = await run(engine, args);
  if (status !== 0) throw new UserError(explain(error, { stack: file.stack, backend: engine.backend, env: process.env }), status);
}
