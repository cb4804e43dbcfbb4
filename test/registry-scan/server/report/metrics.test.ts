import { expect } from "chai";
import { type ServerState, metrics as serverMetrics } from "../../../../registry-scan/server/report/metrics.ts";
import { promtool } from "../../../support/promtool.ts";
import { failed, finding, Runs, scanned, start } from "../../../support/registry-reports.ts";

const idle: ServerState = { undelivered: {}, refused: {}, isRunning: false, pendingCopies: 0, hasVolumeError: false };
const busy: ServerState = { undelivered: { slack: 2 }, refused: { slack: 1 }, isRunning: true, pendingCopies: 3, hasVolumeError: true };

const metrics = (report: Parameters<typeof serverMetrics>[0], state: ServerState, perImage = false) =>
  serverMetrics(report, state, perImage);

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

  it("each repository has a sample for each severity of the policy, also for zero findings", () => {
    expect(samples(metrics(report, idle), "findings{")).to.deep.equal([
      'repository="docker.io/r/a",severity="HIGH"} 0',
      'repository="docker.io/r/a",severity="CRITICAL"} 1',
      'repository="docker.io/r/b",severity="HIGH"} 1',
      'repository="docker.io/r/b",severity="CRITICAL"} 0',
    ]);
  });

  it("a repository's metrics are sums over its images, and it is as old as its oldest image", () => {
    const several = new Runs();
    const first = several.next([scanned("r:5000/team/a:1", [finding()]), scanned("r:5000/team/a:2", [], { endOfLife: true })]);
    const text = metrics(
      several.next([scanned("r:5000/team/a:1", [finding()]), failed("r:5000/team/a:2"), failed("r:5000/team/a:3")]),
      idle,
    );
    expect(samples(text, 'findings{repository="r:5000/team/a",severity="CRITICAL"}')).to.deep.equal([" 1"]);
    expect(samples(text, "images_failed")).to.deep.equal(['{repository="r:5000/team/a"} 2']);
    expect(samples(text, "images_end_of_life")).to.deep.equal(['{repository="r:5000/team/a"} 1']);
    expect(samples(text, "oldest_success")).to.deep.equal([
      `_timestamp_seconds{repository="r:5000/team/a"} ${Date.parse(first.finishedAt) / 1000}`,
    ]);
    expect(text).not.to.include("image=");
  });

  it("with the setting, each image has metrics too", () => {
    const text = metrics(report, idle, true);
    expect(samples(text, "image_findings{")).to.deep.equal([
      'image="r/a:1",severity="HIGH"} 0',
      'image="r/a:1",severity="CRITICAL"} 1',
      'image="r/b:1",severity="HIGH"} 1',
      'image="r/b:1",severity="CRITICAL"} 0',
    ]);
    expect(samples(text, "image_failed")).to.deep.equal(['{image="r/a:1"} 1', '{image="r/b:1"} 0']);
    expect(samples(text, "image_end_of_life")).to.deep.equal(['{image="r/a:1"} 1']);
  });

  it("of more than 2,000, those that failed and those with the most severe findings have metrics", () => {
    const many = Array.from({ length: 2500 }, (_, index) => scanned(`r/${index}:1`, index % 2 === 0 ? [finding()] : []));
    const text = metrics(new Runs().next([...many, failed("r/failed:1")]), idle, true);
    for (const [name, failures] of [
      ["images_failed", 'repository="docker.io/r/failed"} 1'],
      ["image_failed", 'image="r/failed:1"} 1'],
    ] as const) {
      expect(samples(text, `${name}{`)).to.have.length(2000);
      expect(samples(text, `${name}{`)).to.include(failures);
    }
    expect(samples(text, "findings{").filter((line) => line.includes("CRITICAL") && line.endsWith(" 1"))).to.have.length(1250);
    expect([samples(text, "repositories_without_metrics"), samples(text, "images_without_metrics")]).to.deep.equal([[" 501"], [" 501"]]);
  });

  it("failed images, new findings, the verdict and the server's state are reported", () => {
    const text = metrics(report, busy);
    expect(samples(text, "images_failed")).to.deep.equal(['{repository="docker.io/r/a"} 1', '{repository="docker.io/r/b"} 0']);
    expect(samples(text, "images_end_of_life")).to.deep.equal(['{repository="docker.io/r/a"} 1', '{repository="docker.io/r/b"} 0']);
    expect(samples(text, "images{")).to.deep.equal(['outcome="scanned"} 1', 'outcome="failed"} 1']);
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
    const text = metrics(new Runs().next([failed("r/a:1")]), idle, true);
    expect([...samples(text, "findings{"), ...samples(text, "image_findings{")]).to.be.empty;
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
    expect(samples(metrics(hostile, idle, true), "image_findings{")).to.deep.equal(['image="a\\"} 1\\nup 0 \\\\",severity="HIGH"} 0']);
  });

  it("promtool accepts the metrics without complaint", function () {
    expect(promtool(this, ["check", "metrics"], metrics(report, busy, true))).to.equal("");
  });
});
