import type { z } from "zod";
import * as v from "./kinds/index.ts";
import type { RuleProblem } from "./rule.ts";

export const proxy = v
  .block("ProxyArgs", {
    http: v.proxyUrl().optional().describe("URL of the proxy for HTTP."),
    https: v.proxyUrl().optional().describe("URL of the proxy for HTTPS."),
    noProxy: v
      .uniqueListOf(v.noProxyEntry())
      .default([])
      .describe(
        "Hosts, domains with their subdomains, and CIDR blocks that are reached directly, each with a port if need be, in addition to the cluster's own.",
      ),
  })
  .describe("HTTP proxies for connections that leave the cluster.")
  .prefault({});

export function* proxyRules({ http, https, noProxy }: z.output<typeof proxy>): Generator<RuleProblem> {
  if (noProxy.length > 0 && http === undefined && https === undefined)
    yield {
      path: "proxy.noProxy",
      message: "has no effect without a proxy; set proxy.https or proxy.http, or remove it",
      concerns: ["proxy.http", "proxy.https"],
    };
}
