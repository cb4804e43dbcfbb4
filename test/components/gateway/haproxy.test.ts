import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { clientMetrics, gatewayPaths, type HaproxyOptions, haproxyCfg } from "../../../components/gateway/haproxy.cfg.ts";
import { certificate, serverCertificate } from "../../support/certificate.ts";
import { usual } from "../../support/haproxy.ts";

const variants: Record<string, Partial<HaproxyOptions>> = {
  "plain HTTP": {},
  "a rate limit": { rateLimit: 100 },
  "only TLS": { tls: true, plainHttp: false },
  "TLS and plain HTTP": { tls: true },
  "an external cache": { cache: { host: "192.0.2.1", port: 6380, tls: false, clientCertificate: false } },
  "a cache with mutual TLS": { cache: { ...usual.cache, tls: true, clientCertificate: true } },
  "a mirror of the Java database": { database: { host: "trivy-database.trivy.svc.cluster.local", port: 443, repository: "trivy-java-db" } },
  "little memory and many servers": { memory: 2 ** 27, servers: { ...usual.servers, slots: 256 } },
};

/** Skipped where HAProxy 3 is not installed. */
describe("haproxy.cfg in HAProxy", () => {
  const folder = mkdtempSync(join(tmpdir(), "haproxy-"));
  before(function () {
    const [, version] = /version (\d+)/.exec(spawnSync("haproxy", ["-v"], { encoding: "utf8" }).stdout ?? "") ?? [];
    if (!(Number(version) >= 3)) this.skip();
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, options] of Object.entries(variants))
    it(`HAProxy accepts its configuration with ${name}`, () => {
      const put = (path: string, text: string) => writeFileSync(join(folder, path), text);
      for (const path of Object.values(gatewayPaths)) mkdirSync(join(folder, path), { recursive: true });
      for (const path of [gatewayPaths.certificate, gatewayPaths.cacheCertificate]) {
        put(`${path}/tls.crt`, `${serverCertificate.leaf}\n${serverCertificate.intermediate}`);
        put(`${path}/tls.key`, serverCertificate.key);
      }
      put(`${gatewayPaths.clients}/clients.map`, `${"0f".repeat(32)} ci\n`);
      put(`${gatewayPaths.databaseAuthority}/ca.crt`, certificate);
      put(`${gatewayPaths.configuration}/client-metrics.txt`, clientMetrics(["ci", "web"]));
      put(
        `${gatewayPaths.configuration}/haproxy.cfg`,
        haproxyCfg({ ...usual, ...options }).replaceAll("/etc/trivy-gateway", `${folder}/etc/trivy-gateway`),
      );
      const { status, stderr } = spawnSync("haproxy", ["-c", "-f", `${folder}${gatewayPaths.configuration}/haproxy.cfg`], {
        encoding: "utf8",
        env: { ...process.env, SERVER_TOKEN: "token" },
      });
      expect(status, stderr).to.equal(0);
      expect(stderr).not.to.match(/WARNING|ALERT/);
    });
});
