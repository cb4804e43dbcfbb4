import { Cron } from "croner";
import { imageReference, type images } from "../../components/shared/images.ts";
import { isServer, objectsName, parts, serverPart } from "../../components/shared/parts.ts";
import { bytes, seconds } from "../../components/shared/quantity.ts";
import type { Settings } from "../../stacks/index.ts";
import { unenforcedPolicies } from "../health/policies.ts";
import { componentOf, type Facts, isReady, nameOf } from "./read.ts";
import { labelled } from "./samples.ts";
import { age, day, hour, mebibytes, time } from "./text.ts";

/** A part of a stack, with the numbers of its pods. */
export interface PartFacts {
  readonly component: string;
  readonly name: string;
  readonly ready: number;
  readonly wanted: number;
  readonly exists: boolean;
}

const monitorsOf = ({ enabled, namespaces }: Settings["monitoring"]) => (enabled ? namespaces : []);

/** Returns the parts that a stack must have according to its settings, with the numbers of their pods. */
export function partsOf({ snapshot }: Facts, settings: Settings): PartFacts[] {
  const { namespace, redis, gateway, domains, registryScan, database, monitoring } = settings;
  const expected = [
    parts.server,
    ...domains.map(({ name }) => serverPart(name)),
    ...(gateway.enabled ? [parts.gateway] : []),
    ...(redis.mode === "embedded" ? [parts.cache] : []),
    ...(redis.mode === "embedded" && (redis.monitors.length > 0 || monitorsOf(monitoring).length > 0) ? [parts.redisExporter] : []),
    ...(registryScan.enabled ? [parts.reports] : []),
    ...(database.mirror.enabled && database.mirror.to === undefined ? [parts.database] : []),
    ...(monitoring.enabled ? [parts.exporter] : []),
  ];
  const workloads = [...snapshot.deployments, ...snapshot.statefulSets];
  return expected.map((part) => {
    const { component } = part;
    const name = objectsName(part, !namespace.create);
    const workload = workloads.find(({ metadata }) => metadata?.name === name);
    const ready = snapshot.pods.filter((pod) => componentOf(pod) === component && isReady(pod)).length;
    return { component, name, ready, wanted: workload?.spec?.replicas ?? 1, exists: workload !== undefined };
  });
}

/** Returns what is wrong with a stack: one line each, with what to do. */
export function problems(facts: Facts, settings: Settings, stack: string): string[] {
  return [
    ...facts.findings.map(({ problem, advice }) => `${problem}; ${advice}`),
    ...replicas(facts, settings, stack),
    ...(facts.policiesEnforced === false ? [unenforcedPolicies] : []),
    ...imageDifferences(facts, settings, stack),
    ...databases(facts),
    ...cache(facts, settings),
    ...registryScan(facts, settings),
    ...expiring(facts, stack),
    ...monitors(facts),
    ...mirror(facts, settings),
    ...copies(facts, settings, stack),
  ];
}

function replicas(facts: Facts, settings: Settings, stack: string): string[] {
  return partsOf(facts, settings).flatMap(({ component, name, ready, wanted, exists }) => {
    if (!exists) return [`${name} does not exist; run \`npm run up -- ${stack}\``];
    if (wanted === 0)
      return [`${name} is scaled to 0; run \`kubectl scale\` or \`npm run refresh -- ${stack}\` and \`npm run up -- ${stack}\``];
    const explained = facts.findings.some((finding) => finding.component === component);
    return ready < wanted && !explained
      ? [`${name}: ${ready} of ${wanted} replicas are ready; wait if they are starting, or see their logs`]
      : [];
  });
}

const imageOf: Readonly<Record<string, keyof typeof images>> = {
  [parts.cache.component]: "redis",
  [parts.gateway.component]: "haproxy",
  [parts.reports.component]: "node",
  [parts.redisExporter.component]: "redisExporter",
  [parts.database.component]: "node",
  [parts.exporter.component]: "node",
};

function imageDifferences({ snapshot }: Facts, settings: Settings, stack: string): string[] {
  const different = new Map<string, string[]>();
  for (const pod of snapshot.pods.filter(({ metadata }) => !metadata?.deletionTimestamp)) {
    const component = componentOf(pod);
    const name = isServer(component) ? "trivy" : imageOf[component];
    const actual = pod.spec?.containers[0]?.image ?? "";
    const wanted = name && imageReference(name, settings.images);
    if (wanted === undefined || wanted === actual) continue;
    const text = `run ${actual} instead of ${wanted} of the settings; run \`npm run refresh -- ${stack}\`, then \`npm run up -- ${stack}\``;
    different.set(text, [...(different.get(text) ?? []), nameOf(pod)]);
  }
  return [...different].map(([text, pods]) => `${pods.join(", ")} ${text}`);
}

/** Hours after which a database is old: builds are published every day. */
const oldHours = 36;

function databases({ servers, time: now }: Facts): string[] {
  const builds = servers.map(({ built }) => built.getTime());
  const newest = Math.max(...builds);
  const old = servers.filter(({ built }) => now.getTime() - built.getTime() > oldHours * hour);
  const behind = servers.filter(({ built }) => built.getTime() < newest);
  // A server looks for a new database every hour, each at its own time.
  const late = servers.some(({ built, downloaded }) => built.getTime() === newest && now.getTime() - downloaded.getTime() > 1.5 * hour);
  const names = (some: typeof servers) => some.map(({ pod }) => pod).join(", ");
  return [
    ...(old.length > 0
      ? [
          `${names(old)}: the vulnerability database is ${age(now, new Date(Math.min(...old.map(({ built }) => built.getTime()))))} old; ` +
            "check that database.repositories has a newer one, and the servers' logs",
        ]
      : []),
    ...(behind.length > 0 && late
      ? [`${names(behind)}: the vulnerability database is older than that of the other servers; see its log, or delete the pod`]
      : []),
  ];
}

/** Returns the number of entries in all of Redis' databases, and their average time to live in milliseconds. */
function keyspace(redis: Facts["redis"]): { readonly keys: number; readonly averageTtl: number } {
  const databases = Object.entries(redis ?? {}).flatMap(([name, text]) => {
    const [, keys = "0", ttl = "0"] = (/^db\d+$/.test(name) && /keys=(\d+).*avg_ttl=(\d+)/.exec(text)) || [];
    return [{ keys: Number(keys), ttl: Number(ttl) }];
  });
  const keys = databases.reduce((sum, database) => sum + database.keys, 0);
  return { keys, averageTtl: databases.reduce((sum, database) => sum + database.keys * database.ttl, 0) / Math.max(1, keys) };
}

/** Returns the expected size of the cache when entries expire as fast as they are written, in bytes; undefined if that is not known yet. */
export function projectedSize({ redis }: Facts, ttlSeconds: number): number | undefined {
  const { keys: count, averageTtl } = keyspace(redis);
  // Entries have equal lifetimes, so their average age is half of the time in which they were written.
  const written = Math.min(2 * (ttlSeconds - averageTtl / 1000), ttlSeconds);
  if (count < 100 || written < 3600) return undefined;
  return (Number(redis?.["used_memory_dataset"] ?? 0) * ttlSeconds) / written;
}

function cache(facts: Facts, { redis: settings }: Settings): string[] {
  const { redis } = facts;
  if (!redis || settings.mode !== "embedded") return [];
  const number = (key: string) => Number(redis[key] ?? 0);
  const limit = number("maxmemory") || bytes(settings.maxMemory);
  const used = number("used_memory") / limit;
  const { keys } = keyspace(redis);
  const evictedPerHour = number("evicted_keys") / Math.max(1, number("uptime_in_seconds") / 3600);
  const projected = projectedSize(facts, seconds(settings.ttl)) ?? 0;
  const raise = "raise redis.maxMemory or shorten redis.ttl";
  return [
    ...(evictedPerHour > 0.01 * keys && number("evicted_keys") > 0
      ? [`Redis is too small: it evicted ${redis["evicted_keys"]} entries since it started; ${raise}`]
      : used > 0.8
        ? [`Redis is nearly full: ${mebibytes(number("used_memory"))} of ${mebibytes(limit)}; ${raise}`]
        : projected > limit
          ? [`Redis will be full: at the present rate it needs ${mebibytes(projected)} for a redis.ttl of ${settings.ttl}; ${raise}`]
          : []),
    ...(redis["aof_enabled"] === "0" && settings.persistence.enabled
      ? ["Redis runs without its volume, which cannot be written; repair or replace the volume, and delete the pod redis-0"]
      : []),
    ...(redis["started_empty"]
      ? [`Redis started empty: ${redis["started_empty"]}; check the volume, this line ends with the next restart`]
      : []),
    ...(redis["aof_last_write_status"] === "err"
      ? ["Redis cannot write to its volume and rejects new entries; raise redis.persistence.size, or see `kubectl logs redis-0`"]
      : []),
    ...(redis["aof_last_bgrewrite_status"] === "err"
      ? ["Redis cannot rewrite its append-only file, which grows; raise redis.persistence.size or redis.maxMemory"]
      : []),
  ];
}

/** Returns when a schedule is due next. */
export function nextRun(
  { time: now }: Facts,
  { schedule, timeZone }: Pick<Settings["registryScan"], "schedule" | "timeZone">,
): Date | undefined {
  return new Cron(schedule, { timezone: timeZone }).nextRun(now) ?? undefined;
}

function registryScan(facts: Facts, { registryScan: settings }: Settings): string[] {
  if (!settings.enabled) return [];
  const { cronJob, reports, time: now } = facts;
  if (!cronJob)
    return facts.unknown.some((line) => line.startsWith("CronJob")) ? [] : ["The registry scan does not exist; run `npm run up`"];
  const { spec, status, metadata } = cronJob;
  const [previous] = new Cron(settings.schedule, { timezone: settings.timeZone }).previousRuns(1, now);
  const scheduled = new Date(status?.lastScheduleTime ?? 0);
  const isDue = previous && previous > new Date(metadata?.creationTimestamp ?? 0) && now.getTime() - previous.getTime() > 0.25 * hour;
  const messages = (metric: string) => (reports ? labelled(reports, metric, "receiver").filter(([, count]) => count > 0) : []);
  const verdict = lastVerdict(facts);
  return [
    ...(spec?.suspend ? ["The registry scan is suspended; run `npm run refresh` and `npm run up`, or set `suspend` to false"] : []),
    ...(isDue && !spec?.suspend && scheduled < previous
      ? [`The registry scan of ${time(previous)} did not start; see \`kubectl describe cronjob ${metadata?.name}\``]
      : []),
    ...(verdict === "errors" ? ["The last registry scan ended with errors; see its report, or run `npm run scan`"] : []),
    ...messages("trivy_registry_scan_undelivered_alerts").map(
      ([receiver, count]) => `${count} messages for the receiver ${receiver} wait; check its address and \`kubectl logs trivy-reports-0\``,
    ),
    ...messages("trivy_registry_scan_refused_alerts").map(
      ([receiver, count]) =>
        `The receiver ${receiver} refuses ${count} messages; see \`kubectl logs trivy-reports-0\`, correct registryScan.alerts and run \`npm run up\``,
    ),
    ...(reports?.get("trivy_registry_scan_volume_trouble") === 1
      ? ["The reports server cannot write to its volume; raise registryScan.reports.size, or lower registryScan.reports.keep"]
      : []),
  ];
}

/** Returns the verdict of the last run; undefined before the first one. */
export const lastVerdict = ({ reports }: Facts): string | undefined =>
  reports && labelled(reports, "trivy_registry_scan_verdict", "verdict").find(([, value]) => value === 1)?.[0];

/** Days before its end at which a certificate is reported. */
const renewalDays = 14;

function expiring({ certificates, time: now }: Facts, stack: string): string[] {
  return certificates
    .filter(({ expires }) => expires.getTime() - now.getTime() < renewalDays * day)
    .map(({ secret, generated, expires }) => {
      const verb = expires < now ? "expired" : "expires";
      const advice = generated ? `run \`npm run up -- ${stack}\`` : `renew the Secret ${secret}`;
      return `The certificate in the Secret ${secret} ${verb} on ${time(expires)}; ${advice}`;
    });
}

function monitors({ podMonitors }: Facts): string[] {
  return podMonitors
    .filter(({ selected }) => selected === false)
    .map(({ name }) => `No Prometheus selects the PodMonitor ${name}; give it the labels of a Prometheus' podMonitorSelector`);
}

/** Hours after which a mirror has missed builds. */
const mirrorHours = 12;

function mirror({ mirror, time: now }: Facts, { database: { mirror: settings } }: Settings): string[] {
  if (!mirror || settings.offline) return [];
  const success =
    mirror.get("trivy_mirror_last_success_timestamp_seconds") ??
    Math.max(0, ...labelled(mirror, "trivy_mirror_last_success_timestamp_seconds", "repository").map(([, value]) => value));
  const last = new Date(success * 1000);
  if (success > 0 && now.getTime() - last.getTime() < mirrorHours * hour) return [];
  const since = success > 0 ? `since ${time(last)}` : "since it started";
  return [`The database mirror has not reached its upstream ${since}; see the log of trivy-database-0`];
}

/** Number of runs in a row without a success after which copies to a registry are reported. */
const copyAttempts = 3;

function copies({ copyJob, unknown, time: now }: Facts, { database: { mirror: settings } }: Settings, stack: string): string[] {
  if (!settings.enabled || settings.to === undefined) return [];
  if (!copyJob)
    return unknown.some((line) => line.startsWith("CronJob"))
      ? []
      : [`The job that copies the database does not exist; run \`npm run up -- ${stack}\``];
  const { metadata, spec, status } = copyJob;
  if (spec?.suspend)
    return [`The job that copies the database is suspended; run \`npm run refresh -- ${stack}\` and \`npm run up -- ${stack}\``];
  const since = new Date(status?.lastSuccessfulTime ?? metadata?.creationTimestamp ?? 0);
  const runs = new Cron(spec?.schedule ?? "", { timezone: spec?.timeZone ?? "UTC" }).previousRuns(copyAttempts, now);
  if (runs.length < copyAttempts || runs.some((run) => run <= since)) return [];
  return [
    `The database was not copied to ${settings.to} since ${time(since)}; see the log of a job in ` +
      `\`kubectl get jobs -l app.kubernetes.io/component=${parts.database.component}\``,
  ];
}
