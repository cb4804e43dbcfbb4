import { createHash } from "node:crypto";
import { expect } from "chai";
import { plain } from "../commands/recorder.ts";
import { containerMemory } from "../components/redis-cache.ts";
import { certificate } from "./support/certificate.ts";
import { deploy } from "./support/service.ts";

const patience =
  "max_retries=20&min_retry_backoff=250ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=30s";

describe("the Redis cache behind the servers", () => {
  it("is wired to the letter: address, user, and the password from the very Secret that Redis' own users come from", async () => {
    const deployed = await deploy();
    const secret = deployed.one("Secret", "trivy-redis-credentials");
    const { password } = secret.stringData;

    expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://trivy:$(REDIS_PASSWORD)@redis.trivy.svc:6379?${patience}`);
    expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: secret.metadata.name, key: "password" } });
    expect(deployed.variable("TRIVY_CACHE_TTL")).to.equal("168h");
    expect(password).to.match(/^[A-Za-z0-9]{32}$/);

    const redis = deployed.one("StatefulSet");
    expect(redis.spec.template.spec.volumes).to.deep.include({
      name: "acl",
      secret: { secretName: secret.metadata.name, items: [{ key: "users.acl", path: "users.acl" }], defaultMode: 0o440 },
    });
    const hash = createHash("sha256").update(password).digest("hex");
    expect(secret.stringData["users.acl"].split("\n")).to.deep.equal([
      "user default off",
      `user trivy on #${hash} resetchannels ~fanal::* -@all +hello +auth +client|setinfo +ping +get +set +del`,
      "",
    ]);
    expect(deployed.container("StatefulSet").env).to.deep.equal([
      { name: "REDISCLI_AUTH", valueFrom: { secretKeyRef: { name: secret.metadata.name, key: "password" } } },
    ]);

    const service = deployed.one("Service", "redis");
    expect(service.metadata.namespace).to.equal("trivy");
    expect(service.spec.ports).to.deep.equal([{ name: "redis", port: 6379, targetPort: "redis" }]);
    expect(redis.spec.template.metadata.labels).to.include(service.spec.selector);
  });

  it("names the password before the address that refers to it, because Kubernetes resolves references only backwards", async () => {
    const names = (await deploy()).container("Deployment").env.map(({ name }: { name: string }) => name);
    expect(names.indexOf("REDIS_PASSWORD")).to.be.lessThan(names.indexOf("TRIVY_CACHE_BACKEND"));
  });

  it("generates the password with letters and digits only, which a URL takes as they are", async () => {
    const { type, inputs, parent } = (await deploy()).resource("trivy-redis-password");
    expect(type).to.equal("random:index/randomPassword:RandomPassword");
    expect(plain(inputs)).to.deep.equal({ length: 32, special: false });
    expect(parent).to.match(/RedisCache::trivy-redis$/);
  });

  it("opens exactly the path from the servers to the cache", async () => {
    const deployed = await deploy();
    const servers = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "server" };
    const cache = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/component": "cache" };
    expect(deployed.one("NetworkPolicy", "redis").spec).to.deep.equal({
      podSelector: { matchLabels: cache },
      policyTypes: ["Ingress"],
      ingress: [{ from: [{ podSelector: { matchLabels: servers } }], ports: [{ port: 6379, protocol: "TCP" }] }],
    });
    const server = deployed.one("NetworkPolicy", "trivy-server").spec;
    expect(server.podSelector).to.deep.equal({ matchLabels: servers });
    expect(server.egress[0]).to.deep.equal({ to: [{ podSelector: { matchLabels: cache } }], ports: [{ port: 6379, protocol: "TCP" }] });
    expect(deployed.one("Deployment").spec.template.metadata.labels).to.include(servers);
    expect(deployed.one("StatefulSet").spec.template.metadata.labels).to.include(cache);
  });

  it("keeps the cache over a restart: append-only file on a claim that is the stack's own", async () => {
    const deployed = await deploy();
    const configuration = deployed.one("ConfigMap").data["redis.conf"].split("\n");
    expect(configuration).to.include.members([
      "appendonly yes",
      'save ""',
      "dir /data",
      "maxmemory 536870912",
      "maxmemory-policy allkeys-lru",
    ]);
    const claim = deployed.one("PersistentVolumeClaim");
    expect(claim.spec).to.deep.equal({ accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } } });
    expect(deployed.one("StatefulSet").spec).not.to.have.property("volumeClaimTemplates");
    expect(deployed.one("StatefulSet").spec.template.spec.volumes).to.deep.include({
      name: "data",
      persistentVolumeClaim: { claimName: "redis" },
    });
  });

  it("has no claim without persistence, and writes nothing", async () => {
    const deployed = await deploy({ redis: { persistence: false } });
    expect(deployed.all("PersistentVolumeClaim")).to.deep.equal([]);
    expect(deployed.one("ConfigMap").data["redis.conf"]).to.contain("appendonly no\n");
    expect(deployed.one("StatefulSet").spec.template.spec.volumes).to.deep.include({ name: "data", emptyDir: { sizeLimit: "16Mi" } });
  });

  it("gives the container the memory that maxMemory needs: twice where the file is rewritten, a third more where not", async () => {
    expect(containerMemory(2 ** 30, true)).to.equal("2Gi");
    expect(containerMemory(3 * 2 ** 28, false)).to.equal("1Gi");
    const { resources } = (await deploy({ redis: { maxMemory: "1Gi", persistence: { size: "5Gi", storageClass: "fast" } } })).container(
      "StatefulSet",
    );
    expect(resources.requests.memory).to.equal("2Gi");
    expect(resources.limits.memory).to.equal("2Gi");
  });

  it("takes the claim's size and class from the settings", async () => {
    const deployed = await deploy({ redis: { maxMemory: "1Gi", persistence: { size: "5120Mi", storageClass: "fast" } } });
    expect(deployed.one("PersistentVolumeClaim").spec).to.deep.include({
      storageClassName: "fast",
      resources: { requests: { storage: "5Gi" } },
    });
  });

  it("asks for an answer in its probes, because redis-cli ends well whatever it is told", async () => {
    const { startupProbe, readinessProbe, livenessProbe } = (await deploy()).container("StatefulSet");
    for (const probe of [startupProbe, readinessProbe])
      expect(probe.exec.command[2]).to.match(/^case "\$\(.* ping 2>&1\)" in PONG\) ;; \*\) exit 1/);
    // A Redis that loads its file is alive.
    expect(livenessProbe.exec.command[2]).to.contain("in PONG|LOADING*");
    expect(startupProbe.periodSeconds * startupProbe.failureThreshold).to.equal(600);
  });

  it("rolls Redis and the servers when the password changes", async () => {
    const [one, other] = [await deploy(), await deploy()];
    const reference = (deployed: typeof one) => deployed.variable("REDIS_PASSWORD").secretKeyRef.name;
    expect(reference(one)).not.to.equal(reference(other));
    expect(one.resource("trivy-redis-credentials").inputs["metadata"]).not.to.have.property("name");
  });

  describe("in external mode", () => {
    const tls = { caCertificates: certificate, clientCertificate: certificate, clientKey: "-----BEGIN PRIVATE KEY-----\nMII" };

    it("creates nothing but the Secret of a given password, encoded for the URL", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "redis.example.com", user: "me@x", password: "a/b:c@d" } });
      expect(deployed.all("StatefulSet")).to.deep.equal([]);
      expect(deployed.all("PersistentVolumeClaim")).to.deep.equal([]);
      expect(deployed.all("Service").map(({ metadata }) => metadata.name)).to.deep.equal(["trivy"]);
      const secret = deployed.one("Secret", "trivy-redis-credentials");
      expect(secret.stringData).to.deep.equal({ password: "a%2Fb%3Ac%40d" });
      expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: secret.metadata.name, key: "password" } });
      expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://me%40x:$(REDIS_PASSWORD)@redis.example.com:6379/0?${patience}`);
      expect(deployed.variable("TRIVY_REDIS_TLS")).to.equal(undefined);
    });

    it("takes the password from a Secret that exists", async () => {
      const deployed = await deploy({
        redis: { mode: "external", host: "10.1.2.3", port: 6380, database: 2, existingSecret: { name: "cache", key: "auth" } },
      });
      expect(deployed.all("Secret").map(({ metadata }) => metadata.name)).to.not.include("cache");
      expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: "cache", key: "auth" } });
      expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://:$(REDIS_PASSWORD)@10.1.2.3:6380/2?${patience}`);
      expect(deployed.one("NetworkPolicy", "trivy-server").spec.egress[0]).to.deep.equal({
        to: [{ ipBlock: { cidr: "10.1.2.3/32" } }],
        ports: [{ port: 6380, protocol: "TCP" }],
      });
    });

    it("needs no login, and writes an IPv6 address in brackets", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "fd00::1" } });
      expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://[fd00::1]:6379/0?${patience}`);
      expect(deployed.variable("REDIS_PASSWORD")).to.equal(undefined);
    });

    it("speaks TLS with the system's authorities, or a private CA's beside them", async () => {
      const system = await deploy({ redis: { mode: "external", host: "r.example.com", tls: true } });
      expect(system.variable("TRIVY_REDIS_TLS")).to.equal("true");
      expect(system.variable("SSL_CERT_DIR")).to.equal(undefined);
      const own = await deploy({
        redis: { mode: "external", host: "r.example.com", tls: { enabled: true, caCertificates: tls.caCertificates } },
      });
      expect(own.variable("TRIVY_REDIS_TLS")).to.equal("true");
      expect(own.variable("TRIVY_REDIS_CA")).to.equal(undefined);
      expect(own.variable("SSL_CERT_DIR")).to.equal("/etc/ssl/certs:/etc/trivy-server/certificate-authorities");
      expect(own.one("ConfigMap", "trivy-server-certificate-authorities").data).to.deep.equal({ "redis.pem": tls.caCertificates });
    });

    it("speaks mutual TLS with all three files, which Trivy takes together or not at all", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "r.example.com", tls: { enabled: true, ...tls } } });
      const secret = deployed.one("Secret", "trivy-redis-client-certificate");
      expect(secret.stringData).to.deep.equal({ "ca.crt": tls.caCertificates, "tls.crt": tls.clientCertificate, "tls.key": tls.clientKey });
      const files = ["CA", "CERT", "KEY"].map((name) => deployed.variable(`TRIVY_REDIS_${name}`));
      expect(files).to.deep.equal(["ca.crt", "tls.crt", "tls.key"].map((file) => `/etc/trivy-server/redis-client/${file}`));
      expect(deployed.variable("TRIVY_REDIS_TLS")).to.equal(undefined);
      expect(deployed.one("Deployment").spec.template.spec.volumes).to.deep.include({
        name: "redis-client",
        secret: { secretName: secret.metadata.name, defaultMode: 0o440 },
      });
    });

    it("narrows the way to it to the addresses that the settings name", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "r.example.com", cidrs: ["10.9.0.0/16"] } });
      expect(deployed.one("NetworkPolicy", "trivy-server").spec.egress[0].to).to.deep.equal([{ ipBlock: { cidr: "10.9.0.0/16" } }]);
    });
  });
});
