import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Outbox } from "../../../registry-scan/server/alerts/outbox.ts";
import { imageFile } from "../../../registry-scan/server/files.ts";
import { createPages } from "../../../registry-scan/server/pages.ts";
import { indexPage } from "../../../registry-scan/server/report/index-page.ts";
import type { Store } from "../../../registry-scan/server/store.ts";
import { ReportsServer, scanned, target } from "../../support/reports-server.ts";

describe("the pages of the reports server", () => {
  let server: ReportsServer;

  beforeEach(async () => {
    server = new ReportsServer();
    await server.up();
  });
  afterEach(() => server.remove());

  /** Returns the status line of a request that is sent as it is. */
  const raw = (path: string, host = "localhost") =>
    new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(server.pages);
      let answer = "";
      const socket = connect(Number(port), hostname)
        .on("data", (data) => {
          answer += data;
        })
        .on("close", () => resolve(answer.split("\r\n")[0] ?? ""))
        .on("error", reject);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    });

  it("the files of a report are served with their media type and strict headers", async () => {
    await server.whole("nightly-1", [target("a")], () => scanned());
    const image = encodeURIComponent(imageFile(target("a").names[0] ?? ""));
    for (const [path, type] of [
      ["/runs/", "text/html; charset=utf-8"],
      ["/runs/index.html", "text/html; charset=utf-8"],
      ["/runs/nightly-1/", "text/html; charset=utf-8"],
      ["/runs/nightly-1/index.html", "text/html; charset=utf-8"],
      [`/runs/nightly-1/images/${image}`, "text/html; charset=utf-8"],
      ["/runs/nightly-1/report.json?x=1", "application/json"],
      ["/runs/nightly-1/report.sarif", "application/sarif+json"],
      ["/healthz", "text/plain; charset=utf-8"],
    ] as const) {
      const page = await server.page(path);
      expect([path, page.status, page.headers.get("content-type")]).to.deep.equal([path, 200, type]);
      expect(page.headers.get("content-security-policy")).to.include("default-src 'none'").and.include("frame-ancestors 'none'");
      expect(page.headers.get("x-content-type-options")).to.equal("nosniff");
      expect(page.headers.get("referrer-policy")).to.equal("no-referrer");
      const head = await server.page(path, { method: "HEAD" });
      expect([head.status, await head.text()]).to.deep.equal([200, ""]);
      expect(head.headers.get("content-length")).to.equal(String((await page.arrayBuffer()).byteLength));
    }
    for (const path of ["/", "/runs"]) expect((await server.page(path)).headers.get("location")).to.equal("runs/");
    expect((await server.page("/runs/nightly-1")).headers.get("location")).to.equal("nightly-1/");
  });

  it("pages are served only under the server's names, so that no other site can read them in a visitor's browser", async () => {
    await server.remove();
    server = new ReportsServer({ hosts: ["trivy-reports", "trivy-reports.trivy.svc"], url: "https://reports.example.com/trivy" });
    await server.up();
    const own = ["trivy-reports", "trivy-reports.trivy.svc:80", "Reports.Example.com.", "localhost:8080", "127.0.0.1:9", "[fd00::7]:8080"];
    for (const host of own) expect(await raw("/healthz", host), host).to.match(/^HTTP\/1\.1 200 /);
    for (const host of [
      "evil.example.com",
      "trivy-reports.evil.example.com",
      "127.0.0.1.nip.io",
      "reports.example.com@evil.example.com",
      "%",
    ])
      expect(await raw("/healthz", host), host).to.match(/^HTTP\/1\.1 4(21|00) /);
  });

  it("behind oauth2-proxy the pages are the same, and its headers have no effect, whoever sends them", async () => {
    await server.remove();
    server = new ReportsServer({ url: "https://scans.example.com" });
    await server.up();
    await server.whole("nightly-1", [target("a")], () => scanned());
    const user = {
      "X-Forwarded-User": "0f7a9c",
      "X-Forwarded-Email": "<script>alert(1)</script>@example.com",
      "X-Forwarded-Preferred-Username": "name-of-the-user",
      "X-Forwarded-Groups": "team-a,team-b",
      "X-Forwarded-Access-Token": "access-token-of-the-user",
      Authorization: "Bearer id-token-of-the-user",
      "X-Forwarded-For": "203.0.113.7",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Host": "evil.example.com",
      "X-Forwarded-Uri": "/oauth2/callback",
    };
    for (const path of ["/", "/runs/", "/runs/nightly-1/", "/runs/nightly-1/report.json", "/nothing"]) {
      const [plain, behind] = [await server.page(path), await server.page(path, { headers: user })];
      const { date: _date, ...headers } = Object.fromEntries(behind.headers);
      expect([behind.status, headers, await behind.text()], path).to.deep.equal([
        plain.status,
        Object.fromEntries([...plain.headers].filter(([name]) => name !== "date")),
        await plain.text(),
      ]);
    }
    expect(await raw("/runs/", "scans.example.com")).to.match(/^HTTP\/1\.1 200 /);
    expect(server.lines.join("\n")).not.to.match(/of-the-user/);
  });

  it("no other file of the volume is served, however its path is written", async () => {
    await server.whole("nightly-1", [target("a")], () => scanned());
    await server.begin("nightly-2");
    for (const path of [
      "/runs/nightly-1/start.json",
      "/runs/nightly-1/finished.json",
      "/runs/nightly-1/images/",
      "/runs/nightly-2/queue/results.ndjson",
      "/runs/nightly-1/../../state/last-good.ndjson",
      "/runs/nightly-1/images/../../../state/latest.json",
      "/runs/nightly-1/cyclonedx/..%2f..%2f..%2fstate%2flatest.json",
      "/runs/nightly-1/cyclonedx/%2e%2e/report.json",
      "/runs/%2e%2e/state/latest.json",
      "/runs/..%2fstate/latest.json",
      "/runs//report.json",
      "/runs/nightly-1/images/%00.html",
      "/runs/nightly-1/images/%zz.html",
      "/state/latest.json",
      "//etc/passwd",
      "/runs/nightly-1/report.json/",
    ]) {
      expect(await raw(path), path).to.match(/^HTTP\/1\.1 404 /);
    }
    expect(await raw("/runs/nightly-1/report.json")).to.match(/^HTTP\/1\.1 200 /);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const answer = await server.page("/runs/nightly-1/report.json", { method });
      expect([method, answer.status, answer.headers.get("allow")]).to.deep.equal([method, 405, "GET, HEAD"]);
    }
  });
});

describe("the index page of the reports server", () => {
  it("messages that receivers refuse are on the index page", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pages-"));
    const path = join(folder, "index.html");
    await writeFile(path, indexPage([]));
    let refused: Record<string, number> = { chat: 0 };
    const store = { runPath: () => path, volumeError: undefined } as unknown as Store;
    const pages = createPages(store, { refused: () => refused } as unknown as Outbox, new Set(["reports"]));
    const incoming = { url: "/runs/", resume: () => undefined };
    const index = async () => {
      const env = { incoming };
      const response = await pages.request("/runs/", { headers: { host: "reports" } }, env);
      expect(response.status).to.equal(200);
      return response.text();
    };
    expect(await index()).to.not.include("refuses");
    refused = { chat: 2, "<b>": 1, quiet: 0 };
    expect(await index()).to.match(
      /<\/h1>\s*<p[^>]*>Messages that were not delivered .*: 2 to <bdi>chat<\/bdi>, 1 to <bdi>&lt;b&gt;<\/bdi>\./,
    );
    await rm(path);
    expect((await pages.request("/runs/", { headers: { host: "reports" } }, { incoming })).status).to.equal(404);
    await rm(folder, { recursive: true });
  });
});
