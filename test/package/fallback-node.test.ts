import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");
const install = "commands/fallback-node/install.cjs";

describe("the fallback for an old Node", () => {
  let project: string;
  const node = () => join(project, "node_modules/.bin/node");

  /** Runs what `npm ci` runs after it has installed the project's packages, on a Node that reports `version`. */
  async function installUnder(version: string): Promise<void> {
    const pretend = join(project, "pretend.cjs");
    writeFileSync(pretend, `Object.defineProperty(process.versions, "node", { value: "${version}" });`);
    const npm = (await must("npm", ["exec", "--offline", "--call", "echo $npm_execpath"], { cwd: root })).stdout.trim();
    const environment = { NODE_OPTIONS: `--require=${pretend}`, npm_execpath: npm };
    await must(process.execPath, [join(project, install)], { cwd: project, env: environment });
  }

  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "fallback-node-"));
    mkdirSync(join(project, "node_modules/.bin"), { recursive: true });
    for (const path of ["commands/fallback-node", "commands/node-version.cjs", "package.json"])
      cpSync(join(root, path), join(project, path), { recursive: true });
  });
  afterEach(() => rmSync(project, { recursive: true }));

  it("with an old Node, npm ci installs one that is new enough, and nothing else", async () => {
    await installUnder("20.20.2");
    const { stdout } = await must(node(), ["--require", join(project, "commands/node-version.cjs"), "--print", "process.versions.node"]);
    expect(stdout.trim()).to.match(/^24\./);
    expect(existsSync(join(project, "commands/fallback-node/node_modules"))).to.equal(false);
  });

  it("with a Node that is new enough, npm ci installs no other", async () => {
    await installUnder("22.18.0");
    expect(existsSync(node())).to.equal(false);
  });
});
