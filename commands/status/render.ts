import type { V1CronJob } from "@kubernetes/client-node";
import { isServer, parts } from "../../components/shared/parts.ts";
import { seconds } from "../../components/shared/quantity.ts";
import type { Settings } from "../../stacks/index.ts";
import { lastVerdict, nextRun, partsOf, projectedSize } from "./problems.ts";
import type { Facts } from "./read.ts";
import { labelled } from "./samples.ts";
import { age, mebibytes, time, wrap } from "./text.ts";

/** The result of looking at a stack. */
export interface Report {
  readonly stack: string;
  readonly namespace: string;
  readonly context: string;
  readonly facts: Facts;
  readonly settings: Settings;
  readonly problems: readonly string[];
}

const width = 80;
const label = 15;

/** Returns one screen about a stack. */
export function screen({ stack, namespace, context, facts, settings, problems }: Report, color: boolean): string {
  const paint = (code: number, text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const rows = [...workloads(facts, settings), ...details(facts, settings)];
  const result =
    problems.length > 0
      ? paint(31, problems.length === 1 ? "1 problem:" : `${problems.length} problems:`)
      : facts.unknown.length > 0
        ? paint(33, "No problem found, but not everything could be read:")
        : paint(32, "OK");
  return [
    wrap(`Stack ${stack} in the namespace ${namespace}, context ${context}, ${time(facts.time)}`, width, 2),
    "",
    ...rows.map(([name, text]) => wrap(`${name.padEnd(label - 1)} ${text}`, width, label)),
    "",
    result,
    ...problems.map((problem) => wrap(`! ${problem}`, width, 2)),
    ...facts.unknown.map((line) => wrap(`? ${line}`, width, 2)),
  ].join("\n");
}

type Row = readonly [name: string, text: string];

const titles: Readonly<Record<string, string>> = {
  server: "Servers",
  gateway: "Gateway",
  cache: "Redis",
  "redis-exporter": "Redis exporter",
  reports: "Reports",
};

function workloads(facts: Facts, settings: Settings): Row[] {
  return partsOf(facts, settings).map(({ component, name, ready, wanted, exists }): Row => {
    const versions = name === parts.server.objectName ? [...new Set(facts.servers.map(({ version }) => `Trivy ${version}`))] : [];
    const more = component === "cache" && facts.redis ? [`version ${facts.redis["redis_version"]}`] : [];
    const domain =
      isServer(component) && name !== parts.server.objectName ? [`domain ${component.slice(`${parts.server.component}-`.length)}`] : [];
    const title = titles[isServer(component) ? parts.server.component : component] ?? name;
    return [title, [...domain, exists ? `${ready} of ${wanted} ready` : "missing", ...versions, ...more].join(", ")];
  });
}

function details(facts: Facts, settings: Settings): Row[] {
  const { servers, redis, certificates, mirror, copyJob, reports, time: now } = facts;
  const builds = [...new Set(servers.map(({ built }) => built.getTime()))];
  const undelivered = reports ? labelled(reports, "trivy_registry_scan_undelivered_alerts", "receiver") : [];
  const [first] = [...certificates].sort((a, b) => a.expires.getTime() - b.expires.getTime());
  return [
    ...(builds.length === 1
      ? [["Database", `built ${time(new Date(builds[0] ?? 0))}, ${age(now, new Date(builds[0] ?? 0))} ago, on all servers`] as const]
      : servers.map(({ pod, built }): Row => ["Database", `${pod}: built ${time(built)}, ${age(now, built)} ago`])),
    ...(mirror ? mirrorRows(facts) : []),
    ...(copyJob ? [["Mirror", `${settings.database.mirror.to}: ${copied(copyJob)}`] as const] : []),
    ...(redis ? [["Cache", cacheRow(facts, settings)] as const] : []),
    ...(settings.redis.mode === "external" ? [["Cache", `${settings.redis.host}, which is not part of the stack`] as const] : []),
    ...(settings.registryScan.enabled ? [["Registry scan", scanRow(facts, settings)] as const] : []),
    ...undelivered.map(([receiver, count]): Row => ["Receiver", `${receiver}: ${count} messages wait`]),
    ...(first ? [["Certificates", `${first.secret} expires first, on ${time(first.expires)}`] as const] : []),
    ...facts.podMonitors.map(
      ({ name, selected }): Row => [
        "PodMonitor",
        `${name}: ${selected === undefined ? "not known whether selected" : selected ? "selected" : "not selected"}`,
      ],
    ),
  ];
}

function mirrorRows({ mirror, time: now }: Facts): Row[] {
  const builds = labelled(mirror ?? new Map(), "trivy_mirror_build_timestamp_seconds", "repository");
  return builds.map(([repository, built]) => [
    "Mirror",
    `${repository}: built ${time(new Date(built * 1000))}, ${age(now, new Date(built * 1000))} ago`,
  ]);
}

function copied({ status }: V1CronJob): string {
  return status?.lastSuccessfulTime ? `last successful job ${time(new Date(status.lastSuccessfulTime))}` : "no successful job yet";
}

function cacheRow(facts: Facts, { redis: settings }: Settings): string {
  const { redis = {} } = facts;
  const number = (key: string) => Number(redis[key] ?? 0);
  const reads = number("keyspace_hits") + number("keyspace_misses");
  const projected = settings.mode === "embedded" ? projectedSize(facts, seconds(settings.ttl)) : undefined;
  return [
    `${mebibytes(number("used_memory"))} of ${mebibytes(number("maxmemory"))}`,
    reads > 0 ? `${Math.round((100 * number("keyspace_hits")) / reads)} % hits` : "no reads",
    `${number("evicted_keys")} evicted in ${age(facts.time, new Date(facts.time.getTime() - number("uptime_in_seconds") * 1000))}`,
    ...(projected === undefined ? [] : [`${mebibytes(projected)} expected for ${settings.ttl}`]),
  ].join(", ");
}

function scanRow(facts: Facts, { registryScan: settings }: Settings): string {
  const end = facts.reports?.get("trivy_registry_scan_end_timestamp_seconds");
  const last = end === undefined ? "no run yet" : `last ${time(new Date(end * 1000))}, ${lastVerdict(facts) ?? "unknown"}`;
  const next = nextRun(facts, settings);
  return `${last}; next ${next ? time(next) : "never"}`;
}

/** Returns the same as the screen for programs. */
export function json({ stack, namespace, context, facts, settings, problems }: Report): string {
  const { time, servers, redis, certificates, podMonitors, reports, unknown } = facts;
  const number = (key: string) => Number(redis?.[key] ?? 0);
  return JSON.stringify(
    {
      ...{ stack, namespace, context, time },
      status: problems.length > 0 ? "action needed" : unknown.length > 0 ? "unknown" : "ok",
      ...{ problems, unknown },
      parts: partsOf(facts, settings),
      ...{ servers, certificates, podMonitors },
      redis: redis && {
        version: redis["redis_version"],
        usedBytes: number("used_memory"),
        maxBytes: number("maxmemory"),
        hits: number("keyspace_hits"),
        misses: number("keyspace_misses"),
        evicted: number("evicted_keys"),
        uptimeSeconds: number("uptime_in_seconds"),
        expectedBytes: settings.redis.mode === "embedded" ? projectedSize(facts, seconds(settings.redis.ttl)) : undefined,
      },
      registryScan: settings.registryScan.enabled
        ? {
            lastEnd: reports?.get("trivy_registry_scan_end_timestamp_seconds"),
            verdict: lastVerdict(facts),
            next: nextRun(facts, settings.registryScan),
            undelivered: Object.fromEntries(reports ? labelled(reports, "trivy_registry_scan_undelivered_alerts", "receiver") : []),
          }
        : undefined,
      mirror: facts.mirror && Object.fromEntries(labelled(facts.mirror, "trivy_mirror_build_timestamp_seconds", "repository")),
    },
    undefined,
    2,
  );
}
