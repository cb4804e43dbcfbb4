/**
 * The reports server: hands out the targets of a run, stores the results, writes the reports and sends the alerts.
 *
 * Environment: REPORTS_TOKEN, which scanning pods send as their bearer token, and REPORTS_PREVIOUS_TOKEN while it is rotated;
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN for a bucket; optionally API_CERTIFICATE, a folder with tls.crt and tls.key,
 * REPORTS_CONFIGURATION (default /etc/reports/reports.json), REPORTS_RECEIVERS (default /etc/receivers), PAGES_PORT, API_PORT and
 * METRICS_PORT.
 */
import type { Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import { Outbox } from "./alerts/outbox.ts";
import { createApi } from "./api.ts";
import { Bucket } from "./bucket.ts";
import { ConfigurationError, readSettings, type ServerSettings } from "./configuration.ts";
import type { Env } from "./http.ts";
import { createMetrics, createPages } from "./pages.ts";
import { isStorageError, Store } from "./store.ts";

/** Milliseconds for requests in progress when the process is asked to end. */
const shutdownTimeout = 8_000;
/** Milliseconds between two calls of {@link Store.tick}. */
const tickInterval = 1_000;
/** Milliseconds until an idle connection is closed: longer than pods wait between requests, and longer than a large report takes to write. */
const keepAliveTimeout = 75_000;

async function main(environment: NodeJS.ProcessEnv): Promise<void> {
  const { folder, keep, imageMetrics, hosts, receivers, bucket, bucketKeys, tokens, certificate, ports } = readSettings(environment);
  const outbox = new Outbox(join(folder, "outbox"), receivers);
  const store = new Store({ folder, keep, outbox, ...(bucket && bucketKeys && { bucket: new Bucket(bucket, bucketKeys) }) });
  outbox.start();
  const pages = await listen(createPages(store, outbox, hosts), ports.pages);
  const api = await listen(createApi(store, tokens), ports.api, certificate);
  const metrics = await listen(createMetrics(store, outbox, imageMetrics), ports.metrics);
  console.log(`pages on port ${portOf(pages)}, API on port ${portOf(api)}, metrics on port ${portOf(metrics)}`);
  void store.tick();
  const ticking = setInterval(() => void store.tick(), tickInterval);

  const shutDown = async (signal: string) => {
    console.log(`${signal}: shutting down; the next start continues what is in progress`);
    clearInterval(ticking);
    setTimeout(() => process.exit(0), shutdownTimeout).unref();
    await Promise.all([pages, api, metrics].map(close));
    await outbox.stop();
    await store.stop();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, shutDown);
}

async function listen({ fetch }: Hono<Env>, port: number, certificate?: ServerSettings["certificate"]): Promise<Server> {
  const serverOptions = { keepAliveTimeout, ...certificate };
  const server = createAdaptorServer({ fetch, serverOptions, ...(certificate && { createServer: createTlsServer }) }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, resolve);
  });
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function close(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve).closeIdleConnections());
}

main(process.env).catch((error: unknown) => {
  const isExpected = error instanceof ConfigurationError || isStorageError(error);
  console.error("error:", isExpected ? error.message : error);
  process.exit(1);
});
