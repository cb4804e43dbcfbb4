import { spawn } from "node:child_process";

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What the command reads. @default nothing */
  readonly input?: string;
  /** Milliseconds until it is killed. @default five minutes */
  readonly timeout?: number;
}

/** Runs a command to its end, whatever that is. */
export function run(command: string, args: readonly string[], { input, timeout = 300_000, ...options }: CommandOptions = {}) {
  return new Promise<CommandResult>((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        output[stream] += text;
      });
    }
    // A command that ends before it has read everything is judged by its status.
    child.stdin?.on("error", () => {}).end(input);
    const timer = setTimeout(() => {
      output.stderr += `\nkilled after ${timeout / 1000} s`;
      child.kill("SIGKILL");
    }, timeout);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ status: code ?? 137, ...output });
    });
  });
}

/** Runs a command that must succeed. */
export async function must(command: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult> {
  const result = await run(command, args, options);
  if (result.status === 0) return result;
  const lastLines = (text: string) => text.trim().split("\n").slice(-30).join("\n");
  throw new Error(`${command} ${args.join(" ")} ended with ${result.status}\n${lastLines(result.stdout)}\n${lastLines(result.stderr)}`);
}
