/** The reports server's API with runs in memory, for tests of the scanning pods. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  attempts,
  type KnownScan,
  type NextAnswer,
  type PlanLine,
  type PlanProblem,
  type RunStart,
  type RunStatus,
  type SentResult,
  type Target,
} from "../../registry-scan/protocol/api.ts";
import type { ScanResult } from "../../registry-scan/protocol/findings.ts";

interface Entry {
  readonly target: Target;
  tries: number;
  pod?: string;
  result?: ScanResult;
}

export class ReportsStub {
  readonly token = "reports-token-of-the-test";
  /** The requests in order, such as `PUT /plan`. */
  readonly requests: string[] = [];
  readonly entries: Entry[] = [];
  readonly problems: PlanProblem[] = [];
  readonly documents = new Map<string, string>();
  /** Scans by clients, by reference. */
  readonly known: Map<string, KnownScan>;
  start: RunStart | undefined;
  /** Name of another run in progress. */
  running: string | undefined;
  /** Status that every request is answered with instead. */
  broken: number | undefined;
  /** Refuses findings as too large. */
  refusesFindings = false;
  /** The summary of a finished run, instead of its numbers. */
  summary: string | undefined;
  #planned = false;
  #server: Server | undefined;
  #port = 0;

  constructor(known = new Map<string, KnownScan>()) {
    this.known = known;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(host = "127.0.0.1", port = this.#port): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(`${error}`));
    });
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    const address = server.address();
    if (typeof address === "object" && address) this.#port = address.port;
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  status(): RunStatus {
    const scanned = this.entries.filter(({ result }) => result?.outcome === "scanned").length;
    const failed = this.entries.filter((entry) => this.#failed(entry)).length;
    const finished = this.#planned && scanned + failed === this.entries.length;
    const errors = failed > 0 || this.problems.some(({ kind }) => kind === "error");
    const found = this.entries.some(({ result }) => result?.outcome === "scanned" && result.findings.length > 0);
    return {
      ...{
        run: "run-1",
        state: finished ? "finished" : this.#planned ? "scanning" : "planning",
        planned: this.entries.length,
        scanned,
        failed,
      },
      ...(finished && {
        verdict: errors ? "errors" : found ? "findings" : "clean",
        summary: this.summary ?? `summary: ${scanned} scanned, ${failed} failed`,
      }),
    };
  }

  #failed(entry: Entry): boolean {
    return entry.result?.outcome !== "scanned" && entry.tries >= attempts && entry.pod === undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.replace("/api/runs/run-1", "") ?? "";
    this.requests.push(`${request.method} ${path}`);
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const reply = (status: number, answer?: unknown) =>
      void response.writeHead(status).end(answer === undefined ? "" : JSON.stringify(answer));
    if (this.broken !== undefined) return reply(this.broken, { error: "broken" });
    if (request.headers.authorization !== `Bearer ${this.token}`) return reply(401, { error: "wrong token" });
    const [, id, document] = /^\/targets\/(\d+)(\/cyclonedx)?$/.exec(path.replace(/\?attempt=\d+$/, "")) ?? [];
    if (request.method === "PUT" && path === "") {
      if (this.running !== undefined) return reply(409, { running: this.running });
      this.start ??= JSON.parse(body);
    } else if (request.method === "PUT" && path === "/plan") {
      if (!this.#planned) this.#plan(body);
    } else if (!this.start) {
      return reply(404, { error: "no such run" });
    } else if (path === "/next") {
      return reply(200, this.#next(JSON.parse(body).pod));
    } else if (id !== undefined) {
      const entry = this.entries[Number(id)];
      if (!entry) return reply(404, { error: "no such target" });
      if (document !== undefined) {
        this.documents.set(id, body);
        return reply(204);
      }
      const { exchange, ...result }: SentResult = JSON.parse(body);
      if (this.refusesFindings && result.outcome === "scanned") return reply(413, { error: "too large" });
      entry.result = result;
      if (exchange && result.outcome === "scanned") this.known.set(entry.target.reference, { ...exchange, result });
      entry.pod = undefined;
    }
    reply(200, this.status());
  }

  #plan(body: string): void {
    for (const text of body.split("\n").filter((each) => each !== "")) {
      const line: PlanLine = JSON.parse(text);
      if ("target" in line) this.entries.push({ target: line.target, tries: 0 });
      else this.problems.push(line.problem);
    }
    this.#planned = true;
  }

  #next(pod: string): NextAnswer {
    for (const entry of this.entries) if (entry.pod === pod) entry.pod = undefined;
    if (!this.#planned) return { next: "wait", seconds: 0.1 };
    const open = this.entries.filter((entry) => entry.pod === undefined && entry.result?.outcome !== "scanned" && entry.tries < attempts);
    const entry = open.sort((a, b) => a.tries - b.tries)[0];
    if (!entry) return this.status().state === "finished" ? { next: "end" } : { next: "wait", seconds: 0.1 };
    entry.pod = pod;
    const known = this.known.get(entry.target.reference);
    return { next: "scan", target: entry.target, attempt: ++entry.tries, ...(known && { known }) };
  }
}
