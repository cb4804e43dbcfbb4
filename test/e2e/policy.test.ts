import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { checkEnvironment } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-policy";

describe("the policy pack with Pulumi's engine", () => {
  let project: Project;
  let path: string;
  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    await project.writeStack(stack, { server: { replicas: 1 } }, "staging");
    await project.must("pulumi", ["stack", "init", stack]);
    path = [await analyzer(project.folder), join(project.folder, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
  });
  after(() => project?.remove());

  const pulumi = (...args: string[]) =>
    project.run("pulumi", [...args, "--policy-pack", "policy", "--stack", stack, "--non-interactive"], { env: { PATH: path } });
  const policy = () => project.run("npm", ["run", "--silent", "policy", "--", stack]);

  it("a preview of a new stack, in which most values are unknown, complies", async () => {
    const { exitCode, stdout, stderr } = await pulumi("preview");
    expect(exitCode, stdout + stderr).to.equal(0);
    expect(stdout)
      .to.include("trivy-server@v")
      .and.not.match(/can't run policy/);
  });

  it("an update complies, and so does the state that it leaves", async () => {
    const { exitCode, stdout, stderr } = await pulumi("up", "--yes", "--skip-preview");
    expect(exitCode, stdout + stderr).to.equal(0);
    const checked = await policy();
    expect(checked.exitCode, checked.stdout + checked.stderr).to.equal(0);
    expect(checked.stdout).to.match(/^\d\d resources comply with all \d rules\.$/m);
  });

  it("a change of the program that violates a rule is refused before anything is changed, and found in a state", async () => {
    const program = join(project.folder, "index.ts");
    const text = await readFile(program, "utf8");
    const transform = "{ server: { deployment: { spec: { template: { spec: { automountServiceAccountToken: true } } } } } }";
    await writeFile(program, text.replace("readSettings(),", `{ ...readSettings(), transform: ${transform} },`));
    const refused = await pulumi("up", "--yes", "--skip-preview");
    expect(refused.exitCode, refused.stdout).to.not.equal(0);
    expect(refused.stdout + refused.stderr)
      .to.include("no-service-account-token")
      .and.include("trivy-server-deployment: automountServiceAccountToken is not false");
    expect((await policy()).exitCode, "nothing was changed").to.equal(0);

    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    const found = await policy();
    expect(found.exitCode).to.equal(1);
    expect(found.stderr).to.match(/^no-service-account-token: .*\n {2}trivy-server-deployment: automountServiceAccountToken/m);
  });

  it("the stack can be destroyed", () => project.destroy(stack));
});

/**
 * Gives the copied pack a runtime of its own and returns a folder with the program that starts it, the same way as Pulumi's language host for
 * Node: not every host on the PATH can start policy packs.
 */
async function analyzer(folder: string): Promise<string> {
  const [bin, runtime] = [join(folder, "bin"), "e2e"];
  await mkdir(bin);
  const file = join(bin, `pulumi-analyzer-policy-${runtime}`);
  await writeFile(file, `#!/bin/sh\nexec node '${join(folder, "node_modules/@pulumi/pulumi/cmd/run-policy-pack")}' "$@"\n`);
  await chmod(file, 0o755);
  const definition = join(folder, "policy/PulumiPolicy.yaml");
  await writeFile(definition, (await readFile(definition, "utf8")).replace("runtime: nodejs", `runtime: ${runtime}`));
  return bin;
}
