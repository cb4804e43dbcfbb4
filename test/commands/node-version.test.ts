import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");

/** Runs what Pulumi runs before the program, on a Node that reports `version`. */
function under(version: string) {
  const { nodeargs } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")).runtime.options;
  const [flag, file = ""] = nodeargs.split(" ");
  expect(flag).to.equal("--require");
  const pretend = `Object.defineProperty(process.versions, "node", { value: "${version}" }); require(${JSON.stringify(file)})`;
  return spawnSync(process.execPath, ["--eval", pretend], { cwd: root, encoding: "utf8" });
}

describe("the Node version check", () => {
  it("an old Node.js is refused with the required version, and an exit code for which Pulumi adds no stack trace", () => {
    for (const version of ["18.20.0", "20.20.2", "22.17.1"]) {
      const { status, stderr } = under(version);
      expect(status).to.equal(32);
      expect(stderr)
        .to.match(/^This program needs Node 22\.18 or newer/)
        .and.include(version);
    }
  });

  it("Node.js 22.18 and newer versions are accepted", () => {
    for (const version of ["22.18.0", "24.21.0", "26.0.0"]) expect(under(version)).to.include({ status: 0, stderr: "" });
  });
});
