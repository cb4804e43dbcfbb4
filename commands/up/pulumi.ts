/** `npm run pulumi -- …`: any command of Pulumi's, with the CLI, the state and the passphrase that `npm run up` uses. */

import { projectFolder, readProject, readStackFile, stacksOf } from "../stack-file.ts";
import { main, Problem } from "../user-error.ts";
import { localStackFile } from "./backend.ts";
import { ask, createStack, exportStack, openEngine, run } from "./engine.ts";
import { explain } from "./explain.ts";

/** They read the stack's file, and with a passphrase they write to it. `config` does, too, but there it is meant. */
const withStackFile = ["up", "update", "preview", "refresh", "destroy", "import", "watch"];

async function pulumi(args: readonly string[]): Promise<number> {
  const engine = await openEngine(projectFolder);
  const flag = args.findIndex((arg) => /^(-s|--stack)(=|$)/.test(arg));
  const named = args[flag]?.includes("=") ? args[flag]?.split("=")[1] : args[flag + 1];
  const stack = flag >= 0 ? named : undefined;
  const extra: string[] = [];
  const { local } = engine.backend;
  if (local && withStackFile.includes(args[0] ?? "") && !args.some((arg) => arg.startsWith("--config-file"))) {
    const selected = stack ?? (await ask(engine, "stack", "--show-name")).stdout.trim();
    const copy = selected && localStackFile(local, readStackFile(projectFolder, readProject(projectFolder).name, selected));
    if (copy) extra.push("--config-file", copy);
  }
  // A newcomer changes a setting before the first `up`: the stack is there as soon as its file is.
  if (
    local &&
    stack &&
    args[0] === "config" &&
    stacksOf(projectFolder).includes(stack) &&
    (await exportStack(engine, stack)) === undefined
  ) {
    const { status, error } = await createStack(engine, readStackFile(projectFolder, readProject(projectFolder).name, stack));
    if (status !== 0) throw new Problem(explain(error, stack, engine.backend, process.env) ?? error, status);
  }
  const { status, error } = await run(engine, ...args, ...extra);
  if (error) console.error(explain(error, stack ?? "", engine.backend, process.env) ?? error);
  return status;
}

if (import.meta.main) await main(() => pulumi(process.argv.slice(2)));
