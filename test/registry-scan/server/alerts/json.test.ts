import { expect } from "chai";
import { jsonMessage, maximumListed } from "../../../../registry-scan/server/alerts/json.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

const link = "https://scans.example/";
const old = finding();
const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib", fixed: undefined });

describe("the JSON message", () => {
  it("the message contains new and fixed findings, errors and warnings", () => {
    const runs = new Runs();
    expect(jsonMessage(runs.next([scanned("r/a:1", [old]), scanned("r/gone:1", [])]), link).first).to.equal(true);
    const report = runs.next([scanned("r/a:1", [other]), failed("r/b:1", "no route")], {}, [
      { kind: "warning", about: "r/c", message: "no tag" },
    ]);
    const message = jsonMessage(report, link);
    expect(message).to.deep.include({
      version: 1,
      run: "registry-scan-2",
      verdict: "errors",
      first: false,
      new: [{ image: "r/a:1", ...other, since: "2026-01-03" }],
      fixed: [{ image: "r/a:1", ...old, since: "2026-01-02" }],
      omitted: { new: 0, fixed: 0 },
      errors: [{ about: "r/b:1", message: "no route" }],
      warnings: [{ about: "r/c", message: "no tag" }],
      removed: ["r/gone:1"],
      link: "https://scans.example/runs/registry-scan-2/index.html",
    });
  });

  it("the number of findings is limited, and the message says how many are left out", () => {
    const many = Array.from({ length: maximumListed + 5 }, (_, index) => finding({ id: `CVE-${index}`, severity: index ? "LOW" : "HIGH" }));
    const message = jsonMessage(new Runs().next([scanned("r/a:1", many)]), undefined);
    expect(message.new).to.have.length(maximumListed);
    expect(message.new[0]?.severity).to.equal("HIGH");
    expect(message.omitted).to.deep.equal({ new: 5, fixed: 0 });
  });
});
