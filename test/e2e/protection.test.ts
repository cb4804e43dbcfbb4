import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { get, kubectl } from "./support/cluster.ts";
import { checkEnvironment } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-protected";
const settings = { protect: true, server: { replicas: 1 } };

describe("a protected stack", () => {
  let project: Project;
  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    await project.writeStack(stack, settings);
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
  });
  after(async () => {
    await setProtect(false);
    await project.run("pulumi", ["up", "--stack", stack, "--yes", "--skip-preview", "--non-interactive"]);
    await project.remove();
  });

  const setProtect = async (protect: boolean) => {
    const file = join(project.folder, `Pulumi.${stack}.yaml`);
    await writeFile(file, (await readFile(file, "utf8")).replace(/^( *trivy-server:protect:).*$/m, `$1 ${protect}`));
  };
  const claim = async (): Promise<string> => (await get("pvc", "redis", "-n", stack)).metadata.uid;
  const pods = async () => (await kubectl("get", "pods", "-n", stack, "-o", "name")).trim().split("\n").length;
  const pulumi = (...args: string[]) => project.run("pulumi", [...args, "--stack", stack, "--non-interactive"]);

  it("pulumi destroy fails in its preview and changes nothing", async () => {
    const [uid, running] = [await claim(), await pods()];
    const { exitCode, stdout, stderr } = await pulumi("destroy", "--yes");
    expect(exitCode, stdout + stderr).to.not.equal(0);
    expect(stdout + stderr).to.match(/cannot be deleted\s+because it is protected/);
    expect([await claim(), await pods()]).to.deep.equal([uid, running]);
    expect((await get("pvc", "redis", "-n", stack)).metadata).not.to.have.property("deletionTimestamp");
  });

  it("npm run destroy is refused before the engine starts, even without a preview, and says how to state the intent", async () => {
    const running = await pods();
    const { exitCode, stdout, stderr } = await project.run("npm", ["run", "--silent", "destroy", "--", stack, "--yes", "--skip-preview"]);
    expect(exitCode, stdout + stderr).to.equal(1);
    expect(stderr)
      .to.include(`Namespace ${stack} and PersistentVolumeClaim redis`)
      .and.include(`set trivy-server:protect to false in Pulumi.${stack}.yaml`);
    expect(await pods()).to.equal(running);
  });

  it("a setting that replaces or removes the claim is refused, by npm run up with the way to state the intent", async () => {
    const uid = await claim();
    for (const persistence of [{ storageClass: "other" }, { enabled: false }]) {
      await project.writeStack(stack, { ...settings, redis: { persistence } });
      const { exitCode, stdout, stderr } = await project.run("npm", ["run", "--silent", "up", "--", stack, "--yes"]);
      expect(exitCode, stdout + stderr).to.not.equal(0);
      expect(stderr).to.include("Protected in the stack").and.include("PersistentVolumeClaim redis").and.include("trivy-server:protect");
    }
    await project.writeStack(stack, settings);
    expect(await claim()).to.equal(uid);
    await pulumi("preview", "--expect-no-changes").then(({ exitCode, stdout }) => expect(exitCode, stdout).to.equal(0));
  });

  it("a claim that is unprotected in the state only is kept in the cluster", async () => {
    const uid = await claim();
    const { stdout } = await project.pulumi(stack, "stack", "export");
    const { urn } = JSON.parse(stdout).deployment.resources.find(({ type }: { type: string }) => type.endsWith(":PersistentVolumeClaim"));
    await project.pulumi(stack, "state", "unprotect", urn, "--yes");
    await project.pulumi(stack, "destroy", "--yes", "--exclude-protected");
    expect(await claim()).to.equal(uid);
    expect((await get("pvc", "redis", "-n", stack)).metadata).not.to.have.property("deletionTimestamp");
    // It is no longer in the state, so the next update would find an object of another owner.
    await kubectl("delete", "pvc", "redis", "-n", stack);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
  });

  it("after protect: false and up, the stack can be destroyed, and nothing is left", async () => {
    await setProtect(false);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    await project.destroy(stack);
  });
});
