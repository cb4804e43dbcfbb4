import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { run } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
/** `pulumi` passes its arguments on, and `generate` has none. */
const commands = Object.entries(scripts).filter(
  ([name, script]) => script.includes("./commands/") && !["pulumi", "generate"].includes(name),
);

describe("--help", () => {
  for (const [index, [name, script]] of commands.entries())
    it(`\`npm run ${name}\` prints its usage with the exit codes, and ends with 0`, async () => {
      const [program = "", ...args] = script.split(" ");
      const { exitCode, stdout, stderr } = await run(program, [...args, index % 2 === 0 ? "--help" : "-h"], { cwd: root });
      expect(exitCode, stderr).to.equal(0);
      expect(stdout)
        .to.match(new RegExp(`^Usage: npm (run )?${name} -- `))
        .and.match(/^Exit codes: /m);
    });
});
