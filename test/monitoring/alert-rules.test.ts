import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { stackRules } from "../../components/monitoring/rules/render.ts";
import type { RuleSubject } from "../../components/monitoring/rules/rule.ts";
import { promtool } from "../support/promtool.ts";

const folder = join(import.meta.dirname, "rules");

/** Skipped where promtool is not installed. */
describe("the alerts in Prometheus", () => {
  const scratch = mkdtempSync(join(tmpdir(), "rules-"));
  after(() => rmSync(scratch, { recursive: true }));

  for (const file of readdirSync(folder)) {
    const subject = basename(file, ".yaml").replace(/-.*/, "") as RuleSubject;
    it(`each alert of ${basename(file, ".yaml")} fires under its condition and no other (promtool's unit tests)`, function () {
      const groups = stackRules({ namespace: "trivy", discovery: "podMonitors", subjects: [subject], runbook: undefined });
      writeFileSync(join(scratch, "rules.yaml"), JSON.stringify({ groups }));
      copyFileSync(join(folder, file), join(scratch, file));
      promtool(this, ["test", "rules", join(scratch, file)]);
    });
  }

  it("promtool accepts the rules for all stacks", function () {
    promtool(this, ["check", "rules", "monitoring/alerts.yaml", "monitoring/rules.yaml"]);
  });

  it("promtool accepts the rules of a stack whose pods are found by annotations", function () {
    const subjects: RuleSubject[] = ["service", "probe", "gateway", "redis", "registryScan", "mirror", "copy"];
    const groups = stackRules({ namespace: "trivy", discovery: "annotations", subjects, runbook: "https://wiki.example.com/alerts" });
    writeFileSync(join(scratch, "rules.yaml"), JSON.stringify({ groups }));
    promtool(this, ["check", "rules", join(scratch, "rules.yaml")]);
  });
});
