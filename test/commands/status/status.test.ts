import type { V1CronJob, V1Pod } from "@kubernetes/client-node";
import { expect } from "chai";
import { problems } from "../../../commands/status/problems.ts";
import { type Facts, isSelected } from "../../../commands/status/read.ts";
import { json, screen } from "../../../commands/status/render.ts";
import { samples } from "../../../commands/status/samples.ts";
import { images } from "../../../components/shared/images.ts";
import { checkSettings } from "../../../stacks/index.ts";

const now = new Date("2026-11-26T10:00:00Z");
const ago = (hours: number) => new Date(now.getTime() - hours * 3_600_000);
const labels = (component: string) => ({ "app.kubernetes.io/component": component });
const settings = checkSettings({
  gateway: { enabled: true, clients: [{ name: "ci" }] },
  server: { replicas: 2 },
  registryScan: { enabled: true, schedule: "0 3 * * *", targets: [{ image: "registry.example.com/app:1.0" }] },
});
const pod = (name: string, component: string, image: string): V1Pod => ({
  metadata: { name, labels: labels(component) },
  spec: { containers: [{ name: "c", image }] },
  status: { conditions: [{ type: "Ready", status: "True" }] },
});
const workload = (name: string, replicas: number) => ({
  metadata: { name },
  spec: { replicas, selector: {}, template: {} },
  status: { replicas },
});
const redis = {
  ...{ redis_version: "8.10.2", used_memory: "52428800", used_memory_dataset: "40000000", maxmemory: "536870912" },
  ...{ keyspace_hits: "960", keyspace_misses: "40", evicted_keys: "0", uptime_in_seconds: "864000" },
  ...{ db0: "keys=1000,expires=1000,avg_ttl=302400000", aof_last_write_status: "ok", aof_last_bgrewrite_status: "ok" },
};
const reports = (undelivered = 0, verdict = "clean", trouble = 0, refused = 0) =>
  samples(
    `# HELP x\ntrivy_registry_scan_undelivered_alerts{receiver="slack"} ${undelivered}\ntrivy_registry_scan_refused_alerts{receiver="slack"} ${refused}\ntrivy_registry_scan_verdict{verdict="${verdict}"} 1\n` +
      `trivy_registry_scan_volume_trouble ${trouble}\ntrivy_registry_scan_end_timestamp_seconds ${ago(6.9).getTime() / 1000}\n`,
  );
const cronJob = (lastScheduleTime: Date, suspend = false): V1CronJob => ({
  metadata: { name: "trivy-registry-scan", creationTimestamp: ago(500) },
  spec: { suspend, schedule: "0 3 * * *", jobTemplate: {} },
  status: { lastScheduleTime },
});
const server = (pod: string, builtHoursAgo: number) => ({ pod, version: "0.74.0", built: ago(builtHoursAgo), downloaded: ago(2) });
const good: Facts = {
  time: now,
  snapshot: {
    ...{ time: now, namespace: "trivy", replicaSets: [], jobs: [], claims: [], events: [] },
    pods: [
      pod("trivy-server-a", "server", images.trivy),
      pod("trivy-server-b", "server", images.trivy),
      pod("trivy-gateway-a", "gateway", images.haproxy),
      pod("trivy-gateway-b", "gateway", images.haproxy),
      pod("redis-0", "cache", images.redis),
      pod("trivy-reports-0", "reports", images.node),
    ],
    deployments: [workload("trivy-server", 2), workload("trivy-gateway", 2)],
    statefulSets: [workload("redis", 1), workload("trivy-reports", 1)],
  },
  findings: [],
  servers: [server("trivy-server-a", 4), server("trivy-server-b", 4)],
  redis,
  reports: reports(),
  mirror: undefined,
  cronJob: cronJob(ago(7)),
  copyJob: undefined,
  certificates: [{ secret: "trivy-gateway-certificate", generated: true, subject: "CN=trivy", expires: ago(-90 * 24) }],
  podMonitors: [{ name: "trivy", selected: true }],
  policiesEnforced: true,
  unknown: [],
};
const of = (facts: Partial<Facts>) => problems({ ...good, ...facts }, settings, "prod");
const withPods = (pods: V1Pod[]) => ({ snapshot: { ...good.snapshot, pods } });
const report = (facts: Partial<Facts>) => ({
  ...{ stack: "prod", namespace: "trivy", context: "kind-a", facts: { ...good, ...facts }, settings },
  problems: of(facts),
});

describe("npm run status", () => {
  it("a stack that works has no problems", () => {
    expect(of({})).to.deep.equal([]);
  });

  it("copies to a registry are reported after three runs without a success, or when they are suspended or missing", () => {
    const to = "registry.example.com/security/trivy-db:2";
    const mirrored = checkSettings({
      gateway: { enabled: true, clients: [{ name: "ci" }] },
      server: { replicas: 2 },
      database: { mirror: { enabled: true, to, existingSecret: "push" } },
    });
    const copyJob = (lastSuccessfulTime: Date | undefined, suspend = false): V1CronJob => ({
      metadata: { name: "trivy-database", creationTimestamp: ago(500) },
      spec: { suspend, schedule: "17 * * * *", jobTemplate: {} },
      ...(lastSuccessfulTime && { status: { lastSuccessfulTime } }),
    });
    const reported = (job: V1CronJob | undefined) => problems({ ...good, copyJob: job }, mirrored, "prod");
    expect(reported(copyJob(ago(2.5)))).to.deep.equal([]);
    expect(reported(copyJob(ago(3))).join()).to.match(
      /^The database was not copied to registry\.example\.com\S+ since 2026-11-26 07:00 UTC; see/,
    );
    expect(reported(copyJob(undefined)).join()).to.include("since 2026-11-05");
    expect(reported(copyJob(ago(1), true)).join()).to.include("is suspended");
    expect(reported(undefined).join()).to.include("does not exist");
    const shown = screen({ ...report({ copyJob: copyJob(ago(1)) }), settings: mirrored }, false);
    expect(shown).to.match(/^Mirror +registry\.example\.com\/security\/trivy-db:2: last successful job\s+2026-11-26 09:00 UTC$/m);
  });

  it("a mirror without upstreams does not miss builds", () => {
    const { mirror, ...database } = settings.database;
    const offline = { ...settings, database: { ...database, mirror: { ...mirror, enabled: true, offline: true } } };
    const statefulSets = [...good.snapshot.statefulSets, workload("trivy-database", 1)];
    const pods = [...good.snapshot.pods, pod("trivy-database-0", "database", images.node)];
    const snapshot = { ...good.snapshot, statefulSets, pods };
    expect(problems({ ...good, snapshot, mirror: samples("") }, offline, "prod")).to.deep.equal([]);
  });

  const faults: readonly (readonly [string, Partial<Facts>, RegExp])[] = [
    [
      "what the cluster refuses or cannot start",
      { findings: [finding("redis-0: cannot be scheduled", "add nodes")] },
      /^redis-0: cannot be scheduled; add nodes$/,
    ],
    [
      "a part that does not exist",
      { snapshot: { ...good.snapshot, deployments: good.snapshot.deployments.slice(1) } },
      /^trivy-server does not exist; run `npm run up -- prod`$/,
    ],
    [
      "a part that is scaled to 0",
      { snapshot: { ...good.snapshot, deployments: [workload("trivy-server", 0), workload("trivy-gateway", 2)] } },
      /^trivy-server is scaled to 0; run/,
    ],
    ["missing replicas", withPods(good.snapshot.pods.slice(1)), /^trivy-server: 1 of 2 replicas are ready/],
    [
      "an image that differs from the settings",
      withPods([pod("trivy-server-a", "server", "ghcr.io/aquasecurity/trivy:0.73.0"), ...good.snapshot.pods.slice(1)]),
      /^trivy-server-a run ghcr\.io\/aquasecurity\/trivy:0\.73\.0 instead of ghcr\.io.*:0\.74\.0@sha256:\w+ of the settings; run `npm run refresh/,
    ],
    [
      "an old database",
      { servers: [server("trivy-server-a", 49), server("trivy-server-b", 49)] },
      /^trivy-server-a, trivy-server-b: the vulnerability database is 2 days old; check/,
    ],
    [
      "a server with an older database than its peers",
      { servers: [server("trivy-server-a", 4), server("trivy-server-b", 28)] },
      /^trivy-server-b: the vulnerability database is older than that/,
    ],
    [
      "a cache that is nearly full",
      { redis: { ...redis, used_memory: "500000000" } },
      /^Redis is nearly full: 477 MiB of 512 MiB; raise redis\.maxMemory/,
    ],
    ["a cache that evicts", { redis: { ...redis, evicted_keys: "90000" } }, /^Redis is too small: it evicted 90000 entries/],
    [
      "a cache that will be full",
      { redis: { ...redis, used_memory_dataset: "50000000", db0: "keys=1000,expires=1000,avg_ttl=602000000" } },
      /^Redis will be full: at the present rate it needs \d+ MiB for a redis\.ttl of 168h/,
    ],
    [
      "a cache that will be full with the entries of trust domains",
      {
        redis: {
          ...redis,
          used_memory_dataset: "50000000",
          db0: "keys=100,expires=100,avg_ttl=602000000",
          db1: "keys=900,expires=900,avg_ttl=602000000",
        },
      },
      /^Redis will be full: at the present rate it needs \d+ MiB for a redis\.ttl of 168h/,
    ],
    ["a cluster that does not enforce network policies", { policiesEnforced: false }, /^The cluster does not enforce network policies/],
    [
      "a cache that was lost",
      { redis: { ...redis, started_empty: "the append-only file could not be read and was set aside in x" } },
      /^Redis started empty: the append-only file could not be read/,
    ],
    ["a Redis without its volume", { redis: { ...redis, aof_enabled: "0" } }, /^Redis runs without its volume/],
    ["a volume that Redis cannot write to", { redis: { ...redis, aof_last_write_status: "err" } }, /^Redis cannot write to its volume/],
    ["a suspended registry scan", { cronJob: cronJob(ago(7), true) }, /^The registry scan is suspended/],
    ["a registry scan that did not start", { cronJob: cronJob(ago(31)) }, /^The registry scan of 2026-11-26 03:00 UTC did not start/],
    ["a registry scan that failed", { reports: reports(0, "errors") }, /^The last registry scan ended with errors/],
    ["undelivered alerts", { reports: reports(3) }, /^3 messages for the receiver slack wait/],
    ["refused alerts", { reports: reports(0, "clean", 0, 2) }, /^The receiver slack refuses 2 messages; .*registryScan\.alerts/],
    [
      "a full reports volume",
      { reports: reports(0, "clean", 1) },
      /^The reports server cannot write to its volume; raise registryScan\.reports\.size/,
    ],
    [
      "a certificate that expires",
      { certificates: [{ secret: "own-tls", generated: false, subject: "CN=x", expires: ago(-24) }] },
      /^The certificate in the Secret own-tls expires on 2026-11-27 10:00 UTC; renew the Secret own-tls$/,
    ],
    [
      "a PodMonitor that no Prometheus selects",
      { podMonitors: [{ name: "trivy", selected: false }] },
      /^No Prometheus selects the PodMonitor trivy; give it the labels/,
    ],
    [
      "a mirror that does not reach its upstream",
      { mirror: samples(`trivy_mirror_last_success_timestamp_seconds{repository="trivy-db"} ${ago(20).getTime() / 1000}\n`) },
      /^The database mirror has not reached its upstream since 2026-11-25 14:00 UTC/,
    ],
  ];
  for (const [what, facts, line] of faults)
    it(`${what} is one line that says what to do`, () => {
      const lines = of(facts);
      expect(lines).to.have.length(1);
      expect(lines[0]).to.match(line).and.contain("; ");
    });

  it("the screen fits into 80 columns and has no colour unless it is asked for", () => {
    const text = screen(report({ findings: [finding(`redis-0: ${"a long reason ".repeat(20)}`, "do something")] }), false);
    for (const line of text.split("\n")) expect(line.length, line).to.be.at.most(80);
    expect(text).to.contain("1 problem:").and.not.contain("\u001b");
    expect(screen(report({}), true)).to.contain("\u001b[32mOK");
    expect(screen(report({}), false)).to.match(
      /Servers {8}2 of 2 ready, Trivy 0\.74\.0\n[\s\S]*Cache {10}50 MiB of 512 MiB, 96 % hits, 0 evicted in 10 days, 38 MiB\n {15}expected for 168h\n[\s\S]*Registry scan {2}last 2026-11-26 03:06 UTC, clean; next 2026-11-27 03:00 UTC\n[\s\S]*OK$/,
    );
  });

  it("what could not be read is shown, and is neither OK nor a problem", () => {
    expect(screen(report({ unknown: ["certificates: not permitted"] }), false)).to.match(
      /No problem found, but not everything could be read:\n\? certificates: not permitted$/,
    );
    expect(JSON.parse(json(report({ unknown: ["x"] }))).status).to.equal("unknown");
  });

  it("--json has the facts and the problems", () => {
    const parsed = JSON.parse(json(report({ reports: reports(3) })));
    expect(parsed).to.deep.include({ stack: "prod", status: "action needed" });
    expect(parsed.redis).to.include({ hits: 960, evicted: 0 });
    expect(parsed.registryScan).to.deep.include({ verdict: "clean", next: "2026-11-27T03:00:00.000Z", undelivered: { slack: 3 } });
    expect(parsed.problems).to.have.length(1);
  });

  it("selectors select as in Kubernetes", () => {
    const own = { release: "prometheus", team: "a" };
    expect(isSelected(undefined, own)).to.equal(false);
    expect(isSelected({ matchExpressions: [] }, own)).to.equal(true);
    expect(isSelected({ matchLabels: { release: "prometheus" }, matchExpressions: [] }, own)).to.equal(true);
    expect(isSelected({ matchLabels: { release: "other" }, matchExpressions: [] }, own)).to.equal(false);
    const expression = (operator: string, key: string, ...values: string[]) =>
      isSelected({ matchExpressions: [{ key, operator, values }] }, own);
    expect(expression("In", "team", "a", "b")).to.equal(true);
    expect(expression("NotIn", "team", "a")).to.equal(false);
    expect(expression("NotIn", "absent", "a")).to.equal(true);
    expect(expression("Exists", "absent")).to.equal(false);
    expect(expression("DoesNotExist", "absent")).to.equal(true);
  });
});

function finding(problem: string, advice: string) {
  return { key: "k", component: "x", ofJob: false, problem, advice, patience: undefined };
}
