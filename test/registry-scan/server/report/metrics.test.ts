import { expect } from "chai";
import { metrics, type ServerState } from "../../../../registry-scan/server/report/metrics.ts";
import { promtool } from "../../../support/promtool.ts";
import { failed, finding, Runs, scanned, start } from "../../../support/registry-reports.ts";

const idle: ServerState = { undelivered: {}, refused: {}, isRunning: false, pendingCopies: 0, hasVolumeError: false };
const busy: ServerState = { undelivered: { slack: 2 }, refused: { slack: 1 }, isRunning: true, pendingCopies: 3, hasVolumeError: true };

/** The lines of one metric, without its name. */
const samples = (text: string, name: string) =>
  text
    .split("\n")
    .flatMap((line) => (line.startsWith(`trivy_registry_scan_${name}`) ? [line.slice(`trivy_registry_scan_${name}`.length)] : []));

describe("the metrics", () => {
  const runs = new Runs();
  runs.next([scanned("r/a:1", [finding()], { endOfLife: true }), scanned("r/b:1", [])]);
  const report = runs.next(
    [failed("r/a:1"), scanned("r/b:1", [finding({ severity: "HIGH" })])],
    { policy: { ...start().policy, severities: ["HIGH", "CRITICAL"] } },
    [{ kind: "warning", about: "r/c", message: "no tag" }],
  );

  it("each image has a sample for each severity of the policy, also for zero findings", () => {
    expect(samples(metrics(report, idle), "findings{")).to.deep.equal([
      'image="r/a:1",severity="HIGH"} 0',
      'image="r/a:1",severity="CRITICAL"} 1',
      'image="r/b:1",severity="HIGH"} 1',
      'image="r/b:1",severity="CRITICAL"} 0',
    ]);
  });

  it("failed images, new findings, the verdict and the server's state are reported", () => {
    const text = metrics(report, busy);
    expect(samples(text, "image_failed")).to.deep.equal(['{image="r/a:1"} 1', '{image="r/b:1"} 0']);
    expect(samples(text, "image_end_of_life")).to.deep.equal(['{image="r/a:1"} 1']);
    expect(samples(text, "images")).to.deep.equal(['{outcome="scanned"} 1', '{outcome="failed"} 1']);
    expect(samples(text, "problems")).to.deep.equal(['{kind="warning"} 1', '{kind="error"} 0']);
    expect(samples(text, "new_findings")).to.deep.equal([" 1"]);
    expect(samples(text, "verdict")).to.deep.equal(['{verdict="clean"} 0', '{verdict="findings"} 0', '{verdict="errors"} 1']);
    expect(samples(text, "start_timestamp_seconds")).to.deep.equal([" 1767322800"]);
    expect(samples(text, "running")).to.deep.equal([" 1"]);
    expect(samples(text, "undelivered_alerts")).to.deep.equal(['{receiver="slack"} 2']);
    expect(samples(text, "refused_alerts")).to.deep.equal(['{receiver="slack"} 1']);
    expect(samples(text, "runs_not_copied")).to.deep.equal([" 3"]);
    expect(samples(text, "volume_trouble")).to.deep.equal([" 1"]);
  });

  it("an image that was never scanned has no findings metric", () => {
    const text = metrics(new Runs().next([failed("r/a:1")]), idle);
    expect(samples(text, "findings{")).to.be.empty;
    expect(samples(text, "image_failed")).to.deep.equal(['{image="r/a:1"} 1']);
  });

  it("before the first run only the server's state is reported", () => {
    expect(metrics(undefined, { ...idle, undelivered: { slack: 0 } }).match(/^trivy.*$/gm)).to.deep.equal([
      "trivy_registry_scan_running 0",
      'trivy_registry_scan_undelivered_alerts{receiver="slack"} 0',
      "trivy_registry_scan_runs_not_copied 0",
      "trivy_registry_scan_volume_trouble 0",
    ]);
  });

  it("an image's name cannot end its label", () => {
    const hostile = new Runs().next([scanned('a"} 1\nup 0 \\', [])], { policy: { ...start().policy, severities: ["HIGH"] } });
    expect(samples(metrics(hostile, idle), "findings{")).to.deep.equal(['image="a\\"} 1\\nup 0 \\\\",severity="HIGH"} 0']);
  });

  it("promtool accepts the metrics without complaint", function () {
    expect(promtool(this, ["check", "metrics"], metrics(report, busy))).to.equal("");
  });
});
