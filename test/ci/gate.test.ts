import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { expect } from "chai";
import { GateLab, labImages } from "../support/gate.ts";

const { vulnerable, base, fixed, endOfLife, empty } = labImages;

describe("the scan gate with the real client and service", function () {
  this.timeout(120_000);
  let gate: GateLab;

  before(async function () {
    gate = await GateLab.create(this);
    const { lab } = gate;
    // CRITICAL in apk-tools and HIGH in pkg-00002.
    await lab.image("team/more:1", { alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.6-r0", "pkg-00002": "1.0.0-r0" } } });
  });
  after(() => gate?.close());
  beforeEach(() => gate.begin());
  afterEach(() => gate.end());

  const file = (path: string) => readFileSync(join(gate.workspace, "work", path), "utf8");
  const only = <T>(values: Readonly<Record<string, T>>): T => {
    const [value, ...others] = Object.values(values);
    if (value === undefined || others.length > 0) throw new Error(`${Object.keys(values)} is not one`);
    return value;
  };

  describe("sources of settings", () => {
    it("trivy.yaml is not overridden by the gate's defaults, and the log shows the source of each value", async () => {
      gate.write("trivy.yaml", "severity: [MEDIUM, HIGH]\nvulnerability: {ignore-unfixed: false}\n");
      const { exitCode, output, reports } = await gate.run({ images: ["team/more:1"] });
      expect(exitCode, output).to.equal(1);
      expect(output).to.include(
        "severity MEDIUM,HIGH (trivy.yaml); ignore-unfixed false (trivy.yaml); scanners vuln (default); ignore file none (default); VEX none (default)",
      );
      expect(output)
        .to.include("files in force: trivy.yaml")
        .and.match(/linux\/amd64, 1 HIGH;/);
      expect(reports.summary).to.include("files in force: trivy.yaml");
      expect(only(reports.sarif).properties["files in force"]).to.equal("trivy.yaml");
    });

    it("SCAN_GATE_* overrides TRIVY_*, which overrides trivy.yaml", async () => {
      gate.write("trivy.yaml", "Severity: HIGH\n");
      const file = await gate.run({ images: ["team/more:1"] });
      expect(file.output).to.match(/severity HIGH \(trivy.yaml\)[\s\S]*linux\/amd64, 1 HIGH;/);
      const variable = await gate.run({ images: ["team/more:1"], env: { TRIVY_SEVERITY: "CRITICAL" } });
      expect(variable.output).to.match(/severity CRITICAL \(TRIVY_SEVERITY\)[\s\S]*linux\/amd64, 1 CRITICAL;/);
      const input = await gate.run({ images: ["team/more:1"], env: { TRIVY_SEVERITY: "CRITICAL", SCAN_GATE_SEVERITY: "LOW" } });
      expect(input.output).to.include("severity LOW (SCAN_GATE_SEVERITY)");
      expect(input.exitCode, input.output).to.equal(0);
      // Inputs that a CI system passes as empty variables are no values.
      const omitted = await gate.run({ images: ["team/more:1"], env: { TRIVY_SEVERITY: "", SCAN_GATE_SEVERITY: "" } });
      expect(omitted.output).to.include("severity HIGH (trivy.yaml)");
    });

    it("keys of trivy.yaml that would change the document or its place have no effect, and the user's file is not overwritten", async () => {
      const keys = {
        ...{ output: "mine.sarif", format: "sarif", template: "@mine.tpl", "exit-code": 0, report: "summary", "list-all-pkgs": false },
        ...{ "output-plugin-arg": "x", "dependency-tree": true, "exit-on-eol": 0, quiet: true },
        ...{ scan: { compliance: "docker-cis-1.6.0", "show-suppressed": true }, image: { input: "mine.tar" } },
      };
      gate.write("trivy.yaml", JSON.stringify(keys));
      gate.write("mine.sarif", "mine");
      const { exitCode, output, reports } = await gate.run({ images: [vulnerable, fixed] });
      expect(exitCode, output).to.equal(1);
      expect(file("mine.sarif")).to.equal("mine");
      expect(reports.junit?.failures).to.equal(1);
      expect(reports.gitlab?.vulnerabilities).to.have.length(1);
      expect(reports.codeQuality?.issues).to.have.length(2);
      expect(Object.values(reports.sarif).map(({ results }) => results.length)).to.deep.equal([2, 0]);
      // Trivy refuses to write JSON with this one.
      gate.write("trivy.yaml", "table-mode:\n- summary\nseverity: CRITICAL\n");
      const block = await gate.run({ images: [vulnerable] });
      expect(block.exitCode, block.output).to.equal(1);
      expect(block.output).to.include("severity CRITICAL (trivy.yaml)");
      gate.write("trivy.yaml", '{"table-mode": ["summary"]}');
      expect((await gate.run({ images: [vulnerable] })).output).to.include("trivy.yaml: table-mode makes Trivy refuse");
    });

    it("variables of Trivy that would change the document have no effect", async () => {
      const env = {
        ...{ TRIVY_OUTPUT: "mine", TRIVY_FORMAT: "table", TRIVY_TEMPLATE: "x", TRIVY_EXIT_CODE: "0", TRIVY_LIST_ALL_PKGS: "false" },
        ...{
          TRIVY_COMPLIANCE: "docker-cis-1.6.0",
          TRIVY_INPUT: "mine.tar",
          TRIVY_QUIET: "true",
          TRIVY_VERSION: "true",
          TRIVY_REPORT: "summary",
        },
      };
      const { exitCode, output } = await gate.run({ images: [vulnerable], env });
      expect(exitCode, output).to.equal(1);
      expect(existsSync(join(gate.workspace, "work/mine"))).to.equal(false);
    });

    it("SCAN_GATE_REPOSITORY_CONFIG=ignore keeps the repository's trivy.yaml and .trivyignore from passing an image", async () => {
      gate.write("trivy.yaml", "pkg: {types: [library]}\n");
      gate.write(".trivyignore", "CVE-2021-36159\n");
      const used = await gate.run({ images: [vulnerable], env: { SCAN_GATE_UNRECOGNISED: "ignore" } });
      expect(used.exitCode, used.output).to.equal(0);
      expect(used.output).to.include("files in force: trivy.yaml, .trivyignore");
      const ignored = await gate.run({ images: [vulnerable], env: { SCAN_GATE_REPOSITORY_CONFIG: "ignore" } });
      expect(ignored.exitCode, ignored.output).to.equal(1);
      expect(ignored.output).not.to.include("files in force");
      gate.write("accepted", "CVE-2021-36159\n");
      const explicit = await gate.run({
        images: [vulnerable],
        env: { SCAN_GATE_REPOSITORY_CONFIG: "ignore", SCAN_GATE_IGNOREFILE: "accepted" },
      });
      expect(explicit.exitCode, explicit.output).to.equal(0);
      expect(explicit.output).to.include("files in force: accepted");
    });

    it("secrets count if trivy.yaml asks for them", async () => {
      gate.write("trivy.yaml", "scan:\n  scanners:\n    - vuln\n    - secret\n");
      const key = `AKIA${"Q3EGRIQ7PWDHX2ZA"}`;
      await gate.lab.image("team/secret:1", {
        alpine: { release: "3.22.1", packages: { a: "1-r0" } },
        files: { "app/env": `AWS_ACCESS_KEY_ID=${key}\n` },
      });
      const { exitCode, output, reports } = await gate.run({ images: ["team/secret:1"] });
      expect(exitCode, output).to.equal(1);
      expect(output).to.include("scanners vuln,secret (trivy.yaml)");
      expect(only(reports.sarif).results.map(({ ruleId }) => ruleId)).to.deep.equal(["aws-access-key-id"]);
      expect(reports.junit?.xml).to.include("/app/env");
      expect(output + JSON.stringify(reports)).not.to.include(key);
    });

    it("Trivy's own exit-on-eol, in trivy.yaml or as a variable, makes the end of life a finding", async () => {
      expect((await gate.run({ images: [endOfLife], env: { TRIVY_EXIT_ON_EOL: "5" } })).exitCode).to.equal(1);
      gate.write("trivy.yaml", "exit-on-eol: 5\n");
      expect((await gate.run({ images: [endOfLife] })).exitCode).to.equal(1);
      expect((await gate.run({ images: [endOfLife], env: { SCAN_GATE_END_OF_LIFE: "warn" } })).exitCode).to.equal(0);
    });
  });

  describe("age of the database", () => {
    it("the first line, the summary and the reports say when the database was built and when the next one is due", async () => {
      const { output, reports } = await gate.run({ images: [fixed] });
      const built = /database built \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d, 0 h ago, next due \d{4}-/;
      expect(output.split("\n")[0]).to.match(built);
      expect(reports.summary).to.match(built);
      expect(reports.junit?.xml).to.match(/<property name="database" value="built /);
      expect(only(reports.sarif).properties["database"]).to.match(/^built /);
      expect(reports.gitlab?.messages.find(({ level }) => level === "info")?.value).to.match(built);
    });

    it("the limit is a duration or 0, and the oldest database of several servers counts", async () => {
      const old = { TRIVY_SERVER: gate.oldServer };
      expect((await gate.run({ images: [fixed], env: { ...old, SCAN_GATE_MAX_DATABASE_AGE: "0" } })).exitCode).to.equal(0);
      expect((await gate.run({ images: [fixed], env: { ...old, SCAN_GATE_MAX_DATABASE_AGE: "5d" } })).exitCode).to.equal(0);
      // 100 hours and some seconds: clocks may differ by minutes.
      expect((await gate.run({ images: [fixed], env: { ...old, SCAN_GATE_MAX_DATABASE_AGE: "100h" } })).exitCode).to.equal(0);
      expect((await gate.run({ images: [fixed], env: { ...old, SCAN_GATE_MAX_DATABASE_AGE: "99h" } })).exitCode).to.equal(2);
      // The gate's question is answered by the new server, the client's scan by the old one.
      let questions = 0;
      const mixed = await gate.answering(async (request, response) => {
        const server = request.url === "/version" && questions++ === 0 ? gate.server : gate.oldServer;
        const body = request.method === "POST" ? { body: await buffer(request) } : {};
        const headers = {
          "Content-Type": request.headers["content-type"] ?? "",
          "Trivy-Token": String(request.headers["trivy-token"] ?? ""),
        };
        const answer = await fetch(`${server}${request.url}`, { method: request.method ?? "GET", headers, ...body });
        response
          .writeHead(answer.status, { "Content-Type": answer.headers.get("content-type") ?? "" })
          .end(Buffer.from(await answer.arrayBuffer()));
      });
      const { exitCode, output } = await gate.run({ images: [fixed], env: { TRIVY_SERVER: mixed } });
      expect(output.split("\n")[0]).to.include("0 h ago");
      expect(output).to.include("the vulnerability database is too old").and.include("100 h ago");
      expect(exitCode, output).to.equal(2);
    });

    it("a service that does not say the age of its database gives no verdict", async () => {
      const server = await gate.answering((_, response) => response.end('{"Version":"0.74.0"}'));
      const { exitCode, output } = await gate.run({ images: [fixed], env: { TRIVY_SERVER: server } });
      expect(exitCode, output).to.equal(2);
    });
  });

  describe("several platforms", () => {
    it("the platform that was scanned is in the log and in the reports", async () => {
      const { output, reports } = await gate.run({ images: [labImages.multi] });
      expect(output).to.match(/team\/multi:1: linux\/amd64, nothing found/);
      expect(reports.junit?.xml).to.include('<property name="platform" value="linux/amd64"/>');
      expect(only(reports.sarif).properties["platform"]).to.equal("linux/amd64");
    });

    for (const platforms of ["linux/amd64,linux/arm64", "all"])
      it(`SCAN_GATE_PLATFORMS=${platforms} scans each platform, with one verdict`, async () => {
        const { exitCode, output, reports } = await gate.run({ images: [labImages.multi], env: { SCAN_GATE_PLATFORMS: platforms } });
        expect(exitCode, output).to.equal(1);
        expect(output).to.match(/team\/multi:1 \(linux\/amd64\): linux\/amd64, nothing found/);
        expect(output).to.match(/team\/multi:1 \(linux\/arm64\): linux\/arm64, 1 CRITICAL/);
        expect(new Set(Object.values(reports.sarif).map(({ category }) => category)).size).to.equal(2);
      });

    it("all platforms of an image that has one only are that one", async () => {
      const { exitCode, output } = await gate.run({ images: [fixed], env: { SCAN_GATE_PLATFORMS: "all" } });
      expect(exitCode, output).to.equal(0);
      expect(output).to.include("passed: 1 clean");
    });
  });

  describe("the baseline", () => {
    it("only findings that the baseline does not have count, whatever the version of the package", async () => {
      const { exitCode, output, reports } = await gate.run({
        images: ["team/more:1"],
        env: { SCAN_GATE_BASELINE: gate.lab.reference(base) },
      });
      expect(exitCode, output).to.equal(1);
      expect(output).to.match(/linux\/amd64, 1 HIGH, 1 known from the baseline/);
      const results = only(reports.sarif).results.map(({ ruleId, baselineState }) => [ruleId, baselineState]);
      expect(results).to.deep.equal([
        ["CVE-2020-100002", "new"],
        ["CVE-2021-36159", "unchanged"],
        ["end-of-life", undefined],
      ]);
      expect(reports.junit?.failures).to.equal(1);
      expect(reports.gitlab?.vulnerabilities).to.have.length(2);
      expect(reports.summary).to.match(
        /\| HIGH \| \[CVE-2020-100002\][\s\S]*Known from the baseline: CVE-2021-36159 apk-tools 2\.10\.6-r0/,
      );
    });

    it("a finding that the baseline's filters would hide is known as well", async () => {
      // In the baseline the severity filter of this run hides nothing, because the baseline is scanned without filters.
      gate.write(".trivyignore", "");
      const { exitCode, output } = await gate.run({
        images: [vulnerable],
        env: { SCAN_GATE_BASELINE: gate.lab.reference("team/more:1"), TRIVY_SEVERITY: "CRITICAL" },
      });
      expect(exitCode, output).to.equal(0);
    });

    it("auto takes the tag of the target branch in the image's repository", async () => {
      await gate.lab.image("team/more:release-1", {
        alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.6-r0", "pkg-00002": "1.0.0-r0" } },
      });
      const env = { SCAN_GATE_BASELINE: "auto" };
      for (const branch of [
        { GITHUB_BASE_REF: "release/1" },
        { CI_MERGE_REQUEST_TARGET_BRANCH_NAME: "release/1" },
        { CHANGE_TARGET: "release/1" },
        { SYSTEM_PULLREQUEST_TARGETBRANCH: "refs/heads/release/1" },
        { BUILDKITE_PULL_REQUEST: "7", BUILDKITE_PULL_REQUEST_BASE_BRANCH: "release/1" },
      ]) {
        const { exitCode, output } = await gate.run({ images: ["team/more:1"], env: { ...env, ...branch } });
        expect(exitCode, output).to.equal(0);
        expect(output).to.include("2 known from the baseline");
      }
      const pattern = await gate.run({
        images: ["team/more:1"],
        env: { SCAN_GATE_BASELINE: "{repository}:release-{branch}", GITHUB_BASE_REF: "1" },
      });
      expect(pattern.exitCode, pattern.output).to.equal(0);
      const push = await gate.run({ images: ["team/more:1"], env });
      expect(push.exitCode, push.output).to.equal(1);
      expect(push.output).to.include("there is no baseline: this is not a change with a target branch");
    });

    it("every finding counts if the baseline cannot be scanned", async () => {
      const env = { SCAN_GATE_BASELINE: gate.lab.reference("team/missing:1") };
      const { exitCode, output } = await gate.run({ images: [vulnerable], env });
      expect(exitCode, output).to.equal(1);
      expect(output).to.include("cannot be scanned").and.include("1 CRITICAL");
    });
  });

  describe("text from images", () => {
    const commands = "::set-output name=x::y ##[add-mask]z ##vso[task.complete] \u001b[2Jsection_start:1:x\r\u001b[0K \u202e\u009b2J --- x";

    it("names in an image cannot write commands or escapes into the log, the summary or the reports", async () => {
      const name = "<script>[x](https://evil.example)|`@team`";
      await gate.lab.image("team/hostile:1", {
        alpine: { release: `3.10.9${commands}`, packages: { "apk-tools": "2.10.6-r0", [name]: "1.0.0-r0" } },
        files: { "app/x": "y" },
      });
      for (const env of [{ GITHUB_ACTIONS: "true" }, { TF_BUILD: "True" }, {}]) {
        const { output, reports } = await gate.run({
          images: ["team/hostile:1"],
          env: { ...env, TRIVY_SEVERITY: "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL" },
        });
        const own = output
          .split("\n")
          .filter((line) => !/^(::(error|warning) title=scan-gate::|##vso\[task\.logissue type=(error|warning)\]scan-gate: )/.test(line));
        for (const line of own) expect(line.replace(/^scan-gate: |^\| /, "@")).to.match(/^(@|$)/);
        expect(own.join("\n")).not.to.match(/##\[|##vso/);
        for (const text of [reports.summary, reports.junit?.xml]) expect(text).not.to.match(/<script>|\[x\]\(/);
      }
    });

    it("a document with hostile text in every field gives valid reports and a harmless log", async () => {
      const hostile = `é</failure> ]]> & "quoted" 'quoted' \\ \\n | \u0001\u2028 \u{e0001} \n${commands}<script>[x](y)![z](https://evil.example)\`${"é".repeat(300)}`;
      const vulnerability = (id: string, more: object) => ({
        ...{ VulnerabilityID: id, PkgName: hostile, InstalledVersion: '1.0"', Severity: "HIGH", Title: hostile, Description: hostile },
        ...more,
      });
      const document = {
        ...{ SchemaVersion: 2, ArtifactName: "a", ArtifactType: "container_image" },
        Metadata: { OS: { Family: "debian", Name: hostile, EOSL: true }, ImageConfig: { architecture: hostile, os: "linux" } },
        Results: [
          { Target: `a (debian ${hostile})`, Class: "os-pkgs", Packages: [{ ID: "a" }], Vulnerabilities: [vulnerability("CVE-1", {})] },
          {
            ...{ Target: `app/${hostile}`, Class: "lang-pkgs" },
            Vulnerabilities: [
              vulnerability("GHSA-aaaa", {
                FixedVersion: hostile,
                PrimaryURL: 'https://e/?a="b"',
                References: ["none", 'https://x/"', "https://ok/"],
              }),
              vulnerability(hostile, { Severity: hostile, PrimaryURL: "javascript:x", PkgPath: `../../${hostile}` }),
              vulnerability("TEMP-1", { Title: "", Description: "", Severity: "UNKNOWN" }),
            ],
          },
        ],
      };
      // Go escapes these, JSON.stringify does not.
      const json = JSON.stringify(document, undefined, 2)
        .replaceAll("<", "\\u003c")
        .replaceAll("&", "\\u0026")
        .replaceAll("\u2028", "\\u2028");
      gate.write("document.json", `${json}\n`);
      gate.write(
        "client",
        `#!/bin/sh\n[ "$1" = image ] || exec trivy "$@"\nwhile [ "$1" != --output ]; do shift; done\ncp document.json "$2"\nprintf '%s\\n' "$HOSTILE"\nexit 10\n`,
        0o755,
      );
      for (const shell of [["dash"], ["busybox", "sh"]]) {
        const env = { SCAN_GATE_TRIVY: join(gate.workspace, "work/client"), HOSTILE: commands };
        const { exitCode, output, reports } = await gate.run({ images: [fixed], env, shell });
        expect(exitCode, output).to.equal(1);
        expect(output).not.to.match(/##\[|##vso|^::|^---/m);
        expect(reports.junit?.failures).to.equal(4);
        expect(reports.gitlab?.vulnerabilities).to.have.length(4);
        expect(reports.codeQuality?.issues).to.have.length(5);
        expect(only(reports.sarif).results).to.have.length(5);
        expect(reports.summary, reports.summary ?? "").not.to.match(/<script>|!\[|\]\(y\)|https:\/\/evil/);
        const rows = (reports.summary ?? "").split("\n").filter((line) => /^\| (HIGH|UNKNOWN)/.test(line));
        for (const row of rows) expect(row.split(" | "), row).to.have.length(6);
        expect(reports.gitlab?.vulnerabilities[0].location.dependency.package.name).to.equal(
          // biome-ignore lint/suspicious/noControlCharactersInRegex: these are replaced
          hostile.replaceAll(/[\u0000-\u001f\u0080-\u009f\u202e\u2028]|[\u{e0001}]/gu, (mark) => (mark === "\u{e0001}" ? mark : " ")),
        );
        for (const { message } of only(reports.sarif).results) expect(message.text).not.to.match(/(?<!\\)\[x/);
      }
    });

    it("an image cannot declare the service unreachable or the token wrong", async () => {
      for (const answer of ["unavailable: x", "unauthenticated: x"]) {
        gate.write(
          "client",
          `#!/bin/sh\n[ "$1" = image ] || exec trivy "$@"\necho "2026	FATAL	failed to analyze srv/(last error: twirp error ${answer})/app: (last error: twirp error ${answer})"\nexit 1\n`,
          0o755,
        );
        const env = { SCAN_GATE_TRIVY: join(gate.workspace, "work/client"), SCAN_GATE_ON_UNREACHABLE: "warn" };
        const { exitCode, output } = await gate.run({ images: [fixed, vulnerable], env });
        expect(exitCode, output).to.equal(2);
        expect(output.match(/failed to analyze/g)).to.have.length.above(1);
      }
    });
  });

  describe("the client", () => {
    it("a client that is too old is reported with the minimum version, before a scan", async () => {
      const requests: (string | undefined)[] = [];
      const server = await gate.answering(({ url }, response) => {
        requests.push(url);
        response.writeHead(503).end();
      });
      const registry = server.replace("http://", "");
      gate.write("client", '#!/bin/sh\n[ "$1" != --version ] || { /bin/sleep 2; echo "Version: 0.55.0"; exit; }\nexec trivy "$@"\n', 0o755);
      const { exitCode, output } = await gate.run({
        images: [`${registry}/team/app:1`],
        env: { TRIVY_SERVER: server, SCAN_GATE_TRIVY: join(gate.workspace, "work/client"), SCAN_GATE_BASELINE: `${registry}/team/app:2` },
      });
      expect(exitCode, output).to.equal(2);
      expect(output).to.include("is Trivy 0.55.0, which is too old; the gate needs 0.70.0 or later");
      expect(requests).to.deep.equal(["/version"]);
    });

    it("a folder that does not allow execution is reported, and another one is used", async function () {
      const mount = join(gate.workspace, "noexec");
      mkdirSync(mount);
      if (spawnSync("mount", ["-t", "tmpfs", "-o", "noexec", "tmpfs", mount]).status !== 0) this.skip();
      try {
        // The release that is downloaded is the installed client.
        const archive = join(gate.workspace, "trivy.tar.gz");
        const found = spawnSync("which", ["trivy"], { encoding: "utf8" }).stdout.trim();
        expect(spawnSync("tar", ["-czhf", archive, "-C", join(found, ".."), "trivy"]).status).to.equal(0);
        const content = readFileSync(archive);
        const url = await gate.answering((_, response) => response.end(content));
        const sum = spawnSync("sha256sum", [archive], { encoding: "utf8" }).stdout.slice(0, 64);
        gate.write("../bin/trivy", "#!/bin/sh\nexit 127\n", 0o755);
        const env = { TMPDIR: mount, SCAN_GATE_TRIVY_URL: url, SCAN_GATE_TRIVY_VERSION: "0.74.0", SCAN_GATE_TRIVY_SHA256: sum };
        const { exitCode, output } = await gate.run({ images: [fixed], env });
        expect(output).to.include("does not allow execution (noexec)").and.include(mount);
        expect(exitCode, output).to.equal(0);
        writeFileSync(join(mount, "client"), "#!/bin/sh\n");
        chmodSync(join(mount, "client"), 0o755);
        const direct = await gate.run({ images: [fixed], env: { SCAN_GATE_TRIVY: join(mount, "client") } });
        expect(direct.exitCode).to.equal(2);
        expect(direct.output).to.match(/is not executable; check its mode, and whether its file system is mounted with noexec/);
      } finally {
        spawnSync("umount", [mount]);
      }
    });

    it("a Java database that cannot be downloaded is retried after the other images, and reported as such", async () => {
      const jar = spawnSync("sh", ["-c", "printf 'PK\\005\\006'; head -c 18 /dev/zero"], { encoding: "latin1" }).stdout;
      await gate.lab.image("team/java:1", { alpine: { release: "3.22.1", packages: { a: "1-r0" } }, files: { "app/unknown.jar": jar } });
      const env = { SCAN_GATE_JAVA_DB_REPOSITORY: gate.lab.reference("no/java-db:1") };
      const { exitCode, output } = await gate.run({ images: ["team/java:1", fixed], env });
      expect(output).to.match(/retrying after the other images[\s\S]*team\/app:3: linux[\s\S]*team\/java:1: retrying/);
      expect(output).to.include("the Java database cannot be downloaded; set TRIVY_JAVA_DB_REPOSITORY to a mirror");
      expect(exitCode, output).to.equal(2);
      expect(output).to.include("1 clean, 0 with findings, 1 without a verdict");
    });
  });

  describe("several images", () => {
    it("each SARIF file has a category of its own, which does not depend on the tag unless it must", async () => {
      const one = await gate.run({ images: [vulnerable] });
      expect(only(one.reports.sarif).category).to.equal(`scan-gate/${gate.lab.reference("team/app")}/`);
      const { reports } = await gate.run({ images: [vulnerable, fixed, empty] });
      const categories = Object.values(reports.sarif).map(({ category }) => category);
      expect(new Set(categories)).to.deep.equal(
        new Set(
          [vulnerable, fixed]
            .map((name) => `scan-gate/${gate.lab.reference(name)}/`)
            .concat(`scan-gate/${gate.lab.reference("team/static")}/`),
        ),
      );
    });

    it("GitLab's identity of a finding does not depend on the image's tag", async () => {
      await gate.lab.image("team/app:1.2.3", { alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.6-r0" } } });
      const ids = [];
      for (const name of [vulnerable, "team/app:1.2.3"]) {
        const { reports } = await gate.run({ images: [name] });
        const [finding] = reports.gitlab?.vulnerabilities ?? [];
        ids.push([finding.id, finding.location.default_branch_image, reports.codeQuality?.issues[0]?.fingerprint]);
      }
      expect(ids[0]).to.deep.equal(ids[1]);
    });
  });

  describe("invalid input", () => {
    const problems = async (env: Record<string, string>, images: string[] = [fixed], args?: string[]) => {
      const { exitCode, output, reports } = await gate.run({ images, env, ...(args && { args }) });
      expect(exitCode, output).to.equal(2);
      expect(reports.junit).to.equal(undefined);
      expect(output).not.to.include("Vulnerability scanning is enabled");
      return output;
    };

    it("an empty or blank list of images and names with shell or option characters are invalid", async () => {
      expect(await problems({ SCAN_GATE_IMAGES: " \n " }, [])).to.include("SCAN_GATE_IMAGES: is empty");
      const output = await problems({}, [], ["", "$(touch x)", "--server=x", "a;b", "a b", "a\u001b[2J"]);
      expect(output.match(/is not a valid image reference/g)).to.have.length(6);
    });

    it("unknown words and contradictory variables are reported at once", async () => {
      const output = await problems({
        ...{ SCAN_GATE_REPORTS: "pdf", SCAN_GATE_SEVERITY: "high", SCAN_GATE_END_OF_LIFE: "no", SCAN_GATE_MAX_DATABASE_AGE: "soon" },
        ...{
          SCAN_GATE_BASELINE_REQUIRED: "true",
          SCAN_GATE_PLATFORMS: "all,arm64",
          TRIVY_PLATFORM: "linux/amd64",
          SCAN_GATE_SCANNERS: "vulns",
        },
        ...{ SCAN_GATE_TRIVY: "trivy", SCAN_GATE_TRIVY_VERSION: "0.74.0", SCAN_GATE_REPOSITORY_CONFIG: "x", SCAN_GATE_UNRECOGNISED: "x" },
      });
      const named = output.split("\n").flatMap((line) => /^ {2}(\w+): /.exec(line)?.[1] ?? []);
      expect(new Set(named)).to.deep.equal(
        new Set([
          ...["SCAN_GATE_SEVERITY", "SCAN_GATE_SCANNERS", "SCAN_GATE_END_OF_LIFE", "SCAN_GATE_UNRECOGNISED", "SCAN_GATE_MAX_DATABASE_AGE"],
          ...["SCAN_GATE_REPORTS", "SCAN_GATE_REPOSITORY_CONFIG", "SCAN_GATE_TRIVY_VERSION", "TRIVY_PLATFORM", "SCAN_GATE_PLATFORMS"],
          "SCAN_GATE_BASELINE_REQUIRED",
        ]),
      );
    });

    it("a baseline that is the image itself, or one image for several, is invalid", async () => {
      expect(await problems({ SCAN_GATE_BASELINE: gate.lab.reference(fixed) })).to.include("is the image itself");
      const output = await problems({ SCAN_GATE_BASELINE: "docker.io/library/app" }, [], ["app:latest"]);
      expect(output).to.include("is the image itself");
      const auto = await problems({ SCAN_GATE_BASELINE: "auto", GITHUB_BASE_REF: "3" });
      expect(auto).to.include("is the image itself");
      expect(await problems({ SCAN_GATE_BASELINE: gate.lab.reference(base) }, [fixed, vulnerable])).to.include(
        "is one image, but there are 2 images",
      );
    });

    it("a missing or invalid ignore file, trivy.yaml or output folder is reported together with the other problems", async () => {
      gate.write("trivy.yaml", "severity: [\n");
      const broken = await problems({ SCAN_GATE_REPORTS: "pdf" });
      expect(broken).to.include("trivy.yaml: Trivy cannot read it").and.include("SCAN_GATE_REPORTS");
      gate.write("trivy.yaml", "ignorefile: missing.yaml\n");
      expect(await problems({})).to.include("trivy.yaml: cannot read the ignore file missing.yaml");
      gate.write("present.yaml", `vulnerabilities: [{id: CVE-2021-36159}]\n`);
      gate.write("trivy.yaml", 'ignorefile: "present.yaml" # accepted\n');
      const present = await gate.run({ images: [vulnerable] });
      expect(present.exitCode, present.output).to.equal(0);
      expect(present.output).to.include("ignore file present.yaml (trivy.yaml)");
      rmSync(join(gate.workspace, "work/scan-gate"), { recursive: true });
      gate.write("trivy.yaml", "{}\n");
      gate.write("a.yaml", "vulns:\n  - id: CVE-1\n");
      expect(await problems({ SCAN_GATE_IGNOREFILE: "a.yaml" })).to.include("'vulns' has no effect in an ignore file");
      gate.write(".trivyignore", "# why\nCVE-2021-36159 exp:31.12.2026\n");
      expect(await problems({})).to.include(".trivyignore: line 2 is not valid");
      gate.write(".trivyignore", "");
      expect(await problems({ SCAN_GATE_IGNOREFILE: "missing" })).to.include("SCAN_GATE_IGNOREFILE: cannot read the file missing");
      gate.write("file", "");
      expect(await problems({ SCAN_GATE_OUTPUT: "file/reports" })).to.include("SCAN_GATE_OUTPUT: cannot create the folder");
      expect(await problems({ SCAN_GATE_OUTPUT: "/proc/self" })).to.include("read-only or full");
    });

    it("a full output folder is reported before the scan", async function () {
      const mount = join(gate.workspace, "full");
      mkdirSync(mount);
      if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", mount]).status !== 0) this.skip();
      try {
        expect(await problems({ SCAN_GATE_OUTPUT: mount })).to.include("which is read-only or full");
      } finally {
        spawnSync("umount", [mount]);
      }
    });

    it("--help and --version need no settings", async () => {
      const help = await gate.run({ args: ["--help"], env: { TRIVY_SERVER: "" } });
      expect(help.exitCode).to.equal(0);
      expect(help.output).to.match(/^usage: scan-gate.sh \[IMAGE\.\.\.\]/);
      const version = await gate.run({ args: ["--version"], env: { TRIVY_SERVER: "" } });
      expect(version.exitCode).to.equal(0);
      expect(version.output).to.match(/^scan-gate \d+\.\d+\.\d+, Trivy \d+\.\d+\.\d+\n$/);
    });
  });
});
