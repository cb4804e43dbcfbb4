import { expect } from "chai";
import { slackMessage } from "../../../../registry-scan/server/alerts/slack.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

const link = "https://scans.example/";
const old = finding();
const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib", fixed: undefined });

describe("the Slack message", () => {
  it("a Slack message lists errors, new and fixed findings, and there is no message without any", () => {
    const runs = new Runs();
    expect(slackMessage(runs.next([scanned("r/a:1", [old])]), link)?.text)
      .to.include("This is the first run")
      .and.include("*Found in the first run*");
    expect(slackMessage(runs.next([scanned("r/a:1", [old])]), link)).to.equal(undefined);
    const text = slackMessage(runs.next([scanned("r/a:1", [other]), failed("r/b:1", "no route")]), link)?.text;
    expect(text?.split("\n")).to.deep.equal([
      "*Registry scan registry-scan-3: errors*",
      "1 of 2 images could not be scanned. 1 finding: 1 new, 1 fixed or gone since the last successful scans.",
      "*Could not be scanned*",
      "• `r/b:1`: `no route`",
      "*New*",
      "• HIGH `CVE-2` `zlib` in `r/a:1`",
      "*Fixed*",
      "• CRITICAL `CVE-2021-36159` `apk-tools` in `r/a:1`, fixed in `2.10.7-r0`",
      "<https://scans.example/runs/registry-scan-3/index.html|Open the report>",
    ]);
  });

  it("a long message stays within Slack's limits, the most severe findings first", () => {
    const findings = Array.from({ length: 400 }, (_, index) =>
      finding({ id: `CVE-${index}${"&".repeat(200)}`, severity: index === 399 ? "CRITICAL" : "LOW", package: "<".repeat(500) }),
    );
    const many = Array.from({ length: 300 }, (_, index) => failed(`r/${index}:${"&".repeat(300)}`, "<".repeat(4000)));
    const message = slackMessage(new Runs().next([scanned("r/a:1", findings), ...many]), link);
    expect(message?.blocks).to.have.length(3);
    expect(Math.max(...(message?.blocks ?? []).map(({ text }) => text.text.length))).to.be.at.most(3000);
    const single = slackMessage(
      new Runs().next([
        scanned(
          "r/a:1",
          findings.map((it) => ({ ...it, id: it.id.replaceAll("&", ""), package: "p" })),
        ),
      ]),
      link,
    );
    expect(single?.text)
      .to.match(/in the first run\*\n• CRITICAL `CVE-399/)
      .and.match(/and 385 more/);
  });

  it("a name cannot mention users, become a link or end its code", () => {
    const text = slackMessage(
      new Runs().next([scanned("r/a`<!channel>:1\n@here", [finding({ package: "<https://evil.example|x>&" })])]),
      undefined,
    )?.text;
    expect(text).to.include("`r/a'&lt;!channel&gt;:1 @here`").and.include("`&lt;https://evil.example|x&gt;&amp;`");
    expect(text).to.not.match(/<[!@h]/);
  });
});
