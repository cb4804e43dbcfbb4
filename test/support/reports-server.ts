import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { KnownScan, NextAnswer, RunStart, RunStatus, SentResult, Target } from "../../registry-scan/protocol/api.ts";
import type { ReportsConfiguration } from "../../registry-scan/protocol/configuration.ts";
import type { Finding, ScanResult } from "../../registry-scan/protocol/findings.ts";

export const token = "the-token-of-the-pods";

export const finding = (id: string, more: Partial<Finding> = {}): Finding => ({
  id,
  scanner: "vuln",
  severity: "HIGH",
  package: "openssl",
  installed: "1.0",
  fixed: "1.1",
  title: `title of ${id}`,
  url: `https://avd.example.com/${id}`,
  ...more,
});

export const target = (id: number | string): Target => ({
  id: String(id),
  reference: `registry.example.com/team/app-${id}@sha256:${String(id).padStart(64, "0")}`,
  names: [`registry.example.com/team/app-${id}:1.0`],
  digest: `sha256:${String(id).padStart(64, "0")}`,
});

export const start = (more: Partial<RunStart> = {}): RunStart => ({
  startedAt: new Date().toISOString(),
  deadline: 3600,
  timeout: 300,
  policy: { severities: ["HIGH", "CRITICAL"], ignoreUnfixed: false, scanners: ["vuln"] },
  partial: false,
  cycloneDx: false,
  ...more,
});

export const scanned = (findings: readonly Finding[] = []): ScanResult => ({
  outcome: "scanned",
  findings,
  os: "alpine 3.10.9",
  seconds: 1,
});
export const failed = (reason = "connection refused"): ScanResult => ({ outcome: "failed", reason, seconds: 1 });

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

/** The reports server as a child process, which can be killed and started again with the same folder. */
export class ReportsServer {
  readonly folder = mkdtempSync(join(tmpdir(), "reports-"));
  readonly lines: string[] = [];
  readonly #environment: Record<string, string>;
  #process: ChildProcess | undefined;
  pages = "";
  api = "";
  #metrics = "";

  constructor(
    configuration: Partial<ReportsConfiguration> = {},
    { receivers = {}, environment = {} }: { receivers?: Record<string, string>; environment?: Record<string, string> } = {},
  ) {
    mkdirSync(join(this.folder, "receivers"));
    for (const [file, text] of Object.entries(receivers)) writeFileSync(join(this.folder, "receivers", file), text);
    const path = join(this.folder, "reports.json");
    const defaults: ReportsConfiguration = {
      folder: join(this.folder, "volume"),
      keep: 10,
      imageMetrics: false,
      receivers: [],
      hosts: ["trivy-reports.trivy.svc"],
    };
    writeFileSync(path, JSON.stringify({ ...defaults, ...configuration }));
    this.#environment = {
      PATH: process.env["PATH"] ?? "",
      REPORTS_TOKEN: token,
      REPORTS_CONFIGURATION: path,
      REPORTS_RECEIVERS: join(this.folder, "receivers"),
      PAGES_PORT: "0",
      API_PORT: "0",
      METRICS_PORT: "0",
      ...environment,
    };
  }

  volume(...names: string[]): string {
    return join(this.folder, "volume", ...names);
  }

  run(name: string, ...names: string[]): string {
    return this.volume("runs", name, ...names);
  }

  /** Starts the process. @returns the exit code if it ends instead of serving */
  async up(): Promise<number | null | undefined> {
    const child = spawn(process.execPath, [join(import.meta.dirname, "../../registry-scan/server/main.ts")], {
      env: this.#environment,
    });
    this.#process = child;
    const ended = once(child, "exit");
    const serving = new Promise<undefined>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          this.lines.push(line);
          const [, pages, api, metrics] = /^pages on port (\d+), API on port (\d+), metrics on port (\d+)$/.exec(line) ?? [];
          if (!pages) return;
          this.pages = `http://127.0.0.1:${pages}`;
          this.api = `http://127.0.0.1:${api}/api`;
          this.#metrics = `http://127.0.0.1:${metrics}/metrics`;
          resolve(undefined);
        });
      }
    });
    return Promise.race([serving, ended.then(([code]) => code as number | null)]);
  }

  /** Returns the metrics as Prometheus reads them. */
  async metrics(): Promise<string> {
    return (await fetch(this.#metrics)).text();
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    child.kill(signal);
    const [code] = await once(child, "exit");
    return code as number | null;
  }

  async restart(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.end(signal);
    await this.up();
  }

  async remove(): Promise<void> {
    await this.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async call<T = RunStatus>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
    const response = await fetch(`${this.api}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === "" ? undefined : JSON.parse(text)) as T };
  }

  begin(run: string, more: Partial<RunStart> = {}): Promise<Answer<RunStatus & { running?: string }>> {
    return this.call("PUT", `/runs/${run}`, start(more));
  }

  plan(run: string, targets: readonly Target[]): Promise<Answer<RunStatus>> {
    return this.call("PUT", `/runs/${run}/plan`, targets.map((target) => `${JSON.stringify({ target })}\n`).join(""));
  }

  async next(run: string, pod = "0"): Promise<NextAnswer> {
    return (await this.call<NextAnswer>("POST", `/runs/${run}/next`, { pod, process: randomUUID() })).body;
  }

  result(run: string, id: string, result: SentResult, attempt?: number): Promise<Answer<RunStatus>> {
    return this.call("PUT", `/runs/${run}/targets/${id}${attempt === undefined ? "" : `?attempt=${attempt}`}`, result);
  }

  /** Scans targets as a pod does, until the run ends. */
  async work(run: string, scan: (target: Target, attempt: number, known?: KnownScan) => SentResult, pod = "0"): Promise<void> {
    for (;;) {
      const answer = await this.next(run, pod);
      if (answer.next === "end") return;
      if (answer.next === "wait") await new Promise((resolve) => setTimeout(resolve, 100));
      else await this.result(run, answer.target.id, scan(answer.target, answer.attempt, answer.known), answer.attempt);
    }
  }

  /** Runs a whole run with one pod. */
  async whole(run: string, targets: readonly Target[], scan: (target: Target, attempt: number) => SentResult): Promise<RunStatus> {
    await this.begin(run);
    await this.plan(run, targets);
    await this.work(run, scan);
    return (await this.call("GET", `/runs/${run}`)).body;
  }

  async page(path: string, options: RequestInit = {}): Promise<Response> {
    return fetch(`${this.pages}${path}`, { redirect: "manual", ...options });
  }
}
