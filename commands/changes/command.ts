/** What `npm run preview:comment` and `npm run drift` have in common. */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import type { Ci } from "../forge/ci.ts";
import { projectFolder, stacksOf } from "../stack-file.ts";
import { UserError } from "../user-error.ts";
import { type Frame, render, type StackReport } from "./render.ts";

/** What GitHub shows of a job's summary, in bytes, less some space for other steps. */
const summaryLimit = 1000 * 1024;

/**
 * Parses `<stack>… [--output FILE] [--no-POST]`.
 *
 * @param post name of what is posted: `comment`, `issue`.
 * @throws UserError with exit code 2 and the usage.
 */
export function parseArguments(args: readonly string[], usage: string, post: string, output: string) {
  try {
    const { positionals: stacks, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      allowNegative: true,
      options: {
        output: { type: "string", default: output },
        [post]: { type: "boolean", default: true },
      },
    });
    if (stacks.length > 0) return { stacks, output: String(values["output"]), post: values[post] === true };
    throw new Error(`Name at least one stack: ${stacksOf(projectFolder).join(", ")}`);
  } catch (error) {
    throw new UserError(`${(error as Error).message}\n\n${usage}`, 2);
  }
}

/** Returns a sentence about where the report comes from. */
export function origin({ commit, run }: Pick<Ci, "commit" | "run">): string[] {
  const of = commit && /^[0-9a-f]{7,64}$/.test(commit) ? `Commit ${commit.slice(0, 12)}` : undefined;
  const by = run && URL.canParse(run) ? `[job](${new URL(run).href})` : undefined;
  return of || by ? [[of, by].filter(Boolean).join(", ")] : [];
}

/** Writes the complete text to a file, and what fits to the job's summary and the log. */
export function writeReport(reports: readonly StackReport[], frame: Frame, output: string, { summary }: Pick<Ci, "summary">): void {
  const complete = render(reports, frame);
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, complete);
  // The limit is in bytes, and a character has at most three in UTF-16's count.
  const bytes = Buffer.byteLength(complete);
  if (summary) appendFileSync(summary, `${bytes <= summaryLimit ? complete : render(reports, frame, summaryLimit / 3)}\n`);
  for (const { stack, error, changes } of reports)
    console.log(error === undefined ? `${stack}: ${changes.length} changes` : `${stack}: ${error}`);
  console.log(`The complete text: ${output}`);
}
