import { type Cluster, findCluster } from "./cluster/cluster.ts";
import { ask, type Engine } from "./engine/engine.ts";
import type { StackFile } from "./stack-file.ts";

/** Finds a stack's cluster. The engine is opened only to decrypt the settings of the Kubernetes provider. */
export async function stackCluster(file: Pick<StackFile, "stack" | "config">, openEngine: () => Promise<Engine>): Promise<Cluster> {
  const read = async (key: string) => {
    const value = file.config[key];
    if (value === undefined || typeof value === "string") return value;
    return (await ask(await openEngine(), ["config", "get", key], { stack: file.stack })).trimEnd();
  };
  return findCluster(await read("kubernetes:kubeconfig"), await read("kubernetes:context"), process.env);
}
