import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";

const root = join(import.meta.dirname, "../..");

/**
 * Runs Prometheus' promtool in the project's folder, expects it to succeed and returns its output. Skips the test where promtool is not installed.
 */
export function promtool(test: Mocha.Context, args: readonly string[], input = ""): string {
  const { error, status, stdout, stderr } = spawnSync("promtool", args, { cwd: root, input, encoding: "utf8" });
  if (error) test.skip();
  expect(status, `${stdout}${stderr}`).to.equal(0);
  return `${stderr}${stdout}`;
}
