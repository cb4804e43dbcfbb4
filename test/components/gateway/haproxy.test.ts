import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { balancerCfg, clientMetrics } from "../../../components/gateway/balancer.cfg.ts";
import { edgeCfg } from "../../../components/gateway/edge.cfg.ts";
import { gatewayPaths } from "../../../components/gateway/haproxy.ts";
import { certificate, serverCertificate } from "../../support/certificate.ts";
import { usualBalancer, usualEdge } from "../../support/haproxy.ts";

const { cache, servers } = usualBalancer;
const variants: Record<string, string> = {
  "for the balancer": balancerCfg(usualBalancer),
  "for a rate limit": balancerCfg({ ...usualBalancer, rateLimit: 100 }),
  "for an external cache": balancerCfg({
    ...usualBalancer,
    cache: { host: "192.0.2.1", port: 6380, tls: false, clientCertificate: false },
  }),
  "for a cache with mutual TLS": balancerCfg({ ...usualBalancer, cache: { ...cache, tls: true, clientCertificate: true } }),
  "for little memory and many servers": balancerCfg({ ...usualBalancer, memory: 2 ** 27, servers: { ...servers, slots: 256 } }),
  "for the edge with plain HTTP": edgeCfg(usualEdge),
  "for the edge with TLS only": edgeCfg({ ...usualEdge, tls: true, plainHttp: false }),
  "for the edge with a mirror of the Java database": edgeCfg({
    ...usualEdge,
    database: { host: "trivy-database.trivy.svc.cluster.local", port: 443, repository: "trivy-java-db" },
  }),
  "for the edge with TLS and plain HTTP": edgeCfg({ ...usualEdge, tls: true }),
};

/** Skipped where HAProxy 3 is not installed. */
describe("haproxy.cfg in HAProxy", () => {
  const folder = mkdtempSync(join(tmpdir(), "haproxy-"));
  before(function () {
    const [, version] = /version (\d+)/.exec(spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout ?? "") ?? [];
    if (!(Number(version) >= 3)) this.skip();
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, configuration] of Object.entries(variants))
    it(`HAProxy accepts the configuration ${name}`, () => {
      const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
      for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
      for (const path of [gatewayPaths.certificate, gatewayPaths.cacheCertificate]) {
        put(`${path}/tls.crt`, `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
        put(`${path}/tls.key`, serverCertificate.key);
      }
      put(`${gatewayPaths.clients}/clients.map`, `${"0f".repeat(32)} ci\n`);
      put(`${gatewayPaths.databaseAuthority}/ca.crt`, certificate);
      put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(["ci", "web"]));
      put(`${gatewayPaths.configuration}/haproxy.cfg`, configuration.replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`));
      const { status, stderr } = spawnSync("haproxy", ["-c", "-f", `${folder}${gatewayPaths.configuration}/haproxy.cfg`], {
        encoding: "utf8",
        env: { ...process.env, SERVER_TOKEN: "token", ADDRESS: "::" },
      });
      expect(status, stderr).to.equal(0);
      expect(stderr).not.to.match(/WARNING|ALERT/);
    });
});
