import { expect } from "chai";
import { portForward } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

describe("a newcomer, from an empty cluster to the first scan", () => {
  const stack = "e2e-first";
  let project: Project;

  before(async () => {
    await checkEnvironment();
    project = await Project.create({ newcomer: true });
    await project.writeStack(stack, { server: { drainSeconds: 1 } }, "dev");
  });
  after(() => project?.remove());

  it("is led by `npm run up`: the cluster, the progress, what to type next", async () => {
    const { stdout, stderr } = await project.must("npm", ["run", "up", "--", stack, "--yes"]);
    expect(stderr)
      .to.match(/^Cluster: context \S+, https:\S+.*; namespace e2e-first$/m)
      .and.match(/You are logged in to no Pulumi backend/);
    expect(stdout)
      .to.match(/trivy-server:index:RedisCache trivy-redis creat/)
      .and.match(/kubernetes:apps\/v1:Deployment trivy-server-deployment created/)
      .and.match(/^ {2}kubectl port-forward service\/trivy 8080:80 -n e2e-first$/m)
      .and.match(/^ {2}trivy image --server http:\/\/localhost:8080 \S+/m)
      .and.include(`npm run destroy -- ${stack}`);
  });

  it("finds the known hole through the port-forward", async () => {
    const { url, close } = await portForward(stack);
    try {
      expect(await scan(environment.alpine, { server: url })).to.deep.include(knownFinding);
    } finally {
      close();
    }
  });

  it("takes all of it away again with `npm run destroy`", async () => {
    await project.destroy(stack);
  });
});
