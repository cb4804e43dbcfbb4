import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { alertGroups } from "../../components/monitoring/rules/alerts.ts";
import { recordingGroups } from "../../components/monitoring/rules/objective.ts";
import { allAlerts, scrapeJobs, stackRules } from "../../components/monitoring/rules/render.ts";
import { images } from "../../components/shared/images.ts";
import { exposedMetrics, recordedNames, types } from "../support/exposed-metrics.ts";
import { startGateway } from "../support/gateway-processes.ts";
import { promqlProblems, selectorsOf } from "../support/promql.ts";

const root = join(import.meta.dirname, "../..");
const text = (path: string) => readFileSync(join(root, path), "utf8");
const alerts = alertGroups.flatMap(({ rules }) => rules);
const expressions = [
  ...alerts.flatMap(({ alert, expr, absent }) => [[alert, expr] as const, ...(absent ? [[`${alert}, absent`, absent] as const] : [])]),
  ...recordingGroups.flatMap(({ rules }) => rules.map(({ record, expr }) => [record, expr] as const)),
];

describe("the alerting rules", () => {
  it("alerts have unique names, a severity, a summary, and a description that names only existing settings", () => {
    const settings = new Set([...text("docs/reference/settings.md").matchAll(/<a id="([^"]+)">/g)].map(([, name]) => name));
    expect(settings).to.include("redis.maxMemory");
    expect(new Set(alerts.map(({ alert }) => alert)).size)
      .to.equal(alerts.length)
      .and.above(25);
    for (const { alert, summary, description } of alerts) {
      expect(summary, alert).to.match(/^[A-Z].{10,}[^.]$/);
      const named = [...description.matchAll(/`((?:server|gateway|database|redis|registryScan|monitoring)\.[^` ]+)`/g)].map(
        ([, name = ""]) => name,
      );
      expect(
        named.filter((name) => !settings.has(name)),
        alert,
      ).to.deep.equal([]);
    }
  });

  it("each alert has an entry with its severity in the runbook, and the runbook has no other", () => {
    const entries = [...text("docs/guides/alerts.md").matchAll(/^### (\S+)\n\n`(\w+)`/gm)].map(([, ...entry]) => entry);
    expect(entries).to.have.deep.members(alerts.map(({ alert, severity }) => [alert, severity]));
    for (const { alert, annotations } of allAlerts().flatMap(({ rules }) => rules))
      expect(annotations?.["runbook"]).to.equal(`docs/guides/alerts.md#${alert?.toLowerCase()}`);
  });

  it("each alert is seen to fire, and at another time not to, in a unit test for promtool", () => {
    const folder = join(root, "test/monitoring/rules");
    const tests = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
    for (const { alert } of alerts) {
      const own = tests.filter((test) => test.includes(`alertname="${alert}"`) || test.includes(`alertname: ${alert}`));
      expect(own, alert).not.to.deep.equal([]);
      expect(own.join("\n"), alert).to.match(
        new RegExp(`ALERTS\\{alertname="${alert}", alertstate="firing"[^}]*\\}', value: 1|alertname: ${alert}\n +exp_alerts:`),
      );
      expect(own.join("\n"), alert).to.include("exp_samples: []");
    }
  });

  it("each expression is PromQL and has braces at each selector, so that it can be narrowed to a namespace", () => {
    for (const [name, expr] of expressions) {
      expect(promqlProblems(expr), name).to.deep.equal([]);
      expect(expr.match(/\{/g)?.length ?? 0, name).to.equal(selectorsOf(expr).length);
    }
  });

  it("each expression reads only metrics that their scrape jobs expose, and counters only by their increase", async () => {
    const exposed = await exposedMetrics();
    for (const [name, expr] of expressions)
      for (const { metric, matchers } of selectorsOf(expr)) {
        const [, job = ""] = /^job="(.+)"$/.exec(matchers.find((matcher) => matcher.startsWith("job=")) ?? "") ?? [];
        if (recordedNames.has(metric) || metric.startsWith("kubelet_volume_stats_")) continue;
        expect(Object.keys(scrapeJobs), name).to.include(job);
        if (metric === "up") continue;
        const counted = new RegExp(`(increase|rate)\\(${metric}\\{`).test(expr);
        expect(exposed.get(job)?.get(metric), `${name}: ${metric}`).to.equal(counted ? "counter" : "gauge");
      }
  });

  it("the metrics of Redis and HAProxy were recorded from the deployed versions", () => {
    expect(text("test/monitoring/recorded/trivy-redis.txt")).to.contain(`redis_exporter ${images.redisExporter.split(":").at(-1)} `);
    expect(text("test/monitoring/recorded/trivy-gateway.txt")).to.contain(`HAProxy ${images.haproxy.split(":").at(-1)}.`);
  });

  it("HAProxy exposes the recorded metrics, with the configuration of the balancer", async function () {
    const [deployed = ""] = /\d+\.\d+\.\d+$/.exec(images.haproxy) ?? [];
    if (!spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout?.includes(`version ${deployed}`)) this.skip();
    const server = createServer((_, response) => response.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const gateway = await startGateway({ clients: { ci: "t0ken" }, serverToken: "s", server: (server.address() as AddressInfo).port });
    try {
      const exposed = await (await fetch(`http://127.0.0.1:${gateway.ports.admin}/metrics`)).text();
      expect(types(text("test/monitoring/recorded/trivy-gateway.txt"))).to.deep.equal(types(exposed));
    } finally {
      gateway.stop();
      server.close().closeAllConnections();
    }
  });

  it("two stacks record and alert by themselves", () => {
    const rules = (namespace: string) =>
      JSON.stringify(stackRules({ namespace, discovery: "podMonitors", subjects: ["service", "gateway"], runbook: undefined }));
    expect(rules("a").replaceAll('namespace=\\"a\\"', 'namespace=\\"b\\"').replaceAll('"namespace":"a"', '"namespace":"b"')).to.equal(
      rules("b"),
    );
  });
});
