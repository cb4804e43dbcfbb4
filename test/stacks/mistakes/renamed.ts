import type { Mistakes } from "./mistake.ts";

/** Names and short forms that were removed. */
export const renamed: Mistakes = {
  inSchema: [
    ["the old name of access", { clients: { namespaces: ["ci"] } }, "clients", /is now called access; use that name/],
    [
      "the old place of clusterDomain",
      { gateway: { enabled: true, clusterDomain: "k8s.example.com" } },
      "gateway.clusterDomain",
      /is now called clusterDomain; use that name/,
    ],
    [
      "the old name of the exposure type gatewayApi",
      { access: { namespaces: ["ci"] }, exposure: { type: "gateway", host: "trivy.example.com", gateway: { name: "public" } } },
      "exposure.type",
      /is "gateway"; use one of none, loadBalancer, ingress, gatewayApi/,
    ],
    ["true in place of the gateway's block", { gateway: true }, "gateway", /is true; use the block \{ enabled: true \}/],
    [
      "true in place of a TLS block",
      { gateway: { enabled: true, tls: true } },
      "gateway.tls",
      /is true; use the block \{ enabled: true \}/,
    ],
    ["true in place of Redis' TLS block", { redis: { tls: true } }, "redis.tls", /is true; use the block \{ enabled: true \}/],
    [
      "false in place of the persistence block",
      { redis: { persistence: false } },
      "redis.persistence",
      /use the block \{ enabled: false \}/,
    ],
    ["false in place of the token's block", { server: { token: false } }, "server.token", /use the block \{ enabled: false \}/],
    ["false in place of the registry scan's block", { registryScan: false }, "registryScan", /use the block \{ enabled: false \}/],
  ],
  beyondSchema: [],
};
