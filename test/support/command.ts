import { execa } from "execa";

export interface CommandOptions {
  readonly cwd?: string;
  /** Variables in addition to the environment of this process, or instead of it without `extendEnv`. */
  readonly env?: NodeJS.ProcessEnv;
  readonly extendEnv?: boolean;
  /** Standard input. @default "" */
  readonly input?: string;
  /** Milliseconds after which the command is killed. @default 300,000 */
  readonly timeout?: number;
}

export interface CommandResult {
  /** Undefined if the command was killed or could not be started. */
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
  readonly failed: boolean;
  /** Why the command failed. */
  readonly shortMessage?: string;
  readonly stdout: string;
  readonly stderr: string;
}

// Without the explicit type, execa's own types would take most of the project's type check.
type Run = (command: string, args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;

const defaults = { input: "", timeout: 300_000, killSignal: "SIGKILL", stripFinalNewline: false } as const;

/** Runs a command that must succeed. @throws ExecaError with its output */
export const must: Run = execa(defaults);

/** Runs a command to its end, whatever its exit code. */
export const run: Run = execa({ ...defaults, reject: false });
