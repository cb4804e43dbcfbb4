/** `npm run status -- <stack>`: one screen about a stack, read from the cluster: what runs, and what to do about each problem. */
import { SettingsError } from "../../stacks/index.ts";
import { openEngine } from "../engine/engine.ts";
import { stackSettings } from "../settings.ts";
import { stackCluster } from "../stack-cluster.ts";
import { projectFolder, readStackFile, stacksOf } from "../stack-file.ts";
import { main, UserError } from "../user-error.ts";
import { problems } from "./problems.ts";
import { readFacts } from "./read.ts";
import { json, screen } from "./render.ts";

const exitCodes = { ok: 0, action: 1, unknown: 2 } as const;

const usage = () => `Usage: npm run status -- <stack> [--json]

Shows what runs of a stack and what is wrong with it, with what to do. Reads the cluster; changes nothing.

Stacks: ${stacksOf(projectFolder).join(", ")}
Exit codes: 0 all is well, 1 something is to be done, 2 the state is not known or wrong usage`;

export async function status(args: readonly string[]): Promise<number> {
  const [stack, ...more] = args.filter((arg) => arg !== "--json");
  if (!stack || stack.startsWith("-") || more.length > 0) throw new UserError(usage());
  const file = readStackFile(projectFolder, stack);
  const settings = settingsOf(file);
  const cluster = await stackCluster(file, () => openEngine(projectFolder));
  const namespace = settings.namespace.name;
  const facts = await readFacts(cluster, namespace);
  if (facts.snapshot.deployments.length === 0 && facts.snapshot.pods.length === 0)
    throw new UserError(
      `The stack ${stack} is not up in the namespace ${namespace} of context ${cluster.context} (${cluster.server}).\n` +
        `Run \`npm run up -- ${stack}\`, or choose another context with \`kubectl config use-context NAME\`.`,
    );
  const report = { stack, namespace, context: cluster.context, facts, settings, problems: problems(facts, settings, stack) };
  const color = Boolean(process.stdout.isTTY) && !process.env["NO_COLOR"];
  console.log(args.includes("--json") ? json(report) : screen(report, color));
  return report.problems.length > 0 ? exitCodes.action : facts.unknown.length > 0 ? exitCodes.unknown : exitCodes.ok;
}

function settingsOf(file: ReturnType<typeof readStackFile>) {
  try {
    return stackSettings(file);
  } catch (error) {
    if (error instanceof SettingsError) throw new UserError(error.message);
    throw error;
  }
}

if (import.meta.main) await main(status, { usage, failure: exitCodes.unknown });
