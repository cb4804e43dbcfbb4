import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { deleteNamespaces, get, kubectl, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

describe("the manifests of `npm start`", () => {
  const environments = ["dev", "staging", "prod"];
  const stacks = environments.map((name) => `e2e-manifests-${name}`);
  const [applied = ""] = stacks.slice(1);
  let project: Project;

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    for (const [index, stack] of stacks.entries()) {
      await project.writeStack(stack, {}, environments[index]);
      await project.must("npm", ["start", "--", stack]);
    }
  });
  after(async () => {
    await deleteNamespaces(...stacks);
    await project?.remove();
  });

  const out = (stack: string) => join(project.folder, "out", stack);

  for (const stack of stacks)
    it(`are what the API server accepts to the letter, under Pod Security: ${stack}`, async () => {
      const [namespace = ""] = (await readdir(out(stack))).filter((file) => /^\d+-namespace-/.test(file));
      // A dry run needs the namespace, whose labels are what Pod Security goes by.
      await kubectl("apply", "-f", join(out(stack), namespace));
      await kubectl("apply", "-f", out(stack), "--dry-run=server", "--validate=strict", "--warnings-as-errors");
    });

  it("are clean by the scanner that they deploy", async () => {
    const args = ["config", "--skip-check-update", "--exit-code", "1", "--severity", "MEDIUM,HIGH,CRITICAL"];
    const { status, stdout, stderr } = await project.run("trivy", [...args, "--ignorefile", ".trivyignore.yaml", "out"]);
    expect(status, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/deployment-trivy-server\.yaml/);
  });

  it("bring up a service that scans, with kubectl alone", async () => {
    await kubectl("apply", "-f", out(applied));
    await kubectl("rollout", "status", "statefulset/redis", "deployment/trivy-server", "-n", applied, "--timeout=300s");
    const { items } = await get("secrets", "-n", applied);
    const [token] = items.flatMap(({ data }: { data: Record<string, string> }) => data["token"] ?? []);
    const server = await serviceUrl(applied);
    const found = await scan(environment.alpine, { server, token: Buffer.from(token, "base64").toString() });
    expect(found).to.deep.include(knownFinding);
  });
});
