import { spawn } from "node:child_process";
import { once } from "node:events";

export interface SubprocessOptions {
  /** Seconds until the program is ended. */
  readonly timeout: number;
  /** Ends the program when aborted. */
  readonly signal: AbortSignal;
  /** Variables added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. @default this process's */
  readonly cwd?: string;
}

export interface SubprocessResult {
  /** `null` when a signal ended the program. */
  readonly exitCode: number | null;
  readonly stdout: string;
  /** The last 64 KiB. */
  readonly stderr: string;
  /** The timeout ended the program. */
  readonly timedOut: boolean;
}

/** Seconds between SIGTERM and SIGKILL. */
const killDelay = 10;

const stderrLimit = 64 << 10;

/**
 * Runs a program without a shell, and waits for its end even if it was ended by the timeout or the signal.
 *
 * @throws {Error} when the program cannot be started, or the signal was aborted before
 */
export async function runProgram(program: string, args: readonly string[], options: SubprocessOptions): Promise<SubprocessResult> {
  const { timeout, signal, env, cwd } = options;
  signal.throwIfAborted();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env }, cwd });
  const ended = once(child, "close") as Promise<[number | null]>;

  let timedOut = false;
  let kill: NodeJS.Timeout | undefined;
  const end = () => {
    child.kill("SIGTERM");
    kill ??= setTimeout(() => child.kill("SIGKILL"), killDelay * 1000);
  };
  const limit = setTimeout(() => {
    timedOut = true;
    end();
  }, timeout * 1000);
  signal.addEventListener("abort", end);

  const stdout: string[] = [];
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrLimit);
  });
  try {
    const [exitCode] = await ended;
    return { exitCode, stdout: stdout.join(""), stderr, timedOut };
  } catch (error) {
    throw new Error(`${program} cannot be started: ${error instanceof Error ? error.message : error}`);
  } finally {
    clearTimeout(limit);
    clearTimeout(kill);
    signal.removeEventListener("abort", end);
  }
}
