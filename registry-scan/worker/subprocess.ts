/** Runs crane and trivy: without a shell, with a time limit, and what they say put into a sentence that has no secret in it. */
import { spawn } from "node:child_process";

export interface RunOptions {
  /** Time limit: it is asked to end then, and made to ten seconds later. */
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Environment besides, and variables of this process that it must not see. */
  readonly env?: Readonly<Record<string, string>>;
  readonly without?: readonly string[];
  readonly cwd?: string;
}

export interface Ended {
  /** Nothing when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  /** Its last 64 KiB. */
  readonly stderr: string;
  /** Its time limit ended it. */
  readonly late: boolean;
}

/** How long it may take a program to end when it is asked to, in seconds. */
const grace = 10;

export async function run(program: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { seconds, signal, env, without = [], cwd } = options;
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !without.includes(name)));
  signal.throwIfAborted();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...inherited, ...env }, cwd });
  let late = false;
  let kill: NodeJS.Timeout | undefined;
  const end = () => {
    child.kill("SIGTERM");
    kill ??= setTimeout(() => child.kill("SIGKILL"), grace * 1000);
  };
  const limit = setTimeout(() => {
    late = true;
    end();
  }, seconds * 1000);
  signal.addEventListener("abort", end);
  const stdout: string[] = [];
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-65536);
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", (error) => reject(new Error(`${program} cannot be started: ${error.message}`)));
      child.once("close", resolve);
    });
    return { code, stdout: stdout.join(""), stderr, late };
  } finally {
    clearTimeout(limit);
    clearTimeout(kill);
    signal.removeEventListener("abort", end);
  }
}

/** What wraps a reason without adding to it, at its start. */
const wrappers = [
  /^Error: /,
  /^\S+\s+FATAL\s+(?:Fatal error\s+)?/,
  /^(?:run error|(?:image )?scan error|scan failed|failed analysis|filter error|filtering error|VEX error): /,
  /^unable to initialize (?:a scan service|container image|an image scanner): /,
  /^unable to find the specified image "[^"]*" in \["remote"\]: /,
  /^\d+ errors? occurred:\s*/,
  /^\* remote error: /,
  /^reading tags for \S+: /,
  /^(?:HEAD|GET) https?:\/\/\S+: (?=[A-Z_]{3,}: )/,
  /^unable to (?:get|fetch) missing layers: /,
  /^backoff: permanent error /,
] as const;

/** The last error that a program tells, in one line and without what wraps it, links' queries, and secrets. */
export function reasonOf(stderr: string): string {
  const lines = stderr.trim().split("\n");
  const last = lines.findLastIndex((line) => /^Error: |\sFATAL\s/.test(line));
  // What follows the last one belongs to it: trivy lists several reasons on lines of their own.
  let reason = redact(
    lines
      .slice(last < 0 ? -1 : last)
      .join(" ")
      .replace(/\s+/g, " ")
      .trim(),
  );
  for (let before = ""; before !== reason; ) {
    before = reason;
    for (const wrapper of wrappers) reason = reason.replace(wrapper, "");
  }
  const [, code, answer = ""] = /twirp error (\w+): (.*?)\)*$/.exec(reason) ?? [];
  if (code === "unauthenticated") return "the scan service refuses the token (TRIVY_TOKEN)";
  if (code !== undefined) reason = `the scan service fails: ${answer.replace(/^failed to do request: /, "")}`;
  // The same request over HTTPS and HTTP fails in the same way mostly: its reason once.
  const parts = [...new Set(reason.split(/;\s+/).map((part) => part.replace(/(?:Get|Post|Head) "[^"]*": /, "")))];
  const text = parts.filter((part) => !/^map\[/.test(part)).join("; ");
  return text === "" ? "it ended with an error and said nothing" : text.length > 600 ? `${text.slice(0, 600)}…` : text;
}

/** Tokens of this process, logins in URLs, and queries of URLs, which are signed in some registries. */
export function redact(text: string): string {
  let redacted = text.replace(/(https?:\/\/)[^\s/@"]+@/g, "$1").replace(/(https?:\/\/[^\s?"]+)\?[^\s"]*?(?=[:;,.]?(?:\s|"|$))/g, "$1");
  for (const name of ["TRIVY_TOKEN", "REPORTS_TOKEN"]) {
    const secret = process.env[name];
    if (secret) redacted = redacted.replaceAll(secret, "***");
  }
  return redacted;
}
