import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect } from "chai";

const root = resolve(import.meta.dirname, "../..");

const sources = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: root, exclude: ["**/node_modules/**", "**/dist/**"] }).filter((file) => !file.endsWith(".d.ts"));

/** Returns the modules that a file imports, types included: paths from the root, and names of packages. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].flatMap(([, specifier]) => specifier ?? []);
  return specifiers.map((each) => (each.startsWith(".") ? relative(root, resolve(root, dirname(file), each)) : each));
}

/** Returns what the files import that does not match, as `FILE imports MODULE`. */
const violations = (files: readonly string[], allowed: (module: string) => boolean): string[] =>
  files.flatMap((file) =>
    importsOf(file)
      .filter((module) => !allowed(module))
      .map((module) => `${file} imports ${module}`),
  );

const isPackage = (module: string) => !module.endsWith(".ts");

describe("imports of the registry scan", () => {
  for (const [folder, own] of [
    ["protocol", ["protocol"]],
    ["worker", ["worker", "protocol"]],
    ["server", ["server", "protocol"]],
  ] as const)
    it(`registry-scan/${folder} imports only packages and ${own.map((each) => `registry-scan/${each}`).join(" and ")}`, () => {
      const files = sources(`registry-scan/${folder}/**/*.ts`);
      expect(files).not.to.have.length(0);
      expect(
        violations(files, (module) => isPackage(module) || own.some((each) => module.startsWith(`registry-scan/${each}/`))),
      ).to.deep.equal([]);
    });

  it("registry-scan imports neither Pulumi nor packages that only the Pulumi program has", () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "registry-scan/package.json"), "utf8"));
    const nameOf = (module: string) => /^(?:@[^/]+\/)?[^/]+/.exec(module)?.[0] ?? module;
    const isDeclared = (module: string) => !isPackage(module) || module.startsWith("node:") || nameOf(module) in dependencies;
    const types = (module: string) => module === "sarif";
    expect(violations(sources("registry-scan/**/*.ts"), (module) => isDeclared(module) || types(module))).to.deep.equal([]);
  });

  it("the rest of the project imports only registry-scan/index.ts", () => {
    const files = sources("*.ts", "{components,stacks,commands,recorder,package,examples,template}/**/*.ts");
    const imported = files.flatMap(importsOf).filter((module) => /^(?:registry-scan\/|@trivy-server\/registry-scan)/.test(module));
    expect(imported, "otherwise the pattern of this test is wrong").not.to.have.length(0);
    expect(
      violations(
        files,
        (module) => !/^(?:registry-scan\/|@trivy-server\/registry-scan)/.test(module) || module === "registry-scan/index.ts",
      ),
    ).to.deep.equal([]);
  });

  it("registry-scan/index.ts does not reach zod, which the components' package does not have", () => {
    const reached = new Set(["registry-scan/index.ts"]);
    for (const module of reached) if (!isPackage(module)) for (const each of importsOf(module)) reached.add(each);
    expect([...reached].filter(isPackage)).to.deep.equal(["semver"]);
  });
});
