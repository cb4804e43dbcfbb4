/**
 * The database mirror: copies Trivy's databases from public registries, verifies them, and serves them to the servers and to clients.
 *
 * Environment: MIRROR_CONFIGURATION (default /etc/mirror/mirror.json), MIRROR_DATA (default /data), MIRROR_TLS, a folder with tls.crt and tls.key
 * (default /etc/mirror-tls), TMPDIR with space for an unpacked database, DOCKER_CONFIG; optionally REGISTRY_PORT, METRICS_PORT and ADMIN_PORT.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { adminListener } from "./admin-server.ts";
import { artifacts } from "./artifacts.ts";
import { type MirrorConfiguration, readConfiguration } from "./configuration.ts";
import { metrics } from "./metrics.ts";
import { MirroredDatabase } from "./mirrored-database.ts";
import { mirrorPorts } from "./names.ts";
import { RegistryServer } from "./registry-server.ts";

/** Milliseconds for downloads in progress when the process is asked to end. */
const shutdownTimeout = 25_000;

/** Seconds until the upstream registries are queried again after none has answered. */
const retryInterval = 300;

async function main(environment: NodeJS.ProcessEnv): Promise<void> {
  const {
    MIRROR_CONFIGURATION: path = "/etc/mirror/mirror.json",
    MIRROR_DATA: data = "/data",
    MIRROR_TLS: certificate = "/etc/mirror-tls",
    REGISTRY_PORT: registryPort = mirrorPorts.registry,
    METRICS_PORT: metricsPort = mirrorPorts.metrics,
    ADMIN_PORT: adminPort = mirrorPorts.admin,
  } = environment;
  const { sources, plainHttp, interval, keep, pin } = readConfiguration<MirrorConfiguration>(path);
  const databases = sources.map((source) => {
    const { repository } = artifacts[source.artifact];
    const folder = join(data, repository);
    mkdirSync(folder, { recursive: true });
    // Only the vulnerability database can be pinned.
    const ownPin = source.artifact === "vulnerabilities" ? pin : undefined;
    return new MirroredDatabase({ source, plainHttp, keep, pin: ownPin, folder, scratch: tmpdir() });
  });
  for (const { artifact, isPinMissing, served } of databases)
    if (isPinMissing)
      console.error(
        `database.mirror.pin is ${pin}, which is not among the builds that are kept; ${served ? `${served.digest} is served` : `${artifact.repository} is empty`}`,
      );

  const registry = new RegistryServer(databases);
  const servers = [
    await listen(createHttpsServer(readCertificate(certificate), registry.listener), Number(registryPort)),
    await listen(
      createHttpServer(({ url }, response) => {
        const body = url === "/metrics" ? metrics(registry.served) : "ok\n";
        response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(body);
      }),
      Number(metricsPort),
    ),
    await listen(createHttpServer({ requestTimeout: 0 }, adminListener(databases)), Number(adminPort), "127.0.0.1"),
  ];
  console.log(
    `registry, metrics and administration on the ports ${servers.map((server) => (server.address() as AddressInfo).port).join(", ")}`,
  );

  const shutDown = async (signal: string) => {
    console.log(`${signal}: shutting down`);
    setTimeout(() => process.exit(0), shutdownTimeout).unref();
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve).closeIdleConnections())));
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, shutDown);

  if (sources.every(({ repositories }) => repositories.length === 0)) return;
  for (;;) {
    const answered = await updateAll(databases.filter((_, index) => (sources[index]?.repositories.length ?? 0) > 0));
    // Several installations must not query the registries at the same second.
    await sleep((answered ? interval : Math.min(retryInterval, interval)) * (0.9 + Math.random() * 0.2) * 1000);
  }
}

const readCertificate = (folder: string) => ({
  cert: readFileSync(join(folder, "tls.crt")),
  key: readFileSync(join(folder, "tls.key")),
});

/** Returns whether every database's registry has answered. */
async function updateAll(databases: readonly MirroredDatabase[]): Promise<boolean> {
  let answered = true;
  for (const database of databases) answered = (await database.update()) && answered;
  return answered;
}

async function listen<Type extends Server>(server: Type, port: number, host?: string): Promise<Type> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, host, resolve);
  });
  return server;
}

main(process.env).catch((error: unknown) => {
  console.error("error:", error);
  process.exit(1);
});
