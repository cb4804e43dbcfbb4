import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { balancerCfg, clientMetrics } from "../../components/gateway/balancer.cfg.ts";
import { edgeCfg } from "../../components/gateway/edge.cfg.ts";
import { gatewayPaths, gatewayPorts } from "../../components/gateway/haproxy.ts";
import { serverCertificate } from "./certificate.ts";
import { usualBalancer, usualEdge } from "./haproxy.ts";

/** Whether HAProxy 3 is installed. */
export function hasHaproxy(): boolean {
  const [, version] = /version (\d+)/.exec(spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout ?? "") ?? [];
  return Number(version) >= 3;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export interface GatewayProcesses {
  readonly ports: Readonly<Record<keyof typeof gatewayPorts, number>>;
  readonly stop: () => void;
}

export interface GatewayProcessesOptions {
  /** The tokens of the clients, by name. */
  readonly clients: Readonly<Record<string, string>>;
  /** The token that Trivy's servers expect. */
  readonly serverToken: string;
  /** Port of the only Trivy server on 127.0.0.1. */
  readonly server: number;
  /** The trust domains, by name: their clients, and the address of their only server, which has the same port. @default none */
  readonly domains?: Readonly<Record<string, { readonly clients: readonly string[]; readonly host: string }>>;
  /** Port of the cache on 127.0.0.1. @default the server's, which accepts connections */
  readonly cache?: number;
  readonly rateLimit?: number;
  readonly connectionsPerAddress?: number;
}

/** Starts the edge and the balancer as in a pod, on free ports of 127.0.0.1, and waits until they see the server. */
export async function startGateway(options: GatewayProcessesOptions): Promise<GatewayProcesses> {
  const folder = mkdtempSync(join(tmpdir(), "gateway-"));
  const processes: ChildProcess[] = [];
  const stop = () => {
    for (const child of processes) child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  };
  const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
  for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
  put(`${gatewayPaths.certificate}/tls.crt`, `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
  put(`${gatewayPaths.certificate}/tls.key`, serverCertificate.key);
  const hashed = Object.entries(options.clients).map(([name, token]) => `${createHash("sha256").update(token).digest("hex")} ${name}\n`);
  put(`${gatewayPaths.clients}/clients.map`, hashed.join(""));
  put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(Object.keys(options.clients)));
  const ports = { http: await freePort(), https: await freePort(), admin: await freePort(), edgeAdmin: await freePort() };
  const start = (name: string, configuration: string) => {
    const file = `${gatewayPaths.configuration}/${name}`;
    const text = Object.entries(gatewayPorts)
      .reduce((all, [key, value]) => all.replaceAll(`:${value}"`, `:${ports[key as keyof typeof ports]}"`), configuration)
      .replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`)
      // Tests that run at the same time have gateways of their own.
      .replaceAll("abns@trivy-gateway", `abns@${folder}`)
      // There is no cluster's DNS.
      .replace(/^resolvers cluster[\s\S]*?\n\n/m, "")
      .replaceAll("init-addr none resolvers cluster", "");
    put(file, text);
    const child = spawn("haproxy", ["-db", "-f", `${folder}${file}`], {
      env: { ...process.env, SERVER_TOKEN: options.serverToken, ADDRESS: "127.0.0.1" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors += chunk;
    });
    child.on("exit", (code) => code && console.error(errors));
    processes.push(child);
  };
  const { cache } = usualBalancer;
  const { rateLimit, connectionsPerAddress = usualEdge.connectionsPerAddress } = options;
  start(
    "balancer.cfg",
    balancerCfg({
      ...usualBalancer,
      servers: [
        { host: "127.0.0.1", slots: 1 },
        ...Object.entries(options.domains ?? {}).map(([name, { clients, host }]) => ({ domain: { name, clients }, host, slots: 1 })),
      ],
      port: options.server,
      cache: { ...cache, host: "127.0.0.1", port: options.cache ?? options.server },
      rateLimit,
    }),
  );
  start("edge.cfg", edgeCfg({ ...usualEdge, tls: true, connectionsPerAddress }));
  for (let time = 0; (await fetch(`http://127.0.0.1:${ports.http}/healthz`).catch(() => undefined))?.status !== 200; time++) {
    if (time > 100) {
      stop();
      throw new Error("the gateway does not answer");
    }
    await sleep(100);
  }
  return { ports, stop };
}
