import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { readPages, root } from "./markdown.ts";

const pages = readPages();
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };

/** Words of docs/style.md that are never the right ones; the style guide itself quotes them. */
const avoided = /\b(?:besides|nobody|whoever|anew|as ever|mends?|mended|stands? beside|gives? up)\b/i;

describe("the documentation's text", () => {
  it("every `npm run` command in Markdown files is a script of package.json", () => {
    const named = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/\bnpm run (?:--silent )?([a-z][\w:-]*)/g)].map(([, name = ""]) => ({ path, name })),
    );
    expect(named).to.have.length.above(20);
    expect(named.filter(({ name }) => !(name in scripts))).to.deep.equal([]);
  });

  it("code blocks that begin with the path of a file show lines of that file", () => {
    const quotes = pages.flatMap(({ path, blocks }) =>
      blocks.flatMap(({ text }) => {
        const [first = "", ...lines] = text.split("\n");
        const [, source] = /^\/\/ ((?:[\w.-]+\/)+[\w.-]+\.ts)$/.exec(first) ?? [];
        return source === undefined
          ? []
          : [{ path, source, lines: lines.map((line) => line.trim()).filter((line) => !/^(?:…|)$/.test(line)) }];
      }),
    );
    expect(quotes).to.have.length.above(0);
    for (const { path, source, lines } of quotes) {
      expect(existsSync(join(root, source)), `${path}: ${source}`).to.equal(true);
      const content = new Set(
        readFileSync(join(root, source), "utf8")
          .split("\n")
          .map((line) => line.trim()),
      );
      expect(
        lines.filter((line) => !content.has(line)),
        `${path}: not in ${source}`,
      ).to.deep.equal([]);
    }
  });

  it("prose in Markdown files is wrapped at 140 columns", () => {
    const written = pages.filter(({ text }) => !text.startsWith("<!-- Generated"));
    const long = written.flatMap(({ path, prose }) =>
      prose.split("\n").flatMap((line, index) => (line.length > 140 && !line.startsWith("|") ? [`${path}:${index + 1}`] : [])),
    );
    expect(long).to.deep.equal([]);
  });

  it("prose in Markdown files avoids the words that the style guide replaces", () => {
    const found = pages.flatMap(({ path, prose }) =>
      path === "docs/style.md"
        ? []
        : prose.split("\n").flatMap((line, index) => (avoided.test(line) ? [`${path}:${index + 1}: ${line}`] : [])),
    );
    expect(found).to.deep.equal([]);
  });
});
