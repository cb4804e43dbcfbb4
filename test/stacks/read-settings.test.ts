import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
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

  it("a secret in plain text is refused next to an encrypted one, wherever both are", async () => {
    const folder = mkdtempSync(join(tmpdir(), "settings-"));
    const before = process.cwd();
    process.chdir(folder);
    try {
      const clients = [
        { name: "a", token: "an-encrypted-token" },
        { name: "b", token: "a-token-in-plain-text" },
      ];
      const written = [{ name: "a", token: { secure: "AAAB" } }, clients[1]];
      writeFileSync(
        join(folder, "Pulumi.test.yaml"),
        stringify({ config: { "trivy-server:gateway": { enabled: true, clients: written } } }),
      );
      const given = { stack: "test", config: { gateway: { enabled: true, clients } }, secretKeys: ["gateway"] };
      const error = await record(() => readSettings(), given).then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error?.message).to.equal(
        "A setting of this stack cannot be used:\n" +
          "  trivy-server:gateway.clients[1].token is in plain text; set it with: pulumi config set --path --secret 'trivy-server:gateway.clients[1].token' (Pulumi.test.yaml:9)",
      );
      expect(error?.message).not.to.include("a-token-in-plain-text");
    } finally {
      process.chdir(before);
      rmSync(folder, { recursive: true });
    }
  });

  it("mistakes are reported before any resource is registered", async () => {
    const broken = record(() => import("../../index.ts?broken" as string), {
      stack: "none",
      config: { server: { replicas: 0 }, nothing: 1 },
    });
    const error = await broken.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(SettingsError);
    expect((error as SettingsError).message.split("\n")).to.deep.equal([
      "2 settings of this stack cannot be used:",
      "  trivy-server:server.replicas is 0; use a whole number from 1 to 100",
      "  trivy-server:nothing is not a setting; use one of namespace, images, server, gateway, domains, database, proxy, egress, dns, redis, access, exposure, registryScan, monitoring, scheduling, pods, protect, authorities, clusterDomain, labels, podAnnotations",
    ]);
  });
});
