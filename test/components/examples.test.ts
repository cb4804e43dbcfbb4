import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as components from "../../components/index.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "components");
const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => ({ file, text: readFileSync(join(folder, file), "utf8") }));

/** Returns the code of the examples in a text's documentation comments. */
const examplesIn = (text: string): string[] =>
  [...text.matchAll(/\/\*\*(?:(?!\*\/)[\s\S])*?@example\n((?:(?!\*\/)[\s\S])*?)\s*\*\//g)].map(([, lines = ""]) =>
    lines.replaceAll(/^ *\* ?/gm, ""),
  );

/** What an example may take for granted: the imports, and the components that others need. */
const preamble = `import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Context, ${Object.keys(components).join(", ")}, type Transform } from "${folder}/index.ts";
declare const context: Context;
declare const cache: RedisCache;
declare const registryScan: RegistryScan;
declare const monitoring: Monitoring;
export {};
`;

describe("examples in the documentation of the components", () => {
  it("each component has an example", () => {
    const classes = Object.entries(components).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
    expect(classes).to.have.length.above(9);
    for (const name of classes) {
      const source = sources.find(({ text }) => text.includes(`export class ${name} `))?.text ?? "";
      const documentation = source.slice(0, source.indexOf(`export class ${name} `)).trimEnd();
      expect(documentation.slice(documentation.lastIndexOf("/**")), name)
        .to.contain("@example")
        .and.match(/\*\/$/);
    }
  });

  it("the examples type-check", () => {
    const examples = sources.flatMap(({ file, text }) =>
      examplesIn(text).map((code, index) => ({ name: `${file.replaceAll("/", "-").replace(/\.ts$/, "")}-${index}.ts`, code })),
    );
    expect(examples).to.have.length.above(10);
    mkdirSync(join(root, "out"), { recursive: true });
    const project = mkdtempSync(join(root, "out/examples-"));
    try {
      for (const { name, code } of examples) writeFileSync(join(project, name), `${preamble}${code}\n`);
      const compilerOptions = { noUnusedLocals: false };
      const files = examples.map(({ name }) => name);
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, files }));
      const { stdout, status } = spawnSync("tsc", ["-p", project], { encoding: "utf8" });
      expect(stdout).to.equal("");
      expect(status).to.equal(0);
    } finally {
      rmSync(project, { recursive: true });
    }
  }).timeout(300_000);
});
