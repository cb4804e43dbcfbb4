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
      { access, exposure: { type: "loadBalancer", host: "trivy.example.com" } },
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
