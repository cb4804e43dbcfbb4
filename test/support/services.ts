import type { ScanServiceArgs } from "../../components/scan-service.ts";
import { certificate, serverCertificate } from "./certificate.ts";

const { leaf, key } = serverCertificate;
const registryScan = {
  enabled: true,
  targets: [{ image: "registry.example.com/team/app:1.0" }],
  caCertificates: certificate,
  credentials: [{ registry: "registry.example.com", username: "u", password: "p" }],
  alerts: [{ name: "team", type: "slack", url: "https://hooks.example.com/path" }],
} as const;

/** Services that together have every child that a component can create. */
export const services: Readonly<Record<string, Partial<ScanServiceArgs>>> = {
  "an embedded Redis, a gateway and a load balancer": {
    server: { autoscaling: { maxReplicas: 4 }, caCertificates: certificate },
    database: {
      credentials: [{ registry: "registry.example.com", username: "u", password: "p" }],
      mirror: { enabled: true, pin: `sha256:${"0f".repeat(32)}`, java: { enabled: true }, monitors: ["monitoring"] },
    },
    redis: { tls: { enabled: true }, monitors: ["monitoring"], generation: 2 },
    gateway: { enabled: true, tls: { enabled: true }, clients: [{ name: "a", generation: 2 }, { name: "b" }] },
    domains: [{ name: "b", clients: ["b"], cacheDatabase: 1, autoscaling: { maxReplicas: 4 } }],
    exposure: { type: "loadBalancer" },
    registryScan,
    monitoring: { enabled: true, namespaces: ["monitoring"] },
    authorities: { generation: 2 },
  },
  "an external Redis, no gateway and an Ingress": {
    redis: {
      mode: "external",
      host: "redis.example.com",
      password: "p",
      tls: { enabled: true, caCertificates: certificate, clientCertificate: leaf, clientKey: key },
    },
    exposure: { type: "ingress", host: "trivy.example.com" },
    registryScan: { ...registryScan, existingSecret: "logins" },
    monitoring: { enabled: true, namespaces: ["monitoring"], discovery: "annotations" },
  },
  "a route of the Gateway API and a given certificate": {
    namespace: { name: "shared", create: false },
    server: { caCertificates: certificate },
    database: {
      mirror: {
        enabled: true,
        to: "registry.example.com/security/trivy-db:2",
        credentials: [{ registry: "registry.example.com", username: "u", password: "p" }],
      },
    },
    gateway: { enabled: true, tls: { enabled: true, certificate: leaf, key } },
    redis: { persistence: { enabled: false } },
    exposure: { type: "gatewayApi", host: "trivy.example.com", gateway: { name: "public" } },
  },
};
