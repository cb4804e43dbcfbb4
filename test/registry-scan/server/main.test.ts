import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { get } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect } from "chai";
import type { SentResult, Target } from "../../../registry-scan/protocol/api.ts";
import type { ReportsConfiguration } from "../../../registry-scan/protocol/configuration.ts";
import type { RunReport } from "../../../registry-scan/protocol/report.ts";
import { cycloneDxFile, imageFile } from "../../../registry-scan/server/files.ts";
import { certificate, serverCertificate } from "../../support/certificate.ts";
import { failed, finding, ReportsServer, scanned, target } from "../../support/reports-server.ts";

/** Waits for a condition. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setTimeout(10);
}

const exchange = { client: "client", request: "cXVlc3Rpb24=", response: "answer" };
const three = [target("a"), target("b"), target("c")];

describe("the reports server", () => {
  let server: ReportsServer;
  let receiver: Server | undefined;

  const up = async (...args: ConstructorParameters<typeof ReportsServer>) => {
    server = new ReportsServer(...args);
    await server.up();
  };
  const report = async (run: string): Promise<RunReport> => (await server.page(`/runs/${run}/report.json`)).json() as Promise<RunReport>;
  const status = async (run: string) => (await server.call("GET", `/runs/${run}`)).body;
  const finished = (run: string) => until(async () => (await status(run)).state === "finished");

  afterEach(async () => {
    await server.remove();
    receiver?.closeAllConnections();
    receiver?.close();
    receiver = undefined;
  });

  describe("during a run", () => {
    beforeEach(() => up());

    it("two pods scan the targets of a run, and the report is written", async () => {
      expect((await server.begin("nightly-1")).body).to.deep.equal({
        run: "nightly-1",
        state: "planning",
        planned: 0,
        scanned: 0,
        failed: 0,
      });
      expect((await server.plan("nightly-1", three)).body).to.deep.include({ state: "scanning", planned: 3 });
      expect((await server.plan("nightly-1", [])).body).to.deep.include({ state: "scanning", planned: 3 });
      const attempts: string[] = [];
      const scan = (pod: string) =>
        server.work(
          "nightly-1",
          ({ id }, attempt) => {
            attempts.push(`${id} ${attempt}`);
            return id === "b" ? scanned([finding("CVE-2026-1")]) : scanned();
          },
          pod,
        );
      await Promise.all([scan("0"), scan("1")]);
      expect(attempts.sort()).to.deep.equal(["a 1", "b 1", "c 1"]);
      expect(await status("nightly-1")).to.deep.include({ state: "finished", planned: 3, scanned: 3, failed: 0, verdict: "findings" });
      expect((await status("nightly-1")).summary).to.include("nightly-1");
      const { images, ended } = await report("nightly-1");
      expect(ended).to.equal("complete");
      expect(images.map(({ name, findings }) => [name, findings.map(({ id }) => id)])).to.deep.equal([
        [three[0]?.names[0], []],
        [three[1]?.names[0], ["CVE-2026-1"]],
        [three[2]?.names[0], []],
      ]);
      expect(existsSync(server.run("nightly-1", "queue"))).to.equal(false);
    });

    it("a failed target is retried", async () => {
      const status = await server.whole("nightly-1", [target("a")], (_, attempt) => (attempt === 1 ? failed() : scanned()));
      expect(status).to.deep.include({ verdict: "clean", scanned: 1 });
      expect((await report("nightly-1")).images[0]?.attempts).to.equal(2);
    });

    it("a second run is refused while one is in progress", async () => {
      await server.begin("nightly-1");
      expect(await server.begin("nightly-2")).to.deep.include({ status: 409, body: { running: "nightly-1" } });
      expect((await server.begin("nightly-1")).status).to.equal(200);
      await server.plan("nightly-1", [target("a")]);
      await server.work("nightly-1", () => scanned());
      await finished("nightly-1");
      expect((await server.begin("nightly-2")).body).to.deep.include({ run: "nightly-2", state: "planning" });
    });

    it("a run ends at its deadline, and the report names unscanned images", async () => {
      await server.begin("nightly-1", { deadline: 3 });
      await server.plan("nightly-1", three);
      await server.next("nightly-1");
      await server.result("nightly-1", "a", scanned(), 1);
      await finished("nightly-1");
      expect(await status("nightly-1")).to.deep.include({ verdict: "errors", planned: 3, scanned: 1, failed: 2 });
      const { ended, images } = await report("nightly-1");
      expect(ended).to.equal("deadline");
      expect(images.filter(({ error }) => error).map(({ name }) => name)).to.deep.equal([three[1]?.names[0], three[2]?.names[0]]);
      expect(await server.next("nightly-1")).to.deep.equal({ next: "end" });
    });

    it("a run that was never planned ends with errors, and keeps the last scans", async () => {
      await server.whole("nightly-1", three, () => scanned([finding("CVE-2026-1")]));
      await server.begin("nightly-2", { deadline: 1 });
      await finished("nightly-2");
      expect((await status("nightly-2")).verdict).to.equal("errors");
      expect((await report("nightly-2")).removed).to.deep.equal([]);
      await server.whole("nightly-3", three, () => scanned([finding("CVE-2026-1")]));
      expect((await report("nightly-3")).totals).to.deep.include({ fresh: 0, gone: 0 });
    });

    it("a killed server continues the run and its pods' scans", async () => {
      await server.begin("nightly-1");
      await server.plan("nightly-1", three);
      await server.next("nightly-1", "0");
      await server.result("nightly-1", "a", scanned([finding("CVE-2026-1")]), 1);
      await server.next("nightly-1", "0");
      await server.restart();
      expect(await status("nightly-1")).to.deep.include({ state: "scanning", planned: 3, scanned: 1 });
      expect(await server.next("nightly-1", "1")).to.deep.include({ next: "scan", target: three[2] });
      await server.result("nightly-1", "b", scanned(), 1);
      await server.result("nightly-1", "c", scanned(), 1);
      await finished("nightly-1");
      expect((await report("nightly-1")).images.map(({ attempts }) => attempts)).to.deep.equal([1, 1, 1]);
      expect(await status("nightly-1")).to.deep.include({ verdict: "findings", scanned: 3 });
    });

    it("a CycloneDX document is stored under each of the image's names", async () => {
      const names = ["registry.example.com/team/app:1.0", "registry.example.com/team/app:latest"];
      await server.begin("nightly-1");
      await server.plan("nightly-1", [{ ...target("a"), names }]);
      await server.next("nightly-1");
      const document = { bomFormat: "CycloneDX", components: [] };
      expect((await server.call("PUT", "/runs/nightly-1/targets/a/cyclonedx", document)).status).to.equal(204);
      expect((await server.call("PUT", "/runs/nightly-1/targets/b/cyclonedx", document)).status).to.equal(404);
      for (const name of names) {
        const page = await server.page(`/runs/nightly-1/cyclonedx/${encodeURIComponent(cycloneDxFile(name))}`);
        expect(page.headers.get("content-type")).to.equal("application/json");
        expect(await page.json()).to.deep.equal(document);
      }
      expect(readdirSync(server.run("nightly-1", "cyclonedx"))).to.have.length(2);
    });

    it("the next run gets the exchange of a client's scan, as long as the image is a target", async () => {
      const result = scanned([finding("CVE-2026-1")]);
      const nameless = { id: "n", reference: "registry.example.com/n:1", names: ["registry.example.com/n:1"] };
      const all = [...three, nameless];
      /** Scans the targets, and returns the known scan that came with each attempt. */
      const run = async (name: string, targets: readonly Target[], send: (id: string, attempt: number) => SentResult, partial = false) => {
        const received: Record<string, unknown> = {};
        await server.begin(name, { partial });
        await server.plan(name, targets);
        await server.work(name, ({ id }, attempt, known) => {
          received[`${id} ${attempt}`] = known;
          return send(id, attempt);
        });
        return received;
      };
      const sent = (id: string) => (id === "b" ? result : { ...result, exchange });
      expect(await run("nightly-1", all, sent)).to.deep.equal({ "a 1": undefined, "b 1": undefined, "c 1": undefined, "n 1": undefined });
      const known = { ...exchange, result };
      // "b" was sent without an exchange; "n" has no digest, so its tag may mean another image by now.
      const expected = { "a 1": known, "b 1": undefined, "c 1": known, "n 1": undefined };
      await server.restart();
      expect(await run("by-hand", [three[0] as Target], () => result, true)).to.deep.equal({ "a 1": known });
      expect(await run("nightly-2", all, () => result)).to.deep.equal(expected);
      const moved = { ...(three[0] as Target), reference: "registry.example.com/team/app-a@sha256:other" };
      expect(await run("nightly-3", [moved], () => result)).to.deep.equal({ "a 1": undefined });
      expect(readdirSync(server.volume("state", "known"))).to.deep.equal([]);
    });

    it("a retry gets no known scan, and a failed attempt is not a known scan", async () => {
      const attempts: unknown[] = [];
      for (const run of ["nightly-1", "nightly-2"]) {
        await server.begin(run);
        await server.plan(run, [target("a")]);
        await server.work(run, (_, attempt, known) => {
          attempts.push([attempt, known?.response]);
          return attempt === 1 ? { ...failed(), exchange: { ...exchange, response: "of a failure" } } : { ...scanned(), exchange };
        });
      }
      expect(attempts).to.deep.equal([
        [1, undefined],
        [2, undefined],
        [1, "answer"],
        [2, undefined],
      ]);
    });

    it("known scans that cannot be written or read are not used, and the run succeeds", async () => {
      writeFileSync(server.volume("state", "known"), "in its place");
      expect(await server.whole("nightly-1", [target("a")], () => ({ ...scanned(), exchange }))).to.include({ verdict: "clean" });
      expect(server.lines.join("\n")).to.match(
        /the scan of registry\.example\.com\/team\/app-a@sha256:0+a is not available to the next run: /,
      );
      rmSync(server.volume("state", "known"));
      await server.whole("nightly-2", [target("a")], () => ({ ...scanned(), exchange }));
      const [file = ""] = readdirSync(server.volume("state", "known"));
      for (const [index, text] of ["{", '{"policy":"of another version"}'].entries()) {
        writeFileSync(server.volume("state", "known", file), text);
        const run = `nightly-${3 + index}`;
        await server.begin(run);
        await server.plan(run, [target("a")]);
        expect(await server.next(run)).to.deep.equal({ next: "scan", target: target("a"), attempt: 1 });
        await server.result(run, "a", scanned());
        await finished(run);
      }
    });

    it("SIGTERM shuts the server down, and the next start continues the run", async () => {
      await server.begin("nightly-1");
      expect(await server.end("SIGTERM")).to.equal(0);
      await server.up();
      expect(await status("nightly-1")).to.deep.include({ state: "planning" });
      expect(server.lines.join("\n")).to.include("run nightly-1: continued after a restart; not planned yet");
    });
  });

  describe("a server that is killed while it writes a report", () => {
    const many = Array.from({ length: 40 }, (_, id) => target(id));
    const known = [finding("CVE-2026-1")];
    const now = [...known, finding("CVE-2026-2", { title: "new" })];
    /** The file that is written next; a folder in its place stops the server there. */
    const moments: Record<string, () => string> = {
      "when the end of the run is decided": () => server.run("nightly-2", "report.json"),
      "while the report is written": () => server.run("nightly-2", "report.sarif"),
      "between two images' pages": () => server.run("nightly-2", "images", imageFile(many[20]?.names[0] ?? "")),
      "before the summary is written": () => server.run("nightly-2", "summary.json.tmp"),
      "when the alerts are in the outbox": () => server.volume("state/latest.json.tmp"),
      "before the last successful scans are replaced": () => server.volume("state/last-good.ndjson.tmp"),
      "before the run is marked as finished": () => server.run("nightly-2", "finished.json"),
    };

    for (const [moment, path] of Object.entries(moments)) {
      it(`a server killed ${moment}: the next process finishes the report with its new findings, and alerts once`, async () => {
        let open = true;
        const taken: string[] = [];
        receiver = createServer(async (request, response) => {
          let body = "";
          for await (const chunk of request) body += chunk;
          response.writeHead(open ? 200 : 503).end();
          if (open) taken.push(body);
        }).listen(0);
        const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
        await up({ receivers: [{ name: "hook", type: "json", authorized: false }] }, { receivers: { "hook.url": `${url}\n` } });
        await server.whole("nightly-1", many, () => scanned(known));
        await until(() => taken.length === 1);
        open = false;

        await server.begin("nightly-2");
        await server.plan("nightly-2", many);
        mkdirSync(path(), { recursive: true });
        for (const { id } of many) await server.result("nightly-2", id, scanned(now));
        await finished("nightly-2");
        expect((await status("nightly-2")).verdict, "until the report is written").to.equal("errors");
        await server.end("SIGKILL");
        rmSync(path(), { recursive: true });
        open = true;
        await server.up();
        await until(async () => (await status("nightly-2")).verdict === "findings");
        const { totals, images } = await report("nightly-2");
        expect(totals).to.deep.include({ scanned: 40, failed: 0, fresh: 40, gone: 0 });
        expect(images.every(({ findings }) => findings.find(({ id }) => id === "CVE-2026-2")?.fresh)).to.equal(true);
        expect(readdirSync(server.run("nightly-2", "images"))).to.have.length(40);
        await until(() => taken.length > 1);
        // A server that is killed before it notes the receiver's answer sends the message again: exactly once is impossible.
        await server.restart("SIGTERM");
        await server.whole("nightly-3", many, () => scanned(now));
        expect((await report("nightly-3")).totals).to.deep.include({ fresh: 0, gone: 0 });
        expect(taken.filter((body) => body.includes("nightly-2"))).to.have.length(1);
      });
    }

    it("a server killed at any moment: the next process finishes the report with its new findings", async () => {
      await up();
      await server.whole("nightly-1", many, () => scanned(known));
      await server.begin("nightly-2");
      await server.plan("nightly-2", many);
      for (const { id } of many.slice(1)) await server.result("nightly-2", id, scanned(now));
      void server.result("nightly-2", "0", scanned(now)).catch(() => undefined);
      for (const moment of [0, 5, 15, 40, 80]) {
        await setTimeout(moment);
        await server.restart();
      }
      if ((await status("nightly-2")).state !== "finished") await server.work("nightly-2", () => scanned(now));
      await finished("nightly-2");
      expect((await report("nightly-2")).totals).to.deep.include({ scanned: 40, failed: 0, fresh: 40, gone: 0 });
    });
  });

  describe("on a full volume", () => {
    it("a report that does not fit on the volume ends the run with an error, and is written once there is space", async () => {
      await up();
      await server.begin("nightly-1");
      await server.plan("nightly-1", [target("a")]);
      symlinkSync("/dev/full", server.run("nightly-1", "report.sarif"));
      await server.work("nightly-1", () => scanned());
      const { verdict, summary, state } = await status("nightly-1");
      expect({ verdict, state }).to.deep.equal({ verdict: "errors", state: "finished" });
      expect(summary).to.match(
        /its report could not be written: the volume at .* is full \(ENOSPC\); enlarge it, or keep fewer runs than 10/,
      );
      expect(server.lines.join("\n")).to.match(/error: the volume at .* is full/);
      expect(await server.metrics()).to.include("\ntrivy_registry_scan_volume_trouble 1\n");
      expect((await server.begin("nightly-2")).status).to.equal(409);
      rmSync(server.run("nightly-1", "report.sarif"));
      await server.restart();
      await finished("nightly-1");
      expect((await status("nightly-1")).verdict).to.equal("clean");
      expect(await server.metrics()).to.include("\ntrivy_registry_scan_volume_trouble 0\n");
    });

    it("a request whose data does not fit on the volume is answered with 503", async () => {
      await up();
      mkdirSync(server.run("nightly-1"), { recursive: true });
      await server.begin("nightly-1");
      symlinkSync("/dev/full", server.run("nightly-1", "queue/plan.ndjson.tmp"));
      const { status: code, body } = await server.call<{ error: string }>("PUT", "/runs/nightly-1/plan", { target: target("a") });
      expect(code).to.equal(503);
      expect(body.error).to.match(/^the volume at .* is full/);
      expect((await status("nightly-1")).summary).to.equal(body.error);
      rmSync(server.run("nightly-1", "queue/plan.ndjson.tmp"));
      expect((await server.plan("nightly-1", [target("a")])).body)
        .to.deep.include({ planned: 1 })
        .and.not.have.property("summary");
    });
  });

  describe("over several runs", () => {
    it("only the configured number of runs is kept and listed in the index", async () => {
      await up({ keep: 2 });
      for (const run of ["nightly-1", "nightly-2", "nightly-3"]) await server.whole(run, [target("a")], () => scanned());
      mkdirSync(server.run("half-made"));
      writeFileSync(server.run("half-made", "start.json.tmp"), "{");
      await server.restart();
      expect(readdirSync(server.volume("runs")).sort()).to.deep.equal(["index.html", "nightly-2", "nightly-3"]);
      const index = await (await server.page("/runs/")).text();
      expect(index).to.include("nightly-2").and.include("nightly-3").and.not.include("nightly-1");
      expect((await server.page("/runs/nightly-1/")).status).to.equal(404);
      expect((await server.call("GET", "/runs/nightly-1")).status).to.equal(404);
      expect(await (await server.page("/runs/nightly-3/")).text()).to.include("nightly-2");
    });

    it("metrics are those of the last full run, also after a restart", async () => {
      await up();
      await server.whole("nightly-1", three, () => scanned([finding("CVE-2026-1")]));
      await server.begin("by-hand", { partial: true });
      await server.plan("by-hand", [target("a")]);
      await server.work("by-hand", () => scanned());
      const before = await server.metrics();
      await server.restart();
      const after = await server.metrics();
      for (const metrics of [before, after]) {
        for (const { names } of three)
          expect(metrics).to.include(`trivy_registry_scan_findings{repository="${names[0]?.replace(/:1\.0$/, "")}",severity="HIGH"} 1\n`);
      }
    });

    it("two runs of the same name are distinguished, as when a Job is created again", async () => {
      await up({ keep: 1 });
      const one = (id: string) => [finding(id)];
      await server.whole("scan-now", [target("a")], () => scanned(one("CVE-2026-1")));
      await server.whole("nightly-1", [target("a")], () => scanned(one("CVE-2026-1")));
      await server.whole("scan-now", [target("a")], () => scanned(one("CVE-2026-2")));
      expect((await report("scan-now")).totals).to.deep.include({ fresh: 1, gone: 1 });
    });
  });

  it("with a certificate, the API is served over TLS only, and the pages as before", async () => {
    const folder = mkdtempSync(join(tmpdir(), "certificate-"));
    try {
      writeFileSync(join(folder, "tls.crt"), `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
      writeFileSync(join(folder, "tls.key"), serverCertificate.key);
      server = new ReportsServer({}, { environment: { API_CERTIFICATE: folder } });
      await server.up();
      const { port } = new URL(server.api);
      const status = (ca: string) =>
        new Promise<string>((resolve) => {
          const options = { host: "127.0.0.1", port, path: "/api/runs/x", servername: "trivy.trivy.svc", ca };
          get(options, ({ statusCode }) => resolve(`${statusCode}`)).on("error", ({ message }) => resolve(message));
        });
      expect(await status(serverCertificate.authority)).to.equal("401");
      expect(await status(certificate)).to.match(/unable to get/);
      expect(await fetch(server.api).catch((error: Error) => error.message), "plain HTTP").to.equal("fetch failed");
      expect((await server.page("/healthz")).status).to.equal(200);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  describe("with an invalid configuration", () => {
    const ends = async (configuration: Partial<ReportsConfiguration>, environment: Record<string, string>) => {
      server = new ReportsServer(configuration, { environment });
      return { code: await server.up(), said: server.lines };
    };

    it("a server with an invalid configuration exits with a message that names the problem", async () => {
      const hook = { name: "hook", type: "slack", authorized: false } as const;
      const bucket = { endpoint: "http://127.0.0.1:1", region: "us-east-1", name: "reports", prefix: "" };
      for (const [configuration, environment, error] of [
        [{}, { REPORTS_TOKEN: "" }, /^error: REPORTS_TOKEN is missing in the environment/],
        [{}, { REPORTS_CONFIGURATION: "/nowhere.json" }, /^error: the configuration \/nowhere.json cannot be used: ENOENT/],
        [{ receivers: [hook] }, {}, /^error: receiver hook: .*hook.url is missing or empty; set it in the receiver's Secret/],
        [{ bucket }, {}, /^error: bucket reports: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is missing in the environment$/],
        [{ folder: "/dev/null/x" }, {}, /^error: ENOTDIR/],
        [{}, { API_CERTIFICATE: "/nowhere" }, /^error: the certificate of the API cannot be used: ENOENT/],
        [{ keep: 0 }, {}, /^error: the configuration \/.* cannot be used: `keep` is not more than 0$/],
      ] as const) {
        const { code, said } = await ends(configuration, environment);
        expect(code).to.equal(1);
        expect(said.join("\n")).to.match(error).and.not.include("    at ");
        await server.remove();
      }
    });
  });

  it("requests for a finished run do not change its report", async () => {
    await up();
    await server.whole("nightly-1", [target("a")], () => scanned());
    const before = readFileSync(server.run("nightly-1", "report.json"), "utf8");
    expect((await server.begin("nightly-1")).body).to.deep.include({ state: "finished", verdict: "clean" });
    expect((await server.result("nightly-1", "a", failed(), 1)).body).to.deep.include({ state: "finished", verdict: "clean" });
    expect(await server.next("nightly-1")).to.deep.equal({ next: "end" });
    await server.restart();
    expect(readFileSync(server.run("nightly-1", "report.json"), "utf8")).to.equal(before);
  });
});
