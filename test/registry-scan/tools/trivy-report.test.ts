import { expect } from "chai";
import { InvalidData } from "../../../registry-scan/protocol/validation.ts";
import { readReport } from "../../../registry-scan/tools/trivy-report.ts";

describe("readReport", () => {
  const report = (results: object[], os?: object) =>
    readReport(JSON.stringify({ SchemaVersion: 2, Metadata: { OS: os }, Results: results }));
  it("a Trivy report gives the vulnerabilities of system and language packages, each once", () => {
    const apk = { VulnerabilityID: "CVE-1", PkgName: "apk-tools", InstalledVersion: "1", FixedVersion: "2", Severity: "CRITICAL" };
    const found = report(
      [
        { Target: "r (alpine 3.10.9)", Class: "os-pkgs", Vulnerabilities: [{ ...apk, Title: "T", PrimaryURL: "https://x" }, apk] },
        {
          Target: "usr/bin/app",
          Class: "lang-pkgs",
          Vulnerabilities: [{ VulnerabilityID: "CVE-2", PkgName: "net/http", Severity: "odd" }],
        },
        {
          Target: "Java",
          Class: "lang-pkgs",
          Vulnerabilities: [{ VulnerabilityID: "CVE-3", PkgName: "a:b", PkgPath: "app/a.jar", Severity: "LOW" }],
        },
      ],
      { Family: "alpine", Name: "3.10.9", EOSL: true },
    );
    expect(found.os).to.equal("alpine 3.10.9");
    expect(found.endOfLife).to.equal(true);
    expect(found.findings).to.deep.equal([
      {
        id: "CVE-1",
        scanner: "vuln",
        severity: "CRITICAL",
        package: "apk-tools",
        installed: "1",
        fixed: "2",
        title: "T",
        url: "https://x",
      },
      { id: "CVE-2", scanner: "vuln", severity: "UNKNOWN", package: "net/http", path: "usr/bin/app" },
      { id: "CVE-3", scanner: "vuln", severity: "LOW", package: "a:b", path: "app/a.jar" },
    ]);
  });
  it("a Trivy report gives the findings of the other scanners, without the secrets themselves", () => {
    const { findings } = report([
      {
        Target: "app/.env",
        Class: "secret",
        Secrets: [
          { RuleID: "aws-access-key-id", Severity: "CRITICAL", Title: "AWS Access Key ID", Match: "AKIA-SECRET", Code: { Lines: [] } },
        ],
      },
      {
        Target: "Dockerfile",
        Class: "config",
        Misconfigurations: [
          { ID: "DS-0002", Severity: "HIGH", Title: "root", Status: "FAIL", PrimaryURL: "https://x" },
          { ID: "DS-0001", Status: "PASS" },
        ],
      },
      {
        Target: "OS Packages",
        Class: "license",
        Licenses: [{ Name: "GPL-2.0-only", Severity: "HIGH", PkgName: "musl", FilePath: "", Category: "restricted" }],
      },
      {
        Target: "Loose File License(s)",
        Class: "license-file",
        Licenses: [{ Name: "GPL-3.0", Severity: "HIGH", PkgName: "", FilePath: "app/LICENSE" }],
      },
    ]);
    expect(findings).to.deep.equal([
      { id: "aws-access-key-id", scanner: "secret", severity: "CRITICAL", package: "app/.env", title: "AWS Access Key ID" },
      { id: "DS-0002", scanner: "misconfig", severity: "HIGH", package: "Dockerfile", title: "root", url: "https://x" },
      { id: "GPL-2.0-only", scanner: "license", severity: "HIGH", package: "musl", title: "restricted" },
      { id: "GPL-3.0", scanner: "license", severity: "HIGH", package: "app/LICENSE" },
    ]);
  });
  it("a Trivy report without results gives no findings", () => {
    expect(readReport('{"SchemaVersion":2}')).to.deep.equal({ findings: [] });
  });
  it("a Trivy report with another schema version, an incomplete finding or invalid JSON is refused", () => {
    expect(() => readReport("{}")).to.throw(InvalidData, "`SchemaVersion` is not one of 2");
    expect(() => readReport('{"SchemaVersion":3,"Results":[]}')).to.throw(InvalidData, "`SchemaVersion` is not one of 2");
    const incomplete = { SchemaVersion: 2, Results: [{ Vulnerabilities: [{ PkgName: "p" }] }] };
    expect(() => readReport(JSON.stringify(incomplete))).to.throw(
      InvalidData,
      "`Results[0].Vulnerabilities[0].VulnerabilityID` is missing",
    );
    expect(() => readReport("{")).to.throw(InvalidData, "not valid JSON");
  });
});
