/**
 * The exporter: asks every server for its version and database, receives the results of synthetic scans, and serves both to Prometheus.
 *
 * Environment: EXPORTER_TOKEN, which synthetic scans send as their bearer token; optionally EXPORTER_PREVIOUS_TOKEN, which is valid as well,
 * EXPORTER_CONFIGURATION (default /etc/exporter/exporter.json), METRICS_PORT and RESULTS_PORT.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type ExporterConfiguration, exporterPorts, type ProbeResult, probeOutcomes } from "./configuration.ts";
import { configuredMetrics, Probe } from "./metrics.ts";
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

async function serveMetrics({ url }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (url === "/healthz") return answer(response, 200, "ok");
  if (url !== "/metrics") return answer(response, 404, "not found; the metrics are under /metrics");
  const now = new Date();
  const ofServers = await servers.metrics(now.getTime() / 1000).catch((error: Error) => {
    console.error(`the addresses of the servers are unknown: ${error.message}`);
    return [];
  });
  const metrics = [...ofServers, ...(configuration.probe ? probe.metrics() : []), ...configuredMetrics(configuration, startedAt, now)];
  response.setHeader("content-type", "text/plain; version=0.0.4");
  answer(response, 200, textFormat(metrics));
}

async function receiveResult(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!isAuthorized(request)) return answer(response, 401, "the bearer token is missing or wrong");
  if (request.method !== "POST" || request.url !== "/probe") return answer(response, 404, "not found; POST results to /probe");
  const result = parsedResult(await textOf(request));
  if (!result) return answer(response, 400, "the result is not valid");
  probe.add(result, Date.now() / 1000);
  if (result.outcome !== "success") console.log(`synthetic scan: ${result.outcome}: ${result.reason ?? "no reason given"}`);
  answer(response, 204);
}

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

function parsedResult(text: string): ProbeResult | undefined {
  try {
    const result = JSON.parse(text) as Partial<ProbeResult> | null;
    return result?.outcome && probeOutcomes.includes(result.outcome) && Number.isFinite(result.seconds)
      ? (result as ProbeResult)
      : undefined;
  } catch {
    return undefined;
  }
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
