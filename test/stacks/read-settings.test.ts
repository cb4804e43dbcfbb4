import { expect } from "chai";
import { record, settled } from "../../recorder/record.ts";
import { readSettings, SettingsError } from "../../stacks/index.ts";

describe("reading the settings of a stack", () => {
  it("the configuration is checked, and the stack's name and the secrets are marked", async () => {
    const config = { server: { replicas: 3 }, redis: { mode: "external", host: "r.example.com", password: "secret-password" } };
    const { result, resources } = await record(() => readSettings(), { stack: "test", config, secretKeys: ["redis"] });
    expect(resources).to.deep.equal([]);
    expect(result.instance).to.equal("test");
    expect(result.server?.replicas).to.equal(3);
    expect(await settled((result.redis as { password: unknown }).password)).to.not.equal("secret-password");
  });

  it("mistakes are reported before any resource is registered", async () => {
    const broken = record(() => import("../../index.ts?broken" as string), { config: { server: { replicas: 0 }, nothing: 1 } });
    const error = await broken.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(SettingsError);
    expect((error as SettingsError).message.split("\n")).to.deep.equal([
      "2 settings of this stack cannot be used:",
      "  trivy-server:server.replicas is 0; use a whole number from 1 to 100",
      "  trivy-server:nothing is not a setting; use one of namespace, images, server, gateway, database, proxy, redis, access, exposure, registryScan, monitoring, scheduling, clusterDomain, labels, podAnnotations",
    ]);
  });
});
