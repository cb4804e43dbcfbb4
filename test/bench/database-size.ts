/**
 * Topic `database-size`: one Trivy server on the loopback interface, with a small database and one of real size: its start, its memory, and its CPU
 * time for images of 500 and 5,000 packages.
 *
 * Needs trivy, crane and registry on the PATH, Linux, and in LAB_PUSH_DATABASE and BENCH_PUSH_DATABASE the commands that push a small database and one
 * of real size to the repository that is appended.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { must } from "../support/command.ts";
import { labToken, missingForLab, TrivyLab } from "../support/trivy-lab.ts";
import { markdownTable, type Report } from "./statistics.ts";

const { LAB_PUSH_DATABASE: pushSmall = "", BENCH_PUSH_DATABASE: pushReal = "" } = process.env;

const scans = 5;
const port = 14_954;
const url = `http://127.0.0.1:${port}`;

/** Clock ticks per second, which Linux shows to programs. */
const ticks = 100;

export async function databaseSize(): Promise<Report> {
  const missing = [...missingForLab(), ...(pushReal ? [] : ["BENCH_PUSH_DATABASE"])];
  if (missing.length > 0) throw new Error(`${missing.join(", ")} are needed`);
  const lab = await TrivyLab.create();
  try {
    const images = await Promise.all(
      [500, 5000].map((count) => {
        const packages = Object.fromEntries(
          Array.from({ length: count }, (_, index) => [`pkg-${String(index).padStart(5, "0")}`, "1.0.0-r0"]),
        );
        return lab.image(`packages-${count}:1`, { alpine: { release: "3.10.9", packages } });
      }),
    );
    const rows: string[][] = [];
    for (const [name, command] of [
      ["small", pushSmall],
      ["real size", pushReal],
    ] as const)
      rows.push([name, ...(await measure(lab, command, name.replace(" ", "-"), images))]);
    const head = [
      "database",
      "start, s",
      "memory, idle",
      "CPU of a scan, 500 packages",
      "CPU of a scan, 5,000 packages",
      "memory, after the scans",
    ];
    return { sections: { "database-size": markdownTable(head, rows) }, verdicts: [] };
  } finally {
    lab.close();
  }
}

async function measure(lab: TrivyLab, push: string, name: string, images: readonly string[]): Promise<string[]> {
  const database = lab.reference(`${name}/trivy-db:2`);
  const [program = "", ...args] = `${push} ${database}`.split(" ");
  await must(program, args);
  const cache = join(lab.folder, `bench-${name}`);
  const start = performance.now();
  const flags = ["--listen", `127.0.0.1:${port}`, "--token", labToken, "--db-repository", database, "--cache-dir", cache, "--insecure"];
  const server = spawn("trivy", ["server", ...flags], { stdio: "ignore" });
  try {
    while (!(await fetch(`${url}/healthz`).catch(() => undefined))?.ok) {
      if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
      await sleep(50);
    }
    const seconds = (performance.now() - start) / 1000;
    const idle = memory(server);
    const times: string[] = [];
    for (const image of images) {
      const scan = () =>
        must("trivy", ["image", "--server", url, "--token", labToken, "--insecure", "--cache-dir", `${cache}-client`, "--quiet", image]);
      // The first scan also stores the layers.
      await scan();
      const before = cpu(server);
      for (let count = 0; count < scans; count++) await scan();
      times.push(`${(((cpu(server) - before) / scans) * 1000).toFixed(0)} ms`);
    }
    return [seconds.toFixed(1), idle, ...times, memory(server)];
  } finally {
    server.kill("SIGKILL");
  }
}

/** Returns the CPU time of a process in seconds. */
function cpu({ pid }: ChildProcess): number {
  const [user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return (user + system) / ticks;
}

/** Returns the memory of a process: its own, and the mapped part of the database and the program. */
function memory({ pid }: ChildProcess): string {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mebibytes = (key: string) => Math.round(Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) / 1024);
  return `${mebibytes("RssAnon")} MiB + ${mebibytes("RssFile")} MiB mapped`;
}
