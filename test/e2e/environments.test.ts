import { expect } from "chai";
import { eventually, get, portForward, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

describe("the stacks dev, staging and prod in one cluster", () => {
  const servers = { dev: 2, staging: 2, prod: 3 };
  const stacks = Object.keys(servers) as (keyof typeof servers)[];
  let project: Project;

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    for (const stack of stacks) {
      // Less CPU than prod's servers request, so that the stacks of other tests have room.
      const settings = stack === "prod" ? { server: { resources: { requests: { cpu: "100m" } } } } : {};
      await project.writeStack(`e2e-${stack}`, settings, stack);
      await project.must("pulumi", ["stack", "init", `e2e-${stack}`]);
    }
    await Promise.all(stacks.map((stack) => project.pulumi(`e2e-${stack}`, "up", "--yes", "--skip-preview")));
  });
  after(() => project?.remove());

  for (const stack of stacks)
    it(`a client scans through the ${stack} stack`, async () => {
      const namespace = `e2e-${stack}`;
      // With autoscaling the stack starts with one server; the autoscaler adds the others.
      await eventually(`${servers[stack]} servers`, async () => {
        const { status } = await get("deployment", "trivy-server", "-n", namespace);
        return status.readyReplicas === servers[stack] || undefined;
      });
      const outputs = JSON.parse((await project.pulumi(namespace, "stack", "output", "--json", "--show-secrets")).stdout);
      expect(outputs).to.have.property("namespace", namespace);
      expect(outputs.token === undefined, "open without a token").to.equal(stack === "dev");
      const { url, close } = await portForward(namespace);
      try {
        expect(await scan(environment.alpine, { server: url, token: outputs.token })).to.deep.include(knownFinding);
      } finally {
        close();
      }
    });

  it("prod accepts only TLS, from each client with its own token", async () => {
    expect(await scan(environment.alpine, { server: await serviceUrl("e2e-dev") })).to.deep.include(knownFinding);
    const { url, close } = await portForward("e2e-prod", "service/trivy", 443);
    try {
      const caCertificate = await project.caCertificate("e2e-prod");
      const tokens = JSON.parse(await project.output("e2e-prod", "tokens"));
      expect(Object.keys(tokens)).to.deep.equal(["team-a", "team-b"]);
      for (const token of Object.values<string>(tokens))
        expect(await scan(environment.alpine, { server: url, token, caCertificate })).to.deep.include(knownFinding);
      const plain = await fetch(`${await serviceUrl("e2e-prod")}/healthz`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
      expect(plain, "a response over plain HTTP").to.equal(undefined);
    } finally {
      close();
    }
  });

  it("prod's autoscaler reads the CPU load and keeps its minimum of three servers", async () => {
    const { spec, status } = await eventually(
      "the autoscaler's metrics",
      async () => {
        const autoscaler = await get("horizontalpodautoscaler", "trivy-server", "-n", "e2e-prod");
        return autoscaler.status.currentMetrics?.[0]?.resource?.current?.averageUtilization === undefined ? undefined : autoscaler;
      },
      120,
    );
    expect(spec).to.include({ minReplicas: 3, maxReplicas: 10 });
    expect(status.desiredReplicas).to.be.at.least(3);
    await project.pulumi("e2e-prod", "preview", "--refresh", "--expect-no-changes");
  });

  it("destroying the stacks leaves no object in the cluster", async () => {
    await Promise.all(stacks.map((stack) => project.destroy(`e2e-${stack}`)));
  });
});
