import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";

const root = join(import.meta.dirname, "../..");

/** Prometheus' own tool, run in the project's folder, finds nothing to complain of. Where it is not installed, the test is left out. */
export function promtool(test: Mocha.Context, args: readonly string[], input = ""): string {
  const { error, status, stdout, stderr } = spawnSync("promtool", args, { cwd: root, input, encoding: "utf8" });
  if (error) test.skip();
  expect(status, `${stdout}${stderr}`).to.equal(0);
  return `${stderr}${stdout}`;
}
