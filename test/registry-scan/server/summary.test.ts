import { expect } from "chai";
import { logSummary, toRunSummary } from "../../../registry-scan/server/summary.ts";
import { failed, finding, Runs, scanned, start } from "../../support/registry-reports.ts";

describe("the summary of a run", () => {
  it("the log has the verdict, the numbers, images with new findings and problems", () => {
    const runs = new Runs();
    expect(logSummary(runs.next([scanned("r/a:1", [finding()])]))).to.equal(
      "run registry-scan-1: findings. 1 finding. This is the first run: there is no earlier scan to compare with.\n" +
        "CRITICAL 1, HIGH 0, MEDIUM 0, LOW 0, UNKNOWN 0",
    );
    const report = runs.next(
      [scanned("r/a:1", [finding(), finding({ id: "CVE-2", severity: "HIGH" })]), failed("r/b:1", "no such\nimage")],
      { policy: { ...start().policy, severities: ["HIGH", "CRITICAL"] } },
      [{ kind: "warning", about: "r/c", message: "no tag matches release-*" }],
    );
    expect(logSummary(report)).to.equal(
      "run registry-scan-2: errors. 1 of 2 images could not be scanned. 2 findings: 1 new, 0 fixed or gone since the last successful scans.\n" +
        "CRITICAL 1, HIGH 1\n" +
        "new: r/a:1: 1 finding\n" +
        "warning: r/c: no tag matches release-*\n" +
        "error: r/b:1: no such image",
    );
    expect(toRunSummary(report)).to.include({ run: "registry-scan-2", verdict: "errors", fresh: 1, gone: 0, scanned: 1, failed: 1 });
  });

  it("the log stays short when many images fail", () => {
    const many = Array.from({ length: 500 }, (_, index) => failed(`r/${index}:1`));
    expect(logSummary(new Runs().next(many)).split("\n")).to.have.length(23);
  });
});
