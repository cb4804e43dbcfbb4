/**
 * The reports server: hands out the targets of a run, keeps what was found, and shows it.
 *
 * Environment: REPORTS_TOKEN, which the scanning pods must show; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN for a bucket.
 * REPORTS_CONFIGURATION (default /etc/reports/reports.json), REPORTS_RECEIVERS (default /etc/receivers), PAGES_PORT and API_PORT say where things are.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import {
  type Exchange,
  type Finding,
  type NextQuestion,
  type PlanLine,
  type Problem,
  type ReportsConfiguration,
  type RunStart,
  reportsPorts,
  type Scanned,
  type ScanResult,
  type SentResult,
  scanners,
  severities,
  type Target,
} from "../protocol/model.ts";
import { Outbox } from "./alerts/outbox.ts";
import { Bucket } from "./bucket.ts";
import { metrics } from "./report/metrics.ts";
import { PlanError } from "./run.ts";
import { isStorageError, mediaType, runName, Store } from "./store.ts";

/** Bytes of a request's body. */
const limits = { small: 64 << 10, result: 32 << 20, plan: 64 << 20, cycloneDx: 256 << 20 };
/** Milliseconds for requests that are under way when the process is asked to end. */
const grace = 8_000;
/** Milliseconds for the rest of a body that is refused. */
const drain = 5_000;

/** What is answered instead: a status, and a sentence for who reads the caller's log. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A mistake in what the process was given, told without a stack. */
class ConfigurationError extends Error {}

// -- what comes in ---------------------------------------------------------------------------------------------------------------------------------

async function* bounded(request: IncomingMessage, limit: number, heard: () => void): AsyncGenerator<Buffer> {
  const refusal = new Refusal(413, `the body is larger than the ${limit} bytes that are taken here`);
  if (Number(request.headers["content-length"] ?? 0) > limit) throw refusal;
  let length = 0;
  // What is refused is still read to its end, for its sender to come to reading the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) throw refusal;
    heard();
    yield chunk;
  }
}

async function jsonBody(request: IncomingMessage, limit: number, heard: () => void): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of bounded(request, limit, heard)) chunks.push(chunk);
  return parsed(Buffer.concat(chunks).toString(), "the body");
}

function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, `${what} is no JSON: ${(error as Error).message}`);
  }
}

async function planBody(request: IncomingMessage, heard: () => void): Promise<PlanLine[]> {
  const lines: PlanLine[] = [];
  let number = 0;
  const take = (text: string) => {
    number++;
    if (text.trim() !== "") lines.push(planLine(parsed(text, `line ${number} of the plan`), `line ${number} of the plan`));
  };
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of bounded(request, limits.plan, heard)) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = texts.pop() ?? "";
    for (const text of texts) take(text);
  }
  take(rest + decoder.decode());
  return lines;
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isAmount = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;
const isOneOf = (values: readonly unknown[]) => (value: unknown) => values.includes(value);
const optional = (is: (value: unknown) => boolean) => (value: unknown) => value === undefined || is(value);
const listOf = (is: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(is);
const isFlag = isOneOf([true, false]);

function check<T>(value: unknown, what: string, fields: { readonly [K in keyof T]-?: (value: unknown) => boolean }): T {
  if (!isObject(value)) throw new Refusal(400, `${what} must be an object`);
  for (const [name, is] of Object.entries(fields) as [string, (value: unknown) => boolean][]) {
    if (!is(value[name])) throw new Refusal(400, `${what} has no proper \`${name}\``);
  }
  return value as T;
}

function planLine(value: unknown, what: string): PlanLine {
  const line = check<{ target?: unknown; problem?: unknown }>(value, what, { target: optional(isObject), problem: optional(isObject) });
  if (line.problem) {
    return {
      problem: check<Problem>(line.problem, `the problem in ${what}`, {
        kind: isOneOf(["warning", "error"]),
        about: isText,
        message: isText,
      }),
    };
  }
  return {
    target: check<Target>(line.target, `the target in ${what}`, {
      id: (id) => typeof id === "string" && /^[\w.-]{1,64}$/.test(id),
      reference: isText,
      names: (names) => listOf(isText)(names) && (names as string[]).length > 0,
      digest: optional(isText),
    }),
  };
}

function runStart(value: unknown): RunStart {
  const start = check<RunStart>(value, "the run's start", {
    startedAt: (at) => typeof at === "string" && !Number.isNaN(Date.parse(at)),
    deadline: isAmount,
    timeout: isAmount,
    policy: isObject,
    partial: isFlag,
    cycloneDx: isFlag,
  });
  check<RunStart["policy"]>(start.policy, "the policy in the run's start", {
    severities: listOf(isOneOf(severities)),
    ignoreUnfixed: isFlag,
    scanners: listOf(isOneOf(scanners)),
  });
  return start;
}

function sentResult(value: unknown): SentResult {
  const { outcome } = check<{ outcome: ScanResult["outcome"] }>(value, "the result", { outcome: isOneOf(["scanned", "failed"]) });
  if (outcome === "failed") {
    return check<Extract<ScanResult, { outcome: "failed" }>>(value, "the result", { outcome: isText, reason: isText, seconds: isAmount });
  }
  const text = optional((value) => typeof value === "string");
  const result = check<Scanned & { exchange?: Exchange }>(value, "the result", {
    outcome: isText,
    findings: Array.isArray,
    os: text,
    endOfLife: optional(isFlag),
    seconds: isAmount,
    exchange: optional(isObject),
  });
  if (result.exchange) check<Exchange>(result.exchange, "the result's exchange", { client: isText, request: isText, response: isText });
  const finding: { readonly [K in keyof Finding]-?: (value: unknown) => boolean } = {
    id: isText,
    scanner: isOneOf(scanners),
    severity: isOneOf(severities),
    package: (value) => typeof value === "string",
    path: text,
    installed: text,
    fixed: text,
    title: text,
    url: text,
  };
  result.findings.forEach((given, index) => {
    check<Finding>(given, `finding ${index + 1} of the result`, finding);
  });
  return result;
}

// -- the API of the scanning pods ------------------------------------------------------------------------------------------------------------------

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function apiOf(store: Store, token: string) {
  const expected = digest(`Bearer ${token}`);
  const status = (run: string) => {
    const status = store.status(run);
    if (!status) throw new Refusal(404, `run ${run} has not begun, or is no longer kept`);
    return status;
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!timingSafeEqual(digest(request.headers.authorization ?? ""), expected)) {
      throw new Refusal(401, "the request's bearer token is not this server's REPORTS_TOKEN");
    }
    const { pathname, searchParams } = new URL(request.url ?? "", "http://reports");
    const [, api, runs, run = "", part = "", id = "", document = "", ...more] = pathname.split("/");
    if (api !== "api" || runs !== "runs" || more.length > 0) throw new Refusal(404, `there is no ${pathname} here`);
    if (!runName.test(run))
      throw new Refusal(400, `${JSON.stringify(run)} is no name of a run: it must be a Job's name, of a-z, 0-9 and -`);
    const route = `${request.method} ${[part, id && "ID", document].filter((name) => name !== "").join("/")}`;
    const heard = () => store.heard(run);
    switch (route) {
      case "GET ":
        return answer(response, 200, status(run));
      case "PUT ": {
        const begun = store.begin(run, runStart(await jsonBody(request, limits.small, heard)));
        return answer(response, "running" in begun ? 409 : 200, begun);
      }
      case "PUT plan": {
        status(run);
        await store.plan(run, await planBody(request, heard));
        return answer(response, 200, status(run));
      }
      case "POST next": {
        status(run);
        const question = check<NextQuestion>(await jsonBody(request, limits.small, heard), "the body", { pod: isText, process: isText });
        return answer(response, 200, await store.next(run, question));
      }
      case "PUT targets/ID": {
        status(run);
        const attempt = searchParams.get("attempt");
        const result = sentResult(await jsonBody(request, limits.result, heard));
        if (!(await store.result(run, id, attempt === null ? undefined : Number(attempt), result))) throw noTarget(run, id);
        return answer(response, 200, status(run));
      }
      case "PUT targets/ID/cyclonedx": {
        status(run);
        if (!(await store.cycloneDx(run, id, bounded(request, limits.cycloneDx, heard)))) throw noTarget(run, id);
        response.writeHead(204).end();
        return;
      }
      default:
        throw new Refusal(404, `there is no ${request.method} ${pathname} here`);
    }
  };
}

const noTarget = (run: string, id: string) => new Refusal(404, `run ${run} has no target ${JSON.stringify(id)}, or is not under way`);

function answer(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
}

// -- pages -----------------------------------------------------------------------------------------------------------------------------------------

const pageHeaders = {
  // Pages bring their style with them, and nothing else: no script, no picture, no font, no form.
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-cache",
};

function pagesOf(store: Store, outbox: Outbox) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    for (const [name, value] of Object.entries(pageHeaders)) response.setHeader(name, value);
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      throw new Refusal(405, "there is nothing to change here");
    }
    const pathname = (request.url ?? "").replace(/[?#].*$/s, "");
    if (pathname === "/healthz") return text(request, response, "text/plain; charset=utf-8", "ok\n");
    if (pathname === "/metrics") {
      const known = metrics(store.latest, { undelivered: outbox.undelivered(), running: store.running });
      return text(request, response, "text/plain; version=0.0.4; charset=utf-8", known + ownMetrics(store));
    }
    if (pathname === "/") return moved(response, "runs/");
    const [, runs, run = "", ...names] = pathname.split("/").map(decoded);
    const absent = new Refusal(404, "there is no such page; a run's report is kept for a number of runs only");
    if (runs !== "runs") throw absent;
    if (names.length === 0 && (run === "" || run === "index.html"))
      return file(request, response, store.runFolder("index.html"), "text/html; charset=utf-8");
    if (!runName.test(run)) throw absent;
    if (names.length === 0) return moved(response, `${run}/`);
    // What is asked for is one of the names that a report has; no other is ever looked for on the volume.
    const path = names.join("/") || "index.html";
    const type = mediaType(path);
    if (!type) throw absent;
    return file(request, response, store.runFolder(run, path), type, absent);
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "\0";
  }
}

function moved(response: ServerResponse, location: string): void {
  response.writeHead(302, { location, "content-length": 0 }).end();
}

function text(request: IncomingMessage, response: ServerResponse, type: string, body: string): void {
  response
    .writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(body) })
    .end(request.method === "HEAD" ? undefined : body);
}

async function file(request: IncomingMessage, response: ServerResponse, path: string, type: string, absent?: Refusal): Promise<void> {
  const opened = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" && absent ? absent : error;
  });
  try {
    const { size } = await opened.stat();
    response.writeHead(200, { "content-type": type, "content-length": size });
    if (request.method === "HEAD") response.end();
    else await pipeline(opened.createReadStream({ autoClose: false }), response);
  } finally {
    await opened.close();
  }
}

const ownMetrics = (store: Store): string => `# HELP trivy_registry_scan_runs_not_copied Kept runs that are not in the bucket yet.
# TYPE trivy_registry_scan_runs_not_copied gauge
trivy_registry_scan_runs_not_copied ${store.uncopied}
# HELP trivy_registry_scan_volume_trouble Whether the volume refuses what is to be kept, as when it is full.
# TYPE trivy_registry_scan_volume_trouble gauge
trivy_registry_scan_volume_trouble ${store.trouble ? 1 : 0}
`;

// -- the process -----------------------------------------------------------------------------------------------------------------------------------

/** Answers errors as a sentence; the unknown ones are for the log. */
function serve(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>, store: Store): Server {
  // Longer than pods wait between two questions, and than a large report is made: a connection must not be closed under the next one.
  return createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    handle(request, response).catch(async (error: unknown) => {
      // Half of a file was sent, or nobody is left to tell.
      if (response.headersSent || (request.destroyed && !request.complete)) {
        response.destroy();
        return;
      }
      let refusal: Refusal;
      if (error instanceof Refusal) refusal = error;
      else if (error instanceof PlanError) refusal = new Refusal(400, error.message);
      else if (isStorageError(error)) refusal = new Refusal(503, store.explain(error));
      else {
        console.error("error:", error);
        refusal = new Refusal(500, "the reports server failed; its log says why");
      }
      if (!request.complete) {
        response.setHeader("connection", "close");
        request.resume();
        await once(request, "end", { signal: AbortSignal.timeout(drain) }).catch(() => undefined);
      }
      answer(response, refusal.status, { error: refusal.message });
    });
  });
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, resolve);
  });
  return (server.address() as AddressInfo).port;
}

function readConfiguration(path: string): ReportsConfiguration {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new ConfigurationError(`the configuration ${path} cannot be read: ${(error as Error).message}`);
  }
}

function readReceivers({ receivers, url }: ReportsConfiguration, folder: string): ConstructorParameters<typeof Outbox>[1] {
  const secret = (file: string, receiver: string): string => {
    const path = join(folder, file);
    const value = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
    if (value === "")
      throw new ConfigurationError(`receiver ${receiver}: ${path} is missing or empty; it comes from the Secret that the receiver names`);
    return value;
  };
  return receivers.map((receiver) => ({
    ...receiver,
    url: secret(`${receiver.name}.url`, receiver.name),
    ...(receiver.authorized && { authorization: secret(`${receiver.name}.authorization`, receiver.name) }),
    ...(url && { link: url }),
  }));
}

function bucketOf(bucket: ReportsConfiguration["bucket"], environment: NodeJS.ProcessEnv): Bucket | undefined {
  if (!bucket) return undefined;
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = environment;
  if (!accessKeyId || !secretAccessKey) {
    throw new ConfigurationError(`bucket ${bucket.name}: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be in the environment`);
  }
  return new Bucket(bucket, { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) });
}

async function main(environment: NodeJS.ProcessEnv): Promise<void> {
  const { REPORTS_TOKEN: token, REPORTS_CONFIGURATION = "/etc/reports/reports.json", REPORTS_RECEIVERS = "/etc/receivers" } = environment;
  if (!token) throw new ConfigurationError("REPORTS_TOKEN must be in the environment: without it anyone could write reports");
  const configuration = readConfiguration(REPORTS_CONFIGURATION);
  const { folder, keep } = configuration;
  const bucket = bucketOf(configuration.bucket, environment);
  const outbox = new Outbox(join(folder, "outbox"), readReceivers(configuration, REPORTS_RECEIVERS));
  const store = new Store({ folder, keep, outbox, ...(bucket && { bucket }) });
  outbox.start();

  const pages = serve(pagesOf(store, outbox), store);
  const api = serve(apiOf(store, token), store);
  const ports = await Promise.all([
    listen(pages, Number(environment["PAGES_PORT"] ?? reportsPorts.pages)),
    listen(api, Number(environment["API_PORT"] ?? reportsPorts.api)),
  ]);
  console.log(`pages on port ${ports[0]}, API on port ${ports[1]}`);
  void store.tick();
  const ticking = setInterval(() => void store.tick(), 1_000);

  const end = async (signal: string) => {
    console.log(`${signal}: ending; what is going on is continued at the next start`);
    clearInterval(ticking);
    setTimeout(() => process.exit(0), grace).unref();
    await Promise.all([pages, api].map((server) => new Promise((resolve) => server.close(resolve).closeIdleConnections())));
    await outbox.stop();
    await store.stop();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, end);
}

main(process.env).catch((error: unknown) => {
  console.error("error:", error instanceof ConfigurationError || isStorageError(error) ? error.message : error);
  process.exit(1);
});
