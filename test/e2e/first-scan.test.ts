import { expect } from "chai";
import { portForward } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

describe("a new user's first scan in an empty cluster", () => {
  const stack = "e2e-first";
  let project: Project;

  before(async () => {
    await checkEnvironment();
    project = await Project.create({ newcomer: true });
    await project.writeStack(stack, { server: { drainSeconds: 1 } }, "dev");
  });
  after(() => project?.remove());

  it("`npm run up` shows the cluster, the progress and the next commands", async () => {
    const { stdout, stderr } = await project.must("npm", ["run", "up", "--", stack, "--yes"]);
    expect(stderr)
      .to.match(/^Cluster: context \S+, https:\S+.*; namespace e2e-first$/m)
      .and.match(/You are not logged in to a Pulumi backend/);
    expect(stdout)
      .to.match(/trivy-server:index:RedisCache trivy-redis creat/)
      .and.match(/kubernetes:apps\/v1:Deployment trivy-server-deployment created/)
      .and.match(/^ {2}kubectl port-forward service\/trivy 8080:80 -n e2e-first$/m)
      .and.match(/^ {2}trivy image --server http:\/\/localhost:8080 \S+/m)
      .and.include(`npm run destroy -- ${stack}`);
  });

  it("the first scan through a port-forward finds the known vulnerability", async () => {
    const { url, close } = await portForward(stack);
    try {
      expect(await scan(environment.alpine, { server: url })).to.deep.include(knownFinding);
    } finally {
      close();
    }
  });

  it("`npm run destroy` removes everything", async () => {
    await project.destroy(stack);
  });
});
