import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { images } from "../../components/shared/images.ts";
import { parseImageReference } from "../../registry-scan/index.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const root = join(import.meta.dirname, "../..");
const text = (path: string) => readFileSync(join(root, path), "utf8");
const { groups } = parse(text("monitoring/alerts.yaml")) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap(({ rules }) => rules);

/** Types of the metrics that the exporter exposes, by name; recorded from the exporter itself. */
const exposed = new Map(
  [...text("test/monitoring/redis-exporter.metrics.txt").matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
    ([, ...metric]) => metric as [string, string],
  ),
);

describe("the alerts about the cache", () => {
  it("alerts have unique names, a severity, a summary, and a description that names only existing settings", () => {
    const settings = new Set([...text("docs/reference/settings.md").matchAll(/<a id="([^"]+)">/g)].map(([, name]) => name));
    expect(settings).to.include("redis.maxMemory");
    expect(new Set(rules.map(({ alert }) => alert)).size)
      .to.equal(rules.length)
      .and.above(4);
    for (const { alert, labels, annotations } of rules) {
      expect(labels["severity"], alert).to.be.oneOf(["warning", "critical"]);
      expect(annotations, alert).to.have.all.keys("summary", "description");
      const named = [...(annotations["description"] ?? "").matchAll(/`(redis\.[^`]+)`/g)].map(([, name]) => name ?? "");
      expect(
        named.filter((name) => !settings.has(name)),
        alert,
      ).to.deep.equal([]);
    }
  });

  it("alert expressions read only metrics that the deployed exporter version exposes, from the scrape job trivy-redis", () => {
    expect(text("test/monitoring/redis-exporter.metrics.txt")).to.contain(
      `redis_exporter ${parseImageReference(images.redisExporter)?.tag} `,
    );
    for (const { alert, expr } of rules) {
      const selectors = [...expr.matchAll(/\b([a-z_]+)(\{[^}]*\})/g)];
      expect(selectors, alert).not.to.have.length(0);
      for (const [, metric = "", labels] of selectors) {
        expect(labels, alert).to.equal('{job="trivy-redis"}');
        if (metric === "up") continue;
        const counted = expr.includes(`increase(${metric}{`);
        expect(exposed.get(metric), `${alert}: ${metric}`).to.equal(counted ? "counter" : "gauge");
      }
      // No metric is read without the job's selector.
      expect(expr.replaceAll(/\b[a-z_]+\{[^}]*\}/g, ""), alert).not.to.match(/redis_|\bup\b/);
    }
  });
});
