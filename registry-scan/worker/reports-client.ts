/** The reports server, as the scanning pods speak to it. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { NextAnswer, NextQuestion, PlanLine, RunStart, RunStatus, SentResult, Target } from "../protocol/model.ts";

/** A mistake in the run's settings: trying again cannot help. */
export class WrongSettings extends Error {}

export interface ReportsOptions {
  /** URL of the server, without `/api`. */
  readonly url: string;
  readonly token: string;
  readonly run: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Seconds for which it is waited for while it is away, for instance because it is restarted. @default 300 */
  readonly patience?: number;
}

export class Reports {
  readonly #options: ReportsOptions;
  readonly #process = randomUUID();
  /** Since when it has been away, for all requests under way: it is said once. */
  #awaySince: number | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** The run's status, or the name of the run that is still under way. */
  async begin(start: RunStart): Promise<RunStatus | { readonly running: string }> {
    return this.#json(await this.#request("PUT", "", JSON.stringify(start), [409]));
  }

  /** `lines` is called once for each try: a plan that broke off is sent again as a whole. */
  async plan(lines: () => Iterable<PlanLine>): Promise<RunStatus> {
    return this.#json(await this.#request("PUT", "/plan", () => ReadableStream.from(chunks(lines()))));
  }

  async next(pod: string): Promise<NextAnswer> {
    // Nobody knows this run yet: the pod that begins it has not come so far.
    const response = await this.#request("POST", "/next", JSON.stringify({ pod, process: this.#process } satisfies NextQuestion), [404]);
    if (response.status !== 404) return this.#json(response);
    await response.body?.cancel();
    return { next: "wait", seconds: 0.5 };
  }

  async cycloneDx(target: Target, document: string): Promise<void> {
    const response = await this.#request("PUT", `/targets/${target.id}/cyclonedx`, document);
    await response.body?.cancel();
  }

  /**
   * @param attempt which try it is of, so that a late answer is not taken for that of a later one
   * @returns why the result cannot be taken, if so: it is too large, for instance
   */
  async result(target: Target, attempt: number, result: SentResult): Promise<string | undefined> {
    const response = await this.#request("PUT", `/targets/${target.id}?attempt=${attempt}`, JSON.stringify(result), [400, 413]);
    const text = await response.text();
    return response.ok ? undefined : `its result was refused: HTTP ${response.status} ${text.slice(0, 300)}`;
  }

  async status(): Promise<RunStatus> {
    return this.#json(await this.#request("GET", ""));
  }

  async #json<T>(response: Response): Promise<T> {
    return JSON.parse(await response.text());
  }

  /** Requests can be repeated: the server takes the same for the same. */
  async #request(
    method: string,
    path: string,
    body?: string | (() => ReadableStream<Uint8Array>),
    expected: readonly number[] = [],
  ): Promise<Response> {
    const { url, token, run, signal, log, patience = 300 } = this.#options;
    const address = `${url.replace(/\/$/, "")}/api/runs/${encodeURIComponent(run)}${path}`;
    for (let pause = 0.5; ; pause = Math.min(pause * 2, 5)) {
      const answer = await fetch(address, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": typeof body === "function" ? "application/x-ndjson" : "application/json",
        },
        body: typeof body === "function" ? body() : body,
        duplex: "half",
        signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]),
      }).catch((error: unknown) => causeOf(error));
      signal.throwIfAborted();
      if (typeof answer !== "string" && answer.status < 500) {
        if (this.#awaySince !== undefined) log(`the reports server is back after ${Math.round((Date.now() - this.#awaySince) / 1000)} s`);
        this.#awaySince = undefined;
        if (answer.ok || expected.includes(answer.status)) return answer;
        const text = (await answer.text()).slice(0, 500);
        if (answer.status === 401 || answer.status === 403)
          throw new WrongSettings(`the reports server at ${url} refuses the token (REPORTS_TOKEN): ${text || `HTTP ${answer.status}`}`);
        throw new Error(`the reports server answers ${method} ${path || "of the run"} with HTTP ${answer.status}: ${text}`);
      }
      const reason =
        typeof answer === "string" ? answer : `HTTP ${answer.status} ${(await answer.text().catch(() => "")).slice(0, 200)}`.trim();
      if (this.#awaySince === undefined) {
        this.#awaySince = Date.now();
        log(`the reports server at ${url} is away (${reason}); trying again for ${patience} s`);
      }
      if (Date.now() - this.#awaySince > patience * 1000)
        throw new Error(`the reports server at ${url} has been away for ${patience} s: ${reason}`);
      await delay(pause * 1000, undefined, { signal });
    }
  }
}

function* chunks(lines: Iterable<PlanLine>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let chunk = "";
  for (const line of lines) {
    chunk += `${JSON.stringify(line)}\n`;
    if (chunk.length < 16384) continue;
    yield encoder.encode(chunk);
    chunk = "";
  }
  if (chunk !== "") yield encoder.encode(chunk);
}

/** `fetch failed` says nothing: the reason is its cause. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return `${error}`;
  const cause = error.cause instanceof Error ? error.cause : error;
  return cause.message || ("code" in cause ? `${cause.code}` : cause.name);
}
