import type { Mistakes } from "./mistake.ts";

const access = { namespaces: ["ci"] };

export const exposure: Mistakes = {
  inSchema: [
    ["an invalid DNS name", { access, exposure: { type: "ingress", host: "https://x/" } }, "exposure.host", /use a DNS name/],
    ["an Ingress without a host", { access, exposure: { type: "ingress" } }, "exposure.host", /is missing/],
    [
      "a host without exposure",
      { exposure: { host: "trivy.example.com" } },
      "exposure.host",
      /has no effect because exposure\.type is none; remove it or set exposure\.type: ingress or gatewayApi/,
    ],
    [
      "a host of a load balancer",
      { access: { cidrs: ["10.0.0.0/8"] }, exposure: { type: "loadBalancer", host: "trivy.example.com" } },
      "exposure.host",
      /has no effect because exposure\.type is loadBalancer/,
    ],
    [
      "a slash in the class of an Ingress",
      { access, exposure: { type: "ingress", host: "trivy.example.com", class: "example.com/nginx" } },
      "exposure.class",
      /is "example\.com\/nginx"; use a DNS name/,
    ],
    [
      "a route without its Gateway",
      { access, exposure: { type: "gatewayApi", host: "trivy.example.com" } },
      "exposure.gateway",
      /is missing; use a block of settings/,
    ],
  ],
  beyondSchema: [
    [
      "a load balancer that lets nobody through",
      { access, exposure: { type: "loadBalancer" } },
      "access.cidrs",
      /no client outside the cluster could connect/,
    ],
    [
      "plain HTTP for public addresses",
      { server: { token: { enabled: true } }, access: { cidrs: ["10.0.0.0/8", "203.0.113.0/24"] }, exposure: { type: "loadBalancer" } },
      "access.cidrs[1]",
      /is 203\.0\.113\.0\/24, which has public addresses, .* use private addresses or gateway\.tls\.enabled: true .* or set exposure\.plainHttp: true/,
    ],
    [
      "plain HTTP for every address, next to HTTPS",
      {
        gateway: { enabled: true, tls: { enabled: true, plainHttp: true } },
        access: { cidrs: ["0.0.0.0/0"] },
        exposure: { type: "loadBalancer" },
      },
      "access.cidrs[0]",
      /is 0\.0\.0\.0\/0, which has public addresses/,
    ],
    [
      "exposure without access",
      { exposure: { type: "ingress", host: "trivy.example.com" } },
      "access",
      /allows no client, so exposure\.type: ingress has no effect; add .* to access\.namespaces/,
    ],
    [
      "exposure without a token",
      { server: { token: { enabled: false } }, access: { cidrs: ["10.0.0.0/8"] }, exposure: { type: "loadBalancer" } },
      "server.token.enabled",
      /any client could write to the cache; use true/,
    ],
    [
      "plain HTTP from a controller to a gateway that only speaks TLS",
      {
        gateway: { enabled: true, tls: { enabled: true } },
        access: { namespaces: ["ingress"] },
        exposure: { type: "ingress", host: "trivy.example.com" },
      },
      "gateway.tls.plainHttp",
      /connects to the service over plain HTTP; use true/,
    ],
  ],
};
