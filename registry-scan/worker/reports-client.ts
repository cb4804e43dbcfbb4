import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod/mini";
import {
  type NextAnswer,
  type NextQuestion,
  nextAnswerSchema,
  type PlanLine,
  type RunConflict,
  type RunStart,
  type RunStatus,
  runConflictSchema,
  runStatusSchema,
  type SentResult,
  type Target,
} from "../protocol/api.ts";
import { ConfigurationError } from "../protocol/read-configuration.ts";
import { type Parsed, parseJson } from "../protocol/validation.ts";

export interface ReportsClientOptions {
  /** URL of the server, without `/api`. */
  readonly url: string;
  readonly token: string;
  /** Name of the run. */
  readonly run: string;
  /** Ends all requests when aborted. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Seconds for which requests are retried while the server is unavailable, for instance because it restarts. @default 300 */
  readonly patience?: number;
}

/** Seconds for one request. */
const timeout = 60;

/** Milliseconds between attempts; each pause is twice as long as the one before. */
const retryPause = { first: 500, longest: 5000 };

/** Seconds until a pod asks again for a target while the pod that begins the run has not done so. */
const beginningDelay = 0.5;

/** Characters of a plan that are sent at a time. */
const chunkSize = 16 << 10;

const errorSchema = z.object({ error: z.string() });

/** The server, or the connection to it, is down: the request is retried. */
class Unavailable extends Error {}

/** Client of the reports server's API for one run. Requests are idempotent, and retried while the server is unavailable. */
export class ReportsClient {
  readonly #options: ReportsClientOptions;
  readonly #process = randomUUID();
  /** Since when the server has been unavailable, milliseconds; shared by all requests, so that it is logged once. */
  #unavailableSince: number | undefined;

  constructor(options: ReportsClientOptions) {
    this.#options = options;
  }

  /** Begins the run, or reports that it is being planned. */
  async begin(start: RunStart): Promise<RunStatus | RunConflict> {
    const response = await this.#request("PUT", "", JSON.stringify(start), [409]);
    return answer(response.status === 409 ? runConflictSchema : runStatusSchema, response);
  }

  /** @param lines is called once per attempt: a plan whose transfer was interrupted is sent again from the start */
  async plan(lines: () => Iterable<PlanLine>): Promise<RunStatus> {
    return answer(runStatusSchema, await this.#request("PUT", "/plan", () => ReadableStream.from(encode(lines()))));
  }

  async next(pod: string): Promise<NextAnswer> {
    const question: NextQuestion = { pod, process: this.#process };
    const response = await this.#request("POST", "/next", JSON.stringify(question), [404]);
    if (response.status !== 404) return answer(nextAnswerSchema, response);
    await response.body?.cancel();
    return { next: "wait", seconds: beginningDelay };
  }

  async cycloneDx(target: Target, document: string): Promise<void> {
    const response = await this.#request("PUT", `/targets/${target.id}/cyclonedx`, document);
    await response.body?.cancel();
  }

  /**
   * @param attempt number of the attempt, so that a late result is not attributed to a later one
   * @returns why the server refuses the result, for instance because it is too large; `undefined` when it was accepted
   */
  async result(target: Target, attempt: number, result: SentResult): Promise<string | undefined> {
    const response = await this.#request("PUT", `/targets/${target.id}?attempt=${attempt}`, JSON.stringify(result), [400, 413]);
    const text = await response.text();
    return response.ok ? undefined : refusal(response.status, text);
  }

  async status(): Promise<RunStatus> {
    return answer(runStatusSchema, await this.#request("GET", ""));
  }

  /**
   * Sends a request until the server answers.
   *
   * @param expected statuses, in addition to 2xx, that are returned
   * @throws {ConfigurationError} when the server refuses the token
   * @throws {Error} for another status, or when the server is unavailable for too long
   */
  async #request(method: string, path: string, body?: Body, expected: readonly number[] = []): Promise<Response> {
    for (let pause = retryPause.first; ; pause = Math.min(pause * 2, retryPause.longest)) {
      try {
        return await this.#attempt(method, path, body, expected);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        this.#noteUnavailable(error.message);
      }
      await delay(pause, undefined, { signal: this.#options.signal });
    }
  }

  async #attempt(method: string, path: string, body: Body, expected: readonly number[]): Promise<Response> {
    const { url, token, run, signal } = this.#options;
    const stream = typeof body === "function";
    const response = await fetch(`${url.replace(/\/$/, "")}/api/runs/${encodeURIComponent(run)}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": stream ? "application/x-ndjson" : "application/json" },
      body: stream ? body() : body,
      duplex: "half",
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout * 1000)]),
    }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new Unavailable(causeOf(error));
    });
    if (response.status >= 500) throw new Unavailable(await statusText(response));
    this.#noteAvailable();
    if (response.ok || expected.includes(response.status)) return response;
    const text = await statusText(response);
    if (response.status === 401 || response.status === 403)
      throw new ConfigurationError(`the reports server at ${url} refuses the token (REPORTS_TOKEN): ${text}`);
    throw new Error(`the reports server answers ${method} ${path || "of the run"} with ${text}`);
  }

  #noteUnavailable(reason: string): void {
    const { url, patience = 300, log } = this.#options;
    if (this.#unavailableSince === undefined) log(`the reports server at ${url} is unavailable (${reason}); retrying for ${patience} s`);
    this.#unavailableSince ??= Date.now();
    if (Date.now() - this.#unavailableSince > patience * 1000)
      throw new Error(`the reports server at ${url} has been unavailable for ${patience} s: ${reason}`);
  }

  #noteAvailable(): void {
    if (this.#unavailableSince === undefined) return;
    this.#options.log(`the reports server is available again after ${Math.round((Date.now() - this.#unavailableSince) / 1000)} s`);
    this.#unavailableSince = undefined;
  }
}

/** Returns why the server refuses a result. */
function refusal(status: number, text: string): string {
  try {
    return `its result was refused: ${parseJson(errorSchema, text).error.slice(0, 500)}`;
  } catch {
    return `its result was refused: HTTP ${status} ${text.slice(0, 300)}`;
  }
}

/** A stream's function is called once per attempt. */
type Body = string | (() => ReadableStream<Uint8Array>) | undefined;

const answer = async <Schema extends z.ZodMiniType>(schema: Schema, response: Response): Promise<Parsed<Schema>> =>
  parseJson(schema, await response.text());

function* encode(lines: Iterable<PlanLine>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let chunk = "";
  for (const line of lines) {
    chunk += `${JSON.stringify(line)}\n`;
    if (chunk.length < chunkSize) continue;
    yield encoder.encode(chunk);
    chunk = "";
  }
  if (chunk !== "") yield encoder.encode(chunk);
}

const statusText = async (response: Response): Promise<string> =>
  `HTTP ${response.status} ${(await response.text().catch(() => "")).slice(0, 300)}`.trim();

/** The reason why `fetch` failed: its own message is always "fetch failed". */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return `${error}`;
  const cause = error.cause instanceof Error ? error.cause : error;
  return cause.message || ("code" in cause ? `${cause.code}` : cause.name);
}
