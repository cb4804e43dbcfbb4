import { expect } from "chai";
import { nextAnswerSchema, planLineSchema, runStartSchema, sentResultSchema } from "../../../registry-scan/protocol/api.ts";
import { reportsConfigurationSchema } from "../../../registry-scan/protocol/reports-configuration-schema.ts";
import { scanConfigurationSchema } from "../../../registry-scan/protocol/scan-configuration-schema.ts";
import { InvalidData, parse, parseJson } from "../../../registry-scan/protocol/validation.ts";

const start = {
  startedAt: "2026-01-02T03:00:00.000Z",
  deadline: 3600,
  timeout: 300,
  policy: { severities: ["HIGH"], ignoreUnfixed: false, scanners: ["vuln"] },
  partial: false,
  cycloneDx: false,
};
const target = { id: "0", reference: "r.example/a@sha256:0", names: ["r.example/a:1"] };
const finding = { id: "CVE-1", scanner: "vuln", severity: "HIGH", package: "p" };
const scanned = { outcome: "scanned", findings: [finding], seconds: 1 };
const configuration = {
  targets: [{ image: "alpine:3" }, { repository: "r.example/a", tags: ["v*"], versions: ">=1", newest: 3 }],
  strict: false,
  policy: start.policy,
  plainHttp: false,
  timeout: 60,
  deadline: 120,
  cycloneDx: false,
  vex: [],
  service: "http://trivy",
  reports: "http://trivy-reports:8081",
};

function problemsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (error) {
    if (error instanceof InvalidData) return error.problems;
    throw error;
  }
  throw new Error("the data was accepted");
}

describe("parse", () => {
  it("valid data is parsed without the fields that the schema does not have", () => {
    expect(parse(runStartSchema, { ...start, other: 1 })).to.deep.equal(start);
    expect(parse(planLineSchema, { target })).to.deep.equal({ target });
    expect(parse(sentResultSchema, { ...scanned, other: 1 })).to.deep.equal(scanned);
    expect(parse(nextAnswerSchema, { next: "scan", target, attempt: 1 })).to.deep.equal({ next: "scan", target, attempt: 1 });
    expect(parse(scanConfigurationSchema, configuration)).to.deep.equal(configuration);
  });

  it("parsed data can be changed", () => {
    expect(Object.isFrozen(parse(runStartSchema, start))).to.equal(false);
  });

  it("all invalid fields of an object are reported at once", () => {
    const policy = { severities: ["HIGH", "BAD"], ignoreUnfixed: "no" };
    expect(problemsOf(() => parse(runStartSchema, { ...start, startedAt: "today", deadline: -1, policy }))).to.deep.equal([
      "`startedAt` is not valid",
      "`deadline` is less than 0",
      "`policy.severities[1]` is not one of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL",
      "`policy.ignoreUnfixed` is not a valid boolean",
      "`policy.scanners` is missing",
    ]);
  });

  it("invalid data is reported by the fields of the alternative that was meant", () => {
    expect(problemsOf(() => parse(planLineSchema, { target: { ...target, id: 1 } }))).to.deep.equal(["`target.id` is not a valid string"]);
    expect(problemsOf(() => parse(planLineSchema, { target: { ...target, id: "../x", names: [] } }))).to.deep.equal([
      "`target.id` is not valid",
      "`target.names` is empty",
    ]);
    expect(problemsOf(() => parse(planLineSchema, { problem: { kind: "odd", about: "", message: "m" } }))).to.deep.equal([
      "`problem.kind` is not one of warning, error",
      "`problem.about` is empty",
    ]);
    expect(
      problemsOf(() => parse(sentResultSchema, { ...scanned, findings: [finding, { ...finding, severity: undefined }] })),
    ).to.deep.equal(["`findings[1].severity` is not one of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL"]);
    expect(problemsOf(() => parse(sentResultSchema, { outcome: "lost" }))).to.deep.equal(["`outcome` is not one of scanned, failed"]);
  });

  it("data that is not an object is refused", () => {
    for (const data of [undefined, null, 1, "x", []]) expect(() => parse(runStartSchema, data)).to.throw(InvalidData, /^the value is /);
  });

  it("targets, URLs and seconds of a scan's configuration are checked", () => {
    const targets = [{ image: "alpine" }, { repository: "r.example/a:1", versions: "new", newest: 0 }];
    expect(problemsOf(() => parse(scanConfigurationSchema, { ...configuration, targets, service: "trivy", timeout: 0 }))).to.deep.equal([
      "`targets[0].image` is `alpine`, which has neither a tag nor a digest; use `alpine:latest` if that is meant",
      "`targets[1].repository` is `r.example/a:1`, which is an image, not a repository; remove its tag or digest, or set it as `image`",
      "`targets[1].versions` is `new`, which is not a valid range of semantic versions; use one such as `>=1.4 <3`, `^2.1` or `1.x`",
      "`targets[1].newest` is not more than 0",
      "`timeout` is not more than 0",
      "`service` is `trivy`, which is not a valid URL",
    ]);
    expect(problemsOf(() => parse(scanConfigurationSchema, { ...configuration, targets: [] }))).to.deep.equal(["`targets` is empty"]);
  });

  it("the platforms of the scanning pods' configuration are checked", () => {
    expect(parse(scanConfigurationSchema, { ...configuration, platforms: ["linux/arm64"] })).to.deep.include({
      platforms: ["linux/arm64"],
    });
    expect(problemsOf(() => parse(scanConfigurationSchema, { ...configuration, platforms: ["arm64"] }))).to.deep.equal([
      "`platforms[0]` is `arm64`, which is not a platform; use one such as linux/arm64, or all",
    ]);
  });

  it("the configuration of the reports server is checked", () => {
    const receivers = [{ name: "team", type: "slack", authorized: false }];
    const valid = { folder: "/data", keep: 30, imageMetrics: false, receivers, hosts: ["trivy-reports"] };
    expect(parse(reportsConfigurationSchema, valid)).to.deep.equal(valid);
    const bucket = { endpoint: "s3", region: "r", name: "n" };
    expect(problemsOf(() => parse(reportsConfigurationSchema, { ...valid, keep: 0, receivers: [{ type: "mail" }], bucket }))).to.deep.equal(
      [
        "`keep` is not more than 0",
        "`receivers[0].name` is missing",
        "`receivers[0].type` is not one of alertmanager, slack, json, defectdojo",
        "`receivers[0].authorized` is missing",
        "`bucket.endpoint` is `s3`, which is not a valid URL",
        "`bucket.prefix` is missing",
      ],
    );
  });
});

describe("parseJson", () => {
  it("JSON with valid data is parsed, and a text that is not JSON is refused", () => {
    expect(parseJson(runStartSchema, JSON.stringify(start))).to.deep.equal(start);
    expect(() => parseJson(runStartSchema, "{")).to.throw(InvalidData, /^the text is not valid JSON: /);
  });
});
