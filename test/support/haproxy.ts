import type { HaproxyOptions } from "../../components/gateway/haproxy.cfg.ts";

/** Options of a gateway with default settings. */
export const usual: HaproxyOptions = {
  servers: { host: "trivy-servers.trivy.svc.cluster.local", port: 4954, slots: 16, requests: 8 },
  cache: { host: "redis.trivy.svc.cluster.local", port: 6379, user: "probe", tls: false, clientCertificate: false },
  memory: 2 ** 29,
  maxRequestBytes: 2 ** 26,
  tls: false,
  plainHttp: true,
};
