import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { clientMetrics, gatewayPaths, type HaproxyOptions, haproxyCfg } from "../../../components/gateway/haproxy.cfg.ts";
import { serverCertificate } from "../../support/certificate.ts";
import { usual } from "../../support/haproxy.ts";

const variants: Record<string, Partial<HaproxyOptions>> = {
  "plain HTTP": {},
  "a rate limit": { rateLimit: 100 },
  "only TLS": { tls: true, plainHttp: false },
  "TLS and plain HTTP": { tls: true },
  "an external cache": { cache: { host: "192.0.2.1", port: 6380, tls: false, clientCertificate: false } },
  "a cache with mutual TLS": { cache: { ...usual.cache, tls: true, clientCertificate: true } },
  "little memory and many servers": { memory: 2 ** 27, servers: { ...usual.servers, slots: 256 } },
};

/** Skipped where HAProxy 3 is not installed. */
describe("haproxy.cfg in HAProxy", () => {
  const folder = mkdtempSync(join(tmpdir(), "haproxy-"));
  before(function () {
    const [, version] = /version (\d+)/.exec(spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout ?? "") ?? [];
    if (!(Number(version) >= 3)) this.skip();
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, options] of Object.entries(variants))
    it(`HAProxy accepts its configuration with ${name}`, () => {
      const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
      for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
      for (const path of [gatewayPaths.certificate, gatewayPaths.cacheCertificate]) {
        put(`${path}/tls.crt`, `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
        put(`${path}/tls.key`, serverCertificate.key);
      }
      put(`${gatewayPaths.clients}/clients.map`, `${"0f".repeat(32)} ci\n`);
      put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(["ci", "web"]));
      put(
        `${gatewayPaths.configuration}/haproxy.cfg`,
        haproxyCfg({ ...usual, ...options }).replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`),
      );
      const { status, stderr } = spawnSync("haproxy", ["-c", "-f", `${folder}${gatewayPaths.configuration}/haproxy.cfg`], {
        encoding: "utf8",
        env: { ...process.env, SERVER_TOKEN: "token" },
      });
      expect(status, stderr).to.equal(0);
      expect(stderr).not.to.match(/WARNING|ALERT/);
    });
});

/** Skipped where HAProxy 3 is not installed. */
describe("the gateway's metrics of clients", () => {
  const folder = mkdtempSync(join(tmpdir(), "haproxy-"));
  const servers: (Server | TcpServer)[] = [];
  let haproxy: ChildProcess | undefined;
  /** The status with which the Trivy server answers. */
  let status = 200;
  let ports: Record<"http" | "admin", number>;

  const listen = async (server: Server | TcpServer): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  };
  const freePort = async () => {
    const server = createTcpServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  };

  before(async function () {
    const [, version] = /version (\d+)/.exec(spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout ?? "") ?? [];
    if (!(Number(version) >= 3)) this.skip();
    const server = await listen(
      createServer(({ url }, response) => {
        if (url === "/healthz") return response.end("ok");
        return setTimeout(() => response.writeHead(status).end('{"code":"internal","msg":"service panic"}'), 120);
      }),
    );
    const cache = await listen(
      createTcpServer((socket) => socket.on("data", () => socket.write("+OK\r\n+PONG\r\n")).on("error", () => {})),
    );
    ports = { http: await freePort(), admin: await freePort() };
    const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
    for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
    put(`${gatewayPaths.clients}/clients.map`, `${createHash("sha256").update("secret").digest("hex")} ci\n`);
    put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(["ci", "web"]));
    put(
      `${gatewayPaths.configuration}/haproxy.cfg`,
      haproxyCfg({ ...usual, rateLimit: 6 })
        .replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`)
        .replace(/server-template server \S+ \S+/, `server server1 127.0.0.1:${server}`)
        .replace(/server cache \S+/, `server cache 127.0.0.1:${cache}`)
        .replace(/:::8080 v4v6/, `127.0.0.1:${ports.http}`)
        .replace(/:::8405 v4v6/, `127.0.0.1:${ports.admin}`),
    );
    haproxy = spawn("haproxy", ["-f", `${folder}${gatewayPaths.configuration}/haproxy.cfg`], {
      env: { ...process.env, SERVER_TOKEN: "token" },
      stdio: "ignore",
    });
    for (let attempt = 0; (await fetch(`http://127.0.0.1:${ports.http}/healthz`).catch(() => undefined))?.status !== 200; attempt++) {
      if (attempt === 100) throw new Error("HAProxy does not see the server");
      await sleep(100);
    }
  });
  after(() => {
    haproxy?.kill("SIGKILL");
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true });
  });

  const post = async (path: string) =>
    (await fetch(`http://127.0.0.1:${ports.http}${path}`, { method: "POST", body: "{}", headers: { "Trivy-Token": "secret" } })).status;
  const metrics = async () => {
    const text = await (await fetch(`http://127.0.0.1:${ports.admin}/metrics/clients`)).text();
    const samples = [...text.matchAll(/^trivy_gateway_client_(\S+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]);
    return Object.fromEntries(samples);
  };

  it("errors, retried answers and durations of scans are counted for each client, and its own limits are not failures", async () => {
    const scan = "/twirp/trivy.scanner.v1.Scanner/Scan";
    expect([await post(scan), await post(scan), await post("/twirp/trivy.cache.v1.Cache/PutBlob")]).to.deep.equal([200, 200, 200]);
    status = 500;
    expect(await post(scan)).to.equal(500);
    status = 503;
    expect(await post(scan)).to.equal(503);
    status = 200;
    expect(await post("/twirp/trivy.cache.v1.Cache/MissingBlobs")).to.equal(200);
    // The seventh request within a minute is over the limit.
    expect(await post(scan)).to.equal(503);
    const counted = await metrics();
    expect(counted).to.include({
      'requests_total{client="ci"}': 7,
      'failures_total{client="ci"}': 3,
      'errors_total{client="ci"}': 1,
      'unavailable_total{client="ci"}': 1,
      'scan_duration_seconds_bucket{client="ci",le="0.1"}': 0,
      'scan_duration_seconds_bucket{client="ci",le="60"}': 2,
      'scan_duration_seconds_bucket{client="ci",le="+Inf"}': 2,
      'scan_duration_seconds_count{client="ci"}': 2,
      'requests_total{client="web"}': 0,
      'scan_duration_seconds_count{client="web"}': 0,
    });
  });
});
