import { useProxies } from "./proxies.ts";

/** A mistake that the user can correct. Commands print its message without a stack trace. */
export class UserError extends Error {
  /** The command's exit code; without one, the command's own for failures. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

interface CommandOptions {
  /** The text for `--help`, with the exit codes. @default `--help` is an argument like others */
  readonly usage?: (args: readonly string[]) => string;
  /** The exit code of errors that do not have one of their own. @default 1 */
  readonly failure?: number;
}

/** Runs a command with the arguments of the command line and ends the process with its exit code, even if a connection is still open. */
export async function main(
  command: (args: readonly string[]) => Promise<number>,
  { usage, failure = 1 }: CommandOptions = {},
): Promise<never> {
  const args = process.argv.slice(2);
  useProxies(process.env);
  try {
    if (usage && args.some((arg) => arg === "--help" || arg === "-h")) {
      console.log(usage(args));
      process.exit(0);
    }
    process.exit(await command(args));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exit(error.status ?? failure);
  }
}
