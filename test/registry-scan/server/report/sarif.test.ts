import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect } from "chai";
import { maximumResults, sarif } from "../../../../registry-scan/server/report/sarif.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

/** The OASIS schema of SARIF 2.1.0 without descriptions, adapted to JSON schema draft 7. */
const schema: object = JSON.parse(readFileSync(join(import.meta.dirname, "../../../support/sarif-2.1.0.schema.json"), "utf8"));
const formats = {
  uri: /^[a-z][a-z0-9+.-]*:[^\s"<>\\^`{|}]*$/i,
  "uri-reference": /^[^\s"<>\\^`{|}]*$/,
  "date-time": /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
};
const validate = new Ajv({ allErrors: true, strict: false, unicodeRegExp: false, formats }).compile(schema);

interface Log {
  readonly runs: readonly {
    readonly tool: {
      readonly driver: { readonly rules: readonly { id: string; name: string; helpUri?: string; properties: Record<string, unknown> }[] };
    };
    readonly results: readonly {
      ruleId: string;
      ruleIndex: number;
      level: string;
      baselineState: string;
      message: { text: string };
      partialFingerprints: { primaryLocationLineHash: string };
      locations: { physicalLocation: { artifactLocation: { uri: string }; region: { startLine: number } } }[];
    }[];
    readonly invocations: readonly {
      executionSuccessful: boolean;
      toolExecutionNotifications: { level: string; message: { text: string } }[];
    }[];
  }[];
}

/** Checks a log against the schema and returns its only run. */
function only(log: object): Log["runs"][number] {
  expect(validate(log), JSON.stringify(validate.errors?.slice(0, 5))).to.equal(true);
  return first(log);
}

function first(log: object): Log["runs"][number] {
  const { runs } = JSON.parse(JSON.stringify(log)) as Log;
  expect(runs).to.have.length(1);
  const [run] = runs;
  if (!run) throw new Error("the log has no run");
  return run;
}

describe("the SARIF report", () => {
  const secret = finding({ id: "aws-access-key-id", scanner: "secret", package: "/root/.aws/credentials", severity: "HIGH" });

  it("a log with one rule per finding and one result per image matches the schema", () => {
    const runs = new Runs();
    runs.next([scanned("r.example:5000/a:1", [finding()])]);
    const run = only(
      sarif(
        runs.next([scanned("r.example:5000/a:1", [finding({ severity: "MEDIUM" }), secret]), scanned("r.example:5000/b:1", [finding()])]),
      ),
    );
    expect(run.tool.driver.rules.map(({ id, name, properties }) => [id, name, properties["security-severity"]])).to.deep.equal([
      ["CVE-2021-36159", "vulnerability", "9.5"],
      ["aws-access-key-id", "secret", "8.0"],
    ]);
    for (const { ruleId, ruleIndex } of run.results) expect(run.tool.driver.rules[ruleIndex]?.id).to.equal(ruleId);
    expect(
      run.results.map(({ level, baselineState, locations }) => [level, baselineState, locations[0]?.physicalLocation.artifactLocation.uri]),
    ).to.deep.equal([
      ["error", "new", "r.example%3A5000/b%3A1"],
      ["error", "new", "r.example%3A5000/a%3A1/root/.aws/credentials"],
      ["warning", "unchanged", "r.example%3A5000/a%3A1"],
    ]);
    expect(run.results[0]?.message.text).to.include("Image: r.example:5000/b:1").and.include("Fixed version: 2.10.7-r0");
  });

  it("a finding has the same fingerprint in every run, and another one in another image", () => {
    const runs = new Runs();
    const prints = () =>
      only(sarif(runs.next([scanned("r/a:1", [finding()]), scanned("r/b:1", [finding()])]))).results.map(
        ({ partialFingerprints }) => partialFingerprints.primaryLocationLineHash,
      );
    const first = prints();
    expect(new Set(first).size).to.equal(2);
    expect(prints()).to.deep.equal(first);
  });

  it("images that could not be scanned and problems are notifications", () => {
    const run = only(
      sarif(new Runs().next([failed("r/a:1", "no route")], {}, [{ kind: "warning", about: "r/b", message: "no such tag" }])),
    );
    expect(run.results).to.be.empty;
    expect(run.invocations[0]).to.deep.include({ executionSuccessful: false });
    expect(run.invocations[0]?.toolExecutionNotifications.map(({ level, message }) => `${level}: ${message.text}`)).to.deep.equal([
      "warning: r/b: no such tag",
      "error: r/a:1: no route",
    ]);
  });

  it("help links are web addresses, and paths do not leave the image", () => {
    const hostile = finding({ id: "x\u0000<y>", url: "javascript:alert(1)", path: "../../etc/a b\ud800" });
    const run = only(sarif(new Runs().next([scanned("r/a:1", [hostile])])));
    expect(run.tool.driver.rules[0]).not.to.have.property("helpUri");
    expect(run.results[0]?.locations[0]?.physicalLocation.artifactLocation.uri).to.equal("r/a%3A1/etc/a%20b%EF%BF%BD");
  });

  it("the least severe findings beyond code scanning's limit are left out, with a notification", () => {
    const many = Array.from({ length: maximumResults }, (_, index) => finding({ id: `CVE-${index}`, severity: "LOW" }));
    // Not checked against the schema, whose uniqueItems compares each pair of rules.
    const run = first(sarif(new Runs().next([scanned("r/a:1", many), scanned("r/b:1", [finding()])])));
    expect(run.results).to.have.length(maximumResults);
    expect(run.results[0]?.ruleId).to.equal("CVE-2021-36159");
    expect(run.invocations[0]?.toolExecutionNotifications[0]?.message.text).to.match(/^1 less severe findings are left out/);
  });
});
