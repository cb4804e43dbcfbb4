import { expect } from "chai";
import { documents } from "../../commands/docs.ts";

describe("the documentation", () => {
  for (const { path, is, shouldBe } of documents())
    it(`says in ${path.split("/").at(-1)} what the settings' schema says (npm run docs)`, () => {
      expect(is).to.equal(shouldBe);
    });

  it("has a sentence for every setting", () => {
    const rows =
      documents()[0]
        ?.shouldBe.split("\n")
        .filter((line) => line.startsWith("| `")) ?? [];
    expect(rows.length).to.be.above(60);
    for (const row of rows) {
      const [, , kind, , sentence] = row
        .split(" | ")
        .join("|")
        .split("|")
        .map((cell) => cell.trim());
      expect(kind, row).to.match(/\S/);
      expect(sentence, row).to.match(/\.$/);
    }
  });
});
