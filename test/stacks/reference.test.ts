import { expect } from "chai";
import { generatedFiles } from "../../commands/generate.ts";

const { text = "" } = generatedFiles().find(({ path }) => path === "docs/reference/settings.md") ?? {};
const rows = text
  .split("\n")
  .filter((line) => line.startsWith("| <a "))
  .map((line) => line.slice(2, -2).split(" | "));

describe("the reference of the settings", () => {
  it("every setting in the reference has an anchor, a kind and a description", () => {
    expect(rows.length).to.be.above(150);
    for (const [setting = "", kind, , description] of rows) {
      expect(setting).to.match(/^<a id="[\w.[\]-]+"><\/a>`[\w.[\]]+`$/);
      expect(kind, setting).to.match(/\S/);
      expect(description, setting).to.match(/^[A-Z`].*\.$/);
    }
  });

  it("no two settings in the reference have the same anchor", () => {
    const anchors = rows.map(([setting = ""]) => /id="([^"]+)"/.exec(setting)?.[1]);
    expect(new Set(anchors).size).to.equal(anchors.length);
  });

  it("every block of settings has a heading in the reference", () => {
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(headings).to.include.members(["namespace", "server", "gateway", "redis", "access", "exposure", "registryScan"]);
  });

  it("every link within the settings reference leads to a heading", () => {
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading.toLowerCase().replaceAll(" ", "-"));
    const links = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, target = ""]) => target);
    expect(links.length).to.be.above(10);
    expect(headings).to.include.members(links);
  });
});
