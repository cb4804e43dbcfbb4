import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { bundledPrograms, checkedSize } from "../../../components/registry-scan/bundle.ts";
import { licenseHeader } from "../../../components/registry-scan/license-header.ts";

describe("bundledPrograms", () => {
  const programs = Object.entries(bundledPrograms()).filter(([name]) => name.endsWith(".js"));

  it("each program is bundled once per process", () => {
    expect(programs.map(([name]) => name)).to.have.members(["scan.js", "tools.js", "reports.js"]);
    expect(bundledPrograms()).to.equal(bundledPrograms());
  });

  for (const [name, text] of programs) {
    it(`${name} imports only Node's modules`, () => {
      const imports = [...text.matchAll(/^import .* from "(.*)";$|^import "(.*)";$|\bimport\("(.*)"\)/gm)].map((match) =>
        match.slice(1).join(""),
      );
      expect(imports).to.include("node:fs/promises");
      expect(imports.filter((path) => !isBuiltin(path))).to.deep.equal([]);
    });

    it(`${name} names every package that it contains, with its license`, () => {
      const [header = "", code = ""] = text.split(/^\*\/$/m);
      const contained = new Set(
        [...code.matchAll(/^\s*\/\/ .*node_modules\/((?:@[^/]+\/)?[^/]+)\//gm)].map(([, packageName]) => packageName),
      );
      expect(contained).to.include("zod");
      const named = [...header.matchAll(/^(\S+) \d+\.\d+\.\d+ \((?:MIT|ISC|Apache-2\.0|BSD-[23]-Clause)\)$/gm)].map(
        ([, packageName]) => packageName,
      );
      expect(named).to.have.members([...contained]);
      expect(header).to.include("Permission is hereby granted, free of charge");
    });

    it(`${name} can be read: it is neither minified nor contains types`, () => {
      expect(text).to.match(/^async function main\(.*\) \{$/m);
      expect(Math.max(...text.split("\n").map((line) => line.length))).to.be.below(2000);
    });
  }
});

describe("checkedSize", () => {
  it("programs that fit into a ConfigMap are accepted", () => {
    const files = { "a.js": "x".repeat(800 << 10) };
    expect(checkedSize(files)).to.equal(files);
  });

  it("programs that are too large, as escaped in the manifest, are refused with their sizes", () => {
    expect(() => checkedSize({ "a.js": "\n".repeat(450 << 10), "b.js": "x" })).to.throw(
      "the registry scan's programs take 901 KiB of a ConfigMap, and the limit is 900 KiB (a.js 901 KiB, b.js 1 KiB); remove a package",
    );
  });
});

describe("licenseHeader", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "license-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** @returns the path of a source file of the package */
  function addPackage(name: string, license?: string): string {
    const path = join(folder, "node_modules", name);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "package.json"), JSON.stringify({ name, version: "1.2.3", license: "MIT" }));
    if (license !== undefined) writeFileSync(join(path, "LICENSE.md"), `${license}\n`);
    return join(path, "lib/index.js");
  }

  it("the license header shows a license once for all its packages, and a license's text cannot end it", () => {
    const inputs = [
      addPackage("b", "text */ of b"),
      addPackage("@scope/c", "common text"),
      addPackage("a", "common text"),
      join(folder, "own.ts"),
    ];
    expect(licenseHeader([...inputs, ...inputs])).to.equal(`/*
This file contains the following packages.

----

@scope/c 1.2.3 (MIT)
a 1.2.3 (MIT)

common text

----

b 1.2.3 (MIT)

text * / of b
*/
`);
  });

  it("the license header of a program without packages is empty", () => {
    expect(licenseHeader([join(folder, "own.ts")])).to.equal("");
  });

  it("a package without a license is refused", () => {
    expect(() => licenseHeader([addPackage("d")])).to.throw("the package d has no file with its license");
  });
});
