import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

export interface ProgramOptions {
  /** Seconds until the program is ended. */
  readonly timeout: number;
  readonly env?: NodeJS.ProcessEnv;
}

const stderrLimit = 64 << 10;

/**
 * Runs a program, and passes its standard output to `consume`.
 *
 * @throws {Error} with the last line of its standard error, when it fails; whatever `consume` throws
 */
export async function runProgram<T>(
  program: string,
  args: readonly string[],
  { timeout, env }: ProgramOptions,
  consume: (stdout: Readable) => Promise<T>,
): Promise<T> {
  const signal = AbortSignal.timeout(timeout * 1000);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env }, signal, killSignal: "SIGKILL" });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrLimit);
  });
  const ended = once(child, "close").catch((error: unknown) => {
    throw signal.aborted ? new Error(`${program} did not finish within ${timeout} s`) : error;
  });
  const consumed = consume(child.stdout).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  const [end, result] = await Promise.allSettled([ended, consumed]);
  // A program that was ended by its consumer fails too: the consumer knows why.
  if (result.status === "rejected" && (end.status === "rejected" || !isPrematureClose(result.reason))) throw result.reason;
  if (end.status === "rejected") throw end.reason;
  const [exitCode] = end.value;
  if (exitCode !== 0) throw new Error(lastLine(stderr) || `${program} ended with ${exitCode}`);
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

const isPrematureClose = (error: unknown) => (error as NodeJS.ErrnoException).code === "ERR_STREAM_PREMATURE_CLOSE";

const lastLine = (text: string) =>
  (text.trim().split("\n").at(-1) ?? "")
    .replace(/^Error: /, "")
    .replace(/^\S+\s+FATAL\s+(Fatal error\s+)?/, "")
    .slice(-400);

/** Reads a program's whole output. */
export async function text(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
