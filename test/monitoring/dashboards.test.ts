import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "chai";
import { dashboards } from "../../components/monitoring/dashboards.ts";
import { exposedMetrics, recordedNames } from "../support/exposed-metrics.ts";
import { promqlProblems, selectorsOf } from "../support/promql.ts";

const root = join(import.meta.dirname, "../..");

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string }[];
  readonly panels?: readonly Panel[];
}
interface Content {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

const panelsOf = ({ panels }: { readonly panels?: readonly Panel[] }): Panel[] =>
  (panels ?? []).flatMap((panel) => [panel, ...panelsOf(panel)]);

/** Replaces Grafana's variables by values. */
const filledIn = (expr: string) => expr.replaceAll("$__rate_interval", "5m").replaceAll("$namespace", "trivy");

describe("the dashboards", () => {
  it("each JSON file is a dashboard that the stack deploys, and each has a uid of its own", () => {
    const files = globSync("monitoring/dashboards/*.json", { cwd: root }).map((file) => basename(file, ".json"));
    expect(dashboards.map(({ name }) => name)).to.have.members(files);
    expect(new Set(dashboards.map(({ content }) => (content as Content).uid)).size).to.equal(files.length);
    const mixin = readFileSync(join(root, "monitoring/mixin.libsonnet"), "utf8");
    for (const file of files) expect(mixin).to.include(`'${file}.json': import 'dashboards/${file}.json'`);
  });

  for (const { name, content } of dashboards) {
    const panels = panelsOf(content as Content).filter(({ type }) => type !== "row");
    const expressions = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, filledIn(expr)] as const));

    it(`each panel of ${name} has a query that Prometheus' grammar accepts`, () => {
      expect(panels).to.have.length.above(10);
      for (const { title, targets } of panels) expect(targets, title).not.to.be.oneOf([undefined, []]);
      for (const [title, expr] of expressions) expect(promqlProblems(expr), title).to.deep.equal([]);
    });

    it(`each query of ${name} reads only metrics that exist, of the chosen namespace`, async () => {
      const exposed = [...(await exposedMetrics()).values()];
      for (const [title, expr] of expressions) {
        const selectors = selectorsOf(expr);
        expect(selectors, title).not.to.deep.equal([]);
        for (const { metric, matchers } of selectors) {
          expect(matchers, `${title}: ${metric}`).to.include('namespace="trivy"');
          if (recordedNames.has(metric)) continue;
          const types = exposed.flatMap((metrics) => metrics.get(metric) ?? []);
          const counted = new RegExp(`(increase|rate)\\(${metric}\\{`).test(expr);
          expect(types, `${title}: ${metric}`).to.include(counted ? "counter" : "gauge");
        }
      }
    });

    it(`the namespaces to choose from in ${name} are those of a metric that exists`, async () => {
      const [, metric = ""] = /^label_values\((\w+), namespace\)$/.exec((content as Content).templating.list[1]?.query ?? "") ?? [];
      expect([...(await exposedMetrics()).values()].some((metrics) => metrics.has(metric))).to.equal(true);
    });
  }
});
