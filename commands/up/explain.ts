import type { Backend } from "./backend.ts";
import { type Holder, type Liveness, liveness, parseLocks } from "./recovery.ts";

/** Who holds the stack, and what to do about it. */
export function lockedMessage(stack: string, holders: readonly Holder[], alive: (holder: Holder) => Liveness = liveness): string {
  const states = { running: "is running on this machine", gone: "is no longer running", elsewhere: "cannot be seen from this machine" };
  const lines = holders.map(
    (holder) => `  process ${holder.pid} of ${holder.user} on ${holder.host}, since ${holder.since}; it ${states[alive(holder)]}`,
  );
  const cancel = `npm run pulumi -- cancel --stack ${stack}`;
  const advice = holders.some((holder) => alive(holder) === "running")
    ? "Wait until it has finished, or interrupt it where it runs (^C)."
    : holders.every((holder) => alive(holder) === "gone")
      ? `Nobody works on it any more, take the lock away:\n  ${cancel}`
      : `Ask its owner, or wait. Only if that process is surely dead, take the lock away:\n  ${cancel}`;
  return [`The stack ${stack} is locked, somebody else's run changes it:`, ...lines, advice].join("\n");
}

/** What the engine's last words mean for the user, where there is more to say than they do. */
export function explain(error: string, stack: string, backend: Pick<Backend, "local" | "url">, env: NodeJS.ProcessEnv): string | undefined {
  const holders = parseLocks(error);
  if (holders.length > 0) return lockedMessage(stack, holders);
  if (/Another update is currently in progress/.test(error)) {
    return `The stack ${stack} is being changed by another run; ${backend.url} shows by whom.\nWait until it has finished. Only if it is surely dead:\n  npm run pulumi -- cancel --stack ${stack}`;
  }
  if (/incorrect passphrase|passphrase must be set/.test(error)) return passphraseMessage(error, stack, backend, env);
  if (/message authentication failed|could not decrypt|failed to decrypt|bad value/.test(error)) {
    return (
      `Pulumi.${stack}.yaml holds values that were encrypted elsewhere, and ${backend.url} cannot read them.\n` +
      "Log in to the backend that they were encrypted for (`pulumi login`), or set them anew:\n" +
      `  npm run pulumi -- config set --secret --path KEY --stack ${stack}`
    );
  }
  const plugin = /(?:resource plugin|plugin) '?(?:pulumi-resource-)?([a-z]+)'?/.exec(error)?.[1];
  if (plugin && /(?:could not|failed to|error) (?:find|download|install|load)|no resource plugin/i.test(error)) {
    return `${error}\nPulumi could not get its plugin for ${plugin}. Let this machine reach get.pulumi.com and github.com (HTTPS_PROXY), or install it from a file:\n  npm run pulumi -- plugin install resource ${plugin} VERSION --file FILE`;
  }
  return undefined;
}

function passphraseMessage(error: string, stack: string, backend: Pick<Backend, "local" | "url">, env: NodeJS.ProcessEnv): string {
  const own = backend.local && `${backend.local}/passphrase`;
  const given = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"].find((variable) => env[variable] !== undefined);
  const source = given ?? own;
  const what =
    source && /incorrect/.test(error)
      ? `The passphrase in ${source} is not the one that the secrets of the stack ${stack} were encrypted with (${backend.url}).`
      : `The secrets of the stack ${stack} (${backend.url}) are encrypted with a passphrase, and there is none.`;
  const unset = own && given ? `, or unset ${given} to use ${own}` : "";
  return `${what}\nNothing was changed. Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the right one${unset}.`;
}
