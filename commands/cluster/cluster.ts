import { existsSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { proxyOf } from "../proxies.ts";
import { UserError } from "../user-error.ts";

/** The cluster that Pulumi's Kubernetes provider connects to. */
export interface Cluster {
  readonly config: KubeConfig;
  readonly context: string;
  /** URL of the API server. */
  readonly server: string;
  /** Whether it certainly runs on this machine. */
  readonly local: boolean;
}

const chooseContext = "choose one with `kubectl config use-context NAME`";

/**
 * Finds the cluster as the provider does: from the stack's own kubeconfig (a path or the content), KUBECONFIG, or ~/.kube/config.
 *
 * @throws UserError if there is no usable kubeconfig or context.
 */
export function findCluster(kubeconfig: string | undefined, context: string | undefined, env: NodeJS.ProcessEnv): Cluster {
  const config = load(kubeconfig, env);
  const names = config.getContexts().map(({ name }) => name);
  const chosen = context ?? config.getCurrentContext();
  const choices = `Contexts: ${names.join(", ") || "none"}`;
  if (!chosen) throw new UserError(`The kubeconfig has no current context.\n${choices}; ${chooseContext}.`);
  if (!names.includes(chosen)) {
    const where = context ? "the stack's setting kubernetes:context" : "the kubeconfig's current context";
    throw new UserError(`There is no context ${chosen}, which is ${where}.\n${choices}; ${chooseContext}.`);
  }
  config.setCurrentContext(chosen);
  const server = config.getCurrentCluster()?.server;
  if (!server)
    throw new UserError(`The context ${chosen} refers to a cluster that is not in the kubeconfig.\n${choices}; ${chooseContext}.`);
  config.clusters = config.clusters.map((cluster) => {
    const proxyUrl = cluster.proxyUrl ?? proxyOf(cluster.server, env);
    // The client refuses plain HTTP, which `kubectl proxy` speaks, unless the cluster has TLS verification switched off.
    return { ...cluster, ...(proxyUrl !== undefined && { proxyUrl }), ...(/^http:/.test(cluster.server) && { skipTLSVerify: true }) };
  });
  return { config, context: chosen, server, local: isLocal(chosen, server) };
}

function load(kubeconfig: string | undefined, env: NodeJS.ProcessEnv): KubeConfig {
  const config = new KubeConfig();
  const named = kubeconfig ?? env["KUBECONFIG"];
  const files = (named ? named.split(delimiter) : [join(homedir(), ".kube", "config")]).filter((file) => file && existsSync(file));
  try {
    if (kubeconfig && !existsSync(kubeconfig) && /[\n{]/.test(kubeconfig)) {
      config.loadFromString(kubeconfig);
    } else if (files.length > 0) {
      for (const file of files) {
        const further = new KubeConfig();
        further.loadFromFile(file);
        // As in kubectl, the first file that sets the current context wins.
        config.mergeConfig(further, Boolean(config.getCurrentContext()));
      }
    } else if (!named && existsSync("/var/run/secrets/kubernetes.io/serviceaccount/token")) {
      config.loadFromCluster();
    } else {
      const where = kubeconfig
        ? `the stack's setting kubernetes:kubeconfig names ${kubeconfig}`
        : named
          ? `KUBECONFIG names ${named}`
          : "~/.kube/config";
      throw new UserError(
        `No kubeconfig: ${where}, which does not exist.\n` +
          "Set KUBECONFIG to the kubeconfig of your cluster, or start a local cluster first, for example with `kind create cluster`.",
      );
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`The kubeconfig ${named ?? files.join(delimiter)} cannot be read: ${(error as Error).message}`);
  }
  return config;
}

const localContext = /^(kind-.+|k3d-.+|minikube|docker-desktop|docker-for-desktop|rancher-desktop|colima(-.+)?|orbstack|microk8s)$/;

const privateAddresses = new BlockList();
for (const [net, prefix] of [
  ["0.0.0.0", 32],
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
] as const) {
  privateAddresses.addSubnet(net, prefix, "ipv4");
}
privateAddresses.addAddress("::1", "ipv6");
privateAddresses.addSubnet("fc00::", 7, "ipv6");

/**
 * Returns whether a cluster certainly runs on this machine, judged by the context name that tools for local clusters use and by the
 * address. Neither is sufficient: a context can have any name, and a tunnel to production ends at a loopback address.
 */
export function isLocal(context: string, server: string): boolean {
  if (!localContext.test(context) || !URL.canParse(server)) return false;
  const host = new URL(server).hostname.replaceAll(/[[\]]/g, "");
  const family = isIP(host);
  if (family === 0) return host === "localhost" || host === "kubernetes.docker.internal" || host === "host.docker.internal";
  return privateAddresses.check(host, family === 4 ? "ipv4" : "ipv6");
}
