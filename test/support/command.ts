import { execa, type Result } from "execa";

const options = { input: "", timeout: 300_000, killSignal: "SIGKILL", stripFinalNewline: false } as const;

/** Runs a command that must succeed, by default with nothing on its standard input and for at most five minutes. @throws ExecaError with its output */
export const must = execa(options);

/** Runs a command to its end, whatever its exit code; otherwise like `must`. */
export const run = execa({ ...options, reject: false });

export type CommandResult = Pick<Result<{ reject: false }>, "exitCode" | "signal" | "stdout" | "stderr">;
