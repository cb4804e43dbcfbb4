import { projectFolder, stacksOf } from "../stack-file.ts";
import { UserError } from "../user-error.ts";

export const operations = ["up", "preview", "refresh", "destroy"] as const;
export type Operation = (typeof operations)[number];

/** What the command line asks for. */
export interface Request {
  readonly operation: Operation;
  /** As Pulumi's commands take it: `dev`, `acme/dev`. */
  readonly stack: string;
  /** Passed to Pulumi: those given, without `--yes` and `--keep-waiting`. */
  readonly flags: readonly string[];
  /** Whether the operation may change a cluster that is not local without asking. */
  readonly approved: boolean;
  /** Whether `up` goes on waiting for what cannot succeed. */
  readonly patient: boolean;
}

const patientFlag = "--keep-waiting";

/** Returns whether flags contain one of these options, with or without a value. */
export const isOption = (flags: readonly string[], ...names: readonly string[]): boolean =>
  flags.some((flag) => names.some((name) => flag === name || flag.startsWith(`${name}=`)));

/** @throws UserError with exit code 2 and the usage. */
export function parseArguments([operation, stack, ...flags]: readonly string[]): Request {
  const known = operations.find((known) => known === operation);
  if (!known) throw new UserError(`Usage: node commands/up/stack.ts ${operations.join("|")} <stack> [flags of the Pulumi command]`, 2);
  if (!stack || stack.startsWith("-")) {
    const yes = known === "preview" ? "" : known === "up" ? `--yes] [${patientFlag}] [` : "--yes] [";
    throw new UserError(
      `Usage: npm run ${known} -- <stack> [${yes}flags of \`pulumi ${known}\`]\n` +
        `Stacks: ${stacksOf(projectFolder).join(", ")}\nExit codes: that of Pulumi; 1 if it was not started or the service does not work, 2 for wrong usage`,
      2,
    );
  }
  const yes = ["--yes", "-y"];
  return {
    operation: known,
    stack,
    flags: flags.filter((flag) => ![...yes, patientFlag].includes(flag)),
    // To Pulumi, skipping the preview is an approval.
    approved: flags.some((flag) => [...yes, "--skip-preview", "-f"].includes(flag)),
    patient: flags.includes(patientFlag),
  };
}
