import { expect } from "chai";
import { reasonOf, redact, run } from "../../../registry-scan/worker/subprocess.ts";
import { readReport } from "../../../registry-scan/worker/trivy.ts";

describe("programs of a registry scan", () => {
  describe("reasons", () => {
    const fatal = "2026-11-22T17:17:58Z\tFATAL\tFatal error\trun error: image scan error: scan error: ";
    const missing = `unable to initialize a scan service: unable to initialize container image: unable to find the specified image "r.example:5000/nope/x:1" in ["remote"]: 1 error occurred:\n\t* remote error: `;
    for (const [what, stderr, reason] of [
      [
        "an image that is not there",
        `${fatal}${missing}GET http://r.example:5000/v2/nope/x/manifests/1: MANIFEST_UNKNOWN: manifest unknown; unknown tag=1\n\n\n`,
        "MANIFEST_UNKNOWN: manifest unknown; unknown tag=1",
      ],
      [
        "a registry that is not there, over HTTPS and HTTP",
        `${fatal}${missing}Get "https://r.example:5999/v2/": dial tcp 192.0.2.1:5999: connect: connection refused; Get "http://r.example:5999/v2/": dial tcp 192.0.2.1:5999: connect: connection refused\n\n\n`,
        "dial tcp 192.0.2.1:5999: connect: connection refused",
      ],
      [
        "a service that is not there",
        `${fatal}scan failed: failed analysis: unable to get missing layers: unable to fetch missing layers: backoff: permanent error (last error: twirp error internal: failed to do request: Post "http://trivy/twirp/trivy.cache.v1.Cache/MissingBlobs": dial tcp 192.0.2.1:80: connect: connection refused)`,
        "the scan service fails: dial tcp 192.0.2.1:80: connect: connection refused",
      ],
      [
        "a service that refuses the token",
        `${fatal}scan failed: failed analysis: unable to get missing layers: unable to fetch missing layers: backoff: permanent error (last error: twirp error unauthenticated: invalid token)`,
        "the scan service refuses the token (TRIVY_TOKEN)",
      ],
      [
        "a VEX document that is not there",
        "2026-11-22T17:18:00Z\tFATAL\tFatal error\trun error: filter error: filtering error: VEX error: VEX error: unable to load VEX: file open error: open /none.json: no such file or directory",
        "unable to load VEX: file open error: open /none.json: no such file or directory",
      ],
      [
        "crane, after warnings",
        "2026/11/22 17:15:29 HEAD request failed, falling back on GET: HEAD http://r.example/v2/a/manifests/1: unexpected status code 404\nError: GET http://r.example/v2/a/manifests/1: MANIFEST_UNKNOWN: manifest unknown; unknown tag=1",
        "MANIFEST_UNKNOWN: manifest unknown; unknown tag=1",
      ],
      [
        "a repository that is not there",
        "Error: reading tags for r.example/a: GET http://r.example/v2/a/tags/list?n=1000: NAME_UNKNOWN: repository name not known to registry; map[name:a]",
        "NAME_UNKNOWN: repository name not known to registry",
      ],
      ["a word that is no error line", "exec format error\n", "exec format error"],
      ["nothing", "", "it ended with an error and said nothing"],
    ] as const)
      it(`of ${what}`, () => expect(reasonOf(stderr)).to.equal(reason));

    it("have no login, no signed query and no token in them", () => {
      const before = process.env["TRIVY_TOKEN"];
      process.env["TRIVY_TOKEN"] = "tell-nobody";
      try {
        expect(redact('Get "https://me:pw@r.example/v2/x?sig=abc&key=1": tell-nobody')).to.equal('Get "https://r.example/v2/x": ***');
        expect(redact("GET https://r.example/token?scope=a:b: DENIED: no")).to.equal("GET https://r.example/token: DENIED: no");
      } finally {
        if (before === undefined) delete process.env["TRIVY_TOKEN"];
        else process.env["TRIVY_TOKEN"] = before;
      }
    });
  });

  describe("run", () => {
    const signal = new AbortController().signal;
    it("hides what a program must not see, and adds what it must", async () => {
      process.env["HIDDEN_FROM_CHILD"] = "1";
      const options = { seconds: 60, signal, env: { ADDED: "$(id) 2" }, without: ["HIDDEN_FROM_CHILD"] };
      const { stdout, code } = await run("sh", ["-c", 'echo "$HIDDEN_FROM_CHILD-$ADDED"; exit 3'], options);
      delete process.env["HIDDEN_FROM_CHILD"];
      expect([stdout, code]).to.deep.equal(["-$(id) 2\n", 3]);
    });
    it("ends a program at its limit, and when its caller gives up", async () => {
      const { late, code } = await run("sleep", ["60"], { seconds: 0.05, signal });
      expect([late, code]).to.deep.equal([true, null]);
      const stop = new AbortController();
      const ended = run("sleep", ["60"], { seconds: 60, signal: stop.signal });
      stop.abort();
      expect((await ended).late).to.equal(false);
    });
    it("says which program is missing", async () => {
      const error = await run("no-such-program", [], { seconds: 1, signal }).catch((error: Error) => error.message);
      expect(error).to.match(/^no-such-program cannot be started: .*ENOENT/);
    });
  });

  describe("a report", () => {
    const report = (results: object[], os?: object) =>
      readReport(JSON.stringify({ SchemaVersion: 2, Metadata: { OS: os }, Results: results }));
    it("gives vulnerabilities of the system and of languages, each once", () => {
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
    it("gives what the other scanners found, never the secret itself", () => {
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
    it("may have nothing in it, but must be one", () => {
      expect(readReport('{"SchemaVersion":2}')).to.deep.equal({ findings: [] });
      expect(() => readReport("{}")).to.throw(/schema version undefined/);
    });
  });
});
