import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { LastScan } from "../../../registry-scan/server/compare.ts";
import { csv } from "../../../registry-scan/server/report/csv.ts";
import { searchPage } from "../../../registry-scan/server/report/search-page.ts";
import { checkedQuery, maximumMatches, type SearchQuery, type SearchResult, search } from "../../../registry-scan/server/search.ts";
import { finding, Runs, scanned } from "../../support/registry-reports.ts";
import { ReportsServer, scanned as result, finding as sent, target } from "../../support/reports-server.ts";

const log4j = { id: "CVE-2021-44228", package: "org.apache.logging.log4j:log4j-core", severity: "CRITICAL" } as const;

describe("the search", () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "search-"));
    path = join(folder, "last-good.ndjson");
  });
  after(() => rmSync(folder, { recursive: true }));

  const written = (scans: readonly LastScan[], more = "") =>
    writeFileSync(path, `{"run":"r"}\n${scans.map((scan) => `${JSON.stringify(scan)}\n`).join("")}${more}`);
  const lastScans = (...outcomes: Parameters<Runs["next"]>[0]) => {
    const runs = new Runs();
    runs.next(outcomes);
    return [...runs.lastScans.values()];
  };
  const found = async (query: SearchQuery) =>
    (await search(path, query)).matches.map(({ image, id, package: name, installed }) => `${image} ${id} ${name} ${installed}`);

  it("finds ids, packages, ranges of their versions and images, alone and together", async () => {
    written(
      lastScans(
        scanned("r.example/a:1", [finding({ ...log4j, installed: "2.14.1" }), finding({ severity: "LOW" })]),
        scanned("r.example/b:1", [finding({ ...log4j, installed: "2.17.0" })]),
        scanned("r.example/b:2", [finding({ id: "GHSA-jfh8-c2jp-5v3q", package: "log4j-core-not" })]),
      ),
    );
    const [a, b] = ["r.example/a:1", "r.example/b:1"].map((image) => `${image} ${log4j.id} ${log4j.package}`);
    expect(await found({ term: "cve-2021-44228" })).to.deep.equal([`${a} 2.14.1`, `${b} 2.17.0`]);
    expect(await found({ id: log4j.id, image: "/b" })).to.deep.equal([`${b} 2.17.0`]);
    expect(await found({ package: log4j.package, versions: "<2.15" })).to.deep.equal([`${a} 2.14.1`]);
    expect(await found({ term: log4j.package, versions: ">=2.15" })).to.deep.equal([`${b} 2.17.0`]);
    expect(await found({ term: "GHSA-jfh8-c2jp-5v3q" })).to.have.length(1);
    // A part of an id or of a name is no match, although the text is in the file.
    for (const part of ["CVE-2021-4422", "log4j-core", "r.example"]) expect(await found({ term: part }), part).to.deep.equal([]);
    expect(await found({ package: "apk-tools", versions: ">=2.10.6 <2.10.7" })).to.have.length(1);
    expect((await search(path, { image: "r.example" })).images).to.equal(3);
  });

  it("reads what can be read of a damaged file, and finds nothing before the first run", async () => {
    written(lastScans(scanned("r.example/a:1", [finding(log4j)])), `{"name":"r.example/b:1","findings":[{"id":"${log4j.id}\n`);
    expect(await found({ id: log4j.id })).to.have.length(1);
    expect(await search(join(folder, "none"), { id: log4j.id })).to.deep.equal({ images: 0, matches: [], omitted: 0 });
  });

  it("of very many matches, the most severe are returned", async () => {
    const many = Array.from({ length: maximumMatches + 5 }, (_, index) => scanned(`r/${index}:1`, [finding({ severity: "LOW" })]));
    written(lastScans(...many, scanned("r/worst:1", [finding()])));
    const { matches, omitted } = await search(path, { id: finding().id });
    expect([matches.length, omitted, matches[0]?.image]).to.deep.equal([maximumMatches, 6, "r/worst:1"]);
  });

  it("a query that cannot be answered is refused with what would be valid", () => {
    for (const [given, message] of [
      [{}, /name what to find: an id such as CVE-2021-44228/],
      [{ versions: "<2" }, /name what to find/],
      [{ image: "a", versions: "<2" }, /`versions` needs the `package`/],
      [{ package: "openssl", versions: "new" }, /`versions` is not a valid range of semantic versions; use one such as/],
      [{ term: "CVE\u0000" }, /control characters/],
      [{ id: "x".repeat(301) }, /longer than 300 characters/],
    ] as const)
      expect(() => checkedQuery(given), JSON.stringify(given)).to.throw(message);
    expect(checkedQuery({ term: " CVE-1 ", image: "", unknown: "x" })).to.deep.equal({ term: "CVE-1" });
  });

  it("a cell of the CSV is quoted where needed, and is no formula for a spreadsheet", () => {
    const image = { image: "r/a:1", scannedAt: "2026-01-02T00:00:00Z" };
    const hostile = finding({ package: '=HYPERLINK("http://evil")', title: "a, b\u202e", installed: "-1+2", fixed: "@x" });
    const [, line = ""] = csv([{ ...image, ...hostile }]).split("\r\n");
    expect(line).to.include(`"'=HYPERLINK(""http://evil"")"`).and.include(`'-1+2,'@x,`).and.include('"a, b').and.not.include("\u202e");
  });

  it("a hostile query or finding adds no element to the page", () => {
    const hostile = '"><script>alert(1)</script>';
    const matches = [{ ...finding({ id: hostile, package: hostile }), image: hostile, scannedAt: "2026-01-02T00:00:00Z" }];
    const page = searchPage({ term: hostile, image: hostile }, { result: { images: 1, matches, omitted: 0 } }, hostile);
    expect(page).not.to.include("<script").and.not.include('=">');
    expect(page).to.include("form-action 'self'");
    expect(searchPage({}, { refusal: hostile }, undefined)).not.to.include("<script");
  });

  describe("of the reports server", () => {
    let server: ReportsServer;
    beforeEach(async () => {
      server = new ReportsServer();
      await server.up();
    });
    afterEach(() => server.remove());

    it("finds what the last scans found, also of images that a later run did not scan, with the day on which it was first seen", async () => {
      const targets = [target("a"), target("b")];
      await server.whole("nightly-1", targets, () => result([sent(log4j.id)]));
      await server.begin("by-hand", { partial: true });
      await server.plan("by-hand", [target("b")]);
      await server.work("by-hand", () => result([sent(log4j.id), sent("CVE-2026-1")]));
      const { images, matches } = (await (await server.page(`/findings.json?id=${log4j.id}`)).json()) as SearchResult;
      expect(images).to.equal(2);
      expect(matches.map(({ image, since }) => [image, since])).to.deep.equal(
        targets.map(({ names }) => [names[0], new Date().toISOString().slice(0, 10)]),
      );
      const table = await (await server.page(`/findings.csv?term=${log4j.id}`)).text();
      expect(table.trim().split("\r\n")).to.have.length(3);
      const page = await (await server.page(`/find?term=${log4j.id}`)).text();
      expect(page)
        .to.include("2 findings in 2 of 2 images")
        .and.match(/href="runs\/nightly-1\/images\/[^"]+\.html"/);
      expect(await (await server.page("/runs/")).text()).to.include('<a href="../find">Search</a>');
    });

    it("a query that cannot be answered is refused with 400, and the page without a query has only the form", async () => {
      const refused = await server.page("/findings.json?versions=1");
      expect([refused.status, await refused.json()]).to.deep.equal([
        400,
        { error: "name what to find: an id such as CVE-2021-44228, a package, or an image" },
      ]);
      const page = await server.page("/find?term=openssl&versions=new");
      expect(page.status).to.equal(400);
      expect(await page.text()).to.include("is not a valid range");
      expect(await (await server.page("/find")).text())
        .to.include("<form")
        .and.not.include("images");
      expect(await (await server.page("/find?term=CVE-1999-1")).text()).to.include("Not found in the last scans of 0 images.");
    });
  });
});
