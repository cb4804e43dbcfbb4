/**
 * `npm run up|preview|refresh|destroy -- <stack>`: Pulumi's command of that name, with what it needs found, made or asked for before, and with what
 * goes wrong told in one message. `pulumi up --stack <stack>` does the same to the cluster.
 */
import { z } from "zod";
import { type ProviderSetting, projectFolder, readProject, readStackFile, type StackFile, stacksOf } from "../stack-file.ts";
import { main, Problem } from "../user-error.ts";
import { localStackFile } from "./backend.ts";
import { type Cluster, findCluster } from "./cluster.ts";
import { ask, createStack, type Engine, exportStack, isInteractive, openEngine, run, tell } from "./engine.ts";
import { explain, lockedMessage } from "./explain.ts";
import { unreadyPods } from "./pods.ts";
import { adoptable, isOtherCluster, preflight } from "./preflight.ts";
import { liveness, mendedState, readLocks } from "./recovery.ts";
import { parseState, type State } from "./state.ts";

const operations = ["up", "preview", "refresh", "destroy"] as const;
export type Operation = (typeof operations)[number];

async function operate(args: readonly string[]): Promise<number> {
  const { operation, stack, flags, approved } = parseArguments(args);
  const { name: project } = readProject(projectFolder);
  const file = readStackFile(projectFolder, project, stack);

  let opened: Promise<Engine> | undefined;
  const engineOnce = () => (opened ??= openEngine(projectFolder));
  const cluster = await locate(file, engineOnce);
  console.error(
    `Cluster: context ${cluster.context}, ${cluster.server}${cluster.local ? " (local)" : ""}; namespace ${file.namespace.name}`,
  );
  const interactive = isInteractive();
  if (operation !== "preview" && !cluster.local && !approved && !interactive) {
    throw new Problem(
      `The context ${cluster.context} is no local cluster, and there is no terminal to ask on.\nSay that it is meant: npm run ${operation} -- ${stack} --yes`,
    );
  }

  const engine = await engineOnce();
  const { local } = engine.backend;
  if (local && flags.some((flag) => /^(-c|--config($|=))/.test(flag))) {
    throw new Problem(
      `Pulumi saves --config in the stack's file. Do that directly:\n  npm run pulumi -- config set --path KEY VALUE --stack ${stack}`,
    );
  }
  const exported = await exportStack(engine, stack);
  if (exported === undefined && (operation === "refresh" || operation === "destroy")) {
    throw new Problem(`There is no stack ${stack} in ${engine.backend.url}: nothing to ${operation}.`);
  }
  const state = parseState(exported ?? "{}");
  await preflight(cluster, operation, file, state);
  const other = operation === "refresh" && (await isOtherCluster(cluster, state));
  if (other && !approved && !interactive) {
    throw new Problem(
      `The cluster of context ${cluster.context} does not have what the stack ${stack} is made of: a refresh would forget all of it.\n` +
        `If the cluster was rebuilt: npm run refresh -- ${stack} --yes. Otherwise choose the right context with \`kubectl config use-context NAME\`.`,
    );
  }
  await unlock(engine, project, file);
  if (exported === undefined) {
    const { status, error } = await createStack(engine, file);
    if (status !== 0) throw new Problem(explain(error, stack, engine.backend, process.env) ?? error, status);
  }

  const copy = local && localStackFile(local, file);
  const common = ["--stack", stack, ...(copy ? ["--config-file", copy] : [])];
  if (operation !== "preview") await mend(cluster, engine, file, state, exported ?? "{}", common);
  else if (state.pending.length > 0)
    console.error(`An earlier run was interrupted; the next \`npm run up -- ${stack}\` will mend what it left behind.`);

  // On a local cluster nothing needs to be asked; but what is gone is gone, so `destroy` and a refresh that forgets ask where they can.
  const unasked = approved || (cluster.local && !other && !(operation === "destroy" && interactive));
  const confirmation = operation !== "preview" && unasked ? ["--yes"] : [];
  // Where nothing is asked and nothing is there yet, a preview would only say the same as the progress.
  const unseen = operation === "up" && confirmation.length > 0 && state.resources.length === 0 && state.pending.length === 0;
  // So that `npm run pulumi -- stack output` needs no --stack. In a backend of the user's own, what is selected is theirs.
  const selected = local && exported === undefined ? ask(engine, "stack", "select", file.stack) : undefined;
  const outcome = await run(engine, operation, ...common, ...confirmation, ...(unseen ? ["--skip-preview"] : []), ...flags);
  await selected;

  if (outcome.interrupted && outcome.status !== 0) {
    if (outcome.error) console.error(outcome.error);
    console.error(`Interrupted. What was finished is recorded; \`npm run ${operation} -- ${stack}\` goes on from there.`);
  } else if (outcome.error) {
    console.error(explain(outcome.error, stack, engine.backend, process.env) ?? outcome.error);
  }
  if (operation === "up") {
    if (outcome.status === 0) await sayNext(engine, stack);
    else await sayWhatHolds(cluster, file.namespace.name);
  }
  return outcome.status;
}

function parseArguments([operation, stack, ...flags]: readonly string[]) {
  const known = operations.find((known) => known === operation);
  if (!known) throw new Problem(`Usage: node commands/stack.ts ${operations.join("|")} <stack> [flags of pulumi ${operations[0]}]`, 2);
  if (!stack || stack.startsWith("-")) {
    throw new Problem(
      `Usage: npm run ${known} -- <stack> [${known === "preview" ? "" : "--yes] ["}flags of \`pulumi ${known}\`]\nStacks: ${stacksOf(projectFolder).join(", ")}`,
      2,
    );
  }
  const yes = ["--yes", "-y"];
  return {
    operation: known,
    stack,
    flags: flags.filter((flag) => !yes.includes(flag)),
    // Pulumi takes the wish to skip the preview for a yes.
    approved: flags.some((flag) => [...yes, "--skip-preview", "-f"].includes(flag)),
  };
}

/** The cluster of a stack; the engine is asked only for what is encrypted. */
export async function locate(file: StackFile, engine = () => openEngine(projectFolder)): Promise<Cluster> {
  const plain = async (setting: ProviderSetting | undefined) => {
    if (setting === undefined || typeof setting === "string") return setting;
    const { ok, stdout, stderr } = await ask(await engine(), "config", "get", setting.encrypted, "--stack", file.stack);
    if (!ok) throw new Problem(explain(stderr, file.stack, (await engine()).backend, process.env) ?? stderr.trim());
    return stdout.trimEnd();
  };
  return findCluster(await plain(file.kubernetes.kubeconfig), await plain(file.kubernetes.context), process.env);
}

/** Takes away the lock of a run on this machine that was killed, and refuses to go on beside one that lives. */
async function unlock(engine: Engine, project: string, file: StackFile): Promise<void> {
  const holders = readLocks(engine.backend.url, project, file.name);
  if (holders.length === 0) return;
  if (holders.some((holder) => liveness(holder) !== "gone")) throw new Problem(lockedMessage(file.stack, holders));
  const { ok, stderr } = await ask(engine, "cancel", "--stack", file.stack, "--yes");
  if (!ok) throw new Problem(`${lockedMessage(file.stack, holders)}\n${stderr.trim()}`);
  console.error(`An earlier run (process ${holders.map(({ pid }) => pid).join(", ")}) was killed: its lock is taken away.`);
}

/** What an interrupted run had begun to create is either in the cluster, and taken over into the state, or it is not, and forgotten. */
async function mend(cluster: Cluster, engine: Engine, file: StackFile, state: State, exported: string, common: string[]): Promise<void> {
  if (state.pending.length === 0) return;
  const adopted = await adoptable(cluster, file, state);
  console.error(
    [
      "An earlier run was interrupted in the midst of:",
      ...state.pending.map(({ type, resource: { urn } }) => {
        const outcome =
          type !== "creating" ? "" : adopted.some((object) => object.urn === urn) ? ": it exists, and is taken over" : ": forgotten";
        return `  ${type} ${urn.split("::").at(-1)}${outcome}`;
      }),
    ].join("\n"),
  );
  const { ok, stderr } = await tell(engine, mendedState(exported, adopted), "stack", "import", "--stack", file.stack);
  if (!ok) throw new Problem(explain(stderr, file.stack, engine.backend, process.env) ?? stderr.trim());
  if (state.pending.every(({ type }) => type === "creating")) return;
  // Whether what was to be changed or deleted still is as the state has it, the provider can tell.
  const { status, error } = await run(engine, "refresh", ...common, "--yes", "--skip-preview");
  if (status !== 0) throw new Problem(explain(error, file.stack, engine.backend, process.env) ?? error, status);
}

/** What the engine waits for without a word: it sees that pods are not ready, and not why. */
async function sayWhatHolds(cluster: Cluster, namespace: string): Promise<void> {
  const pods = await unreadyPods(cluster, namespace);
  if (pods.length > 0) console.error(["", `Not ready in the namespace ${namespace}:`, ...pods].join("\n"));
}

const outputs = z.object({ portForward: z.string(), scan: z.string(), token: z.unknown() }).partial();

async function sayNext(engine: Engine, stack: string): Promise<void> {
  const { ok, stdout } = await ask(engine, "stack", "output", "--json", "--stack", stack);
  if (!ok) return;
  const { portForward, scan, token } = outputs.parse(JSON.parse(stdout));
  const lines = [
    portForward && `  ${portForward}`,
    token !== undefined && `  export TRIVY_TOKEN=$(npm run --silent pulumi -- stack output token --show-secrets --stack ${stack})`,
    scan && `  ${scan}`,
  ].filter((line) => typeof line === "string");
  console.log(["", "Next:", ...lines, "", `To take all of it away again: npm run destroy -- ${stack}`].join("\n"));
}

if (import.meta.main) await main(() => operate(process.argv.slice(2)));
