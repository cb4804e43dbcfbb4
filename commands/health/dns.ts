import type { Cluster } from "../cluster/cluster.ts";
import { runInContainer } from "../cluster/exec.ts";
import type { Finding } from "./findings.ts";
import type { Snapshot } from "./snapshot.ts";

/** Exit codes: 0 resolved, 1 not resolved, 127 the image has no tool for it. */
const lookUp = `
  if command -v getent >/dev/null; then timeout 5 getent hosts "$0" >/dev/null && exit 0
  elif command -v nslookup >/dev/null; then timeout 5 nslookup "$0." 2>/dev/null | grep -q '^Name:' && exit 0
  else exit 127; fi
  exit 1`;

/**
 * Asks running pods, one of each of up to three components, to resolve the API server's name.
 *
 * @returns a finding if those that could be asked cannot resolve it
 */
export async function dnsFinding(cluster: Cluster, snapshot: Snapshot, clusterDomain: string): Promise<Finding | undefined> {
  const running = snapshot.pods.flatMap(({ metadata, status }) => {
    const container = status?.containerStatuses?.find(({ state }) => state?.running);
    const component = metadata?.labels?.["app.kubernetes.io/component"] ?? "";
    return container && !metadata?.deletionTimestamp
      ? [[component, { pod: metadata?.name ?? "", container: container.name }] as const]
      : [];
  });
  const asked = [...new Map(running).values()].slice(0, 3);
  const name = `kubernetes.default.svc.${clusterDomain}`;
  const { namespace } = snapshot;
  const codes = await Promise.all(
    asked.map((container) =>
      runInContainer(cluster, { namespace, ...container }, ["sh", "-c", lookUp, name], 9_000).then(
        ({ code }) => code,
        () => undefined,
      ),
    ),
  );
  const failed = asked.filter((_, index) => codes[index] === 1);
  if (failed.length === 0 || codes.includes(0)) return undefined;
  return {
    key: "dns",
    component: "",
    ofJob: false,
    problem: `No pod can resolve the cluster's own name: ${failed.map(({ pod }) => pod).join(", ")} asked for ${name}`,
    advice:
      "check that the cluster's DNS runs (`kubectl get pods -n kube-system -l k8s-app=kube-dns`), that clusterDomain is the cluster's domain, " +
      "and whether its resolvers are elsewhere or listen on another port: set dns (docs/guides/clusters.md#dns)",
    patience: 15,
  };
}
