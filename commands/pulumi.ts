/** `npm run pulumi -- …`: any command of Pulumi, with the CLI, the state and the passphrase that `npm run up` uses. */
import { localStackFile } from "./engine/backend.ts";
import { ask, createStack, type Engine, exportStack, openEngine, run } from "./engine/engine.ts";
import { explain } from "./engine/explain.ts";
import { projectFolder, readStackFile, stacksOf } from "./stack-file.ts";
import { main } from "./user-error.ts";

/** They read the stack's file and, with a passphrase, write to it. `config` also does, but there it is intended. */
const withStackFile = ["up", "update", "preview", "refresh", "destroy", "import", "watch"];

async function pulumi(args: readonly string[]): Promise<number> {
  const engine = await openEngine(projectFolder);
  const { local } = engine.backend;
  const stack = stackFlag(args);
  const extra: string[] = [];
  if (local && withStackFile.includes(args[0] ?? "") && !args.some((arg) => arg.startsWith("--config-file"))) {
    const selected = stack ?? (await selectedStack(engine));
    const copy = selected && localStackFile(local, readStackFile(projectFolder, selected));
    if (copy) extra.push("--config-file", copy);
  }
  // A setting may be changed before the first `up`: a local stack is created as soon as it has a file.
  if (local && stack && args[0] === "config" && stacksOf(projectFolder).includes(stack) && (await exportStack(engine, stack)) === undefined)
    await createStack(engine, readStackFile(projectFolder, stack));
  const { status, error } = await run(engine, [...args, ...extra]);
  if (error) console.error(explain(error, { stack: stack ?? "", backend: engine.backend, env: process.env }));
  return status;
}

/** The value of `--stack` or `-s`. */
function stackFlag(args: readonly string[]): string | undefined {
  const flag = args.findIndex((arg) => /^(-s|--stack)(=|$)/.test(arg));
  if (flag < 0) return undefined;
  return args[flag]?.includes("=") ? args[flag]?.split("=")[1] : args[flag + 1];
}

const selectedStack = async (engine: Engine) => (await ask(engine, ["stack", "--show-name"]).catch(() => "")).trim();

if (import.meta.main) await main(pulumi);
