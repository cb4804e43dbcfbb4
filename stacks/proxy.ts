import * as v from "./kinds/index.ts";

export const proxy = v
  .block("ProxyArgs", {
    http: v.proxyUrl().optional().describe("URL of the proxy for HTTP."),
    https: v.proxyUrl().optional().describe("URL of the proxy for HTTPS."),
    noProxy: v
      .listOf(v.noProxyEntry())
      .default([])
      .describe("Hosts, domains and CIDR blocks that are reached directly, in addition to the cluster's own."),
  })
  .describe("HTTP proxies for connections that leave the cluster.")
  .prefault({});
