import { X509Certificate } from "node:crypto";
import { BatchV1Api, CoreV1Api, CustomObjectsApi, type V1CronJob, type V1Pod } from "@kubernetes/client-node";
import { z } from "zod";
import { isServer, parts } from "../../components/shared/parts.ts";
import { scanName } from "../../registry-scan/index.ts";
import { RequestError, respond } from "../cluster/api.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { runInContainer } from "../cluster/exec.ts";
import { getFromPod } from "../cluster/port-forward.ts";
import { type Finding, findings } from "../health/findings.ts";
import { enforcesPolicies } from "../health/policies.ts";
import { withReasons } from "../health/reasons.ts";
import { readSnapshot, type Snapshot } from "../health/snapshot.ts";
import { type Samples, samples } from "./samples.ts";

/** A Trivy server. */
export interface ServerFacts {
  readonly pod: string;
  readonly version: string;
  /** When its database was built. */
  readonly built: Date;
  readonly downloaded: Date;
}

/** The embedded Redis, from its INFO. */
export type RedisFacts = Readonly<Record<string, string>>;

export interface CertificateFacts {
  readonly secret: string;
  /** Whether the stack's own program creates it. */
  readonly generated: boolean;
  readonly subject: string;
  readonly expires: Date;
}

/** A PodMonitor, and whether a Prometheus selects it; undefined if that cannot be told. */
export interface PodMonitorFacts {
  readonly name: string;
  readonly selected: boolean | undefined;
}

/** What the cluster says about a stack. Parts that it did not say are undefined, with the reason in `unknown`. */
export interface Facts {
  readonly time: Date;
  readonly snapshot: Snapshot;
  readonly findings: readonly Finding[];
  readonly servers: readonly ServerFacts[];
  readonly redis: RedisFacts | undefined;
  readonly reports: Samples | undefined;
  readonly mirror: Samples | undefined;
  readonly cronJob: V1CronJob | undefined;
  /** The CronJob that copies the database to a registry. */
  readonly copyJob: V1CronJob | undefined;
  readonly certificates: readonly CertificateFacts[];
  readonly podMonitors: readonly PodMonitorFacts[];
  /** Whether the cluster enforces network policies. */
  readonly policiesEnforced: boolean | undefined;
  /** What could not be read, and why. */
  readonly unknown: readonly string[];
}

/** Milliseconds for an answer of a pod. */
const timeout = 4000;

/** @throws RequestError if the cluster cannot be read */
export async function readFacts(cluster: Cluster, namespace: string): Promise<Facts> {
  const snapshot = await readSnapshot(cluster, namespace);
  const unknown: string[] = [];
  const attempt = async <T>(what: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      const reason = error instanceof RequestError && error.code === 403 ? "not permitted" : (error as Error).message.split("\n")[0];
      unknown.push(`${what}: ${reason}`);
      return undefined;
    }
  };
  const ready = (component: string) => snapshot.pods.filter((pod) => isReady(pod) && componentOf(pod) === component);
  const fromPod = (pod: V1Pod, port: number, path: string) => getFromPod(cluster, { namespace, pod: nameOf(pod), port }, path, timeout);
  const fromFirst = async (component: string, port: (pod: V1Pod) => number | undefined) => {
    const [pod] = ready(component);
    const number = pod && port(pod);
    if (!pod || number === undefined) return undefined;
    return attempt(`metrics of ${nameOf(pod)}`, async () => samples(await fromPod(pod, number, "/metrics")));
  };
  const fromRedis = async (pod: V1Pod | undefined) => pod && attempt("Redis", () => redisInfo(cluster, namespace, nameOf(pod)));
  const cronJobNamed = (name: string) =>
    attempt("CronJob", () => respond(cluster, cluster.config.makeApiClient(BatchV1Api).readNamespacedCronJob({ name, namespace })));
  const [servers, redis, reports, mirror, cronJob, copyJob, certificates, podMonitors, policiesEnforced, described] = await Promise.all([
    Promise.all(
      snapshot.pods
        .filter((pod) => isReady(pod) && isServer(componentOf(pod)))
        .map((pod) =>
          attempt(`version of ${nameOf(pod)}`, async () => server(nameOf(pod), await fromPod(pod, portOf(pod, "http") ?? 0, "/version"))),
        ),
    ),
    fromRedis(ready(parts.cache.component)[0]),
    fromFirst(parts.reports.component, (pod) => portOf(pod, "metrics")),
    fromFirst(parts.database.component, (pod) => portOf(pod, "metrics")),
    cronJobNamed(scanName),
    cronJobNamed(parts.database.objectName),
    attempt("certificates", () => readCertificates(cluster, snapshot)),
    attempt("PodMonitors", () => readPodMonitors(cluster, namespace)),
    attempt("network policies", () => enforcesPolicies(cluster, snapshot)),
    withReasons(cluster, namespace, findings(snapshot)),
  ]);
  return {
    time: new Date(),
    snapshot,
    findings: described,
    servers: servers.filter((one) => one !== undefined),
    ...{ redis, reports, mirror, cronJob, copyJob },
    certificates: certificates ?? [],
    podMonitors: podMonitors ?? [],
    policiesEnforced,
    unknown,
  };
}

export const nameOf = ({ metadata }: Pick<V1Pod, "metadata">) => metadata?.name ?? "";
export const componentOf = ({ metadata }: Pick<V1Pod, "metadata">) => metadata?.labels?.["app.kubernetes.io/component"] ?? "";

export const isReady = ({ metadata, status }: V1Pod) =>
  !metadata?.deletionTimestamp && Boolean(status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"));

const portOf = ({ spec }: V1Pod, name: string) =>
  spec?.containers.flatMap(({ ports = [] }) => ports).find((port) => port.name === name)?.containerPort;

const versionAnswer = z.object({
  Version: z.string(),
  VulnerabilityDB: z.object({ UpdatedAt: z.coerce.date(), DownloadedAt: z.coerce.date() }),
});

function server(pod: string, answer: string): ServerFacts {
  const { Version, VulnerabilityDB } = versionAnswer.parse(JSON.parse(answer));
  return { pod, version: Version, built: VulnerabilityDB.UpdatedAt, downloaded: VulnerabilityDB.DownloadedAt };
}

/** The monitoring user may run INFO; its password is in the environment of the container. */
const info = `
  client=/etc/redis/tls-client
  [ -d $client ] && set -- --tls --cacert $client/ca.crt --cert $client/tls.crt --key $client/tls.key
  [ ! -e /data/started-empty ] || echo "started_empty:$(cat /data/started-empty)"
  exec "$(command -v redis-cli || command -v valkey-cli)" "$@" --user monitor --no-auth-warning info everything`;

async function redisInfo(cluster: Cluster, namespace: string, pod: string): Promise<RedisFacts> {
  const { code, stdout } = await runInContainer(cluster, { namespace, pod, container: "redis" }, ["sh", "-c", info], timeout);
  const facts = Object.fromEntries(stdout.split("\n").flatMap((line) => (/^\w+:/.test(line) ? [split(line.trim())] : [])));
  if (code !== 0 || facts["used_memory"] === undefined) throw new Error(stdout.trim().slice(0, 200) || `redis-cli ended with ${code}`);
  return facts;
}

const split = (line: string): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)];

/** Reads the certificates in the Secrets that the stack's pods mount. */
async function readCertificates(cluster: Cluster, { namespace, pods }: Snapshot): Promise<CertificateFacts[]> {
  const volumes = pods.flatMap(({ spec }) => spec?.volumes ?? []);
  const names = volumes.flatMap(({ secret, projected }) => [
    ...(secret?.secretName ? [secret.secretName] : []),
    ...(projected?.sources?.flatMap((source) => source.secret?.name ?? []) ?? []),
  ]);
  const core = cluster.config.makeApiClient(CoreV1Api);
  const found = await Promise.all(
    [...new Set(names)].map(async (name) => {
      const secret = await respond(cluster, core.readNamespacedSecret({ name, namespace }));
      const generated = secret?.metadata?.labels?.["app.kubernetes.io/managed-by"] === "pulumi";
      return Object.entries(secret?.data ?? {})
        .filter(([key]) => key.endsWith(".crt") || key.endsWith(".pem"))
        .flatMap(([, value]) => certificate(Buffer.from(value, "base64")))
        .map(({ subject, validTo }): CertificateFacts => ({ secret: name, generated, subject, expires: new Date(validTo) }));
    }),
  );
  return found.flat();
}

/** Returns the first certificate of a PEM file, the one that expires first in practice. */
function certificate(pem: Buffer): X509Certificate[] {
  try {
    return [new X509Certificate(pem)];
  } catch {
    return [];
  }
}

const selector = z
  .object({
    matchLabels: z.record(z.string(), z.string()).optional(),
    matchExpressions: z.array(z.object({ key: z.string(), operator: z.string(), values: z.array(z.string()).default([]) })).default([]),
  })
  .nullish();
type Selector = z.infer<typeof selector>;

const metadata = z.object({ name: z.string(), namespace: z.string(), labels: z.record(z.string(), z.string()).default({}) });
const monitorList = z.object({ items: z.array(z.object({ metadata })) });
const prometheusList = z.object({
  items: z.array(z.object({ metadata, spec: z.object({ podMonitorSelector: selector, podMonitorNamespaceSelector: selector }) })),
});

/** Returns the namespace's PodMonitors. None without the Prometheus Operator. */
async function readPodMonitors(cluster: Cluster, namespace: string): Promise<PodMonitorFacts[]> {
  const api = cluster.config.makeApiClient(CustomObjectsApi);
  const group = { group: "monitoring.coreos.com", version: "v1" };
  const { items: monitors } = monitorList.parse(
    (await respond(cluster, api.listNamespacedCustomObject({ ...group, namespace, plural: "podmonitors" }))) ?? { items: [] },
  );
  if (monitors.length === 0) return [];
  const allowed = <T>(request: Promise<T>) =>
    respond(cluster, request).catch((error: unknown) => {
      if (error instanceof RequestError && error.code === 403) return undefined;
      throw error;
    });
  const [all, own] = await Promise.all([
    allowed(api.listCustomObjectForAllNamespaces({ ...group, resourcePlural: "prometheuses" })),
    allowed(cluster.config.makeApiClient(CoreV1Api).readNamespace({ name: namespace })),
  ]);
  const labels = own?.metadata?.labels;
  if (all === undefined || labels === undefined) return monitors.map(({ metadata: { name } }) => ({ name, selected: undefined }));
  const { items } = prometheusList.parse(all);
  return monitors.map(({ metadata: { name, labels: own } }) => ({
    name,
    selected: items.some(
      ({ metadata: { namespace: home }, spec: { podMonitorSelector, podMonitorNamespaceSelector: namespaces } }) =>
        // Without a selector of namespaces, only the Prometheus' own.
        (namespaces ? isSelected(namespaces, labels) : home === namespace) && isSelected(podMonitorSelector, own),
    ),
  }));
}

/** Returns whether a selector selects labels. An absent one selects nothing, an empty one everything. */
export function isSelected(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  if (!selector) return false;
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    selector.matchExpressions.every(({ key, operator, values }) => {
      const value = labels[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      const isIn = value !== undefined && values.includes(value);
      return operator === "In" ? isIn : !isIn;
    })
  );
}
