import { promtool } from "../support/promtool.ts";

describe("monitoring/alerts.yaml", () => {
  it("each alert fires under its condition and no other (promtool's unit tests)", function () {
    promtool(this, ["test", "rules", "test/monitoring/alerts.test.yaml"]);
  });
});
