/** Trust domains. The registry scan is tested if E2E_SCRATCH_REPOSITORY and E2E_HOST are set, as in registry-scan.test.ts. */
import { expect } from "chai";
import { addAdministrator, get, portForward, redis, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { send } from "./support/request.ts";

const stack = "e2e-domains";
const { E2E_HOST: host, TRIVY_INSECURE } = process.env;
const servers = { replicas: 1, resources: { requests: { cpu: "10m" } } };

describe("trust domains", () => {
  let project: Project;
  let server: string;
  let tokens: Record<string, string> = {};

  const scanAs = (client: string) => scan(environment.alpine, { server, token: tokens[client] });
  /** Returns the keys of the layers in a Redis database. */
  const layers = async (database: number) =>
    (await redis(stack, "-n", String(database), "keys", "fanal::blob::*")).split("\n").filter((line) => line !== "");

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    await project.writeStack(stack, {
      server: servers,
      gateway: { enabled: true, replicas: 1, clients: [{ name: "team-a" }, { name: "team-b" }] },
      domains: [
        { name: "a", clients: ["team-a"], cacheDatabase: 1, replicas: 1 },
        { name: "b", clients: ["team-b"], cacheDatabase: 2, replicas: 1 },
      ],
      registryScan: {
        enabled: true,
        schedule: "0 3 1 1 *",
        targets: [{ image: environment.alpine }],
        plainHttp: Boolean(TRIVY_INSECURE),
        ...(host && { cidrs: [`${host}/32`] }),
      },
    });
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    tokens = JSON.parse(await project.output(stack, "tokens"));
    server = await serviceUrl(stack);
    await addAdministrator(stack);
  });
  after(() => project?.remove());

  it("each domain's clients find vulnerabilities, and write only to the domain's Redis database", async () => {
    expect(await scanAs("team-a")).to.deep.include(knownFinding);
    expect([await layers(0), await layers(2)]).to.deep.equal([[], []]);
    expect(await layers(1)).to.not.be.empty;
    expect(await scanAs("team-b")).to.deep.include(knownFinding);
    expect(await layers(2)).to.deep.equal(await layers(1));
    expect(await redis(stack, "acl", "log"), "commands that Redis has refused").to.equal("");
  });

  it("a layer that one team has forged changes its own findings, not those of the other team and of the registry scan", async () => {
    for (const key of await layers(1)) {
      const blob = {
        diff_id: key.replace("fanal::blob::", ""),
        blob_info: { schema_version: 2, os: { family: "alpine", name: "3.10.9" } },
      };
      const headers = { "Trivy-Token": tokens["team-a"] ?? "" };
      const { status } = await send(`${server}/twirp/trivy.cache.v1.Cache/PutBlob`, JSON.stringify(blob), headers);
      expect(status).to.equal(200);
    }
    expect(await scanAs("team-a"), "the forgery has no effect at all").not.to.deep.include(knownFinding);
    expect(await scanAs("team-b")).to.deep.include(knownFinding);

    const { exitCode, stderr } = await project.run("npm", ["run", "--silent", "scan", "--", stack], { timeout: 300_000 });
    expect(exitCode, stderr).to.equal(1);
    const [, run = ""] = /^Run: (\S+)$/m.exec(stderr) ?? [];
    const { url, close } = await portForward(stack, "service/trivy-reports");
    try {
      expect(await (await fetch(`${url}/runs/${run}/report.json`)).text()).to.include(knownFinding.VulnerabilityID);
    } finally {
      close();
    }
    expect(await layers(0)).to.not.be.empty;
  });

  it("a domain without servers does not keep the others from scanning", async () => {
    const deployment = await get("deployment", "trivy-server-a", "-n", stack);
    await project.must("kubectl", ["scale", "deployment/trivy-server-a", "-n", stack, "--replicas=0"]);
    await project.must("kubectl", [
      "wait",
      "--for=delete",
      "pod",
      "-n",
      stack,
      "-l",
      "app.kubernetes.io/component=server-a",
      "--timeout=90s",
    ]);
    expect(await scanAs("team-b")).to.deep.include(knownFinding);
    expect(await scanAs("team-a").catch((error: Error) => error.message)).to.match(/unavailable|no Trivy server/);
    await project.must("kubectl", ["scale", "deployment/trivy-server-a", "-n", stack, `--replicas=${deployment.spec.replicas}`]);
    await project.must("kubectl", ["rollout", "status", "deployment/trivy-server-a", "-n", stack, "--timeout=120s"]);
  });

  it("status shows each domain's servers", async () => {
    const { stdout } = await project.run("npm", ["run", "--silent", "status", "--", stack]);
    expect(stdout)
      .to.match(/^Servers +1 of 1 ready/m)
      .and.match(/^Servers +domain a, 1 of 1 ready$/m)
      .and.match(/^Servers +domain b, 1 of 1 ready$/m);
  });
});
