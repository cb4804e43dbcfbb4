import { execFile, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { constants, homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { createInterface } from "node:readline";
import { PulumiCommand } from "@pulumi/pulumi/automation/cmd.js";
import { version as sdkVersion } from "@pulumi/pulumi/version.js";
import { readProject, type StackFile } from "../stack-file.ts";
import { Problem } from "../user-error.ts";
import { type Backend, chooseBackend, localStackFile } from "./backend.ts";

/** Pulumi's CLI with the environment that it needs. */
export interface Engine {
  readonly project: string;
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
  readonly backend: Backend;
}

/** How a run in the foreground ended. */
export interface Outcome {
  readonly status: number;
  /** What the engine gave as the reason; it is not on the screen yet. */
  readonly error: string;
  readonly interrupted: boolean;
}

/** The first release that knows the inputs of components, by which this program describes itself in the state. */
const oldest = "3.202.0";

export async function openEngine(project: string): Promise<Engine> {
  const command = await findCommand();
  const backend = chooseBackend(project, process.env, (line) => console.error(line));
  // Pulumi's language host takes the `node` of the PATH, and the project brings one that runs TypeScript.
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
  if (!existsSync(join(root, "bin"))) {
    const reason = found ? `The Pulumi CLI on the PATH is ${found.version}, older than ${oldest}` : "There is no Pulumi CLI on the PATH";
    console.error(`${reason}: installing ${sdkVersion} from get.pulumi.com into ${root}`);
  }
  try {
    return (await PulumiCommand.install({ root })).command;
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").slice(0, 300);
    throw new Problem(
      `The Pulumi CLI could not be installed: ${reason}\nInstall it by hand, at least ${oldest}, and run this again: https://www.pulumi.com/docs/install/`,
    );
  }
}

/** Runs a Pulumi command in the background, for its output. */
export const ask = (engine: Engine, ...args: string[]) => tell(engine, "", ...args);

/** The same for a command that reads something. */
export function tell(engine: Engine, input: string, ...args: string[]): Promise<{ ok: boolean; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { cwd: engine.project, env: engine.env, maxBuffer: 256 * 2 ** 20 };
    const child = execFile(engine.command, [...args, "--non-interactive"], options, (error, stdout, stderr) =>
      resolve({ ok: !error, stdout, stderr: stderr || (error?.message ?? "") }),
    );
    child.stdin?.end(input);
  });
}

/** Whether Pulumi can ask on this terminal, by its own rules. */
export const isInteractive = () =>
  Boolean(process.stdin.isTTY && process.stdout.isTTY && process.env["TERM"] !== "dumb" && !process.env["CI"]);

/** Runs a Pulumi command in the foreground: its display and its questions are the user's. Only its last words are held back, to be explained. */
export async function run(engine: Engine, ...args: string[]): Promise<Outcome> {
  // On a terminal ^C reaches the engine by itself, as a member of the foreground's process group. Elsewhere it gets a group of its own and each signal
  // from here, once: whoever signals a whole group would otherwise send two, and the second one makes the engine drop everything.
  const interactive = isInteractive();
  const child = spawn(engine.command, args, {
    cwd: engine.project,
    env: engine.env,
    stdio: ["inherit", "inherit", "pipe"],
    detached: !interactive,
  });
  let signalled = Number.NEGATIVE_INFINITY;
  const pass = (signal: NodeJS.Signals) => {
    const now = performance.now();
    // npm passes on what this process has already got.
    if (!interactive && now - signalled > 500) child.kill(signal);
    signalled = now;
  };
  process.on("SIGINT", pass).on("SIGTERM", pass);
  const error: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (error.length > 0 || line.replaceAll(ansi, "").startsWith("error: ")) error.push(line);
    else console.error(line);
  });
  const status = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
  process.off("SIGINT", pass).off("SIGTERM", pass);
  return { status, error: error.join("\n"), interrupted: signalled > 0 };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const ansi = /\u001b\[[0-9;]*m/g;

/** What Pulumi knows of a stack, as `pulumi stack export` gives it; nothing if there is no such stack. */
export async function exportStack(engine: Engine, stack: string): Promise<string | undefined> {
  const { ok, stdout, stderr } = await ask(engine, "stack", "export", "--stack", stack);
  if (ok) return stdout;
  if (/no stack named/.test(stderr)) return undefined;
  throw new Problem(`Pulumi cannot read the stack ${stack} from ${engine.backend.url}:\n${stderr.trim()}`);
}

/** Creates the stack, without a mark on its file if the state is local. Pulumi may have to ask for a passphrase. */
export async function createStack(engine: Engine, file: StackFile): Promise<Outcome> {
  const { local } = engine.backend;
  const args = ["stack", "init", file.stack, "--no-select"];
  if (local && localStackFile(local, file)) {
    // `stack init` knows no other place for the salt than beside a project's file.
    writeFileSync(join(local, "Pulumi.yaml"), `name: ${readProject(engine.project).name}\nruntime: nodejs\n`);
    args.push("--cwd", local);
  }
  return run(engine, ...args);
}
