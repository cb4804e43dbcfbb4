import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";

/** Runs the command without a cluster. */
function database(...args: string[]): { readonly status: number | null; readonly stderr: string } {
  const command = join(import.meta.dirname, "../../commands/database.ts");
  return spawnSync(process.execPath, [command, ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], KUBECONFIG: "/nonexistent" },
  });
}

describe("`npm run database`", () => {
  it("a wrong command is answered with the usage", () => {
    for (const args of [
      ["dev", "pull"],
      ["dev", "push", "a", "b"],
    ]) {
      const { status, stderr } = database(...args);
      expect(status, args.join(" ")).to.equal(2);
      expect(stderr, args.join(" ")).to.match(/^Usage: npm run database -- <stack> /);
    }
  }).timeout(60_000);

  it("a file that is no database or does not exist is refused before the cluster is queried", () => {
    const folder = mkdtempSync(join(tmpdir(), "database-"));
    try {
      writeFileSync(join(folder, "other.tar.gz"), "");
      expect(database("dev", "push", join(folder, "other.tar.gz")).stderr).to.match(
        /is not called db\.tar\.gz or javadb\.tar\.gz; its name says/,
      );
      expect(database("dev", "push", join(folder, "db.tar.gz")).stderr).to.match(/db\.tar\.gz cannot be read: ENOENT/);
      writeFileSync(join(folder, "db.tar.gz"), "");
      const { status, stderr } = database("dev", "push", join(folder, "db.tar.gz"));
      expect(status).to.equal(1);
      expect(stderr)
        .to.match(/^No kubeconfig: KUBECONFIG names \/nonexistent/)
        .and.not.match(/^ +at /m);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }).timeout(60_000);
});
