/**
 * The exporter: asks every server for its version and database, receives the results of synthetic scans and of copies of the database, and
 * serves them to Prometheus.
 *
 * Environment: EXPORTER_TOKEN, which those jobs send as their bearer token; optionally EXPORTER_PREVIOUS_TOKEN, which is valid as well,
 * EXPORTER_CONFIGURATION (default /etc/exporter/exporter.json), METRICS_PORT and RESULTS_PORT.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type CopyResult, type ExporterConfiguration, exporterPorts, type ProbeResult, probeOutcomes } from "./configuration.ts";
import { Copies, configuredMetrics, Probe } from "./metrics.ts";
import { Servers } from "./servers.ts";
import { textFormat } from "./text-format.ts";

/** Bytes of the longest result that is accepted. */
const maximumResult = 10_000;

const {
  EXPORTER_TOKEN: token = "",
  EXPORTER_PREVIOUS_TOKEN: previousToken = "",
  EXPORTER_CONFIGURATION: path = "/etc/exporter/exporter.json",
  METRICS_PORT: metricsPort = exporterPorts.metrics,
  RESULTS_PORT: resultsPort = exporterPorts.results,
} = process.env;

const configuration = JSON.parse(readFileSync(path, "utf8")) as ExporterConfiguration;
const servers = new Servers(configuration.servers);
const probe = new Probe();
const startedAt = new Date();
const copies = new Copies(configuration.copy, startedAt);

async function serveMetrics({ url }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (url === "/healthz") return answer(response, 200, "ok");
  if (url !== "/metrics") return answer(response, 404, "not found; the metrics are under /metrics");
  const now = new Date();
  const ofServers = await servers.metrics(now.getTime() / 1000).catch((error: Error) => {
    console.error(`the addresses of the servers are unknown: ${error.message}`);
    return [];
  });
  const metrics = [
    ...ofServers,
    ...(configuration.probe ? probe.metrics() : []),
    ...copies.metrics(now),
    ...configuredMetrics(configuration, startedAt, now),
  ];
  response.setHeader("content-type", "text/plain; version=0.0.4");
  answer(response, 200, textFormat(metrics));
}

async function receiveResult(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!isAuthorized(request)) return answer(response, 401, "the bearer token is missing or wrong");
  const add = request.method === "POST" ? results[request.url ?? ""] : undefined;
  if (!add) return answer(response, 404, `not found; POST results to ${Object.keys(results).join(" or ")}`);
  if (!add(parsedJson(await textOf(request)))) return answer(response, 400, "the result is not valid");
  answer(response, 204);
}

/** What receives the results, by path; each returns whether the result is valid. */
const results: Readonly<Record<string, (result: unknown) => boolean>> = {
  "/probe": (result) => {
    if (!isProbeResult(result)) return false;
    probe.add(result, Date.now() / 1000);
    if (result.outcome !== "success") console.log(`synthetic scan: ${result.outcome}: ${result.reason ?? "no reason given"}`);
    return true;
  },
  "/copy": (result) => isCopyResult(result) && copies.add(result, Date.now() / 1000),
};

const digest = (text: string) => createHash("sha256").update(text).digest();

const isAuthorized = ({ headers }: IncomingMessage) =>
  [token, previousToken].some((valid) => valid !== "" && timingSafeEqual(digest(headers.authorization ?? ""), digest(`Bearer ${valid}`)));

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > maximumResult) return "";
  }
  return text;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isProbeResult(value: unknown): value is ProbeResult {
  const { outcome, seconds } = (value ?? {}) as Partial<ProbeResult>;
  return outcome !== undefined && probeOutcomes.includes(outcome) && Number.isFinite(seconds);
}

function isCopyResult(value: unknown): value is CopyResult {
  const { artifact, refused = "", success } = (value ?? {}) as Partial<CopyResult>;
  return typeof artifact === "string" && typeof refused === "string" && typeof success === "boolean";
}

function answer(response: ServerResponse, status: number, text?: string): void {
  response.writeHead(status).end(text);
}

function listen(handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>, port: string | number): void {
  createServer((request, response) => {
    handle(request, response).catch((error: Error) => {
      console.error(error.message);
      response.destroy();
    });
  }).listen(Number(port), () => console.log(`listening on port ${port}`));
}

listen(serveMetrics, metricsPort);
listen(receiveResult, resultsPort);
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(0));
