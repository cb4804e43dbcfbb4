import { VersionApi } from "@kubernetes/client-node";
import type { Settings } from "../../stacks/index.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UserError } from "../user-error.ts";

/** The oldest minor version of Kubernetes 1 that has what the manifests use: the latest is the `sleep` of a container's hook. */
const minimum = 30;

/** The one that has the gateway Service's `trafficDistribution`. */
const minimumForZones = 34;

/**
 * Checks that the cluster's version has what the manifests use. A cluster that does not tell its version passes.
 *
 * @param settings undefined if they have mistakes, which the program reports.
 * @throws UserError if it is too old, with the setting that does without a newer one if there is one
 */
export async function checkVersion(cluster: Cluster, settings: Pick<Settings, "gateway"> | undefined): Promise<void> {
  const version = await respond(cluster, cluster.config.makeApiClient(VersionApi).getCode());
  // Providers append a plus sign.
  const minor = Number.parseInt(version?.minor ?? "", 10);
  if (Number.isNaN(minor) || Number(version?.major) !== 1) return;
  const runs = `The cluster of context ${cluster.context} runs Kubernetes 1.${minor}, which does not accept`;
  if (minor < minimum) throw new UserError(`${runs} the service's manifests.\nUpgrade it to 1.${minimum} or newer.`);
  if (minor < minimumForZones && settings?.gateway.enabled && settings.gateway.preferSameZone)
    throw new UserError(
      `${runs} that the gateway prefers clients' zones.\nSet trivy-server:gateway.preferSameZone to false, or upgrade it to 1.${minimumForZones} or newer.`,
    );
}
