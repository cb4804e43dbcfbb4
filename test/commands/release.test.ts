import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must, run } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");

describe("npm run release", () => {
  let scratch: string;
  let clone: string;
  const release = (...args: string[]) => run("npm", ["run", "--silent", "release", "--", ...args], { cwd: clone });

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "release-"));
    clone = join(scratch, "clone");
    await must("git", ["clone", "--quiet", "--no-hardlinks", root, clone]);
    const { stdout } = await must("git", ["ls-files", "--modified", "--others", "--exclude-standard", "-z"], { cwd: root });
    for (const file of stdout.split("\0").filter(Boolean)) await must("cp", ["--parents", file, clone], { cwd: root });
    symlinkSync(join(root, "node_modules"), join(clone, "node_modules"));
    await must("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--allow-empty", "--all", "-m", "x"], {
      cwd: clone,
    });
    writeFileSync(join(clone, ".git/info/exclude"), "node_modules\nrelease*\n");
    await must("git", ["add", "--all"], { cwd: clone });
    await must("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--allow-empty", "-m", "x"], {
      cwd: clone,
    });
  });
  after(() => rmSync(scratch, { recursive: true }));

  it("a release consists of the package, the source, an SBOM and their checksums, and a second build has the same bytes", async () => {
    const first = await release("0.1.0");
    expect(first.stderr).to.equal("");
    expect(first.exitCode).to.equal(0);
    const folder = join(clone, "release");
    expect(readdirSync(folder).sort()).to.deep.equal([
      "SHA256SUMS",
      "sbom.cdx.json",
      "trivy-server-0.1.0-source.tar.gz",
      "trivy-server-0.1.0.tgz",
    ]);
    const sums = readFileSync(join(folder, "SHA256SUMS"), "utf8");
    for (const [, sum, file = ""] of sums.matchAll(/^([0-9a-f]{64}) {2}(.+)$/gm))
      expect(
        createHash("sha256")
          .update(readFileSync(join(folder, file)))
          .digest("hex"),
        file,
      ).to.equal(sum);
    await release("0.1.0", "--output", "release-2");
    expect(readFileSync(join(clone, "release-2/SHA256SUMS"), "utf8")).to.equal(sums);
  });

  it("the SBOM lists the packages that the program uses, and none of the tests'", () => {
    const { components } = JSON.parse(readFileSync(join(clone, "release/sbom.cdx.json"), "utf8"));
    const names = new Set(components.map(({ group, name }: { group?: string; name: string }) => (group ? `${group}/${name}` : name)));
    expect([...names]).to.include.members(["@pulumi/kubernetes", "zod", "hono", "ipaddr.js"]);
    for (const other of ["mocha", "chai", "fast-check"]) expect([...names]).to.not.include(other);
  });

  it("a version that differs from the manifests is refused, and each of them is named", async () => {
    const { exitCode, stderr } = await release("9.9.9", "--output", "release-3");
    expect(exitCode).to.equal(1);
    expect(stderr).to.contain("The release is 9.9.9, but\n  package.json has version 0.1.0\n  package/package.json has version 0.1.0");
    expect(readdirSync(clone)).to.not.include("release-3");
  });

  it("a release of files that are not committed is refused", async () => {
    writeFileSync(join(clone, "README.md"), "changed");
    const { exitCode, stderr } = await release("0.1.0", "--output", "release-3");
    expect([exitCode, stderr]).to.deep.equal([
      1,
      "A release consists of committed files only. Commit or remove these first:\nM README.md\n",
    ]);
    await must("git", ["checkout", "--quiet", "README.md"], { cwd: clone });
  });

  it("without a version, the usage is shown", async () => {
    const { exitCode, stderr } = await release();
    expect(exitCode).to.equal(2);
    expect(stderr).to.contain("Name one version, such as 1.2.3").and.contain("Usage: npm run release -- <version>");
  });
});
