import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must } from "../support/command.ts";
import { Plugin } from "../support/plugin.ts";

const root = join(import.meta.dirname, "../..");

describe("the component package in a clone of the repository", () => {
  let scratch: string;
  let plugin: Plugin | undefined;

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "provider-"));
    await must("git", ["clone", "--quiet", "--no-hardlinks", root, join(scratch, "clone")]);
    // What is not committed yet is tested as well.
    const { stdout } = await must("git", ["ls-files", "--modified", "--others", "--exclude-standard", "-z"], { cwd: root });
    for (const file of stdout.split("\0").filter((path) => path !== "" && existsSync(join(root, path))))
      await must("cp", ["--parents", file, join(scratch, "clone")], { cwd: root });
  });
  after(async () => {
    await plugin?.stop();
    rmSync(scratch, { recursive: true });
  });

  it("npm install in its folder, as Pulumi runs it, installs all that it imports", async () => {
    const folder = join(scratch, "clone/provider");
    const options = ["--omit=dev", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--silent"];
    await must("npm", ["install", ...options], { cwd: folder });
    expect(existsSync(join(scratch, "clone/node_modules/mocha"))).to.equal(false);
    plugin = await Plugin.start(folder);
    expect(await plugin.schema()).to.include({ name: "trivy-server" });
    const { resources } = await plugin.construct({ registryScan: { enabled: true, targets: [{ image: "registry.example.com/app:1" }] } });
    expect(resources.map(({ type }) => type)).to.include("kubernetes:batch/v1:CronJob");
  });
});
