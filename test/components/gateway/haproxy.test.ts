import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { balancerCfg, clientMetrics } from "../../../components/gateway/balancer.cfg.ts";
import { edgeCfg } from "../../../components/gateway/edge.cfg.ts";
import { gatewayPaths } from "../../../components/gateway/haproxy.ts";
import { certificate, serverCertificate } from "../../support/certificate.ts";
import { type GatewayProcesses, hasHaproxy, startGateway } from "../../support/gateway-processes.ts";
import { usualBalancer, usualEdge } from "../../support/haproxy.ts";

const { cache } = usualBalancer;
const domains = [
  ...usualBalancer.servers,
  ...Array.from({ length: 15 }, (_, domain) => ({
    domain: { name: `domain-${domain}`, clients: Array.from({ length: 100 }, (_, client) => `client-${domain}-${client}`) },
    host: `trivy-servers-domain-${domain}.trivy.svc.cluster.local`,
    slots: 16,
  })),
];
const variants: Record<string, string> = {
  "for the balancer": balancerCfg(usualBalancer),
  "for a rate limit": balancerCfg({ ...usualBalancer, rateLimit: 100 }),
  "for an external cache": balancerCfg({
    ...usualBalancer,
    cache: { host: "192.0.2.1", port: 6380, tls: false, clientCertificate: false },
  }),
  "for a cache with mutual TLS": balancerCfg({ ...usualBalancer, cache: { ...cache, tls: true, clientCertificate: true } }),
  "for little memory and many servers": balancerCfg({
    ...usualBalancer,
    memory: 2 ** 27,
    servers: [{ host: "servers.scans.svc", slots: 256 }],
  }),
  "for 15 trust domains of a hundred clients": balancerCfg({ ...usualBalancer, servers: domains }),
  "for the edge with plain HTTP": edgeCfg(usualEdge),
  "for the edge with TLS only": edgeCfg({ ...usualEdge, tls: true, plainHttp: false }),
  "for the edge with a mirror of the Java database": edgeCfg({
    ...usualEdge,
    database: { host: "trivy-database.trivy.svc.cluster.local", port: 443, repository: "trivy-java-db" },
  }),
  "for the edge with TLS and plain HTTP": edgeCfg({ ...usualEdge, tls: true }),
};

/** Skipped where HAProxy 3 is not installed. */
describe("haproxy.cfg in HAProxy", () => {
  const folder = mkdtempSync(join(tmpdir(), "haproxy-"));
  before(function () {
    if (!hasHaproxy()) this.skip();
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, configuration] of Object.entries(variants))
    it(`HAProxy accepts the configuration ${name}`, () => {
      const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
      for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
      for (const path of [gatewayPaths.certificate, gatewayPaths.cacheCertificate]) {
        put(`${path}/tls.crt`, `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
        put(`${path}/tls.key`, serverCertificate.key);
      }
      put(`${gatewayPaths.clients}/clients.map`, `${"0f".repeat(32)} ci\n`);
      put(`${gatewayPaths.databaseAuthority}/ca.crt`, certificate);
      put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(["ci", "web"]));
      put(`${gatewayPaths.configuration}/haproxy.cfg`, configuration.replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`));
      const { status, stderr } = spawnSync("haproxy", ["-c", "-f", `${folder}${gatewayPaths.configuration}/haproxy.cfg`], {
        encoding: "utf8",
        env: { ...process.env, SERVER_TOKEN: "token", ADDRESS: "::" },
      });
      expect(status, stderr).to.equal(0);
      expect(stderr).not.to.match(/WARNING|ALERT/);
    });
});

/** Skipped where HAProxy 3 is not installed. */
describe("the gateway's trust domains in HAProxy", () => {
  const servers: Server[] = [];
  let gateway: GatewayProcesses | undefined;
  const requests: string[] = [];

  before(async function () {
    if (!hasHaproxy()) this.skip();
    const start = async (address: string, port: number): Promise<number> => {
      const server = createServer((request, response) => {
        if (request.url !== "/healthz") requests.push(`${address} ${request.url}`);
        request.resume().on("end", () => response.end(address));
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(port, address, resolve));
      return (server.address() as AddressInfo).port;
    };
    const server = await start("127.0.0.1", 0);
    await start("127.0.0.2", server);
    gateway = await startGateway({
      clients: { "team-a": "a", "team-b": "b" },
      serverToken: "token",
      server,
      domains: { b: { clients: ["team-b"], host: "127.0.0.2" } },
    });
  });
  after(() => {
    gateway?.stop();
    for (const server of servers) server.close();
  });

  const send = async (token: string, body: string, headers: Record<string, string> = {}) => {
    const url = `http://127.0.0.1:${gateway?.ports.http}/twirp/trivy.cache.v1.Cache/PutBlob`;
    return (await fetch(url, { method: "POST", body, headers: { "Trivy-Token": token, ...headers } })).text();
  };

  it("small and large requests reach the servers of the client's domain, whatever else it sends", async () => {
    for (const body of ["{}", "x".repeat(3 * 2 ** 20)]) {
      expect(await send("a", body)).to.equal("127.0.0.1");
      expect(await send("b", body)).to.equal("127.0.0.2");
    }
    expect(await send("a", "{}", { "X-Trivy-Client": "team-b" })).to.equal("127.0.0.1");
    expect(await send("b", "{}", { "X-Trivy-Client": "team-a" })).to.equal("127.0.0.2");
  });

  it("a domain without servers is asked to retry, and not sent to the others'", async () => {
    servers[1]?.closeAllConnections();
    await new Promise((resolve) => servers[1]?.close(resolve));
    requests.length = 0;
    expect(await send("b", "{}")).to.match(/"unavailable".*; retrying/);
    expect(requests).to.deep.equal([]);
    expect(await send("a", "{}")).to.equal("127.0.0.1");
    expect((await fetch(`http://127.0.0.1:${gateway?.ports.http}/healthz`)).status).to.equal(200);
  });
});

/** Skipped where HAProxy 3 is not installed. */
describe("the gateway's metrics of clients", () => {
  const servers: (Server | TcpServer)[] = [];
  let gateway: GatewayProcesses | undefined;
  /** The status with which the Trivy server answers. */
  let status = 200;

  const listen = async (server: Server | TcpServer): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  };

  before(async function () {
    if (!hasHaproxy()) this.skip();
    const server = await listen(
      createServer(({ url }, response) => {
        if (url === "/healthz") return response.end("ok");
        return setTimeout(() => response.writeHead(status).end('{"code":"internal","msg":"service panic"}'), 120);
      }),
    );
    const cache = await listen(
      createTcpServer((socket) => socket.on("data", () => socket.write("+OK\r\n+PONG\r\n")).on("error", () => {})),
    );
    gateway = await startGateway({ clients: { ci: "secret", web: "another secret" }, serverToken: "token", server, cache, rateLimit: 6 });
  });
  after(() => {
    gateway?.stop();
    for (const server of servers) server.close();
  });

  const post = async (path: string) =>
    (await fetch(`http://127.0.0.1:${gateway?.ports.http}${path}`, { method: "POST", body: "{}", headers: { "Trivy-Token": "secret" } }))
      .status;
  const metrics = async () => {
    const text = await (await fetch(`http://127.0.0.1:${gateway?.ports.admin}/metrics/clients`)).text();
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
