import { expect } from "chai";
import { block, code } from "../../commands/changes/markdown.ts";
import { oneLine } from "../../commands/health/advice.ts";
import { decisiveLine } from "../../commands/health/reasons.ts";
import { singleLine, visible } from "../../registry-scan/index.ts";
import { nextAlerts, toPostedAlert } from "../../registry-scan/server/alerts/alertmanager.ts";
import { slackMessage } from "../../registry-scan/server/alerts/slack.ts";
import { csv } from "../../registry-scan/server/report/csv.ts";
import { imagePages } from "../../registry-scan/server/report/image-page.ts";
import { metrics } from "../../registry-scan/server/report/metrics.ts";
import { runPage } from "../../registry-scan/server/report/run-page.ts";
import { sarif } from "../../registry-scan/server/report/sarif.ts";
import { searchPage } from "../../registry-scan/server/report/search-page.ts";
import { logSummary, toRunSummary } from "../../registry-scan/server/summary.ts";
import { failureReason } from "../../registry-scan/tools/failure-reason.ts";
import { failed, finding, Runs, scanned } from "../support/registry-reports.ts";

/** What images and registries could write: an escape sequence, a change of direction, hidden characters, line breaks and commands of CI systems. */
const hostile =
  "\u001b[2J\u001b]0;title\u0007\u202eevil\u2066\u200b\u00ad\ufeff\u0000\u0085\u2028\r\n::set-output name=a::b\n##vso[task]\n<b>&@all |`";
const dangerous = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Every text in a JSON value. */
const textsIn = (value: unknown): string[] =>
  typeof value === "string" ? [value] : typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];

describe("texts of a hostile image and a hostile registry", () => {
  const runs = new Runs();
  const first = runs.next([scanned("r/a:1", []), scanned("r/b:1", [])]);
  const it_ = finding({ id: hostile, package: hostile, title: hostile, installed: hostile, fixed: hostile, url: hostile, path: hostile });
  const report = runs.next([scanned("r/a:1", [it_], { os: hostile }), failed("r/b:1", hostile)], {}, [
    { kind: "error", about: hostile, message: hostile },
    { kind: "warning", about: hostile, message: hostile },
  ]);

  const outputs: Readonly<Record<string, () => readonly string[]>> = {
    "the pages": () => [runPage(report, [first, report].map(toRunSummary)), ...new Map(imagePages(report)).values()].map(String),
    "the search": () => {
      const matches = report.images.flatMap(({ name, findings }) =>
        findings.map((finding) => ({ ...finding, image: name, scannedAt: report.finishedAt })),
      );
      return [searchPage({ term: hostile }, { result: { images: 1, matches, omitted: 0 } }, report.run), ...csv(matches).split("\r\n")];
    },
    "the log": () => logSummary(report).split("\n"),
    SARIF: () => textsIn(sarif(report)).filter((text) => !text.startsWith("fingerprint")),
    "the metrics": () =>
      metrics(
        report,
        { undelivered: { [hostile]: 0 }, refused: { [hostile]: 0 }, isRunning: false, pendingCopies: 0, hasVolumeError: false },
        true,
      ).split("\n"),
    "messages to Slack": () => textsIn(slackMessage(report, "https://reports.example.com")),
    "alerts of Alertmanager": () => {
      const { active } = nextAlerts([], report);
      return active.flatMap((alert) => textsIn(toPostedAlert(alert, new Date(0), undefined)));
    },
    "reasons of failures": () => [failureReason(`Error: ${hostile}`)],
    "messages of the cluster": () => [oneLine(hostile), decisiveLine(`FATAL ${hostile}`) ?? ""],
    "comments of pull requests": () => [code(hostile), block(hostile)].map((text) => text.replaceAll("@\u200b", "@")),
    "the log of a run on a terminal": () => [visible(hostile)],
  };
  for (const [name, texts] of Object.entries(outputs))
    it(`${name} contain no control character and none that hides or reverses text`, () => {
      const all = texts();
      expect(all.join("")).to.include("evil");
      for (const text of all) expect(dangerous.exec(text)?.[0]?.codePointAt(0)?.toString(16), JSON.stringify(text)).to.equal(undefined);
    });

  it("no line of a log begins with a command of a CI system", () => {
    for (const line of [...logSummary(report).split("\n"), failureReason(`Error: ${hostile}`), oneLine(hostile)])
      expect(line).not.to.match(/^\s*(::|##)/);
  });

  it("characters that are hidden are named, and others are kept", () => {
    expect(visible("a\u202eb\u001b[31mc\td\r\ne")).to.equal("a\\u202ebc\td\ne");
    expect(singleLine(" Größe \u2028 \n 日本語 👍 ")).to.equal("Größe 日本語 👍");
  });
});
