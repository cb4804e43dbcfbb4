import { expect } from "chai";
import { metrics } from "../../../../registry-scan/server/report/metrics.ts";
import { promtool } from "../../../support/promtool.ts";
import { failed, finding, Runs, scanned, start } from "../../../support/registry-reports.ts";

const idle = { undelivered: {}, running: false };

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

  it("have each image's findings of the severities that are looked for, zeros too", () => {
    expect(samples(metrics(report, idle), "findings{")).to.deep.equal([
      'image="r/a:1",severity="HIGH"} 0',
      'image="r/a:1",severity="CRITICAL"} 1',
      'image="r/b:1",severity="HIGH"} 1',
      'image="r/b:1",severity="CRITICAL"} 0',
    ]);
  });

  it("tell what failed, what is new, and how the run ended", () => {
    const text = metrics(report, { undelivered: { slack: 2 }, running: true });
    expect(samples(text, "image_failed")).to.deep.equal(['{image="r/a:1"} 1', '{image="r/b:1"} 0']);
    expect(samples(text, "image_end_of_life")).to.deep.equal(['{image="r/a:1"} 1']);
    expect(samples(text, "images")).to.deep.equal(['{outcome="scanned"} 1', '{outcome="failed"} 1']);
    expect(samples(text, "problems")).to.deep.equal(['{kind="warning"} 1', '{kind="error"} 0']);
    expect(samples(text, "new_findings")).to.deep.equal([" 1"]);
    expect(samples(text, "verdict")).to.deep.equal(['{verdict="clean"} 0', '{verdict="findings"} 0', '{verdict="errors"} 1']);
    expect(samples(text, "start_timestamp_seconds")).to.deep.equal([" 1767322800"]);
    expect(samples(text, "running")).to.deep.equal([" 1"]);
    expect(samples(text, "undelivered_alerts")).to.deep.equal(['{receiver="slack"} 2']);
  });

  it("do not call an image clean that was never scanned", () => {
    const text = metrics(new Runs().next([failed("r/a:1")]), idle);
    expect(samples(text, "findings{")).to.be.empty;
    expect(samples(text, "image_failed")).to.deep.equal(['{image="r/a:1"} 1']);
  });

  it("say only what is known before the first run", () => {
    expect(metrics(undefined, { undelivered: { slack: 0 }, running: false }).match(/^trivy.*$/gm)).to.deep.equal([
      "trivy_registry_scan_running 0",
      'trivy_registry_scan_undelivered_alerts{receiver="slack"} 0',
    ]);
  });

  it("keep a name inside of its label", () => {
    const hostile = new Runs().next([scanned('a"} 1\nup 0 \\', [])], { policy: { ...start().policy, severities: ["HIGH"] } });
    expect(samples(metrics(hostile, idle), "findings{")).to.deep.equal(['image="a\\"} 1\\nup 0 \\\\",severity="HIGH"} 0']);
  });

  it("are as Prometheus' own tool wants them", function () {
    expect(promtool(this, ["check", "metrics"], metrics(report, { undelivered: { slack: 1 }, running: true }))).to.equal("");
  });
});
