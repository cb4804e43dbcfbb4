import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must } from "../support/command.ts";
import { kubectl, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-integrations";

/** The command line of Harbor's adapter for Trivy, as pkg/trivy/wrapper.go of goharbor/harbor-scanner-trivy builds it. */
const harborArguments = (format: "json" | "cyclonedx", output: string, cache: string) => [
  ...["image", "--no-progress", "--severity", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL", "--vuln-type", "os,library", "--format", format],
  ...["--output", output, "--cache-dir", cache, "--timeout", "5m0s", "--scanners", "vuln", "--skip-db-update", "--skip-java-db-update"],
];

describe("other scanners that use the service", () => {
  let project: Project;
  let folder: string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    folder = await mkdtemp(join(tmpdir(), "integrations-"));
    await project.writeStack(stack, { server: { replicas: 1 }, gateway: { enabled: true, clients: [{ name: "harbor" }] } });
    await project.pulumi(stack, "stack", "init");
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    const { harbor } = JSON.parse(await project.output(stack, "tokens"));
    env = { TRIVY_SERVER: await serviceUrl(stack), TRIVY_TOKEN: harbor };
  });
  after(async () => {
    await project?.remove();
    if (folder) await rm(folder, { recursive: true });
  });

  it("the command of Harbor's adapter scans through the service, without a database of its own", async () => {
    const [cache, report] = [join(folder, "cache"), join(folder, "report.json")];
    await mkdir(cache);
    await must("trivy", [...harborArguments("json", report, cache), environment.alpine], { env });
    const { SchemaVersion, Results } = JSON.parse(await readFile(report, "utf8"));
    expect(SchemaVersion).to.equal(2);
    const findings = Results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities);
    expect(findings.map(({ VulnerabilityID }: { VulnerabilityID: string }) => VulnerabilityID)).to.include(knownFinding.VulnerabilityID);
    expect(await readdir(cache)).to.not.include.members(["db"]);
    const log = await kubectl("logs", "-n", stack, "-l", "app.kubernetes.io/component=gateway", "-c", "balancer", "--tail=-1");
    expect(log).to.match(/"client": "harbor".*"path": "\/twirp\/trivy\.scanner\.v1\.Scanner\/Scan", "status": 200/);
  });

  it("a token that is not valid fails the adapter's command, so that Harbor shows no scan instead of a clean one", async () => {
    const arguments_ = [...harborArguments("json", join(folder, "none.json"), join(folder, "cache")), environment.alpine];
    const error = await must("trivy", arguments_, { env: { ...env, TRIVY_TOKEN: "not-a-token-of-this-service" } }).then(
      () => undefined,
      (failure: { readonly stderr: string }) => failure.stderr,
    );
    expect(error).to.contain("invalid token");
  });

  it("the adapter's command for an SBOM writes a CycloneDX document", async () => {
    const sbom = join(folder, "sbom.json");
    await must("trivy", [...harborArguments("cyclonedx", sbom, join(folder, "cache")), environment.alpine], { env });
    expect(JSON.parse(await readFile(sbom, "utf8")).bomFormat).to.equal("CycloneDX");
  });
});
