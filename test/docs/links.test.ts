import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect } from "chai";
import { anchorsOf, linksOf, readPages, root } from "./markdown.ts";

const pages = readPages();
const byPath = new Map(pages.map((page) => [page.path, page]));

function brokenLinks(): string[] {
  return pages.flatMap((page) =>
    linksOf(page)
      .filter((link) => !/^[a-z]+:/.test(link))
      .flatMap((link) => {
        const [file = "", anchor] = link.split("#");
        const path = file === "" ? page.path : normalize(join(dirname(page.path), file));
        const target = byPath.get(path);
        if (!existsSync(join(root, path))) return [`${page.path}: ${link}: there is no ${path}`];
        if (anchor !== undefined && !(target && anchorsOf(target).has(anchor)))
          return [`${page.path}: ${link}: ${path} has no such heading`];
        return [];
      }),
  );
}

describe("the documentation's links", () => {
  it("relative links in Markdown files lead to existing files and headings", () => {
    expect(pages.map(({ path }) => path)).to.include.members([
      "README.md",
      "CONTRIBUTING.md",
      "docs/architecture.md",
      "docs/guides/redis.md",
    ]);
    expect(pages.flatMap(linksOf)).to.have.length.above(60);
    expect(brokenLinks()).to.deep.equal([]);
  });

  it("README and the index of decisions link to every page under docs/", () => {
    const linkedFrom = (index: string) => {
      const page = byPath.get(index);
      return page ? linksOf(page).map((link) => normalize(join(dirname(index), link.split("#")[0] ?? ""))) : [];
    };
    // The records of decisions have an index of their own.
    const linked = new Set([...linkedFrom("README.md"), ...linkedFrom("docs/decisions/README.md")]);
    const others = pages.map(({ path }) => path).filter((path) => path.startsWith("docs/"));
    // CONTRIBUTING leads to this one.
    expect(others.filter((path) => !linked.has(path))).to.deep.equal(["docs/style.md"]);
  });

  it("README stays under 9 KB", () => {
    expect(Buffer.byteLength(byPath.get("README.md")?.text ?? ""))
      .to.be.below(9 * 1024)
      .and.above(0);
  });

  it("the light and the dark data-flow diagram differ only in colours", () => {
    const shapes = (mode: string) =>
      readFileSync(join(root, `docs/images/data-flow-${mode}.svg`), "utf8").replaceAll(/#[0-9a-f]{6}/g, "a colour");
    expect(shapes("dark")).to.equal(shapes("light"));
  });
});
