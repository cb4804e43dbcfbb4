import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { monitoringPrograms } from "../../../components/monitoring/bundle.ts";
import type { ExporterConfiguration } from "../../../monitoring/programs/configuration.ts";

/** Behaves as its server's name says, and writes its arguments and environment to a file. */
const trivy = `#!/bin/sh
for last; do :; done
{ echo "$*"; echo "token=$TRIVY_TOKEN exporter=$EXPORTER_TOKEN"; cat "$last/etc/alpine-release" "$last/lib/apk/db/installed"; } > "$STUBS/call"
case "$*" in
  *"/good "*) echo '{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-2021-36159"}]}]}' ;;
  *"/empty "*) echo '{"Results":[]}' ;;
  *) printf '2026-01-01T00:00:00Z\\tFATAL\\tFatal error\\trun error: connection refused\\n' >&2; exit 1 ;;
esac
`;

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("the monitoring's programs, as processes", () => {
  let folder: string;
  let server: Server;
  let exporter: ChildProcess;
  let log = "";
  let ports: Record<"metrics" | "results", number>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "monitoring-"));
    for (const [name, text] of Object.entries(monitoringPrograms())) await writeFile(join(folder, name), text);
    await writeFile(join(folder, "trivy"), trivy);
    await chmod(join(folder, "trivy"), 0o755);
    server = createServer((_request, response) => response.end('{"Version":"0.74.0"}'));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const configuration: ExporterConfiguration = {
      servers: [{ host: "127.0.0.1", port: (server.address() as AddressInfo).port, expected: 2 }],
      certificates: {},
      previousSecrets: [],
      probe: { schedule: "*/5 * * * *", timeZone: "Etc/UTC" },
      copy: { schedule: "17 * * * *", timeZone: "Etc/UTC", artifacts: ["vulnerabilities"] },
    };
    await writeFile(join(folder, "exporter.json"), JSON.stringify(configuration));
    ports = { metrics: await freePort(), results: await freePort() };
    exporter = spawn(process.execPath, [join(folder, "exporter.js")], {
      env: {
        EXPORTER_TOKEN: "s3cret",
        EXPORTER_PREVIOUS_TOKEN: "previous",
        EXPORTER_CONFIGURATION: join(folder, "exporter.json"),
        METRICS_PORT: String(ports.metrics),
        RESULTS_PORT: String(ports.results),
      },
    });
    for (const stream of [exporter.stdout, exporter.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        log += text;
      });
    for (let attempt = 0; !(await fetch(`http://127.0.0.1:${ports.metrics}/healthz`).catch(() => undefined))?.ok; attempt++) {
      if (attempt === 100) throw new Error(`the exporter does not start: ${log}`);
      await sleep(50);
    }
  });
  after(async () => {
    exporter?.kill("SIGKILL");
    server?.close();
    await rm(folder, { recursive: true });
  });

  const metrics = async () => (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  const post = async (body: string, authorization = "Bearer s3cret", path = "/probe") =>
    (await fetch(`http://127.0.0.1:${ports.results}${path}`, { method: "POST", body, headers: { authorization } })).status;

  /** Runs a synthetic scan of the service with this name. Returns its exit code and its output. */
  async function probe(
    service: string,
    port = (server.address() as AddressInfo).port,
  ): Promise<{ code: number | null; output: string; call: string }> {
    const child = spawn(process.execPath, [join(folder, "probe.js")], {
      env: {
        PATH: `${folder}:/usr/bin:/bin`,
        STUBS: folder,
        TMPDIR: folder,
        SERVICE_URL: `http://127.0.0.1:${port}/${service}`,
        EXPORTER_URL: `http://127.0.0.1:${ports.results}`,
        EXPORTER_TOKEN: "s3cret",
        TRIVY_TOKEN: "t0ken",
      },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    const call = await readFile(join(folder, "call"), "utf8");
    return { code, output, call };
  }

  it("the exporter asks the servers when it is read", async () => {
    const text = await metrics();
    expect(text).to.include("trivy_servers_ready 1\n").and.include("trivy_servers_expected 2\n");
    expect(text).to.include('trivy_server_info{server="127.0.0.1",version="0.74.0"} 1\n');
    expect((await fetch(`http://127.0.0.1:${ports.metrics}/`)).status).to.equal(404);
  });

  it("results without the token, on the wrong port, or that are not valid, are refused", async () => {
    const good = JSON.stringify({ outcome: "success", seconds: 1 });
    expect(await post(good, "Bearer wrong")).to.equal(401);
    expect(await post(good, "")).to.equal(401);
    for (const bad of [
      "",
      "null",
      "{}",
      '{"outcome":"success"}',
      '{"outcome":"other","seconds":1}',
      `{"outcome":"success","seconds":1,"reason":"${"x".repeat(20_000)}"}`,
    ])
      expect(await post(bad), bad.slice(0, 50)).to.equal(400);
    expect((await fetch(`http://127.0.0.1:${ports.metrics}/probe`, { method: "POST", body: good })).status).to.equal(404);
    expect(await metrics()).to.include('trivy_probe_runs_total{outcome="success"} 0\n');
  });

  it("results of a copy are counted, and those that are not valid refused", async () => {
    const copy = (result: unknown) => post(JSON.stringify(result), undefined, "/copy");
    expect(await copy({ artifact: "vulnerabilities", success: false, refused: "older" })).to.equal(204);
    expect(await metrics()).to.include('trivy_database_copy_refused{artifact="vulnerabilities",reason="older"} 1\n');
    for (const bad of [
      null,
      {},
      { artifact: "java", success: true },
      { artifact: "vulnerabilities" },
      { artifact: "vulnerabilities", success: 1 },
    ])
      expect(await copy(bad), JSON.stringify(bad)).to.equal(400);
  });

  it("results with the previous token are accepted", async () => {
    expect(await post(JSON.stringify({ outcome: "scan-failed", seconds: 1 }), "Bearer previous")).to.equal(204);
  });

  it("a synthetic scan that finds the known vulnerability is a success", async () => {
    const { code, output, call } = await probe("good");
    expect(code, output).to.equal(0);
    expect(call)
      .to.match(/^rootfs --server http:\/\/\S+\/good .*--format json/)
      .and.include("P:apk-tools\n")
      .and.include("3.10.9\n");
    // Trivy gets the service's token and not the exporter's.
    expect(call).to.include("token=t0ken exporter=\n");
    const text = await metrics();
    expect(text).to.include('trivy_probe_runs_total{outcome="success"} 1\n').and.include("trivy_probe_success 1\n");
  });

  it("a synthetic scan waits until the service accepts its connection", async () => {
    const port = await freePort();
    const late = createTcpServer((socket) => socket.destroy());
    const opening = sleep(1_500).then(() => new Promise<void>((resolve) => late.listen(port, "127.0.0.1", resolve)));
    const { code, output } = await probe("good", port);
    await opening;
    late.close();
    expect(code, output).to.equal(0);
    expect(await metrics()).to.include('trivy_probe_runs_total{outcome="success"} 2\n');
  });

  it("a synthetic scan that fails or finds nothing is a failure, whose reason the exporter logs, without a token", async () => {
    expect((await probe("down")).code).to.equal(1);
    const { code, output } = await probe("empty");
    expect(code).to.equal(1);
    expect(await metrics()).to.include("trivy_probe_consecutive_failures 2\n");
    expect(log)
      .to.match(/scan-failed: .*connection refused/)
      .and.match(/finding-missing: .*CVE-2021-36159/);
    expect(`${log}${output}`).not.to.match(/t0ken|s3cret/);
  });
});
