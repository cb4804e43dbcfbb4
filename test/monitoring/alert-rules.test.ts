import { promtool } from "../support/promtool.ts";

describe("the alert rules", () => {
  it("come when they should, and only then", function () {
    promtool(this, ["test", "rules", "test/support/alerts.yaml"]);
  });
});
