import { expect } from "chai";
import { checkSize } from "../../../commands/up/settings-size.ts";
import { UserError } from "../../../commands/user-error.ts";
import { run } from "../../support/command.ts";

const file = (characters: number) => ({
  path: "Pulumi.prod.yaml",
  config: { "trivy-server:registryScan": { vex: ["x".repeat(characters)] }, "trivy-server:server": { replicas: 2 } },
});

describe("the size of a stack's settings", () => {
  it("settings that the engine cannot pass to the program are refused with the largest block", () => {
    expect(() => checkSize(file(200_000))).to.throw(
      UserError,
      /Pulumi\.prod\.yaml take 196 KiB, .*128 KiB.*largest is trivy-server:registryScan, 196 KiB\.\nMove targets, VEX documents/,
    );
    expect(() => checkSize(file(100_000))).not.to.throw();
  });

  it("the limit is that of an environment variable", async () => {
    const start = (size: number) => run("true", [], { env: { PULUMI_CONFIG: "x".repeat(size) } });
    expect((await start(128 * 1024 - 256)).failed).to.equal(false);
    expect((await start(128 * 1024)).failed).to.equal(true);
  });
});
