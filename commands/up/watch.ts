import { setTimeout as sleep } from "node:timers/promises";
import { CoreV1Api } from "@kubernetes/client-node";
import { respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Operation, Progress } from "../engine/progress.ts";
import { dnsFinding } from "../health/dns.ts";
import { type Finding, findings, isCurrent } from "../health/findings.ts";
import { withReasons } from "../health/reasons.ts";
import { readSnapshot, type Snapshot } from "../health/snapshot.ts";
import { UserError } from "../user-error.ts";

export interface Watch {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly clusterDomain: string;
  /** What the engine is doing. */
  readonly progress: Progress;
  /** Whether to go on waiting for what cannot succeed. */
  readonly patient: boolean;
  /** Prints a line. */
  readonly report: (line: string) => void;
  /** Milliseconds between two looks at the cluster. @default 2000 */
  readonly interval?: number;
}

/**
 * Watches a stack's namespace while the engine runs, and reports what keeps the objects that the engine waits for from becoming ready.
 *
 * @param engine aborted when the engine has ended.
 * @returns why it does not help to wait longer, or undefined when the engine has ended.
 */
export async function watch(options: Watch, engine: AbortSignal): Promise<string[] | undefined> {
  const { progress, interval = 2000 } = options;
  const watcher = new Watcher(options);
  while (!engine.aborted) {
    const pending = progress.pending.filter(({ deletes }) => !deletes);
    // The cluster may be unreachable for a moment; the engine reports it if it lasts.
    const hopeless = pending.length > 0 ? await watcher.look(pending).catch(ignoreUserError) : undefined;
    if (hopeless && hopeless.length > 0 && !engine.aborted) return hopeless;
    await sleep(interval, undefined, { signal: engine }).catch(() => undefined);
  }
  return undefined;
}

function ignoreUserError(error: unknown): undefined {
  if (!(error instanceof UserError)) throw error;
}

/** Seconds for which only Services may be pending after an error: nothing that they wait for is created any more. */
const orphanSeconds = 20;

class Watcher {
  private readonly options: Watch;
  /** When each finding was first seen, in milliseconds. Findings that have passed are forgotten. */
  private seen = new Map<string, number>();
  private readonly reported = new Set<string>();
  private readonly replaced = new Set<string>();
  private orphanedSince: number | undefined;
  private dnsAsked = Number.NEGATIVE_INFINITY;
  private dns: Finding | undefined;

  constructor(options: Watch) {
    this.options = options;
  }

  /** Looks at the cluster once, reports new problems, and returns those for which it does not help to wait. */
  async look(pending: readonly Operation[]): Promise<string[]> {
    const { cluster, namespace, report, patient } = this.options;
    const snapshot = await readSnapshot(cluster, namespace);
    await this.replaceStuckPods(snapshot, pending);
    const found = [...(await this.resolution(snapshot)), ...findings(snapshot).filter((finding) => isWaitedFor(finding, pending))];
    const now = performance.now();
    this.seen = new Map(found.map(({ key }) => [key, this.seen.get(key) ?? now]));
    const described = new Map<string, string>();
    const describe = async (all: readonly Finding[]) => {
      for (const finding of await withReasons(cluster, namespace, all)) described.set(finding.key, line(finding));
    };
    // A first refusal may be a race with a quota's controller; a first failure of a pull with the registry.
    const fresh = found.filter(({ key }) => !this.reported.has(key) && this.age(key, now) > 0);
    await describe(fresh);
    for (const { key } of fresh) {
      this.reported.add(key);
      report(`! ${described.get(key)}`);
    }
    if (patient) return [];
    const hopeless = found.filter(
      ({ key, patience }) => this.reported.has(key) && patience !== undefined && this.age(key, now) >= patience * 1000,
    );
    await describe(hopeless.filter(({ key }) => !described.has(key)));
    const orphaned = this.orphaned(pending, now) ? ["The operations in progress wait for what failed, as reported above"] : [];
    return [...hopeless.map(({ key }) => described.get(key) ?? ""), ...(hopeless.length > 0 ? [] : orphaned)];
  }

  private age(key: string, now: number): number {
    return now - (this.seen.get(key) ?? now);
  }

  /** Asks pods whether DNS works, every ten seconds while pods take long to start. */
  private async resolution(snapshot: Snapshot): Promise<Finding[]> {
    const unready = snapshot.pods.some(
      ({ metadata, status }) =>
        snapshot.time.getTime() - new Date(metadata?.creationTimestamp ?? snapshot.time).getTime() > 8000 &&
        status?.conditions?.some(({ type, status }) => type === "Ready" && status === "False"),
    );
    if (!unready) return [];
    if (performance.now() - this.dnsAsked > 10_000) {
      this.dnsAsked = performance.now();
      this.dns = await dnsFinding(this.options.cluster, snapshot, this.options.clusterDomain);
    }
    return this.dns ? [this.dns] : [];
  }

  private orphaned(pending: readonly Operation[], now: number): boolean {
    if (!this.options.progress.hasFailed || !pending.every(({ type }) => type === "kubernetes:core/v1:Service")) {
      this.orphanedSince = undefined;
      return false;
    }
    this.orphanedSince ??= now;
    return now - this.orphanedSince >= orphanSeconds * 1000;
  }

  /**
   * Deletes pods of an earlier revision that are not ready, of StatefulSets that the engine updates: the StatefulSet would wait for them to
   * become ready before it replaces them (kubernetes/kubernetes#67250).
   */
  private async replaceStuckPods(snapshot: Snapshot, pending: readonly Operation[]): Promise<void> {
    const { cluster, namespace, report } = this.options;
    const stuck = snapshot.pods.filter((pod) => {
      const { metadata, status } = pod;
      const component = metadata?.labels?.["app.kubernetes.io/component"];
      return (
        metadata?.ownerReferences?.[0]?.kind === "StatefulSet" &&
        !metadata.deletionTimestamp &&
        !this.replaced.has(metadata.uid ?? "") &&
        !isCurrent(snapshot, pod) &&
        status?.conditions?.some(({ type, status }) => type === "Ready" && status === "False") &&
        pending.some((operation) => operation.type.endsWith(":StatefulSet") && operation.component === component)
      );
    });
    for (const { metadata: { name = "", uid = "" } = {} } of stuck) {
      this.replaced.add(uid);
      const preconditions = { uid };
      await respond(cluster, cluster.config.makeApiClient(CoreV1Api).deleteNamespacedPod({ name, namespace, body: { preconditions } }));
      report(`The pod ${name} is not ready and of an earlier revision, so it is deleted: its StatefulSet would not replace it.`);
    }
  }
}

/** Returns a finding as one line. */
export const line = ({ problem, advice }: Finding): string => `${problem}; ${advice}`;

/** Returns whether a finding is about something that the engine waits for. */
const isWaitedFor = ({ component, ofJob }: Finding, pending: readonly Operation[]) =>
  !ofJob && pending.some((operation) => operation.component === component);
