import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { ExporterConfiguration } from "../../../monitoring/programs/configuration.ts";
import { Copies, configuredMetrics, Probe } from "../../../monitoring/programs/metrics.ts";
import { Servers } from "../../../monitoring/programs/servers.ts";
import { type Metric, textFormat } from "../../../monitoring/programs/text-format.ts";
import { serverCertificate } from "../../support/certificate.ts";
import { promtool } from "../../support/promtool.ts";

/** The samples of one metric: value by label values. */
const samples = (metrics: readonly Metric[], name: string) =>
  Object.fromEntries(
    metrics
      .filter((metric) => metric.name === name)
      .flatMap((metric) => metric.samples.map(([labels, value]) => [Object.values(labels).join(), value])),
  );

describe("the exporter's metrics of servers", () => {
  let server: Server;
  let port: number;
  let answer: object | number;
  before(async () => {
    server = createServer((_request, response) => {
      if (typeof answer === "number") return response.writeHead(answer).end();
      return response.end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => server.close());

  const database = {
    Version: 2,
    NextUpdate: "2026-01-02T00:00:00Z",
    UpdatedAt: "2026-01-01T00:00:00Z",
    DownloadedAt: "2026-01-01T06:30:00.5Z",
  };
  const query = (addresses: readonly string[]) => new Servers([{ host: "servers", port, expected: 2 }], async () => addresses);

  it("a server that answers has its version and the times of its database, and one that does not is down", async () => {
    answer = { Version: "0.74.0", VulnerabilityDB: database };
    // Nothing listens on the second address.
    const metrics = await query(["127.0.0.1", "127.0.0.2"]).metrics(1000);
    expect(samples(metrics, "trivy_servers_ready")).to.deep.equal({ "": 1 });
    expect(samples(metrics, "trivy_servers_expected")).to.deep.equal({ "": 2 });
    expect(samples(metrics, "trivy_server_up")).to.deep.equal({ "127.0.0.1": 1, "127.0.0.2": 0 });
    expect(samples(metrics, "trivy_server_info")).to.deep.equal({ "127.0.0.1,0.74.0": 1 });
    expect(samples(metrics, "trivy_server_database_updated_timestamp_seconds")).to.deep.equal({ "127.0.0.1": 1767225600 });
    expect(samples(metrics, "trivy_server_database_next_update_timestamp_seconds")).to.deep.equal({ "127.0.0.1": 1767312000 });
    expect(samples(metrics, "trivy_server_database_downloaded_timestamp_seconds")).to.deep.equal({ "127.0.0.1": 1767249000.5 });
  });

  it("servers of a trust domain are counted by themselves", async () => {
    answer = { Version: "0.74.0", VulnerabilityDB: database };
    const groups = [
      { host: "servers", port, expected: 2 },
      { domain: "team-b", host: "servers-team-b", port, expected: 1 },
    ];
    const metrics = await new Servers(groups, async (host) => (host === "servers" ? ["127.0.0.1"] : ["127.0.0.2"])).metrics(1000);
    expect(samples(metrics, "trivy_servers_ready")).to.deep.equal({ "": 1, "team-b": 0 });
    expect(samples(metrics, "trivy_servers_expected")).to.deep.equal({ "": 2, "team-b": 1 });
    expect(samples(metrics, "trivy_server_up")).to.deep.equal({ "127.0.0.1": 1, "team-b,127.0.0.2": 0 });
  });

  it("a server without a database, or with Trivy's year 1, has no times of one", async () => {
    for (const VulnerabilityDB of [undefined, { ...database, UpdatedAt: "0001-01-01T00:00:00Z" }]) {
      answer = { Version: "0.74.0", VulnerabilityDB };
      const metrics = await query(["127.0.0.1"]).metrics(1000);
      expect(samples(metrics, "trivy_server_up")).to.deep.equal({ "127.0.0.1": 1 });
      expect(samples(metrics, "trivy_server_database_updated_timestamp_seconds")).to.deep.equal({});
    }
  });

  it("a server is ready since the exporter saw it answer, anew after each failure", async () => {
    const servers = query(["127.0.0.1"]);
    const since = async (now: number) => samples(await servers.metrics(now), "trivy_server_ready_since_timestamp_seconds")["127.0.0.1"];
    answer = { Version: "0.74.0" };
    expect([await since(1000), await since(1015)]).to.deep.equal([1000, 1000]);
    answer = 503;
    expect(await since(1030)).to.equal(undefined);
    answer = { Version: "0.74.0" };
    expect(await since(1045)).to.equal(1045);
  });

  it("no address means no server, and a DNS that does not answer means that nothing is known", async () => {
    expect(samples(await query([]).metrics(1), "trivy_servers_ready")).to.deep.equal({ "": 0 });
    const unknown = new Servers([{ host: "servers", port, expected: 2 }], () => Promise.reject(new Error("EAI_AGAIN")));
    expect(await unknown.metrics(1).catch((error: Error) => error.message)).to.equal("EAI_AGAIN");
  });

  it("a name that does not exist has no server", async () => {
    const servers = new Servers([{ host: "does-not-exist.invalid", port, expected: 1 }]);
    const result = await servers.metrics(1).catch((error: NodeJS.ErrnoException) => error.code);
    // Without any DNS, as in a sandbox, the answer is EAI_AGAIN.
    if (result !== "EAI_AGAIN") expect(samples(result as Metric[], "trivy_servers_ready")).to.deep.equal({ "": 0 });
  });
});

describe("the exporter's metrics of synthetic scans", () => {
  it("failures in a row are counted until the next success", () => {
    const probe = new Probe();
    expect(samples(probe.metrics(), "trivy_probe_success")).to.deep.equal({});
    expect(samples(probe.metrics(), "trivy_probe_consecutive_failures")).to.deep.equal({ "": 0 });
    probe.add({ outcome: "success", seconds: 0.5 }, 100);
    probe.add({ outcome: "scan-failed", seconds: 37, reason: "connection refused" }, 400);
    probe.add({ outcome: "finding-missing", seconds: 1 }, 700);
    const metrics = probe.metrics();
    expect(samples(metrics, "trivy_probe_runs_total")).to.deep.equal({ success: 1, "scan-failed": 1, "finding-missing": 1 });
    expect(samples(metrics, "trivy_probe_consecutive_failures")).to.deep.equal({ "": 2 });
    expect(samples(metrics, "trivy_probe_success")).to.deep.equal({ "": 0 });
    expect(samples(metrics, "trivy_probe_timestamp_seconds")).to.deep.equal({ "": 700 });
    expect(samples(metrics, "trivy_probe_last_success_timestamp_seconds")).to.deep.equal({ "": 100 });
    probe.add({ outcome: "success", seconds: 0.5 }, 1000);
    expect(samples(probe.metrics(), "trivy_probe_consecutive_failures")).to.deep.equal({ "": 0 });
  });
});

describe("the exporter's metrics of copies of the database", () => {
  const startedAt = new Date("2026-01-01T00:30:00Z");
  const copies = () => new Copies({ schedule: "0 * * * *", timeZone: "Etc/UTC", artifacts: ["vulnerabilities", "java"] }, startedAt);
  const at = (time: string) => new Date(`2026-01-01T${time}Z`);
  const successes = (of: Copies) => samples(of.metrics(at("01:30:00")), "trivy_database_copy_last_success_timestamp_seconds");

  it("until the first success, the start of the exporter counts, so that a copy that never succeeds is noticed", () => {
    const never = copies();
    never.add({ artifact: "java", success: false }, 1);
    expect(successes(never)).to.deep.equal({ vulnerabilities: startedAt.getTime() / 1000, java: startedAt.getTime() / 1000 });
    expect(samples(never.metrics(at("00:45:00")), "trivy_database_copy_scheduled_timestamp_seconds")).to.deep.equal({});
    expect(samples(never.metrics(at("01:30:00")), "trivy_database_copy_scheduled_timestamp_seconds")).to.deep.equal({
      "": at("01:00:00").getTime() / 1000,
    });
  });

  it("each database has its last success and its refused build, until a later copy succeeds", () => {
    const both = copies();
    both.add({ artifact: "java", success: true }, 1000);
    both.add({ artifact: "vulnerabilities", success: false, refused: "older" }, 2000);
    expect(successes(both)).to.include({ java: 1000 });
    expect(samples(both.metrics(startedAt), "trivy_database_copy_refused")).to.deep.equal({ "vulnerabilities,older": 1 });
    both.add({ artifact: "vulnerabilities", success: true }, 3000);
    expect(samples(both.metrics(startedAt), "trivy_database_copy_refused")).to.deep.equal({});
    expect(successes(both)).to.deep.equal({ vulnerabilities: 3000, java: 1000 });
  });

  it("a database that is not copied is no result, and without copies there are no metrics", () => {
    expect(copies().add({ artifact: "checks", success: true }, 1)).to.equal(false);
    const none = new Copies(undefined, startedAt);
    expect(none.add({ artifact: "java", success: true }, 1)).to.equal(false);
    expect(none.metrics(startedAt)).to.deep.equal([]);
  });
});

describe("the exporter's metrics that follow from its configuration", () => {
  const folder = mkdtempSync(join(tmpdir(), "exporter-"));
  after(() => rmSync(folder, { recursive: true }));
  const configuration = (given: Partial<ExporterConfiguration> = {}): ExporterConfiguration => ({
    servers: [{ host: "servers", port: 4954, expected: 1 }],
    certificates: {},
    previousSecrets: [],
    ...given,
  });
  const at = (time: string) => new Date(`2026-01-${time}Z`);

  it("a certificate has its expiry, and a file that is missing none", () => {
    const file = join(folder, "tls.crt");
    writeFileSync(file, `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
    const metrics = configuredMetrics(
      configuration({ certificates: { gateway: file, redis: join(folder, "none") } }),
      at("01T00:00:00"),
      at("02T00:00:00"),
    );
    const expiries = samples(metrics, "trivy_certificate_expiry_timestamp_seconds");
    expect(expiries).to.have.all.keys("gateway");
    expect(expiries["gateway"]).to.be.above(Date.now() / 1000);
  });

  it("each secret with a valid previous generation has a sample", () => {
    const metrics = configuredMetrics(
      configuration({ previousSecrets: [{ kind: "token", name: "team-a" }] }),
      at("01T00:00:00"),
      at("01T00:00:00"),
    );
    expect(samples(metrics, "trivy_previous_secret_valid")).to.deep.equal({ "token,team-a": 1 });
  });

  it("a registry scan has its last scheduled time in its time zone, unless that was before the exporter started", () => {
    const registryScan = { schedule: "0 3 * * *", timeZone: "Europe/Berlin" };
    const scheduled = (startedAt: string, now: string) =>
      samples(
        configuredMetrics(configuration({ registryScan }), at(startedAt), at(now)),
        "trivy_registry_scan_scheduled_timestamp_seconds",
      )[""];
    expect(scheduled("01T00:00:00", "02T12:00:00")).to.equal(Date.parse("2026-01-02T02:00:00Z") / 1000);
    expect(scheduled("01T00:00:00", "02T01:59:00")).to.equal(Date.parse("2026-01-01T02:00:00Z") / 1000);
    expect(scheduled("02T03:00:00", "02T12:00:00")).to.equal(undefined);
  });

  it("the interval of synthetic scans follows from their schedule", () => {
    const interval = (schedule: string) =>
      samples(
        configuredMetrics(configuration({ probe: { schedule, timeZone: "Etc/UTC" } }), at("01T00:00:00"), at("01T00:00:00")),
        "trivy_probe_interval_seconds",
      )[""];
    expect([interval("*/5 * * * *"), interval("@hourly")]).to.deep.equal([300, 3600]);
  });

  it("promtool finds nothing to improve in the text", function () {
    const metrics = configuredMetrics(
      configuration({ previousSecrets: [{ kind: "token", name: 'a "b" \\ c' }] }),
      at("01T00:00:00"),
      at("01T00:00:00"),
    );
    const text = textFormat([...metrics, ...new Probe().metrics()]);
    expect(text).to.include('name="a \\"b\\" \\\\ c"');
    expect(promtool(this, ["check", "metrics"], text)).to.equal("");
  });
});
