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

/** Returns the text for `--help`; the operation is the first argument. */
export function usage([operation = ""]: readonly string[]): string {
  const known = operations.find((known) => known === operation);
  if (!known) return `Usage: node commands/up/stack.ts ${operations.join("|")} <stack> [flags of the Pulumi command]`;
  const yes = known === "preview" ? "" : known === "up" ? `--yes] [${patientFlag}] [` : "--yes] [";
  return `Usage: npm run ${known} -- <stack> [${yes}flags of \`pulumi ${known}\`]

${summaries[known]}

Stacks: ${stacksOf(projectFolder).join(", ")}
Exit codes: that of Pulumi; 1 if it was not started${known === "up" ? " or the service does not work" : ""}, 2 for wrong usage`;
}

const summaries: Readonly<Record<Operation, string>> = {
  up: `Creates or changes the service as the stack's file says, and reports what keeps it from working.
  --yes            changes a cluster that is not on this machine without asking
  ${patientFlag}   waits also where waiting cannot help`,
  preview: "Shows what `npm run up` would change. Changes nothing.",
  refresh: "Compares the state with the cluster, and updates the state. Changes nothing in the cluster.",
  destroy: "Deletes everything that the stack has created, unless it is protected.",
};

/** @throws UserError with exit code 2 and the usage. */
export function parseArguments([operation, stack, ...flags]: readonly string[]): Request {
  const known = operations.find((known) => known === operation);
  if (!known || !stack || stack.startsWith("-")) throw new UserError(usage([operation ?? ""]), 2);
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
