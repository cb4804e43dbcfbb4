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

/** The linter forbids imports from the rest of the project, and those by it of anything but index.ts. */
describe("imports of the registry scan", () => {
  for (const [folder, own] of [
    ["protocol", ["protocol"]],
    ["worker", ["worker", "protocol"]],
    ["tools", ["tools", "protocol"]],
    ["server", ["server", "protocol"]],
  ] as const)
    it(`registry-scan/${folder} imports only packages and ${own.map((each) => `registry-scan/${each}`).join(" and ")}`, () => {
      const files = sources(`registry-scan/${folder}/**/*.ts`);
      expect(files).not.to.have.length(0);
      expect(
        violations(files, (module) => isPackage(module) || own.some((each) => module.startsWith(`registry-scan/${each}/`))),
      ).to.deep.equal([]);
    });

  it("registry-scan imports exactly the packages that its package.json declares", () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, "registry-scan/package.json"), "utf8"));
    const declared = Object.keys({ ...dependencies, ...devDependencies }).map((name) => name.replace(/^@types\//, ""));
    const packages = sources("registry-scan/**/*.ts")
      .flatMap(importsOf)
      .filter((module) => isPackage(module) && !module.startsWith("node:"));
    expect(new Set(packages.map((module) => /^(?:@[^/]+\/)?[^/]+/.exec(module)?.[0]))).to.have.all.keys(declared);
  });

  it("registry-scan/index.ts does not reach zod, which the components' package does not have", () => {
    const reached = new Set(["registry-scan/index.ts"]);
    for (const module of reached) if (!isPackage(module)) for (const each of importsOf(module)) reached.add(each);
    expect([...reached].filter(isPackage)).to.deep.equal(["semver", "node:util"]);
  });
});
