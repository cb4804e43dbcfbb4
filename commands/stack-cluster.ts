import { kubeconfigProblem } from "../stacks/kubeconfig.ts";
import { type Cluster, findCluster } from "./cluster/cluster.ts";
import { ask, type Engine } from "./engine/engine.ts";
import { projectFolder, type StackFile } from "./stack-file.ts";
import { UserError } from "./user-error.ts";

/**
 * Finds a stack's cluster. The engine is opened only to decrypt the settings of the Kubernetes provider.
 *
 * @throws UserError if the stack's own kubeconfig names a program
 */
export async function stackCluster(file: Pick<StackFile, "stack" | "config">, openEngine: () => Promise<Engine>): Promise<Cluster> {
  const read = async (key: string) => {
    const value = file.config[key];
    if (value === undefined || typeof value === "string") return value;
    return (await ask(await openEngine(), ["config", "get", key], { stack: file.stack })).trimEnd();
  };
  const kubeconfig = await read("kubernetes:kubeconfig");
  const problem = kubeconfig === undefined ? undefined : kubeconfigProblem(kubeconfig, projectFolder);
  if (problem !== undefined) throw new UserError(`kubernetes:kubeconfig of the stack ${file.stack} ${problem}.`);
  return findCluster(kubeconfig, await read("kubernetes:context"), process.env);
}
