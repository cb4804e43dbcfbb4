/**
 * `npm run up|preview|refresh|destroy -- <stack>`: Pulumi's command of that name, with everything it needs checked or created first and
 * with its errors explained. `pulumi up --stack <stack>` has the same effect on the cluster.
 */
import { z } from "zod";
import type { Cluster } from "../cluster/cluster.ts";
import { localStackFile } from "../engine/backend.ts";
import { ask, createStack, type Engine, exportStack, isInteractive, type Outcome, openEngine, run } from "../engine/engine.ts";
import { explain } from "../engine/explain.ts";
import { liveness, lockedMessage, readLocks } from "../engine/locks.ts";
import { stackNamespace } from "../namespace.ts";
import { clusterDomain } from "../settings.ts";
import { stackCluster } from "../stack-cluster.ts";
import { projectFolder, readStackFile, type StackFile } from "../stack-file.ts";
import { main, UserError } from "../user-error.ts";
import { declaredObjects } from "./declared-objects.ts";
import { checkHealth, runWatched } from "./health.ts";
import { isOtherCluster } from "./identity.ts";
import { parseArguments, type Request, usage } from "./operation.ts";
import { preflight } from "./preflight.ts";
import { destroyProblem, protectionHint } from "./protection.ts";
import { recover } from "./recovery.ts";
import { checkSize } from "./settings-size.ts";
import { parseState, type State } from "./state.ts";

/**
 * Runs an operation and returns its exit code.
 *
 * @param args as on the command line, with the operation first.
 */
export async function operate(args: readonly string[]): Promise<number> {
  const request = parseArguments(args);
  const { operation, stack, flags } = request;
  const file = readStackFile(projectFolder, stack);
  const namespace = stackNamespace(file);
  if (operation === "up" || operation === "preview") checkSize(file);

  let opened: Promise<Engine> | undefined;
  const openOnce = () => (opened ??= openEngine(projectFolder));
  const cluster = await stackCluster(file, openOnce);
  console.error(`Cluster: context ${cluster.context}, ${cluster.server}${cluster.local ? " (local)" : ""}; namespace ${namespace.name}`);
  refuseUnapproved(cluster, request);

  const engine = await openOnce();
  refuseConfigFlag(engine, request);
  const exported = await exportStack(engine, stack);
  if (exported === undefined && (operation === "refresh" || operation === "destroy"))
    throw new UserError(`There is no stack ${stack} in ${engine.backend.url}: nothing to ${operation}.`);
  const state = parseState(exported ?? "{}");
  if (operation === "destroy") refuseProtected(request, state);
  await preflight({
    ...{ cluster, operation, file, namespace, state },
    declaredObjects: () => declaredObjects(projectFolder, file),
  });
  const forgets = operation === "refresh" && (await isOtherCluster(cluster, state));
  if (forgets) refuseForgetting(cluster, request);
  await unlock(engine, file);
  if (exported === undefined) await createStack(engine, file);

  const { local } = engine.backend;
  const copy = local && localStackFile(local, file);
  const common = ["--stack", stack, ...(copy ? ["--config-file", copy] : [])];
  if (operation !== "preview") await recover(cluster, engine, file, state, exported ?? "{}", common);
  else if (state.pending.length > 0)
    console.error(`An earlier run was interrupted; the next \`npm run up -- ${stack}\` will resolve what it left behind.`);

  // So that `npm run pulumi -- stack output` needs no --stack. In a backend of the user's own, the selection is the user's.
  const selection = local && exported === undefined && ask(engine, ["stack", "select"], { stack }).catch(() => undefined);
  const command = [operation, ...common, ...confirmation(request, cluster, state, forgets), ...flags];
  if (operation !== "up") {
    const outcome = await run(engine, command);
    await selection;
    reportError(engine, request, outcome, state);
    return outcome.status;
  }
  const place = { cluster, namespace: namespace.name, clusterDomain: clusterDomain(file) };
  const outcome = await runWatched(engine, command, place, request);
  await selection;
  if (outcome.stopped) return outcome.status;
  reportError(engine, request, outcome, state);
  const healthy = await checkHealth(place, outcome, request);
  if (outcome.status === 0 && healthy) await printNextSteps(engine, stack);
  return outcome.status || (healthy ? 0 : 1);
}

/** Refuses to change a cluster that is not local unless the user can be asked or has approved. */
function refuseUnapproved(cluster: Cluster, { operation, stack, approved }: Request): void {
  if (operation === "preview" || cluster.local || approved || isInteractive()) return;
  throw new UserError(
    `The context ${cluster.context} is not a local cluster, and there is no terminal to ask on.\nTo approve: npm run ${operation} -- ${stack} --yes`,
  );
}

function refuseConfigFlag({ backend }: Engine, { stack, flags }: Request): void {
  if (!backend.local || !flags.some((flag) => /^(-c|--config($|=))/.test(flag))) return;
  throw new UserError(
    `Pulumi saves --config in the stack's file. Set the value there instead:\n  npm run pulumi -- config set --path KEY VALUE --stack ${stack}`,
  );
}

/** The engine itself would notice a protected object only after it has deleted others, if its preview is skipped. */
function refuseProtected({ stack, flags }: Request, state: State): void {
  const problem = destroyProblem(stack, state, flags);
  if (problem !== undefined) throw new UserError(problem);
}

function refuseForgetting(cluster: Cluster, { stack, approved }: Request): void {
  if (approved || isInteractive()) return;
  throw new UserError(
    `The cluster of context ${cluster.context} does not have the objects of the stack ${stack}: a refresh would forget all of them.\n` +
      `If the cluster was rebuilt: npm run refresh -- ${stack} --yes. Otherwise choose the right context with \`kubectl config use-context NAME\`.`,
  );
}

/** Removes the lock of a run on this machine that was killed. Refuses to continue while another run is in progress. */
async function unlock(engine: Engine, { stack, name, project }: StackFile): Promise<void> {
  const holders = readLocks(engine.backend.url, project, name);
  if (holders.length === 0) return;
  if (holders.some((holder) => liveness(holder) !== "ended")) throw new UserError(lockedMessage(stack, holders));
  await ask(engine, ["cancel", "--yes"], { stack }).catch((error: UserError) => {
    throw new UserError(`${lockedMessage(stack, holders)}\n${error.message}`);
  });
  console.error(`An earlier run (process ${holders.map(({ pid }) => pid).join(", ")}) was killed; its lock has been removed.`);
}

/** Pulumi's flags for confirmation. */
function confirmation({ operation, approved }: Request, cluster: Cluster, state: State, forgets: boolean): string[] {
  if (operation === "preview") return [];
  // A local cluster needs no confirmation, except where a deletion cannot be undone and the user can be asked.
  if (!approved && (!cluster.local || forgets || (operation === "destroy" && isInteractive()))) return [];
  // For a new stack, the preview would show the same as the progress.
  const isNew = state.resources.length === 0 && state.pending.length === 0;
  return operation === "up" && isNew ? ["--yes", "--skip-preview"] : ["--yes"];
}

function reportError(engine: Engine, { operation, stack }: Request, { status, error, interrupted }: Outcome, state: State): void {
  if (interrupted && status !== 0) {
    if (error) console.error(error);
    console.error(`Interrupted. Completed changes are recorded; \`npm run ${operation} -- ${stack}\` continues from there.`);
  } else if (error) {
    console.error(explain(error, { stack, backend: engine.backend, env: process.env }));
  }
  if (status === 0 || interrupted || (operation !== "up" && operation !== "preview")) return;
  // The engine names a protected object in its progress, but not this project's setting.
  const hint = protectionHint(stack, state);
  if (hint !== undefined) console.error(hint);
}

const stackOutputs = z.object({ portForward: z.string(), scan: z.string(), token: z.unknown() }).partial();

async function printNextSteps(engine: Engine, stack: string): Promise<void> {
  const outputs = await ask(engine, ["stack", "output", "--json"], { stack }).catch(() => undefined);
  if (outputs === undefined) return;
  const { portForward, scan, token } = stackOutputs.parse(JSON.parse(outputs));
  const lines = [
    portForward && `  ${portForward}`,
    token !== undefined && `  export TRIVY_TOKEN=$(npm run --silent pulumi -- stack output token --show-secrets --stack ${stack})`,
    scan && `  ${scan}`,
  ].filter((line) => typeof line === "string");
  console.log(["", "Next:", ...lines, "", `To remove everything again: npm run destroy -- ${stack}`].join("\n"));
}

if (import.meta.main) await main(operate, { usage });
