import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** The TypeScript in a Markdown file: each block is a program. */
const blocks = (page: string) => [...read(page).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);

describe("the programs that use the package", () => {
  const guide = blocks("docs/guides/components.md");

  it("the examples, the template and the code in the guide pass a user's type check", async () => {
    const folder = mkdtempSync(join(tmpdir(), "type-check-"));
    try {
      for (const file of ["package.json", "tsconfig.json"]) copyFileSync(join(root, "template", file), join(folder, file));
      symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
      const programs = [...globSync("{examples/*,template}/index.ts", { cwd: root }).map(read), ...guide, ...blocks("package/README.md")];
      expect(programs).to.have.length(10);
      for (const [index, code] of programs.entries()) writeFileSync(join(folder, `program-${index + 1}.ts`), code);
      await must("tsc", ["-p", folder, "--customConditions", "@trivy-server/source"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("the program with mocks in the guide runs, and notices what is missing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mocks-"));
    try {
      symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
      writeFileSync(join(folder, "package.json"), '{"type": "module"}');
      const code = guide.find((block) => block.includes("setMocks")) ?? "";
      const run = async (text: string) => {
        writeFileSync(join(folder, "program.ts"), text);
        return must("node", ["--conditions=@trivy-server/source", join(folder, "program.ts")], { cwd: folder });
      };
      await run(code);
      const missing = await run(code.replace("trivy-server-deployment", "another")).catch((error: Error) => error.message);
      expect(missing).to.include("the servers are missing");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("the examples are compiled with the settings of the template", () => {
    for (const file of globSync("examples/*/tsconfig.json", { cwd: root }))
      expect(read(file), file).to.equal(read("template/tsconfig.json"));
  });

  it("the first program in the guide is examples/minimal", () => {
    expect(guide[0]).to.equal(read("examples/minimal/index.ts"));
  });
});
