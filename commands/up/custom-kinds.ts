import { CustomObjectsApi } from "@kubernetes/client-node";
import type { KubernetesObject } from "../../recorder/record.ts";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { StackFile } from "../stack-file.ts";
import { UserError } from "../user-error.ts";

/** The API groups of custom kinds that a stack may declare, each with what to do in a cluster without them. */
const groups = {
  "monitoring.coreos.com": {
    version: "v1",
    advice: "Install the Prometheus operator, or set `trivy-server:monitoring: {discovery: annotations}`.",
  },
  "gateway.networking.k8s.io": {
    version: "v1",
    advice: "Install the Gateway API and a controller for it, or set another `trivy-server:exposure: {type: …}`.",
  },
} as const;

/** Returns whether a stack's settings can lead to objects of custom kinds. */
export function mayDeclareCustomKinds({ config, project }: Pick<StackFile, "config" | "project">): boolean {
  const { [`${project}:monitoring`]: monitoring, [`${project}:exposure`]: exposure } = config;
  return monitoring !== undefined || JSON.stringify(exposure ?? "").includes("gatewayApi");
}

/** @throws UserError that names every custom kind that the cluster does not have */
export async function checkCustomKinds(cluster: Cluster, declared: readonly KubernetesObject[]): Promise<void> {
  const api = cluster.config.makeApiClient(CustomObjectsApi);
  const problems = await Promise.all(
    Object.entries(groups).map(async ([group, { version, advice }]) => {
      const kinds = new Set(declared.filter((object) => object.group === group).map(({ kind }) => kind));
      if (kinds.size === 0) return [];
      const known = await respond(cluster, api.getAPIResources({ group, version }));
      const missing = [...kinds].filter((kind) => !known?.resources.some((resource) => resource.kind === kind)).sort();
      return missing.length === 0
        ? []
        : [
            `The cluster of context ${cluster.context} has no ${missing.join(" and no ")} (${group}/${version}), which this stack needs.\n${advice}`,
          ];
    }),
  );
  if (problems.flat().length > 0) throw new UserError(problems.flat().join("\n"));
}
