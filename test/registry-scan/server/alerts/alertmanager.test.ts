import { expect } from "chai";
import { nextAlerts } from "../../../../registry-scan/server/alerts/alertmanager.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

const old = finding();
const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib", fixed: undefined });

describe("alerts for Alertmanager", () => {
  it("there is one alert for each image, package and severity, and it is resolved when fixed", () => {
    const runs = new Runs();
    const first = runs.next([scanned("r/a:1", [old, finding({ id: "CVE-3", fixed: "2.10.8" }), other]), scanned("r/b:1", [old])]);
    const before = nextAlerts([], first);
    expect(before.resolved).to.be.empty;
    expect(before.active.map(({ labels }) => labels)).to.deep.equal([
      { alertname: "RegistryScanFinding", image: "r/a:1", package: "apk-tools", severity: "CRITICAL" },
      { alertname: "RegistryScanFinding", image: "r/a:1", package: "zlib", severity: "HIGH" },
      { alertname: "RegistryScanFinding", image: "r/b:1", package: "apk-tools", severity: "CRITICAL" },
    ]);
    expect(before.active[0]?.annotations).to.include({ ids: "CVE-2021-36159, CVE-3", fixed: "2.10.7-r0, 2.10.8" });
    const second = runs.next([scanned("r/a:1", [old])]);
    const after = nextAlerts(before.active, second);
    expect(after.active.map(({ labels, startsAt }) => [labels["package"], startsAt])).to.deep.equal([["apk-tools", first.finishedAt]]);
    expect(after.resolved.map(({ labels }) => `${labels["image"]} ${labels["package"]}`)).to.deep.equal(["r/a:1 zlib", "r/b:1 apk-tools"]);
  });

  it("alerts stay active while their image cannot be scanned, which is an alert too", () => {
    const runs = new Runs();
    const before = nextAlerts([], runs.next([scanned("r/a:1", [old])]));
    const broken = nextAlerts(
      before.active,
      runs.next([failed("r/a:1", "no route")], {}, [{ kind: "error", about: "r/b", message: "401" }]),
    );
    expect(broken.resolved).to.be.empty;
    expect(
      broken.active.map(({ labels, annotations }) => [labels["alertname"], labels["image"], annotations["reason"]]),
    ).to.have.deep.members([
      ["RegistryScanFinding", "r/a:1", undefined],
      ["RegistryScanFailed", "r/a:1", "no route"],
      ["RegistryScanFailed", "r/b", "401"],
    ]);
    const repaired = nextAlerts(broken.active, runs.next([scanned("r/a:1", [old])]));
    expect(repaired.resolved.map(({ labels }) => labels["alertname"])).to.deep.equal(["RegistryScanFailed", "RegistryScanFailed"]);
  });

  it("a partial run does not resolve alerts of images that were not requested", () => {
    const runs = new Runs();
    const before = nextAlerts([], runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [old])]));
    const after = nextAlerts(before.active, runs.next([scanned("r/a:1", [])], { partial: true }));
    expect(after.active.map(({ labels }) => labels["image"])).to.deep.equal(["r/b:1"]);
    expect(after.resolved.map(({ labels }) => labels["image"])).to.deep.equal(["r/a:1"]);
  });
});
