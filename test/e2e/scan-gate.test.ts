import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { buildkiteStep, ci, githubAction, gitlabJob, jenkinsStage, type Step } from "../support/ci-runners.ts";
import { must, run } from "../support/command.ts";
import { codeQualityReport, elements, gitlabReport, sarifLog } from "../support/gate-reports.ts";
import { portForward, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-gate";
const cve = knownFinding.VulnerabilityID;

describe("the scan gate, with the real client and service", () => {
  let project: Project;
  let workspace: string;
  let server: string;
  let token: string;

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    const gateway = { enabled: true, replicas: 1, clients: [{ name: "ci" }], tls: { enabled: true, plainHttp: true } };
    await project.writeStack(stack, { gateway, server: { replicas: 1, drainSeconds: 1 } });
    await project.pulumi(stack, "stack", "init");
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    token = JSON.parse(await project.output(stack, "tokens")).ci;
    server = await serviceUrl(stack);
  });
  after(() => project?.remove());
  beforeEach(async () => {
    workspace = await mkdtemp(join(tmpdir(), "gate-e2e-"));
  });
  afterEach(() => rm(workspace, { recursive: true, force: true }));

  const file = (path: string) => readFile(join(workspace, "scan-gate", path), "utf8");
  const only = async (ending: string) => {
    const found = (await readdir(join(workspace, "scan-gate"))).filter((name) => name.endsWith(ending));
    expect(found, ending).to.have.length(1);
    return JSON.parse(await file(found[0] ?? ""));
  };
  async function execute({ shell: [program = "", ...shell], script, env }: Step) {
    const { exitCode, stdout, stderr } = await run(program, [...shell, "-c", script], {
      cwd: workspace,
      env: {
        ...process.env,
        TRIVY_TOKEN: token,
        TRIVY_CACHE_DIR: join(workspace, "cache"),
        GITHUB_STEP_SUMMARY: join(workspace, "page.md"),
        ...env,
      },
    });
    const output = stdout + stderr;
    expect(output).not.to.include(token);
    return { exitCode, output };
  }
  const gate = (images: string, env: Record<string, string> = {}) =>
    execute({ shell: ["sh"], script: `exec "${join(ci, "scan-gate.sh")}" ${images}`, env: { TRIVY_SERVER: server, ...env } });

  describe("the demo", () => {
    it("an image with a fixable vulnerability is stopped, with the vulnerability in the summary", async () => {
      const { exitCode, output } = await gate(environment.alpine);
      expect(exitCode, output).to.equal(1);
      expect(output)
        .to.include(cve)
        .and.include(knownFinding.FixedVersion)
        .and.match(/: linux\/amd64, 1 CRITICAL/);
      expect(await readFile(join(workspace, "page.md"), "utf8"))
        .to.match(/^## Scan gate: stopped$/m)
        .and.match(/^\| CRITICAL \| \[CVE-2021-36159\]\(https:\S+\) \| apk-tools \| 2\.10\.6-r0 \| 2\.10\.7-r0 \| /m);
    });

    it("the fixed image passes", async () => {
      const { exitCode, output } = await gate(environment.fixed);
      expect(exitCode, output).to.equal(0);
      // Its distribution, Alpine 3.10, is no longer maintained.
      expect(output).to.include("passed, with a warning: 1 clean");
    });

    it("unfixed vulnerabilities pass, unless TRIVY_IGNORE_UNFIXED is false", async function () {
      if (environment.unfixed === undefined) this.skip();
      const passed = await gate(environment.unfixed);
      expect(passed.exitCode, passed.output).to.equal(0);
      const stopped = await gate(environment.unfixed, { TRIVY_IGNORE_UNFIXED: "false" });
      expect(stopped.exitCode, stopped.output).to.equal(1);
    });

    it("findings in the ignore file or a VEX document pass", async () => {
      const critical = { TRIVY_SEVERITY: "CRITICAL" };
      expect((await gate(environment.alpine, critical)).exitCode).to.equal(1);
      const ignorefile = join(workspace, "ignore.yaml");
      await writeFile(ignorefile, `vulnerabilities:\n  - id: ${cve}\n    statement: not reachable\n`);
      const ignored = await gate(environment.alpine, { ...critical, TRIVY_IGNOREFILE: ignorefile });
      expect(ignored.exitCode, ignored.output).to.equal(0);
      expect(JSON.stringify(await only(".sarif"))).not.to.include(cve);
      const vex = join(workspace, "vex.json");
      const statement = {
        vulnerability: { name: cve },
        products: [{ "@id": "pkg:apk/alpine/apk-tools@2.10.6-r0" }],
        status: "not_affected",
        justification: "vulnerable_code_not_in_execute_path",
      };
      const document = { "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex", author: "a", version: 1 };
      await writeFile(vex, JSON.stringify({ ...document, timestamp: "2026-01-01T00:00:00Z", statements: [statement] }));
      const excused = await gate(environment.alpine, { ...critical, TRIVY_VEX: vex });
      expect(excused.exitCode, excused.output).to.equal(0);
    });
  });

  it("one scan produces every report", async () => {
    const { exitCode, output } = await gate(`${environment.alpine} ${environment.fixed}`, {
      SCAN_GATE_REPORTS: "sarif,junit,gitlab,codequality",
    });
    expect(exitCode, output).to.equal(1);
    const names = await readdir(join(workspace, "scan-gate"));
    const scanned = await Promise.all(
      names.filter((name) => name.endsWith(".json") && !name.startsWith("gl-")).map(async (name) => JSON.parse(await file(name))),
    );
    const count = (report: { Results?: { Vulnerabilities?: unknown[] }[] }) =>
      (report.Results ?? []).reduce((sum, { Vulnerabilities }) => sum + (Vulnerabilities?.length ?? 0), 0);
    const findings = scanned.reduce((sum, report) => sum + count(report), 0);
    expect(findings).to.be.above(0);

    const logs = await Promise.all(names.filter((name) => name.endsWith(".sarif")).map(async (name) => sarifLog(await file(name))));
    expect(logs).to.have.length(2);
    const counted = logs.flatMap(({ results }) => results).filter(({ ruleId }) => ruleId !== "end-of-life");
    expect(counted).to.have.length(findings);

    const junit = elements(await file("junit.xml"));
    expect(junit.filter((name) => name === "testsuite")).to.have.length(2);
    expect(junit.filter((name) => name === "failure")).to.have.length(findings);

    const { vulnerabilities } = gitlabReport(await file("gl-container-scanning-report.json"));
    expect(vulnerabilities).to.have.length(findings);
    expect(new Set(vulnerabilities.map(({ id }: { id: string }) => id)).size).to.equal(findings);
    const known = vulnerabilities.find(({ identifiers }: { identifiers: { value: string }[] }) => identifiers[0]?.value === cve);
    expect(known).to.deep.include({ severity: "Critical", solution: "Upgrade apk-tools to 2.10.7-r0" });
    expect(known.identifiers[0]).to.include({ type: "cve", name: cve });
    expect(known.location).to.deep.equal({
      dependency: { package: { name: "apk-tools" }, version: "2.10.6-r0" },
      operating_system: "alpine 3.10.9",
      image: environment.alpine,
      default_branch_image: `${environment.alpine.replace(/:[^:/]*$/, "")}:default`,
    });
    const { issues } = codeQualityReport(await file("gl-code-quality-report.json"));
    expect(issues.filter(({ severity }) => severity !== "info")).to.have.length(findings);
  });

  describe("scans without a verdict", () => {
    const away = { TRIVY_SERVER: "http://127.0.0.1:9" };

    it("an unreachable service fails the gate, warns or causes a standalone scan, as configured", async () => {
      const failed = await gate(environment.alpine, away);
      expect(failed.exitCode, failed.output).to.equal(2);
      const warned = await gate(environment.alpine, { ...away, SCAN_GATE_ON_UNREACHABLE: "warn" });
      expect(warned.exitCode, warned.output).to.equal(0);
      expect(warned.output).to.include("warning").and.include("is unreachable");
      const { E2E_DATABASE: database } = process.env;
      const repository: Record<string, string> = database ? { TRIVY_DB_REPOSITORY: database } : {};
      const standalone = { ...away, ...repository, SCAN_GATE_ON_UNREACHABLE: "standalone" };
      const found = await gate(environment.alpine, standalone);
      expect(found.exitCode, found.output).to.equal(1);
      expect(found.output).to.include(cve);
      const clean = await gate(environment.fixed, standalone);
      expect(clean.exitCode, clean.output).to.equal(0);
    });

    it("a rejected token never lets an image pass", async () => {
      const { exitCode, output } = await gate(environment.fixed, { TRIVY_TOKEN: "wrong", SCAN_GATE_ON_UNREACHABLE: "warn" });
      expect(exitCode, output).to.equal(2);
      expect(output).to.include("the service rejected the token: TRIVY_TOKEN is wrong");
    });

    it("a missing image is not mistaken for an unreachable service", async () => {
      const { exitCode, output } = await gate(`${environment.fixed}-missing`, { SCAN_GATE_ON_UNREACHABLE: "warn" });
      expect(exitCode, output).to.equal(2);
      expect(output).to.include("no verdict: Trivy exited with 1");
    });

    it("a broken connection needs only one retry", async () => {
      let broken = 0;
      const proxy: Server = createServer((incoming, outgoing) => {
        if (incoming.method === "POST" && broken++ === 0) return incoming.socket.destroy();
        const { method, headers, url } = incoming;
        const forwarded = request(`${server}${url}`, { method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        });
        incoming.pipe(forwarded);
      });
      await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
      try {
        const { port } = proxy.address() as AddressInfo;
        const { exitCode, output } = await gate(environment.fixed, { TRIVY_SERVER: `http://127.0.0.1:${port}` });
        expect(exitCode, output).to.equal(0);
        expect(output.match(/retrying/g)).to.have.length(1);
      } finally {
        proxy.close();
      }
    });

    it("the certificate is verified, and a wrong one is not mistaken for an unreachable service", async () => {
      const caCertificate = join(workspace, "ca.crt");
      await writeFile(caCertificate, await project.output(stack, "caCertificate"));
      const { url, close } = await portForward(stack, "service/trivy", 443);
      try {
        const secure = { TRIVY_SERVER: url, TRIVY_INSECURE: "" };
        const good = await gate(environment.alpine, { ...secure, TRIVY_CACERT: caCertificate });
        expect(good.exitCode, good.output).to.equal(1);
        expect(good.output).to.match(/service https:\S+ \(\d/);
        const bad = await gate(environment.alpine, { ...secure, SCAN_GATE_ON_UNREACHABLE: "warn" });
        expect(bad.exitCode, bad.output).to.equal(2);
        expect(bad.output).to.include("certificate cannot be verified; set TRIVY_CACERT");
      } finally {
        close();
      }
    });
  });

  describe("the CI systems' files", () => {
    const stopped = async (step: Step) => {
      const { exitCode, output } = await execute(step);
      expect(exitCode, output).to.equal(1);
      expect(output).to.include(cve);
    };
    /** Commits the gate to a new repository and returns its URL. */
    const repository = async (folder: string) => {
      await mkdir(folder, { recursive: true });
      await must("cp", ["-R", ci, folder]);
      const git = (...args: string[]) => must("git", ["-c", "user.name=e2e", "-c", "user.email=e2e@example.com", ...args], { cwd: folder });
      await git("init", "-q", "-b", "main");
      await git("add", "ci");
      await git("commit", "-q", "-m", "the gate");
      return `file://${folder}`;
    };

    it("the GitHub action stops the job and writes the SARIF that the example uploads", async () => {
      await stopped(githubAction({ "image-ref": environment.alpine, server, token }));
      expect((await only(".sarif")).runs[0].results.map(({ ruleId }: { ruleId: string }) => ruleId)).to.include(cve);
    });

    it("the GitLab template stops the job and writes its reports", async () => {
      await repository(join(workspace, "gitlab/platform/trivy-server.git"));
      const predefined = {
        CI_SERVER_URL: `file://${workspace}/gitlab`,
        CI_REGISTRY_IMAGE: "unused",
        CI_COMMIT_SHA: "unused",
        CI_PROJECT_DIR: workspace,
      };
      const job = gitlabJob({ server, images: environment.alpine }, predefined);
      await stopped(job);
      const { container_scanning: scanning = "", junit = "" } = job.artifacts.reports;
      expect(gitlabReport(await readFile(join(workspace, scanning), "utf8")).outcome).to.equal("vulnerability");
      expect(elements(await readFile(join(workspace, junit), "utf8"))).to.include("failure");
    });

    it("the Buildkite step and the Jenkins stage stop the build", async () => {
      const env = {
        SCAN_GATE_REPOSITORY: await repository(join(workspace, "gate")),
        SCAN_GATE_IMAGES: environment.alpine,
        TRIVY_SERVER: server,
      };
      const buildkite = buildkiteStep({ BUILDKITE_COMMIT: "unused" });
      await stopped({ ...buildkite, env: { ...buildkite.env, ...env } });
      await stopped(jenkinsStage({ GIT_COMMIT: "unused", ...env }));
    });
  });
});
