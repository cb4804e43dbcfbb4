/**
 * Topic `registry-scan`: a registry scan compared with a shell loop of the plain client, of new and of unchanged images; and the planner's time and
 * memory.
 *
 * Required: E2E_SCRATCH_REPOSITORY, a repository prefix for images, and BENCH_PUSH_IMAGE, a command that pushes an image to `{reference}` that shares no
 * layer with images of another `{seed}`. BENCH_SCAN_IMAGES is the number of images of a run, 200 by default. The cache is emptied before each
 * measurement of new images. All images must fit on the registry's disk.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runOf } from "../../registry-scan/index.ts";
import { addAdministrator, get, type KubernetesObject, portForward, redis } from "../e2e/support/cluster.ts";
import type { Project } from "../e2e/support/project.ts";
import { must } from "../support/command.ts";
import { firstGoodScan, type Service, type Services } from "./services.ts";
import { atLeast, atMost, markdownTable, mebibytes, median, type Report, ratio, rounds, showRatio, type Verdict } from "./statistics.ts";

const bounds = {
  /** Minimum speed of a run compared with the loop, and of a repeated run compared with the first. */
  loop: 2.5,
  repeat: 3,
  /** Maximum ratio of the peak memory with the most targets to that with the fewest; maximum seconds of planning the most targets. */
  memory: 1.5,
  planning: 2,
} as const;

const { env } = process;
const imagesPerRun = Number(env["BENCH_SCAN_IMAGES"] || 200);
const parallelism = 4;
/** Constant, so that repeated measurements do not fill the registry. */
const firstSeed = 800_000;

export async function registryScan(project: Project, services: Services): Promise<Report> {
  const running = await runs(project, services);
  const planning = await planner();
  return {
    sections: { "registry-scan": `${running.text}\n\n${planning.text}` },
    verdicts: [...running.verdicts, ...planning.verdicts],
  };
}

interface Part {
  readonly text: string;
  readonly verdicts: readonly Verdict[];
}

/** Durations in seconds: of the whole Job, and of the run itself by its report; the rest is the start and the end of the pods. */
interface Times {
  readonly whole: number[];
  readonly within: number[];
}

async function runs(project: Project, services: Services): Promise<Part> {
  const { E2E_SCRATCH_REPOSITORY: scratch, BENCH_PUSH_IMAGE: push } = env;
  if (!scratch || !push)
    throw new Error("E2E_SCRATCH_REPOSITORY and BENCH_PUSH_IMAGE must be set; see the comment at the top of test/bench/registry-scan.ts");
  const plainHttp = Boolean(env["TRIVY_INSECURE"]);
  const service = await services.stack("registry-scan", {
    server: { replicas: 2 },
    gateway: { enabled: true },
    registryScan: {
      enabled: true,
      // Once a year: no scheduled run during the measurements.
      schedule: "0 3 1 1 *",
      targets: [{ image: `${scratch}/bench-scan:none` }],
      plainHttp,
      javaRepositories: [`${scratch}/trivy-java-db:1`],
      parallelism,
    },
  });
  const { namespace: stack } = service;
  const reports = await portForward(stack, "service/trivy-reports");
  try {
    await addAdministrator(stack);
    await firstGoodScan(service);
    const images = await pushed(scratch, push);
    const forget = () => redis(stack, "flushall");
    const loop: number[] = [];
    const loopAgain: number[] = [];
    const first: Times = { whole: [], within: [] };
    const repeat: Times = { whole: [], within: [] };
    for (let round = 0; round < rounds(3); round++) {
      await forget();
      loop.push(await shellLoop(service, images));
      loopAgain.push(await shellLoop(service, images));
      await forget();
      for (const [what, times] of Object.entries({ first, repeat })) {
        const { whole, within } = await run(project, stack, reports.url, images);
        times.whole.push(whole);
        times.within.push(within);
        console.error(
          `round ${round + 1}, ${what} run of ${images.length} images: ${whole.toFixed(1)} s, ${within.toFixed(1)} s from its start to its report`,
        );
      }
    }
    const faster = ratio(loop, first.whole);
    const fasterAgain = ratio(loopAgain, repeat.whole);
    const again = ratio(first.whole, repeat.whole);
    const row = (what: string, whole: readonly number[], within?: readonly number[], comparison = "") => [
      what,
      median(whole).toFixed(1),
      within ? median(within).toFixed(1) : "",
      comparison,
    ];
    return {
      text: markdownTable(
        [`${imagesPerRun} images`, "whole, s", "from its start to its report, s", "times as fast"],
        [
          row("shell loop, new images", loop),
          row(`run, ${parallelism} at a time, new images`, first.whole, first.within, `${showRatio(faster)} as the loop`),
          row("shell loop again, unchanged images", loopAgain),
          row(
            "run again, unchanged images",
            repeat.whole,
            repeat.within,
            `${showRatio(fasterAgain)} as the loop, ${showRatio(again)} as the first`,
          ),
        ],
      ),
      verdicts: [
        atLeast(bounds.loop, `${imagesPerRun} new images: run / shell loop`, faster),
        atLeast(bounds.loop, `${imagesPerRun} unchanged images: run / shell loop`, fasterAgain),
        atLeast(bounds.repeat, `${imagesPerRun} unchanged images: second run / first`, again),
      ],
    };
  } finally {
    reports.close();
  }
}

/** Pushes images that share no layer, and returns their references. */
async function pushed(scratch: string, command: string): Promise<string[]> {
  const [program = "", ...args] = command.split(/\s+/);
  const images = Array.from({ length: imagesPerRun }, (_, index) => `${scratch}/bench-scan:${index}`);
  for (const [index, reference] of images.entries())
    await must(
      program,
      args.map((arg) => arg.replaceAll("{reference}", reference).replaceAll("{seed}", `${firstSeed + index}`)),
    );
  return images;
}

/** Measures a shell loop over the plain client, in seconds; its options avoid the search for a container engine and for a newer version. */
async function shellLoop({ server, token = "" }: Service, images: readonly string[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "loop-"));
  try {
    const options = "--quiet --image-src remote --skip-version-check --disable-telemetry --format json";
    const script = `for image; do trivy image --server "$SERVER" ${options} --output report.json "$image" || exit; done`;
    const begun = performance.now();
    await must("sh", ["-c", script, "sh", ...images], {
      cwd: folder,
      env: { HOME: folder, SERVER: server, TRIVY_TOKEN: token },
      timeout: 3_600_000,
    });
    const seconds = (performance.now() - begun) / 1000;
    console.error(`shell loop over ${images.length} images: ${seconds.toFixed(1)} s`);
    return seconds;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Measures a run in seconds: from its Job's creation to the end of its last pod, and from its start to its report. */
async function run(project: Project, stack: string, reports: string, images: readonly string[]) {
  const { exitCode, stdout, stderr } = await project.run("npm", ["run", "--silent", "scan", "--", stack, ...images], {
    timeout: 3_600_000,
  });
  const [, runName = ""] = /^Run: (\S+)$/m.exec(stderr) ?? [];
  const response = await fetch(`${reports}/runs/${runName}/report.json`);
  if (!response.ok) throw new Error(`the run ended with ${exitCode}, without a report: ${stdout.slice(-1000)}${stderr.slice(-1000)}`);
  const report: KubernetesObject = await response.json();
  // Failed scans are fast, so a run with failures is not a measurement.
  const { totals, startedAt, finishedAt } = report;
  if (totals.scanned !== images.length)
    throw new Error(`only ${totals.scanned} of ${images.length} images were scanned: ${stdout.slice(-2000)}`);
  const { items } = await get("jobs", "-n", stack);
  const job = items.find(({ metadata }: KubernetesObject) => runOf(metadata.name, metadata.uid) === runName);
  const pods = await get("pods", "-n", stack, "-l", `batch.kubernetes.io/job-name=${job.metadata.name}`);
  const ends = pods.items.map((pod: KubernetesObject) => Date.parse(pod.status.containerStatuses[0].state.terminated.finishedAt));
  return {
    whole: (Math.max(...ends) - Date.parse(job.metadata.creationTimestamp)) / 1000,
    within: (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000,
  };
}

async function planner(): Promise<Part> {
  const levels = [100, 1_000, 10_000].map((targets) => ({ targets, seconds: [] as number[], bytes: [] as number[] }));
  let lines = 0;
  const server = createServer((request, response) => {
    lines = 0;
    request
      .on("data", (chunk: Buffer) => {
        for (const byte of chunk) if (byte === 10) lines++;
      })
      .on("end", () => response.end("{}"));
  });
  try {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const program = join(import.meta.dirname, "planner.ts");
    for (let round = 0; round < rounds(5); round++) {
      for (const { targets, seconds, bytes } of levels) {
        const { stdout } = await must("node", [program, url, `${targets}`]);
        const measured: { seconds: number; bytes: number } = JSON.parse(stdout);
        if (lines !== targets) throw new Error(`only ${lines} of ${targets} targets were sent`);
        seconds.push(measured.seconds);
        bytes.push(measured.bytes);
      }
    }
  } finally {
    server.close();
  }
  const fewest = levels[0]?.bytes ?? [];
  const most = levels.at(-1);
  const growth = ratio(most?.bytes ?? [], fewest);
  const slowest = median(most?.seconds ?? []);
  const count = (targets: number | undefined) => `${targets?.toLocaleString("en")} targets`;
  return {
    text: markdownTable(
      ["planning", "seconds", "peak memory", "compared with the fewest"],
      levels.map(({ targets, seconds, bytes }, level) => [
        count(targets),
        median(seconds).toFixed(2),
        mebibytes(median(bytes)),
        level === 0 ? "" : showRatio(ratio(bytes, fewest)),
      ]),
    ),
    verdicts: [
      atMost(bounds.memory, `peak memory of the planner, ${count(most?.targets)} / ${count(levels[0]?.targets)}`, growth),
      {
        what: `planning ${count(most?.targets)}`,
        value: `${slowest.toFixed(2)} s`,
        bound: `less than ${bounds.planning} s, without the registry's response times`,
        outcome: slowest < bounds.planning ? "met" : "missed",
      },
    ],
  };
}
