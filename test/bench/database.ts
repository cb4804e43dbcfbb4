/**
 * Topic `database`: four servers replace a database of real size while 16 clients scan. Trivy looks for a new build an hour after its start, so the
 * servers run a copy of Trivy in which an hour is a minute.
 *
 * Needs E2E_SCRATCH_REPOSITORY, a repository path on a registry that tests may push to, BENCH_PUSH_DATABASE and BENCH_PUSH_OLD_DATABASE, commands that
 * push a database of real size, built now or two days ago, to the repository that is appended, and `crane`.
 */

import { eventually, get, type KubernetesObject, kubectl, portForward, runningPods, serviceUrl } from "../e2e/support/cluster.ts";
import { environment } from "../e2e/support/environment.ts";
import { load } from "../e2e/support/load.ts";
import type { Project } from "../e2e/support/project.ts";
import { must } from "../support/command.ts";
import { firstGoodScan } from "./services.ts";
import { markdownTable, type Report, type Verdict } from "./statistics.ts";

const { E2E_SCRATCH_REPOSITORY: scratch = "", BENCH_PUSH_DATABASE: pushNew = "", BENCH_PUSH_OLD_DATABASE: pushOld = "" } = process.env;

/** Seconds without a good scan. */
const longestGap = 5;

const servers = 4;
const clients = 16;

const source = `${scratch}/bench/trivy-db:2`;
const builds = { old: `${scratch}/bench-old/trivy-db:2`, new: `${scratch}/bench-new/trivy-db:2` };

/** The time from the moment at which a server stops to answer until it answers again. */
interface Pause {
  readonly pod: string;
  readonly from: number;
  readonly to: number;
}

export async function database(project: Project): Promise<Report> {
  if (!scratch || !pushNew || !pushOld)
    throw new Error("E2E_SCRATCH_REPOSITORY, BENCH_PUSH_DATABASE and BENCH_PUSH_OLD_DATABASE are needed");
  for (const [command, repository] of [
    [pushOld, builds.old],
    [pushNew, builds.new],
  ] as const) {
    const [program = "", ...args] = `${command} ${repository}`.split(" ");
    await must(program, args);
  }
  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  for (const [design, settings] of [
    ["behind the gateway", { gateway: { enabled: true } }],
    ["servers only", {}],
  ] as const) {
    const stack = `e2e-bench-database-${design.split(" ")[0]}`;
    const { result, pauses, startSeconds, memory } = await refresh(project, stack, settings);
    const longest = Math.max(...pauses.map(({ from, to }) => to - from)) / 1000;
    const together = pauses.filter((pause, index) =>
      pauses.some((other, at) => at < index && other.from < pause.to && pause.from < other.to),
    );
    rows.push([
      design,
      `${result.failed + result.wrong}/${result.scans}`,
      result.gap.toFixed(1),
      longest.toFixed(1),
      String(together.length),
      result.perSecond.toFixed(1),
      startSeconds.toFixed(0),
      memory,
    ]);
    const bound = (what: string, value: string, limit: string, isMet: boolean): Verdict => ({
      what: `database, ${design}: ${what}`,
      value,
      bound: limit,
      outcome: isMet ? "met" : "missed",
    });
    verdicts.push(
      bound("lost scans", String(result.failed + result.wrong), "none", result.failed + result.wrong === 0),
      bound("longest gap", `${result.gap.toFixed(1)} s`, `at most ${longestGap} s`, result.gap <= longestGap),
      bound("servers that replace their database together", String(together.length), "none", together.length === 0),
    );
    await project.destroy(stack);
  }
  const head = [
    "four servers",
    "lost scans",
    "longest gap, s",
    "longest pause of a server, s",
    "pauses together",
    "scans per second",
    "start of a server, s",
    "memory of a server",
  ];
  return { sections: { database: markdownTable(head, rows) }, verdicts };
}

async function refresh(project: Project, stack: string, settings: object) {
  await must("crane", ["copy", "--insecure", builds.old, source]);
  await project.writeStack(stack, {
    ...settings,
    server: { replicas: 1, drainSeconds: 1, databaseVolume: "3Gi", resources: { requests: { cpu: "100m" } } },
    database: { repositories: [source], mirror: { enabled: true, fallback: false, interval: "5s" } },
  });
  await project.must("npm", ["run", "up", "--", stack, "--yes"]);
  const server = await serviceUrl(stack);
  const gateway = "gateway" in settings;
  const token = gateway
    ? (Object.values(JSON.parse(await project.output(stack, "tokens")))[0] as string)
    : await project.output(stack, "token");

  // All servers start at the same moment, as after the loss of the cluster's network.
  await kubectl("scale", "deployment/trivy-server", "-n", stack, "--replicas=0");
  await kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=server", "-n", stack, "--timeout=120s");
  await kubectl("patch", "deployment/trivy-server", "-n", stack, "--type=json", "-p", JSON.stringify(await shortHours(stack)));
  await kubectl("scale", "deployment/trivy-server", "-n", stack, `--replicas=${servers}`);
  await kubectl("rollout", "status", "deployment/trivy-server", "-n", stack, "--timeout=580s");
  const pods = await runningPods(stack, "server");
  const startSeconds = Math.max(...(await Promise.all(pods.map((pod) => startOf(stack, pod)))));
  await firstGoodScan({ server, token });

  const result = await load({ server, token, images: environment.images, clients, scans: 1 }, async () => {
    await must("crane", ["copy", "--insecure", builds.new, source]);
    await waitForBuild(stack);
    await eventually(
      "the new database on all servers",
      async () => {
        const ends = await Promise.all(pods.map(async (pod) => (await pausesOf(stack, pod)).length));
        return ends.every((count) => count > 0) || undefined;
      },
      900,
    );
  });
  const pauses = (await Promise.all(pods.map((pod) => pausesOf(stack, pod)))).flat();
  console.error(`${stack}: ${JSON.stringify({ ...result, durations: undefined, pauses })}`);
  const top = await kubectl("top", "pods", "-n", stack, "-l", "app.kubernetes.io/component=server", "--no-headers");
  const memory = top
    .trim()
    .split("\n")
    .map((line) => line.split(/\s+/)[2] ?? "")
    .sort((one, other) => Number.parseInt(other, 10) - Number.parseInt(one, 10))[0];
  return { result, pauses, startSeconds, memory: memory ?? "" };
}

/** Returns the patch of the servers' Deployment after which an hour of Trivy is a minute. */
async function shortHours(stack: string): Promise<object[]> {
  const { spec } = (await get("deployment", "trivy-server", "-n", stack)).spec.template;
  const [{ image: node, securityContext }] = spec.initContainers;
  const volume = { name: "hour", mountPath: "/hour" };
  const program = `const fs = require("fs");
    const binary = fs.readFileSync("/hour/trivy");
    const [hour, minute] = [3600n, 60n].map((seconds) => { const bytes = Buffer.alloc(8); bytes.writeBigInt64LE(seconds * 1000000000n); return bytes; });
    for (let at = binary.indexOf(hour); at >= 0; at = binary.indexOf(hour, at + 8)) minute.copy(binary, at);
    fs.writeFileSync("/hour/trivy", binary);`;
  const containers = [
    {
      name: "copy",
      image: spec.containers[0].image,
      command: ["cp", "/usr/local/bin/trivy", "/hour/trivy"],
      securityContext,
      volumeMounts: [volume],
    },
    { name: "shorten", image: node, command: ["node", "-e", program], securityContext, volumeMounts: [volume] },
  ];
  return [
    ...containers.map((value) => ({ op: "add", path: "/spec/template/spec/initContainers/-", value })),
    { op: "add", path: "/spec/template/spec/volumes/-", value: { name: "hour", emptyDir: {} } },
    { op: "add", path: "/spec/template/spec/containers/0/volumeMounts/-", value: volume },
    { op: "add", path: "/spec/template/spec/containers/0/command", value: ["/hour/trivy"] },
  ];
}

/** Waits until the mirror serves the build that is newer than the servers'. */
async function waitForBuild(stack: string): Promise<void> {
  await eventually(
    "the mirror's second build",
    async () => {
      const { url, close } = await portForward(stack, "pod/trivy-database-0", 8080);
      const text = await (await fetch(`${url}/metrics`)).text().finally(close);
      return /^trivy_mirror_builds\{repository="trivy-db"\} 2$/m.test(text) || undefined;
    },
    300,
  );
}

/** Returns a pod's log with the time of each line. */
async function logOf(stack: string, pod: string): Promise<{ readonly time: number; readonly text: string }[]> {
  const log = await kubectl("logs", "-n", stack, pod, "-c", "trivy", "--timestamps");
  return log.split("\n").map((line) => ({ time: Date.parse(line.split(" ")[0] ?? ""), text: line }));
}

async function pausesOf(stack: string, pod: string): Promise<Pause[]> {
  const pauses: Pause[] = [];
  let from: number | undefined;
  for (const { time, text } of await logOf(stack, pod)) {
    if (text.includes("Suspending all requests")) from = time;
    if (text.includes("Reopening") && from !== undefined) {
      pauses.push({ pod, from, to: time });
      from = undefined;
    }
  }
  return pauses;
}

/** Returns the seconds from the start of Trivy's container until it listens. */
async function startOf(stack: string, pod: string): Promise<number> {
  const { status } = await get("pod", pod, "-n", stack);
  const { running } = status.containerStatuses.find(({ name }: KubernetesObject) => name === "trivy").state;
  const listening = (await logOf(stack, pod)).find(({ text }) => text.includes("Listening"));
  return ((listening?.time ?? Number.NaN) - Date.parse(running.startedAt)) / 1000;
}
