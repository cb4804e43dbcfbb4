import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { images, trivyVersion } from "../../components/shared/images.ts";
import {
  azureStep,
  buildkiteStep,
  ci,
  circleciJob,
  exampleInputs,
  githubAction,
  gitlabJob,
  jenkinsStage,
  reusableWorkflowStep,
  type Step,
  tektonStep,
} from "../support/ci-runners.ts";
import { run } from "../support/command.ts";

const script = join(ci, "scan-gate.sh");
const token = "s3cret-t0ken";
const image = "registry.example.com/team/app:1";

/**
 * A stand-in for Trivy where a test needs failures that the real one does not produce on demand: the n-th scan ends as line n of `outcomes` says, and
 * every call is recorded. `states.test.ts` tests the gate with the real client and service.
 */
const client = `#!/bin/sh
next() { scans=$(($(cat "$STUB/scans" 2>/dev/null || echo 0) + 1)); echo $scans >"$STUB/scans"; sed -n "$scans{p;q;}" "$STUB/outcomes"; }
fatal() { echo "2026-11-22T17:14:33Z	FATAL	Fatal error	run error: $1"; exit 1; }
# As the real client does: it reads its configuration before anything else.
configured() { while [ $# -gt 1 ]; do if [ "$1" = --config ] && [ -n "$(cat "$2")" ]; then exit 1; fi; shift; done; }
configured "$@"
printf '%s\\n' "$*" >>"$STUB/calls"
case $1 in
  --version) echo "Version: $STUB_VERSION" ;;
  image)
    env >"$STUB/env"
    while [ "$1" != --output ]; do shift; done
    outcome=$(next)
    case $outcome in
      clean) cp "$STUB/clean.json" "$2" ;;
      findings) cp "$STUB/findings.json" "$2"; exit 10 ;;
      clean-with-findings) cp "$STUB/findings.json" "$2" ;;
      findings-without) cp "$STUB/clean.json" "$2"; exit 10 ;;
      cut-off) head -c 300 "$STUB/clean.json" >"$2" ;;
      nothing-written) ;;
      killed) kill -9 $$ ;;
      *) fatal "$outcome" ;;
    esac ;;
  convert) ;;
esac
`;
const refused = `(last error: twirp error internal: failed to do request: Post "http://trivy/twirp/x": dial tcp 10.0.0.1:80: connect: connection refused)`;
const unavailable = "(last error: twirp error unavailable: Error from intermediary with HTTP status code 503)";
const wrongToken = "(last error: twirp error unauthenticated: invalid token)";
const untrusted = `(last error: twirp error internal: failed to do request: Post "https://trivy/twirp/x": tls: failed to verify certificate: x509: certificate signed by unknown authority)`;
const slow = `(last error: twirp error internal: failed to do request: Post "http://trivy/twirp/x": context deadline exceeded)`;
/** Nothing listens there. The age of the database is a separate question. */
const nobody = { TRIVY_SERVER: "http://127.0.0.1:1", SCAN_GATE_MAX_DATABASE_AGE: "0" };
const noImage = "unable to find the specified image: remote error: MANIFEST_UNKNOWN";

const vulnerability = (id: string, severity: string) => ({
  ...{
    VulnerabilityID: id,
    PkgName: "apk-tools",
    InstalledVersion: "2.10.6-r0",
    FixedVersion: "2.10.7-r0",
    Severity: severity,
    Title: "t",
  },
});
/** A document as Trivy writes it. */
const document = (...Vulnerabilities: object[]) =>
  `${JSON.stringify(
    {
      ...{ SchemaVersion: 2, ArtifactName: "a", ArtifactType: "container_image" },
      Metadata: { OS: { Family: "alpine", Name: "3.22.1" }, ImageConfig: { architecture: "amd64", os: "linux" } },
      Results: [{ Target: "a (alpine 3.22.1)", Class: "os-pkgs", Type: "alpine", Packages: [{ ID: "apk-tools" }], Vulnerabilities }],
    },
    undefined,
    2,
  )}\n`;
const versionAnswer = (version: string, age = 0) => {
  const time = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  return JSON.stringify({ Version: version, VulnerabilityDB: { Version: 2, NextUpdate: time(24 - age), UpdatedAt: time(-age) } });
};

describe("the scan gate", () => {
  let folder: string;
  let server: Server;
  let address: string;
  /** Contents that the server serves, by path. */
  let files: Map<string, string | Buffer>;

  const at = (...path: string[]) => join(folder, ...path);
  const text = (...path: string[]) => readFileSync(at(...path), "utf8");
  const lines = (...path: string[]) =>
    existsSync(at(...path))
      ? text(...path)
          .trimEnd()
          .split("\n")
      : [];
  const program = (path: string, content: string) => {
    writeFileSync(path, content);
    chmodSync(path, 0o755);
  };
  const scans = () => lines("calls").filter((call) => call.startsWith("image "));
  const clientsEnvironment = () => Object.fromEntries(lines("env").map((line) => line.split(/=(.*)/s).slice(0, 2)));
  /** Puts a release's archives on the server and returns their checksum. */
  const release = (version: string) => {
    program(at("trivy"), client);
    spawnSync("tar", ["-czf", at("archive"), "-C", folder, "trivy"]);
    const archive = readFileSync(at("archive"));
    for (const platform of ["Linux-64bit", "Linux-ARM64", "macOS-64bit", "macOS-ARM64"])
      files.set(`/v${version}/trivy_${version}_${platform}.tar.gz`, archive);
    return createHash("sha256").update(archive).digest("hex");
  };

  before((done) => {
    server = createServer(({ url = "" }, response) => {
      const file = files.get(url);
      response.writeHead(file === undefined ? 404 : 200).end(file);
    }).listen(0, "127.0.0.1", done);
  });
  after(() => server.close());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "scan-gate-"));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    files = new Map([["/version", versionAnswer(trivyVersion)]]);
    writeFileSync(at("clean.json"), document());
    writeFileSync(
      at("findings.json"),
      document(vulnerability("CVE-1", "CRITICAL"), vulnerability("CVE-2", "HIGH"), vulnerability("CVE-3", "HIGH")),
    );
    mkdirSync(at("bin"));
    mkdirSync(at("workspace"));
    program(at("bin/trivy"), client);
    program(at("bin/sleep"), `#!/bin/sh\necho "$1" >>"$STUB/sleeps"\n`);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  interface Options {
    outcomes?: string[];
    env?: Record<string, string>;
    args?: string[];
    command?: readonly string[];
    path?: string;
  }
  async function gate({ outcomes = ["clean"], env = {}, args = [image], command = ["/bin/sh", script], path }: Options = {}) {
    writeFileSync(at("outcomes"), outcomes.map((outcome) => `${outcome}\n`).join(""));
    const [program = "", ...first] = command;
    const { exitCode, stdout, stderr } = await run(program, [...first, ...args], {
      cwd: at("workspace"),
      env: {
        PATH: [at("bin"), path ?? "/usr/bin:/bin"].join(delimiter),
        HOME: folder,
        TMPDIR: folder,
        STUB: folder,
        STUB_VERSION: trivyVersion,
        TRIVY_SERVER: address,
        TRIVY_TOKEN: token,
        ...env,
      },
      extendEnv: false,
      timeout: 20_000,
    });
    const output = stdout + stderr;
    expect(output, "the token in the output").not.to.include(token);
    expect(lines("calls").join("\n"), "the token in the arguments").not.to.include(token);
    expect(
      readdirSync(folder).filter((name) => name.startsWith("tmp.")),
      "temporary files left behind",
    ).to.deep.equal([]);
    return { exitCode, output };
  }

  const verdicts: [string, string[], number, number, RegExp, Record<string, string>?][] = [
    ["the image is clean", ["clean"], 0, 1, /app:1: linux\/amd64, nothing found/],
    ["the image has findings", ["findings"], 1, 1, /app:1: linux\/amd64, 1 CRITICAL, 2 HIGH/],
    ["the image is clean at the second attempt", [refused, "clean"], 0, 2, /retrying/],
    ["the image has findings at the second attempt", ["killed", "findings"], 1, 2, /without a verdict; retrying/],
    ["the service is unreachable", [unavailable, refused, "clean"], 2, 2, /is unreachable/, nobody],
    ["the service is overloaded", [unavailable, unavailable, "clean"], 2, 2, /no verdict: Trivy exited with 1/],
    [
      "Trivy finds nothing but writes findings",
      ["clean-with-findings"],
      2,
      1,
      /no verdict: Trivy exited with 0 but its document has 3 findings/,
    ],
    [
      "Trivy finds something but writes nothing",
      ["findings-without"],
      2,
      1,
      /no verdict: Trivy exited with 10 but its document has 0 findings/,
    ],
    ["the document is cut off", ["cut-off"], 2, 1, /no verdict: Trivy exited with 0 but its document is incomplete/],
    ["the image does not exist", [noImage, noImage, "clean"], 2, 2, /MANIFEST_UNKNOWN[\s\S]*no verdict: Trivy exited with 1/],
    ["no report is written", ["nothing-written", "nothing-written", "clean"], 2, 2, /no verdict: Trivy exited with 0/],
    ["the token is rejected", [wrongToken, "clean"], 2, 1, /the service rejected the token: TRIVY_TOKEN is wrong/],
    ["the certificate is not trusted", [untrusted, "clean"], 2, 1, /certificate cannot be verified; set TRIVY_CACERT/],
  ];
  for (const [what, outcomes, status, tries, message, env] of verdicts)
    it(`the scan gate exits with ${status} after ${tries} ${tries === 1 ? "scan" : "scans"} when ${what}`, async () => {
      const result = await gate({ outcomes, ...(env && { env }) });
      expect(result.output).to.match(message);
      expect(result.exitCode, result.output).to.equal(status);
      expect(scans()).to.have.length(tries);
      expect(lines("sleeps")).to.have.length(tries - 1);
    });

  for (const [name, ...command] of [["sh"], ["bash"], ["busybox", "sh"]] as const)
    it(`the scan gate runs in ${[name, ...command].join(" ")} and downloads the client`, async function () {
      if (spawnSync("which", [name]).status !== 0) this.skip();
      const found = spawnSync("which", [name], { encoding: "utf8" }).stdout.trim();
      // Only BusyBox's tools are on the PATH, as in Alpine.
      const path = name === "busybox" ? { path: at("tools") } : {};
      mkdirSync(at("tools"));
      if (name === "busybox") spawnSync(found, ["--install", "-s", at("tools")]);
      const env = {
        SCAN_GATE_TRIVY_URL: address,
        SCAN_GATE_TRIVY_VERSION: "0.75.1",
        SCAN_GATE_TRIVY_SHA256: release("0.75.1"),
        SCAN_GATE_REPORTS: "sarif,junit,gitlab,codequality",
      };
      const { exitCode, output } = await gate({ outcomes: ["findings"], command: [found, ...command, script], env, ...path });
      expect(exitCode, output).to.equal(1);
      expect(output).to.include(`downloading ${address}/v0.75.1/trivy_0.75.1_`).and.include("1 CRITICAL, 2 HIGH");
    });

  describe("an unreachable service", () => {
    it("an unreachable service is only a warning with `warn`, which never lets findings pass", async () => {
      const warned = await gate({ outcomes: [refused, refused], env: { ...nobody, SCAN_GATE_ON_UNREACHABLE: "warn" } });
      expect(warned.exitCode, warned.output).to.equal(0);
      expect(warned.output).to.match(/warning: registry.example.com\/team\/app:1: not scanned: the service http:\S+ is unreachable/);
      expect(warned.output).to.include("passed, with a warning: 0 clean");
      rmSync(at("scans"));
      const found = await gate({
        outcomes: ["findings", refused, refused],
        args: ["a:1", "b:1"],
        env: { ...nobody, SCAN_GATE_ON_UNREACHABLE: "warn" },
      });
      expect(found.exitCode, found.output).to.equal(1);
    });

    it("`warn` does not apply to a wrong token, an untrusted certificate or a missing image: they exit with 2", async () => {
      for (const outcome of [wrongToken, untrusted, noImage]) {
        rmSync(at("scans"), { force: true });
        const { exitCode, output } = await gate({ outcomes: [outcome, outcome], env: { SCAN_GATE_ON_UNREACHABLE: "warn" } });
        expect(exitCode, output).to.equal(2);
      }
    });

    it("a scan that times out counts as an unreachable service only if the service does not respond at all", async () => {
      const there = await gate({ outcomes: [slow, slow], env: { SCAN_GATE_ON_UNREACHABLE: "warn" } });
      expect(there.exitCode, there.output).to.equal(2);
      rmSync(at("scans"));
      const away = await gate({ outcomes: [slow, slow], env: { ...nobody, SCAN_GATE_ON_UNREACHABLE: "warn" } });
      expect(away.exitCode, away.output).to.equal(0);
    });

    it("`standalone` scans without the server's URL and token, and warns", async () => {
      const { exitCode, output } = await gate({
        outcomes: [refused, refused, "findings"],
        env: { ...nobody, SCAN_GATE_ON_UNREACHABLE: "standalone" },
      });
      expect(exitCode, output).to.equal(1);
      expect(output).to.match(/warning: .*scanning standalone/);
      expect(clientsEnvironment()).not.to.have.any.keys("TRIVY_SERVER", "TRIVY_TOKEN");
    });

    it("a standalone scan that fails as well gives no verdict", async () => {
      const outcomes = [refused, refused, "failed to download vulnerability DB"];
      const { exitCode, output } = await gate({ outcomes, env: { ...nobody, SCAN_GATE_ON_UNREACHABLE: "standalone" } });
      expect(exitCode, output).to.equal(2);
    });

    it("an unreachable service is not tried again for further images", async () => {
      const { exitCode, output } = await gate({ outcomes: [refused, refused, "clean"], args: ["a:1", "b:1", "c:1"], env: nobody });
      expect(exitCode).to.equal(2);
      expect(scans()).to.have.length(2);
      for (const name of ["a:1", "b:1", "c:1"]) expect(output).to.include(`${name}: no verdict: the service`);
    });
  });

  describe("several images", () => {
    it("each image is scanned once, and findings take precedence over missing verdicts", async () => {
      const { exitCode, output } = await gate({
        outcomes: [noImage, noImage, "findings", "findings", "clean"],
        args: [],
        env: { SCAN_GATE_IMAGES: "a:1 b:1\nc:1  b:1 clean:1", SCAN_GATE_REPORTS: "sarif, junit\ngitlab codequality" },
      });
      expect(exitCode, output).to.equal(1);
      expect(output).to.include("stopped: 1 clean, 2 with findings, 1 without a verdict");
      expect(scans().map((call) => call.split(" ").at(-1))).to.deep.equal(["a:1", "a:1", "b:1", "c:1", "clean:1"]);
      const reports = at("workspace/scan-gate");
      expect(readdirSync(reports).sort()).to.deep.equal([
        ...["b-1.json", "b-1.sarif", "c-1.json", "c-1.sarif", "clean-1.json", "clean-1.sarif"],
        ...["gl-code-quality-report.json", "gl-container-scanning-report.json", "junit.xml", "summary.md"],
      ]);
      const gitlab = JSON.parse(text("workspace/scan-gate/gl-container-scanning-report.json"));
      const imagesOf = gitlab.vulnerabilities.map(({ location }: { location: { image: string } }) => location.image);
      expect(imagesOf).to.deep.equal(["b:1", "b:1", "b:1", "c:1", "c:1", "c:1"]);
      expect(gitlab.scan).to.include({ status: "failure", type: "container_scanning" });
      expect(JSON.parse(text("workspace/scan-gate/gl-code-quality-report.json"))).to.have.length(6);
      const junit = text("workspace/scan-gate/junit.xml");
      expect(junit.match(/<testsuite name="[abc]\w*:1"/g)).to.have.length(4);
      expect(junit).to.include('errors="1"');
    });

    it("images whose names differ only in punctuation get separate reports", async () => {
      await gate({ outcomes: ["clean", "clean"], args: ["a/b:1", "a-b:1"] });
      expect(readdirSync(at("workspace/scan-gate")).filter((name) => name.endsWith(".sarif"))).to.have.length(2);
    });
  });

  describe("inputs and outputs of the scan", () => {
    it("the client gets the default filters, and a fixed format, exit code and scanner that the environment cannot change", async () => {
      await gate({
        env: {
          TRIVY_IGNOREFILE: "",
          TRIVY_CACERT: "",
          TRIVY_EXIT_CODE: "0",
          TRIVY_FORMAT: "table",
          TRIVY_OUTPUT: "x",
          TRIVY_VERSION: "true",
        },
      });
      const [call] = scans();
      expect(call).to.match(
        /^image --format json --output \S+ .* --trace-http=false --config \S+\/held\.yaml --exit-code 10 -- registry\.example\.com\/team\/app:1$/,
      );
      const env = clientsEnvironment();
      expect(env).to.include({ TRIVY_SERVER: address, TRIVY_TOKEN: token, TRIVY_SEVERITY: "HIGH,CRITICAL", TRIVY_IGNORE_UNFIXED: "true" });
      expect(env).to.include({ TRIVY_SCANNERS: "vuln" });
      expect(env).not.to.have.any.keys(
        "TRIVY_IGNOREFILE",
        "TRIVY_CACERT",
        "TRIVY_EXIT_CODE",
        "TRIVY_FORMAT",
        "TRIVY_OUTPUT",
        "TRIVY_VERSION",
      );
    });

    it("on GitHub the summary is appended to the job's page and findings are annotations", async () => {
      writeFileSync(at("page.md"), "before\n");
      const { output } = await gate({ outcomes: ["findings"], env: { GITHUB_ACTIONS: "true", GITHUB_STEP_SUMMARY: at("page.md") } });
      expect(output).to.include("::error title=scan-gate::registry.example.com/team/app:1: linux/amd64, 1 CRITICAL, 2 HIGH");
      expect(text("page.md")).to.match(
        /^before\n## Scan gate: stopped\n\n\*\*registry\S+\*\*: linux\/amd64, 1 CRITICAL, 2 HIGH\n\n\| severity/,
      );
      expect(output).to.match(/^\| CRITICAL CVE-1 apk-tools 2\.10\.6-r0 2\.10\.7-r0 - {5}t$/m);
    });

    it("on Buildkite the summary is an annotation of the build", async () => {
      program(at("bin/buildkite-agent"), `#!/bin/sh\necho "$*" >"$STUB/annotation"\ncat >>"$STUB/annotation"\n`);
      await gate({ env: { BUILDKITE_JOB_ID: "job" } });
      expect(text("annotation")).to.match(/^annotate --style success --context scan-gate-job\n## Scan gate: passed\n/);
    });

    it("an image whose report cannot be written does not pass, and findings remain findings", async () => {
      // A folder has the report's name.
      const blocked = () => mkdirSync(at("workspace/scan-gate/junit.xml"), { recursive: true });
      blocked();
      const { exitCode, output } = await gate();
      expect(exitCode, output).to.equal(2);
      expect(output).to.match(/no verdict: a report could not be written/);
      rmSync(at("scans"));
      blocked();
      expect((await gate({ outcomes: ["findings"] })).exitCode).to.equal(1);
    });

    it("reports of an earlier scan are removed when a scan writes none", async () => {
      mkdirSync(at("workspace/scan-gate"));
      for (const ending of ["json", "sarif"]) writeFileSync(at(`workspace/scan-gate/registry.example.com-team-app-1.${ending}`), "{}");
      const { exitCode } = await gate({ outcomes: ["nothing-written", "nothing-written"] });
      expect(exitCode).to.equal(2);
      expect(readdirSync(at("workspace/scan-gate")).sort()).to.deep.equal(["junit.xml", "summary.md"]);
    });
  });

  describe("the Trivy client", () => {
    it("an installed client of the service's version is used, or any version if the service's is unknown", async () => {
      files.set("/version", versionAnswer("0.75.1"));
      const { exitCode, output } = await gate({ env: { STUB_VERSION: "0.75.1", SCAN_GATE_TRIVY_URL: "http://127.0.0.1:1" } });
      expect(exitCode, output).to.equal(0);
      expect(output).to.include("Trivy 0.75.1").and.not.include("warning");
      files.clear();
      const unknown = await gate({ outcomes: ["", "clean"], env: { STUB_VERSION: "0.75.2", SCAN_GATE_MAX_DATABASE_AGE: "0" } });
      expect(unknown.exitCode, unknown.output).to.equal(0);
    });

    it("a downloaded client with a wrong checksum is rejected and not run", async () => {
      release(trivyVersion);
      const { exitCode, output } = await gate({ env: { STUB_VERSION: "0.1.0", SCAN_GATE_TRIVY_URL: address } });
      expect(exitCode, output).to.equal(2);
      expect(output).to.match(/does not match the release: its SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}/);
      expect(scans()).to.deep.equal([]);
    });

    it("without a checksum of the service's version an installed client is used with a warning, or else the default version is downloaded", async () => {
      files.set("/version", versionAnswer("0.75.1"));
      const installed = await gate({ env: { STUB_VERSION: "0.74.9", SCAN_GATE_TRIVY_URL: address } });
      expect(installed.exitCode, installed.output).to.equal(0);
      expect(installed.output).to.match(/warning: the client is Trivy 0\.74\.9 but the service is 0\.75\.1/);
      program(at("bin/trivy"), "#!/bin/sh\nexit 127\n");
      const { exitCode, output } = await gate({ env: { SCAN_GATE_TRIVY_URL: address } });
      expect(exitCode).to.equal(2);
      expect(output).to.include(`downloading ${address}/v${trivyVersion}/`).and.include("cannot be downloaded");
    });

    it("an explicit client version without a known checksum requires SCAN_GATE_TRIVY_SHA256", async () => {
      const { exitCode, output } = await gate({ env: { SCAN_GATE_TRIVY_VERSION: "0.75.1", SCAN_GATE_TRIVY_URL: address } });
      expect(exitCode).to.equal(2);
      expect(output).to.include("SCAN_GATE_TRIVY_SHA256");
    });

    it("the malicious Trivy releases are refused", async () => {
      for (const version of ["0.69.4", "0.69.6"]) {
        const { exitCode, output } = await gate({ env: { STUB_VERSION: version, SCAN_GATE_TRIVY: at("bin/trivy") } });
        expect(exitCode, output).to.equal(2);
        expect(output).to.include("GHSA-69fq-xp46-6x23");
      }
      expect(scans()).to.deep.equal([]);
    });

    it("the client's default version is the servers' version, with checksums for every platform", () => {
      const content = readFileSync(join(ci, "gate/client.sh"), "utf8");
      expect(content).to.include(`default_version=${trivyVersion}\n`);
      for (const platform of ["Linux-64bit", "Linux-ARM64", "macOS-64bit", "macOS-ARM64"])
        expect(content).to.match(new RegExp(`\\n {4}${trivyVersion}_${platform}\\) echo [0-9a-f]{64} ;;`));
    });
  });

  describe("invalid settings", () => {
    it("all invalid settings are reported at once, by variable name, and nothing is scanned", async () => {
      const { exitCode, output } = await gate({
        args: ["--server=evil", "a b", "fine:1"],
        env: {
          TRIVY_SERVER: "trivy.example.com",
          TRIVY_SEVERITY: "high",
          TRIVY_IGNORE_UNFIXED: "yes",
          TRIVY_IGNOREFILE: "missing",
          TRIVY_VEX: "repo,missing.json",
          TRIVY_CACERT: "missing.crt",
          TRIVY_TIMEOUT: "soon",
          SCAN_GATE_ON_UNREACHABLE: "ignore",
          SCAN_GATE_REPORTS: "sarif pdf",
          SCAN_GATE_TRIVY: "/nowhere/trivy",
          SCAN_GATE_TRIVY_URL: `https://user:${token}@mirror.example.com`,
          SCAN_GATE_TRIVY_VERSION: "latest",
          SCAN_GATE_TRIVY_SHA256: "123",
        },
      });
      expect(exitCode).to.equal(2);
      const named = output.split("\n").flatMap((line) => /^ {2}(\w+): /.exec(line)?.[1] ?? []);
      expect(named).to.deep.equal([
        ...["TRIVY_SERVER", "TRIVY_SEVERITY", "TRIVY_IGNORE_UNFIXED", "TRIVY_IGNOREFILE", "TRIVY_CACERT", "TRIVY_VEX", "TRIVY_TIMEOUT"],
        ...["SCAN_GATE_ON_UNREACHABLE", "SCAN_GATE_REPORTS", "SCAN_GATE_TRIVY_URL", "SCAN_GATE_TRIVY"],
        ...["SCAN_GATE_TRIVY_VERSION", "SCAN_GATE_TRIVY_SHA256", "SCAN_GATE_IMAGES", "SCAN_GATE_IMAGES"],
      ]);
      expect(lines("calls")).to.deep.equal([]);
    });

    it("a missing server URL and missing images are reported", async () => {
      const { exitCode, output } = await gate({ args: [], env: { TRIVY_SERVER: "" } });
      expect(exitCode).to.equal(2);
      expect(output)
        .to.match(/TRIVY_SERVER: is not set/)
        .and.match(/SCAN_GATE_IMAGES: is empty/);
    });

    it("a value with more than one line is invalid", async () => {
      const { exitCode, output } = await gate({ env: { TRIVY_SEVERITY: "HIGH\nLOW; rm -rf /" } });
      expect(exitCode).to.equal(2);
      expect(output).to.include("TRIVY_SEVERITY: must be");
    });
  });

  it("docs/guides/ci.md lists every variable that the script reads and every input of the action", () => {
    const page = readFileSync(join(ci, "../docs/guides/ci.md"), "utf8");
    const rows = page.split("\n").filter((line) => /^\| `(SCAN_GATE|TRIVY)_/.test(line));
    const documented = rows.map((row) => row.split("`")[1]).sort();
    const scripts = [script, ...readdirSync(join(ci, "gate")).map((name) => join(ci, "gate", name))];
    const content = scripts
      .map((path) =>
        readFileSync(path, "utf8")
          .replaceAll(/^unset (?:.*\\\n)*.*$/gm, "")
          .replaceAll(/^ *#.*$/gm, ""),
      )
      .join("");
    const read = new Set(content.match(/\b(SCAN_GATE|TRIVY)_[A-Z0-9_]*[A-Z0-9]\b/g));
    // `take NAME` reads SCAN_GATE_NAME and TRIVY_NAME.
    for (const [, name] of content.matchAll(/^take (\w+)$/gm)) read.add(`TRIVY_${name}`);
    const passedOn = ["CONFIG", "SECRET_CONFIG", "EXIT_ON_EOL", "IGNORE_POLICY", "INSECURE", "NON_SSL", "PLATFORM", "USERNAME", "PASSWORD"];
    for (const internal of [...passedOn, "DISABLE_VEX_NOTICE", "CACHE_DIR"]) read.delete(`TRIVY_${internal}`);
    expect(documented).to.deep.equal([...read].sort());
    const names = rows.flatMap((row) =>
      [...(/\(([^)]*)\)/.exec(row.split("|")[1] ?? "")?.[1]?.matchAll(/`([^`]+)`/g) ?? [])].map(([, name]) => name),
    );
    const inputs = /^inputs:\n((?: .*\n)+)/m.exec(readFileSync(join(ci, "github/action.yml"), "utf8"))?.[1] ?? "";
    for (const [, name] of inputs.matchAll(/^ {2}([\w-]+):$/gm)) expect(names).to.include(name);
  });

  describe("the CI systems' files", () => {
    const execute = ({ shell, script, env }: Step, outcomes: string[], more: Record<string, string> = {}) =>
      gate({ command: [...shell, "-c", script], args: [], env: { ...env, ...more }, outcomes });
    /** Commits the working copy of the gate to a new repository, from which CI systems fetch it, and returns its URL. */
    const repository = (path: string) => {
      mkdirSync(path, { recursive: true });
      const git = (...args: string[]) =>
        expect(spawnSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], { cwd: path }).status, args[0]).to.equal(
          0,
        );
      git("init", "-q", "-b", "main");
      spawnSync("cp", ["-R", ci, path]);
      git("add", "ci");
      git("commit", "-q", "-m", "gate");
      return `file://${path}`;
    };

    it("the GitHub action passes its inputs to the gate as variables, never as script", async () => {
      const step = githubAction({ ...exampleInputs(), "image-ref": `${image}\n$(touch pwned)`, server: address, token });
      const bad = await execute(step, ["clean"]);
      expect(bad.output).to.include("SCAN_GATE_IMAGES: '$(touch' is not a valid image reference");
      expect(bad.exitCode).to.equal(2);
      expect(existsSync(at("workspace/pwned"))).to.equal(false);
      const inputs = { ...exampleInputs(), "image-ref": image, server: address, token };
      writeFileSync(at("ignore"), "");
      const all = {
        severity: "CRITICAL",
        "ignore-unfixed": "false",
        ignorefile: at("ignore"),
        vex: "repo",
        cacert: at("ignore"),
        timeout: "3m",
      };
      const good = await execute(githubAction({ ...inputs, ...all, reports: "junit", output: "elsewhere" }), ["findings"]);
      expect(good.exitCode, good.output).to.equal(1);
      expect(clientsEnvironment()).to.include({
        ...{ TRIVY_SERVER: address, TRIVY_TOKEN: token, TRIVY_SEVERITY: "CRITICAL", TRIVY_IGNORE_UNFIXED: "false", TRIVY_TIMEOUT: "3m" },
        ...{ TRIVY_IGNOREFILE: at("ignore"), TRIVY_VEX: "repo", TRIVY_CACERT: at("ignore") },
      });
      expect(readdirSync(at("workspace/elsewhere"))).to.include("junit.xml");
      const away = { server: nobody.TRIVY_SERVER, "max-database-age": "0", "on-unreachable": "warn" };
      const warned = await execute(githubAction({ ...inputs, ...away }), ["", "", refused, refused]);
      expect(warned.exitCode, warned.output).to.equal(0);
      const version = { "trivy-version": "0.75.1", "trivy-sha256": release("0.75.1"), "trivy-url": address };
      expect((await execute(githubAction({ ...inputs, ...version }), ["", "", "", "", "clean"])).output).to.include("Trivy");
      expect(() => githubAction({ ...inputs, sevrity: "LOW" })).to.throw("no such input: sevrity");
    });

    it("the GitLab template runs the gate and writes the reports that its artifacts name", async () => {
      repository(at("gitlab/platform/trivy-server.git"));
      const predefined = {
        CI_SERVER_URL: `file://${at("gitlab")}`,
        CI_JOB_TOKEN: "job-token",
        CI_REGISTRY_IMAGE: "registry.example.com/team/app",
        CI_COMMIT_SHA: "c0ffee",
        CI_PROJECT_DIR: at("workspace"),
      };
      const job = gitlabJob({ server: address, "ignore-unfixed": "false" }, predefined);
      const { exitCode, output } = await execute(job, ["findings"]);
      expect(exitCode, output).to.equal(1);
      expect(scans()[0]).to.match(/ -- registry\.example\.com\/team\/app:c0ffee$/);
      expect(clientsEnvironment()).to.include({ TRIVY_IGNORE_UNFIXED: "false", TRIVY_TIMEOUT: "10m" });
      for (const path of Object.values(job.artifacts.reports)) expect(existsSync(at("workspace", path)), path).to.equal(true);
      expect(job.image.name).to.equal(images.trivy);
      expect(() => gitlabJob({ server: address, "on-unreachable": "ignore" }, predefined)).to.throw("must be one of fail,warn,standalone");
    });

    it("the GitLab template authenticates to GitLab with the job token", () => {
      const { script } = gitlabJob({ server: address }, { CI_REGISTRY_IMAGE: "i", CI_COMMIT_SHA: "c", CI_PROJECT_DIR: "/builds/p" });
      const [, helper = ""] = /credential\.helper='!([^']*)'/.exec(script) ?? [];
      const { stdout } = spawnSync("sh", ["-c", `${helper} get`], { env: { ...process.env, CI_JOB_TOKEN: "job-token" }, encoding: "utf8" });
      expect(stdout).to.equal("username=gitlab-ci-token\npassword=job-token\n");
    });

    it("the Buildkite step runs the gate on the build's image", async () => {
      const SCAN_GATE_REPOSITORY = repository(at("gate"));
      const step = buildkiteStep({ BUILDKITE_COMMIT: "c0ffee" });
      const { exitCode, output } = await execute(step, ["findings"], { SCAN_GATE_REPOSITORY, TRIVY_SERVER: address });
      expect(exitCode, output).to.equal(1);
      expect(scans()[0]).to.match(/ -- registry\.example\.com\/team\/app:c0ffee$/);
    });

    it("the Jenkins stage runs the gate and writes the JUnit report", async () => {
      const SCAN_GATE_REPOSITORY = repository(at("gate"));
      const step = jenkinsStage({ GIT_COMMIT: "c0ffee" });
      const { exitCode, output } = await execute(step, ["clean"], { SCAN_GATE_REPOSITORY, TRIVY_SERVER: address });
      expect(exitCode, output).to.equal(0);
      expect(scans()[0]).to.match(/ -- registry\.example\.com\/team\/app:c0ffee$/);
      expect(existsSync(at("workspace/scan-gate/junit.xml"))).to.equal(true);
    });

    it("the Azure job, the CircleCI job and the Tekton task run the gate and keep its reports", async () => {
      const gateRepository = { SCAN_GATE_REPOSITORY: repository(at("gate")) };
      const azure = azureStep("Scan", { "Build.SourceVersion": "c0ffee", "Pipeline.Workspace": folder, TRIVY_TOKEN: token });
      const stopped = await execute(azure, ["findings", "findings", "findings"], { ...gateRepository, TRIVY_SERVER: address });
      expect(stopped.exitCode, stopped.output).to.equal(1);
      expect(stopped.output).to.include(
        "##vso[task.logissue type=error]scan-gate: registry.example.com/team/app:c0ffee: linux/amd64, 1 CRITICAL",
      );
      // Azure fails to store a folder that does not exist.
      expect(existsSync(at("scan-gate-cache/java-db"))).to.equal(true);
      const summary = azureStep("Summary", { "Build.SourceVersion": "c0ffee", "Pipeline.Workspace": folder });
      const uploaded = await run("bash", ["-ec", summary.script], { cwd: at("workspace") });
      expect(uploaded.stdout).to.match(/^##vso\[task\.uploadsummary\]\/.*\/scan-gate\/summary\.md$/m);

      const { image, stored, ...circleci } = circleciJob({ CIRCLE_SHA1: "c0ffee" });
      rmSync(at("workspace/scan-gate"), { recursive: true });
      const circle = await execute(circleci, ["findings", "findings"], { ...gateRepository, TRIVY_SERVER: address });
      expect(circle.exitCode, circle.output).to.equal(1);
      for (const path of stored) expect(existsSync(at("workspace", path)), path).to.equal(true);
      expect(image).to.equal(images.trivy);

      const parameters = { images: "a:1 b:1", server: address, repository: gateRepository.SCAN_GATE_REPOSITORY };
      rmSync(at("scans"));
      const task = await execute(tektonStep(parameters, token, at("result")), ["clean", "findings"]);
      expect(task.exitCode, task.output).to.equal(1);
      expect(text("result")).to.equal("1");
      expect(
        scans()
          .slice(-2)
          .map((call) => call.split(" ").at(-1)),
      ).to.deep.equal(["a:1", "b:1"]);
    });

    it("each CI system that has a cache keeps the folder in which the client stores the Java database", () => {
      const cached = (file: string) => readFileSync(join(ci, file), "utf8").match(/\S*\/java-db\b/g);
      const home = "~/.cache/trivy/java-db";
      expect(cached("../.github/workflows/scan-gate.yml")).to.deep.equal([home]);
      expect(cached("circleci/config.yml")).to.deep.equal([`[${home}`]);
      const predefined = { CI_REGISTRY_IMAGE: "i", CI_COMMIT_SHA: "c", CI_PROJECT_DIR: "/builds/p" };
      expect(gitlabJob({ server: address }, predefined).env).to.include({ TRIVY_CACHE_DIR: "/builds/p/.scan-gate-cache" });
      expect(cached("gitlab/scan-gate.yml")).to.deep.equal(["[.scan-gate-cache/java-db"]);
      expect(cached("azure/pipeline.yml")).to.deep.equal(["$(TRIVY_CACHE_DIR)/java-db", '"$TRIVY_CACHE_DIR/java-db']);
      const { env } = azureStep("Scan", { "Build.SourceVersion": "c0ffee", "Pipeline.Workspace": "/work", TRIVY_TOKEN: token });
      expect(env).to.include({ TRIVY_CACHE_DIR: "/work/scan-gate-cache" });
    });

    it("the reusable workflow scans an image of its matrix, with its inputs as variables", async () => {
      mkdirSync(at("workspace/.scan-gate"));
      spawnSync("cp", ["-R", ci, at("workspace/.scan-gate")]);
      const inputs = { images: '["a:1"]', server: address, "gate-ref": "c0ffee", severity: "CRITICAL" };
      const { exitCode, output } = await execute(reusableWorkflowStep(inputs, "a:1", token), ["findings"]);
      expect(exitCode, output).to.equal(1);
      expect(clientsEnvironment()).to.include({ TRIVY_SERVER: address, TRIVY_TOKEN: token, TRIVY_SEVERITY: "CRITICAL" });
      expect(clientsEnvironment()).not.to.have.any.keys("SCAN_GATE_TOKEN");
      expect(existsSync(at("workspace/scan-gate/a-1.sarif"))).to.equal(true);
    });

    it("the GitLab template fetches the gate from an instance whose certificate is signed by a private authority", async function () {
      const [key, certificate] = [at("ca.key"), at("ca.crt")];
      const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
      const made = spawnSync("openssl", [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        "-days",
        "2",
        ...subject,
      ]);
      if (made.error) this.skip();
      repository(at("gitlab/platform/trivy-server.git"));
      const gitlab = createSecureServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
        const { pathname, search } = new URL(request.url ?? "", "https://localhost");
        const cgi = {
          ...{
            PATH: process.env["PATH"],
            GIT_PROJECT_ROOT: at("gitlab"),
            GIT_HTTP_EXPORT_ALL: "1",
            PATH_INFO: pathname.replace(".git", ".git/.git"),
          },
          ...{ QUERY_STRING: search.slice(1), REQUEST_METHOD: request.method, CONTENT_TYPE: request.headers["content-type"] ?? "" },
          ...{
            HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
            GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
          },
        };
        const backend = spawn("git", ["http-backend"], { env: cgi });
        request.pipe(backend.stdin);
        const parts: Buffer[] = [];
        backend.stdout.on("data", (part: Buffer) => parts.push(part));
        backend.on("close", () => {
          const answer = Buffer.concat(parts);
          const end = answer.indexOf("\r\n\r\n");
          const headers = answer
            .subarray(0, end)
            .toString()
            .split("\r\n")
            .map((line) => line.split(": ") as [string, string]);
          response
            .writeHead(Number.parseInt(new Map(headers).get("Status") ?? "200", 10), Object.fromEntries(headers))
            .end(answer.subarray(end + 4));
        });
      });
      await new Promise<void>((resolve) => gitlab.listen(0, "127.0.0.1", resolve));
      try {
        const predefined = {
          ...{ CI_SERVER_URL: `https://localhost:${(gitlab.address() as AddressInfo).port}`, CI_JOB_TOKEN: "job-token" },
          ...{ CI_REGISTRY_IMAGE: "i", CI_COMMIT_SHA: "c", CI_PROJECT_DIR: at("workspace") },
        };
        const job = gitlabJob({ server: address }, predefined);
        const refused = await execute(job, ["clean"]);
        expect(refused.exitCode, refused.output).to.equal(128);
        const { exitCode, output } = await execute(job, ["clean"], { CI_SERVER_TLS_CA_FILE: certificate });
        expect(exitCode, output).to.equal(0);
      } finally {
        gitlab.close();
      }
    });
  });
});
