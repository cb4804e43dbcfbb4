import type { BalancerOptions } from "../../components/gateway/balancer.cfg.ts";
import type { EdgeOptions } from "../../components/gateway/edge.cfg.ts";

/** Options of a balancer with default settings. */
export const usualBalancer: BalancerOptions = {
  servers: [{ host: "trivy-servers.trivy.svc.cluster.local", slots: 16 }],
  port: 4954,
  requests: 8,
  cache: { host: "redis.trivy.svc.cluster.local", port: 6379, user: "probe", tls: false, clientCertificate: false },
  memory: 2 ** 29,
};

/** Options of an edge with default settings. */
export const usualEdge: EdgeOptions = {
  tls: false,
  plainHttp: true,
  maxRequestBytes: 2 ** 26,
  connectionsPerAddress: 1000,
  memory: 2 ** 27,
};
