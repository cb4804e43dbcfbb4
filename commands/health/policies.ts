import { parts } from "../../components/shared/parts.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { runInContainer } from "../cluster/exec.ts";
import type { Snapshot } from "./snapshot.ts";

/** Milliseconds for the whole attempt. */
const timeout = 4000;

/**
 * Redis connects to no pod, and the servers accept connections from other pods only: two policies forbid this connection. A dropped one takes the
 * whole second. Both pods exist anyway, so nothing is created or left behind.
 */
const connect = `timeout 1 "$(command -v redis-cli || command -v valkey-cli)" -h "$1" -p "$2" ping 2>&1; echo "ended: $?"`;

/**
 * Returns whether the cluster's network plugin enforces NetworkPolicies; undefined if that cannot be told: without an embedded Redis or a ready
 * server.
 *
 * @throws Error if the attempt cannot be made
 */
export async function enforcesPolicies(cluster: Cluster, { namespace, pods }: Snapshot): Promise<boolean | undefined> {
  const running = (component: string) =>
    pods.find(
      ({ metadata, status }) =>
        metadata?.labels?.["app.kubernetes.io/component"] === component &&
        !metadata.deletionTimestamp &&
        status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
    );
  const redis = running(parts.cache.component)?.metadata?.name;
  const server = running(parts.server.component);
  const port = server?.spec?.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  const address = server?.status?.podIP;
  if (redis === undefined || address === undefined || port === undefined) return undefined;
  const command = ["sh", "-c", connect, "sh", address, String(port)];
  const { stdout } = await runInContainer(cluster, { namespace, pod: redis, container: "redis" }, command, timeout);
  // A server answers with HTTP, which Redis' client does not understand.
  if (/Protocol error|Server closed the connection/.test(stdout)) return false;
  return /Could not connect|ended: (124|137|143)/.test(stdout) ? true : undefined;
}

/** What is wrong, and what to do. */
export const unenforcedPolicies =
  "The cluster does not enforce network policies: Redis' pod can connect to a server, which they forbid; use a network plugin that enforces them, see docs/guides/production.md, Access";
