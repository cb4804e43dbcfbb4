import type { CommandError } from "@pulumi/pulumi/automation/errors.js";
import errors from "@pulumi/pulumi/automation/errors.js";
import type { Backend } from "./backend.ts";
import { lockedMessage, parseLocks } from "./locks.ts";

/** The situation in which an error occurred. */
export interface Situation {
  readonly stack: string;
  readonly backend: Pick<Backend, "local" | "url">;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Returns the Automation API's error for the output of a failed command: StackNotFoundError, ConcurrentUpdateError or CommandError. The
 * API's own calls are not used, because they select the stack, decrypt the state (`--show-secrets`) and write it to /tmp in plain text.
 */
export function commandError(stderr: string): CommandError {
  // Internal and therefore not declared; test/commands/engine/explain.test.ts fails if it is missing.
  const { createCommandError } = errors as unknown as { createCommandError(result: { readonly stderr: string }): CommandError };
  return createCommandError({ stderr });
}

/** Returns what the error of a Pulumi command means and what to do; the error itself if there is nothing to add. */
export function explain(error: string, { stack, backend, env }: Situation): string {
  if (commandError(error) instanceof errors.ConcurrentUpdateError) {
    const holders = parseLocks(error);
    if (holders.length > 0) return lockedMessage(stack, holders);
    return (
      `Another run is changing the stack ${stack}; see ${backend.url}.\n` +
      `Wait until it has finished. Only if it has certainly ended:\n  npm run pulumi -- cancel --stack ${stack}`
    );
  }
  if (/incorrect passphrase|passphrase must be set/.test(error)) return passphraseMessage(error, { stack, backend, env });
  if (newerState.test(error))
    return (
      `The state of the stack ${stack} in ${backend.url} was written by a newer version of Pulumi, which this one cannot read.\n` +
      "Nothing was changed. Update Pulumi's CLI to at least the version that was used last (`pulumi version` prints the installed one).\n" +
      error
    );
  if (/message authentication failed|could not decrypt|failed to decrypt|bad value/.test(error))
    return (
      `Pulumi.${stack}.yaml holds values that were encrypted for another backend than ${backend.url}.\n` +
      "Log in to that backend (`pulumi login`), or set the values again:\n" +
      `  npm run pulumi -- config set --secret --path KEY --stack ${stack}`
    );
  return error;
}

/** What the engine says of a state that it is too old for, in several places. */
const newerState =
  /unsupported (?:checkpoint|deployment) version|deployment version is too new|is newer than what this version|needs support for the following features/;

function passphraseMessage(error: string, { stack, backend, env }: Situation): string {
  const local = backend.local && `${backend.local}/passphrase`;
  const given = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"].find((variable) => env[variable] !== undefined);
  const source = given ?? local;
  const problem =
    source && /incorrect/.test(error)
      ? `The passphrase in ${source} does not decrypt the secrets of the stack ${stack} (${backend.url}).`
      : `The secrets of the stack ${stack} (${backend.url}) are encrypted with a passphrase, which is not set.`;
  const unset = local && given ? `, or unset ${given} to use ${local}` : "";
  return `${problem}\nNothing was changed. Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the correct one${unset}.`;
}
