import { expect } from "chai";
import { currentText, generatedFiles } from "../../commands/generate.ts";

describe("generated files", () => {
  for (const file of generatedFiles())
    it(`${file.path} is up to date with the schema (npm run generate)`, () => {
      expect(currentText(file)).to.equal(file.text);
    });
});
