import { VersionApi } from "@kubernetes/client-node";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UserError } from "../user-error.ts";

/** The oldest minor version of Kubernetes 1 that has what the manifests use: the latest is the `sleep` of a container's hook. */
const minimum = 30;

/**
 * Checks that the cluster's version has what the manifests use. A cluster that does not tell its version passes.
 *
 * @throws UserError if it is too old
 */
export async function checkVersion(cluster: Cluster): Promise<void> {
  const version = await respond(cluster, cluster.config.makeApiClient(VersionApi).getCode());
  // Providers append a plus sign.
  const minor = Number.parseInt(version?.minor ?? "", 10);
  if (Number.isNaN(minor) || Number(version?.major) !== 1 || minor >= minimum) return;
  throw new UserError(
    `The cluster of context ${cluster.context} runs Kubernetes 1.${minor}, which does not accept the service's manifests.\n` +
      `Upgrade it to 1.${minimum} or newer.`,
  );
}
