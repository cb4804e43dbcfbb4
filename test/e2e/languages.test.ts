import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { parse, stringify } from "yaml";
import { run } from "../support/command.ts";
import { deleteNamespaces } from "./support/cluster.ts";
import { checkEnvironment, environment, environmentSettings, knownFinding } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const root = join(import.meta.dirname, "../..");
const namespace = "e2e-yaml";

/** Needs Pulumi's language host for YAML on the PATH. */
describe("a Pulumi YAML program with the component package", () => {
  let project: Project;
  let folder: string;
  let env: NodeJS.ProcessEnv;

  before(async function () {
    await checkEnvironment();
    if ((await run("sh", ["-c", "command -v pulumi-language-yaml"])).failed) this.skip();
    project = await Project.create();
    folder = join(project.folder, "yaml-program");
    const bin = join(folder, "bin");
    await mkdir(bin, { recursive: true });
    // The engine starts the plugin from the PATH, as `pulumi package add` would from its own folder.
    const runPlugin = createRequire(import.meta.url).resolve("@pulumi/pulumi/cmd/run-plugin");
    const script = join(bin, "pulumi-resource-trivy-server");
    await writeFile(script, `#!/bin/sh\nexec '${process.execPath}' '${runPlugin}' '${join(root, "provider")}' "$@"\n`);
    await chmod(script, 0o755);
    env = { PATH: [bin, process.env["PATH"]].join(delimiter) };
  });
  after(async () => {
    if (!project) return;
    await pulumi("destroy", "--yes", "--skip-preview").catch(() => deleteNamespaces(namespace));
    await project.remove();
  });

  const pulumi = (...args: string[]) => project.must("pulumi", [...args, "--stack", "dev", "--non-interactive"], { cwd: folder, env });

  /** Writes the program of examples/yaml with the settings that this environment needs. */
  async function writeProgram(settings: object): Promise<void> {
    const example = parse(await readFile(join(root, "examples/yaml/Pulumi.yaml"), "utf8"));
    const { packages, config, ...program } = example;
    program.resources.service.properties = { namespace: { name: namespace }, ...environmentSettings(), ...settings };
    await writeFile(join(folder, "Pulumi.yaml"), stringify(program));
  }

  it("a mistake is reported by pulumi preview with the setting's name, and nothing is created", async () => {
    await writeProgram({ server: { replicas: 0 } });
    await pulumi("stack", "init");
    const error = await pulumi("preview").then(
      () => "",
      ({ stdout, stderr }) => `${stdout}${stderr}`,
    );
    expect(error).to.contain("trivy-server:server.replicas is 0; use a whole number from 1 to 100");
    expect((await run("kubectl", ["get", "namespace", namespace])).failed).to.equal(true);
  });

  it("pulumi up creates the service, and a scan finds a known vulnerability", async () => {
    await writeProgram({ server: { replicas: 1 } });
    await pulumi("up", "--yes", "--skip-preview");
    const address = (await run("kubectl", ["get", "service", "trivy", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}"])).stdout;
    const token = (await pulumi("stack", "output", "token", "--show-secrets")).stdout.trim();
    const args = [
      "image",
      "--server",
      `http://${address}`,
      "--token",
      token,
      "--scanners",
      "vuln",
      "--image-src",
      "remote",
      "--format",
      "json",
    ];
    const { stdout } = await project.must("trivy", [...args, environment.alpine]);
    const findings = JSON.parse(stdout).Results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities);
    expect(findings.map(({ VulnerabilityID }: { VulnerabilityID: string }) => VulnerabilityID)).to.include(knownFinding.VulnerabilityID);
  });

  it("the next preview expects no changes, and the token is encrypted in the state", async () => {
    await pulumi("preview", "--expect-no-changes");
    const token = (await pulumi("stack", "output", "token", "--show-secrets")).stdout.trim();
    expect((await pulumi("stack", "export")).stdout).to.not.contain(token);
  });
});
