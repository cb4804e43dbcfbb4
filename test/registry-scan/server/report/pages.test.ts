import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import type { RunReport } from "../../../../registry-scan/protocol/report.ts";
import { imageFile } from "../../../../registry-scan/server/files.ts";
import { imagePages } from "../../../../registry-scan/server/report/image-page.ts";
import { indexPage } from "../../../../registry-scan/server/report/index-page.ts";
import { runPage } from "../../../../registry-scan/server/report/run-page.ts";
import { toRunSummary } from "../../../../registry-scan/server/summary.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

/** The elements that a page may contain. */
const elements =
  "html head meta title style body nav main h1 h2 p span time a bdi dl div dt dd table caption thead tbody tr th td details summary ul li br figure figcaption svg g line rect text".split(
    " ",
  );

/** Returns the problems of a page's HTML: unknown or unbalanced elements, event handlers and sources, links with a scheme other than HTTP. */
function problems(html: string): string[] {
  const found: string[] = [];
  const open: string[] = [];
  for (const [, close, name = "", attributes = ""] of html.matchAll(/<(\/?)([^\s<>/]+)((?:[^<>"]|"[^"]*")*)>/g)) {
    if (name.toLowerCase() === "!doctype") continue;
    if (!elements.includes(name)) found.push(`element ${name}`);
    if (/\son|src=|srcset=/.test(attributes.replace(/"[^"]*"/g, ""))) found.push(`attributes ${attributes}`);
    const address = /\shref="([^"]*)"/.exec(attributes)?.[1];
    if (address !== undefined && !/^(https?:\/\/|[A-Za-z0-9./_%-]+$)/.test(address)) found.push(`link ${address}`);
    if (close) {
      const last = open.pop();
      if (last !== name) found.push(`${name} closes ${last}`);
    } else if (!["meta", "br"].includes(name) && !attributes.endsWith("/")) open.push(name);
  }
  const left = html.replace(/<(\/?)([^\s<>/]+)((?:[^<>"]|"[^"]*")*)>/g, "").replace(/:root[^<]*/, "");
  if (/[<]/.test(left)) found.push("a stray <");
  return [...found, ...open.map((name) => `${name} is left open`)];
}

const pages = (report: RunReport, before: readonly RunReport[] = []) => {
  const runs = [...before, report].map(toRunSummary);
  return [runPage(report, runs), indexPage(runs), ...new Map(imagePages(report)).values()];
};

const imagePage = (report: RunReport, image: string): string => {
  const page = new Map(imagePages(report)).get(image);
  if (page === undefined) throw new Error(`the report does not contain ${image}`);
  return page;
};

const old = finding();

/** Returns a page's text without its elements. */
const words = (html: string) =>
  html
    .replace(/<style>[\s\S]*<\/style>/, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");

describe("the pages of a report", () => {
  it("a run's page begins with the result in a sentence and the images that could not be scanned", () => {
    const runs = new Runs();
    const first = runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [])]);
    expect(words(runPage(first, [toRunSummary(first)])))
      .to.include("This is the first run")
      .and.include("The trend begins with the next run");
    const second = runs.next([failed("r/a:1", "no route"), scanned("r/b:1", [finding({ id: "CVE-2" })]), failed("r/c:1", "401")]);
    const html = runPage(second, [first, second].map(toRunSummary));
    const said = words(html);
    expect(said).to.include("2 of 3 images could not be scanned. 2 findings: 1 new, 0 fixed or gone since the last successful scans.");
    expect(said.indexOf("no route")).to.be.within(0, said.indexOf("Findings that the last successful scans did not have"));
    expect(said).to.match(/r\/c:1 (\? ){5}not scanned/);
    expect(html)
      .to.include(`href="images/${imageFile("r/a:1")}"`)
      .and.include('href="report.sarif"')
      .and.include('href="../registry-scan-1/index.html"');
    expect(html.match(/<rect /g), "bars").to.have.length(2);
  });

  it("a report's pages mark new and fixed findings", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const report = runs.next([
      scanned("r/a:1", [finding({ id: "CVE-2", severity: "HIGH" })], { endOfLife: true }),
      scanned("r/new:1", [old]),
    ]);
    const said = words(runPage(report, []));
    expect(said)
      .to.match(/r\/a:1 0 1 0 0 0 \+1 new −1 fixed end of life alpine/)
      .and.match(/r\/new:1 1 0 0 0 0 first scan/);
    expect(words(imagePage(report, "r/a:1")))
      .to.match(/CVE-2 new HIGH/)
      .and.match(/Fixed Findings of the last successful scan that are fixed or gone.*CVE-2021-36159/)
      .and.include("no longer publishes fixes for alpine 3.10.9");
  });

  it("an image's page links the image's other names", () => {
    const runs = new Runs();
    const { target, ...rest } = scanned("r/a:1", [old]);
    const report = runs.next([{ ...rest, target: { ...target, digest: "sha256:00", names: ["r/a:1", "r/a:latest"] } }]);
    expect(words(imagePage(report, "r/a:1"))).to.include("Other names of this image: r/a:latest .");
    expect(words(runPage(report, []))).to.include("2 names of 1 image");
  });

  it("a hostile name, title, reason or URL adds no element, handler or script link", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 20 }),
      fc.constantFrom(
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "javascript:alert(1)",
        "'--></style>",
        "&lt;",
        "\u202e\u0000",
        "../../x",
        "https://x.example/\"onclick='",
      ),
    );
    const arbitrary = fc.record({
      id: hostile,
      package: hostile,
      title: hostile,
      url: hostile,
      path: hostile,
      installed: hostile,
      fixed: hostile,
    });
    fc.assert(
      fc.property(
        fc.array(arbitrary, { maxLength: 3 }),
        fc.uniqueArray(hostile, { minLength: 1, maxLength: 3 }),
        hostile,
        (given, names, reason) => {
          const runs = new Runs();
          const before = runs.next(names.map((name) => scanned(name, [old], { os: reason })));
          const [name = "", ...others] = names;
          const findings = given.map((it) => finding(it));
          const report = runs.next([failed(name, reason), ...others.map((it) => scanned(it, findings))], {}, [
            { kind: "error", about: name, message: reason },
          ]);
          for (const html of pages(report, [before])) expect(problems(html)).to.deep.equal([]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("a page's policy allows only its own style sheet", () => {
    for (const html of pages(new Runs().next([scanned("r/a:1", [old])]))) {
      const [, style = ""] = /<style>([\s\S]*)<\/style>/.exec(html) ?? [];
      expect(style).to.include(".verdict");
      const hash = createHash("sha256").update(style).digest("base64");
      expect(html).to.include(`content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'"`);
    }
  });

  it("file names of images are safe, and different for different images", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 300 }), { minLength: 2, maxLength: 10 }), (names) => {
        const files = names.map(imageFile);
        for (const file of files) expect(file).to.match(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,130}\.html$/);
      }),
    );
    expect(imageFile("r.example:5000/team/app:1.0")).to.match(/^r\.example_5000_team_app_1\.0-[0-9a-f]{12}\.html$/);
    expect(imageFile("r/a:1")).to.not.equal(imageFile("r/a_1"));
  });

  it("a page lists two thousand images and folds most of them", () => {
    const findings = [old, finding({ id: "CVE-2", severity: "LOW" })];
    const many = Array.from({ length: 2_000 }, (_, index) => scanned(`r/${index}:1`, index % 2 ? findings : []));
    const report = new Runs().next(many);
    const html = runPage(report, []);
    for (const { name } of report.images) if (!html.includes(imageFile(name))) expect.fail(`${name} is missing`);
    let unfolded = html;
    for (let folded = ""; folded !== unfolded; ) {
      folded = unfolded;
      unfolded = unfolded.replace(/<details>(?:(?!<details>)[\s\S])*?<\/details>/g, "");
    }
    expect(unfolded.match(/<tr>/g)?.length).to.be.below(300);
  });
});
