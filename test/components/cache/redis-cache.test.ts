import { createHash, X509Certificate } from "node:crypto";
import { expect } from "chai";
import type { EmbeddedRedisArgs } from "../../../components/args.ts";
import { RedisCache, type RedisCacheArgs } from "../../../components/cache/redis-cache.ts";
import { containerMemory } from "../../../components/cache/sizes.ts";
import { plain, record, settled } from "../../../recorder/record.ts";
import { plainSecrets } from "../../../recorder/secret-leaks.ts";
import { certificate, serverCertificate } from "../../support/certificate.ts";
import { type Deployed, deploy, type Manifest } from "../../support/service.ts";

/** How servers without a gateway wait for Redis. */
const waiting =
  "max_retries=20&min_retry_backoff=250ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=30s";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Returns the lines of the ACL file. */
const users = (deployed: Deployed): string[] => deployed.one("Secret", "trivy-redis-users").stringData["users.acl"].split("\n");

/** Records the cache on its own. */
async function cache(args: Partial<RedisCacheArgs>) {
  const recording = await record(
    () => new RedisCache("cache", { context: { namespace: "scanning", instance: "dev" }, allowedPods: [{ app: "a" }], ...args }),
  );
  return { ...recording, connection: recording.result.connection };
}

describe("the Redis cache", () => {
  it("the servers connect to Redis with its address, its user, and the password whose hash Redis knows", async () => {
    const deployed = await deploy();
    const secret = deployed.one("Secret", "trivy-redis-credentials");
    const { password } = secret.stringData;

    expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://trivy:$(REDIS_PASSWORD)@redis.trivy.svc:6379?${waiting}`);
    expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: secret.metadata.name, key: "password" } });
    expect(deployed.variable("TRIVY_CACHE_TTL")).to.equal("168h");
    expect(password).to.match(/^[A-Za-z0-9]{32}$/);

    // The password of the metrics exporter is not valid for the user who can write to the cache.
    const monitorPassword = plain(deployed.resource("trivy-redis-monitor-password").state["result"]) as string;
    expect(monitorPassword)
      .to.match(/^[A-Za-z0-9]{32}$/)
      .and.not.equal(password);

    const redis = deployed.one("StatefulSet");
    const known = deployed.one("Secret", "trivy-redis-users");
    expect(redis.spec.template.spec.volumes).to.deep.include({
      name: "acl",
      secret: { secretName: known.metadata.name, defaultMode: 0o440 },
    });
    expect(deployed.container("StatefulSet").volumeMounts).to.deep.include({ name: "acl", mountPath: "/etc/redis/acl", readOnly: true });
    expect(known.stringData).to.have.all.keys("users.acl");
    expect(users(deployed)).to.deep.equal([
      "user default off",
      `user trivy on #${sha256(password)} resetchannels ~fanal::* -@all +hello +auth +client|setinfo +select +ping +get +set +del`,
      `user monitor on #${sha256(monitorPassword)} #${sha256(password)} resetkeys resetchannels -@all +ping +info +slowlog|len +slowlog|get`,
      "user probe on nopass resetkeys resetchannels -@all +ping",
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

  it("the variable with Redis' password precedes the address that refers to it, because Kubernetes resolves references only backwards", async () => {
    const names = (await deploy()).container("Deployment").env.map(({ name }: { name: string }) => name);
    expect(names.indexOf("REDIS_PASSWORD")).to.be.lessThan(names.indexOf("TRIVY_CACHE_BACKEND"));
  });

  it("the password of Redis is generated from letters and digits, which need no escaping in a URL", async () => {
    const { type, inputs, parent } = (await deploy()).resource("trivy-redis-password");
    expect(type).to.equal("random:index/randomPassword:RandomPassword");
    expect(plain(inputs)).to.deep.equal({ length: 32, special: false });
    expect(parent).to.match(/RedisCache::trivy-redis$/);
  });

  it("the network policies allow connections from the servers to Redis, and no others", async () => {
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

  it("the embedded Redis keeps its data across restarts, in an append-only file on a volume claim", async () => {
    const deployed = await deploy();
    const configuration = deployed.one("ConfigMap").data["redis.conf"].split("\n");
    expect(configuration).to.include.members([
      "appendonly yes",
      'save ""',
      "dir /data",
      "maxmemory 536870912",
      "maxmemory-policy allkeys-lru",
      "maxmemory-samples 10",
    ]);
    const claim = deployed.one("PersistentVolumeClaim");
    expect(claim.spec).to.deep.equal({ accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "2Gi" } } });
    expect(deployed.one("StatefulSet").spec).not.to.have.property("volumeClaimTemplates");
    expect(deployed.one("StatefulSet").spec.template.spec.volumes).to.deep.include({
      name: "data",
      persistentVolumeClaim: { claimName: "redis" },
    });
  });

  it("the embedded Redis without persistence has no volume claim and writes no file", async () => {
    const deployed = await deploy({ redis: { persistence: { enabled: false } } });
    expect(deployed.all("PersistentVolumeClaim")).to.deep.equal([]);
    expect(deployed.one("ConfigMap").data["redis.conf"]).to.contain("appendonly no\n");
    expect(deployed.one("StatefulSet").spec.template.spec.volumes).to.deep.include({ name: "data", emptyDir: { sizeLimit: "16Mi" } });
  });

  it("Redis' container gets twice maxMemory with persistence, and a third more than maxMemory without", async () => {
    expect(containerMemory(2 ** 30, true)).to.deep.equal({ request: "2Gi", limit: "3104Mi" });
    expect(containerMemory(3 * 2 ** 28, false)).to.deep.equal({ request: "1Gi", limit: "1Gi" });
    const { resources } = (await deploy({ redis: { maxMemory: "1Gi", persistence: { size: "5Gi", storageClass: "fast" } } })).container(
      "StatefulSet",
    );
    expect(resources.requests.memory).to.equal("2Gi");
    expect(resources.limits.memory, "for pages that exist twice").to.equal("3104Mi");
  });

  it("the size and storage class of Redis' volume claim come from the arguments", async () => {
    const deployed = await deploy({ redis: { maxMemory: "1Gi", persistence: { size: "5Gi", storageClass: "fast" } } });
    expect(deployed.one("PersistentVolumeClaim").spec).to.deep.include({
      storageClassName: "fast",
      resources: { requests: { storage: "5Gi" } },
    });
  });

  it("Redis' probes check the answer to PING, because redis-cli exits with 0 for any answer", async () => {
    const { startupProbe, readinessProbe, livenessProbe } = (await deploy()).container("StatefulSet");
    for (const probe of [startupProbe, readinessProbe])
      expect(probe.exec.command[2]).to.match(/^case "\$\(.* ping 2>&1\)" in PONG\) ;; \*\) exit 1/);
    // A Redis that is loading its file is alive.
    expect(livenessProbe.exec.command[2]).to.contain("in PONG|LOADING*");
    expect(startupProbe.periodSeconds * startupProbe.failureThreshold).to.equal(600);
  });

  it("another password gives the Secret another name, which replaces the pods of Redis and of the servers", async () => {
    const [one, other] = [await deploy(), await deploy()];
    const reference = (deployed: typeof one) => deployed.variable("REDIS_PASSWORD").secretKeyRef.name;
    expect(reference(one)).not.to.equal(reference(other));
    expect(one.resource("trivy-redis-credentials").inputs["metadata"]).not.to.have.property("name");
  });

  describe("with a rotated password", () => {
    const passwords = async (redis: EmbeddedRedisArgs) => {
      const deployed = await deploy({ redis });
      const valuesOf = (prefix: RegExp) =>
        Object.fromEntries(
          deployed.resources
            .filter(({ type, name }) => type.endsWith(":RandomPassword") && prefix.test(name))
            .map(({ name, state }) => [name, plain(state["result"]) as string]),
        );
      const hashesOf = (user: string) =>
        users(deployed)
          .find((line) => line.startsWith(`user ${user} on `))
          ?.match(/#\S+/g);
      const values = valuesOf(/^trivy-redis-password/);
      const monitor = valuesOf(/^trivy-redis-monitor-password/);
      // The monitor's passwords are rotated with the servers'.
      expect(Object.keys(monitor)).to.deep.equal(Object.keys(values).map((name) => name.replace("-password", "-monitor-password")));
      expect(hashesOf("monitor")).to.have.members([...Object.values(monitor), ...Object.values(values)].map((text) => `#${sha256(text)}`));
      return { deployed, values, hashes: hashesOf("trivy") };
    };

    it("the first password's resource has no number in its name", async () => {
      const { values } = await passwords({ generation: 1 });
      expect(values).to.have.all.keys("trivy-redis-password");
    });

    it("after a rotation, Redis accepts the new password and the previous one, and the servers use the new one", async () => {
      const { deployed, values, hashes } = await passwords({ generation: 2 });
      const { "trivy-redis-password": first = "", "trivy-redis-password-2": second = "", ...others } = values;
      expect(others).to.deep.equal({});
      expect(first).not.to.equal(second);
      expect(hashes).to.deep.equal([`#${sha256(second)}`, `#${sha256(first)}`]);
      const secret = deployed.one("Secret", "trivy-redis-credentials");
      expect(secret.stringData).to.deep.equal({ password: second });
      expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: secret.metadata.name, key: "password" } });
    });

    it("only the current password and the one before it are valid", async () => {
      const { values, hashes } = await passwords({ generation: 4 });
      const { "trivy-redis-password-3": third = "", "trivy-redis-password-4": fourth = "", ...others } = values;
      expect(others).to.deep.equal({});
      expect(hashes).to.deep.equal([`#${sha256(fourth)}`, `#${sha256(third)}`]);
    });

    it("a retired password is no longer valid", async () => {
      const { values, hashes } = await passwords({ generation: 2, retire: 1 });
      expect(values).to.have.all.keys("trivy-redis-password-2");
      expect(hashes).to.deep.equal([`#${sha256(values["trivy-redis-password-2"] ?? "")}`]);
      expect((await passwords({ generation: 3, retire: 1 })).hashes).to.have.length(2);
    });

    it("retiring a password replaces no server: their Secret contains only the current password", async () => {
      const { deployed } = await passwords({ generation: 2 });
      expect(deployed.resource("trivy-redis-users").propertyDependencies["stringData"]).to.have.length(4);
      expect(deployed.resource("trivy-redis-credentials").propertyDependencies["stringData"]).to.have.length(1);
      expect(JSON.stringify(deployed.one("Deployment"))).not.to.contain(deployed.one("Secret", "trivy-redis-users").metadata.name);
    });

    it("the servers wait for Redis after a rotation only: in a new stack both start at the same time", async () => {
      for (const [generation, waits] of [
        [1, false],
        [2, true],
      ] as const) {
        const { deployed } = await passwords({ generation });
        const { dependsOn } = deployed.resource("trivy-server-deployment");
        expect(dependsOn.includes(deployed.resource("trivy-redis-stateful-set").urn), `generation ${generation}`).to.equal(waits);
      }
    });

    it("neither of two valid passwords is in plain text anywhere", async () => {
      const { deployed, values } = await passwords({ generation: 2 });
      const inputs = deployed.resources.map((resource) => ({ ...resource, state: {} }));
      expect(plainSecrets(inputs, Object.values(values))).to.deep.equal([]);
    });
  });

  describe("with TLS", () => {
    const encrypted = () => deploy({ redis: { tls: { enabled: true } } });

    it("Redis with TLS accepts only connections with TLS and a client certificate", async () => {
      const configuration = (await encrypted()).one("ConfigMap").data["redis.conf"].split("\n");
      expect(configuration).to.include.members([
        "port 0",
        "tls-port 6379",
        "tls-auth-clients yes",
        "tls-ca-cert-file /etc/redis/tls-server/ca.crt",
        "tls-cert-file /etc/redis/tls-server/tls.crt",
        "tls-key-file /etc/redis/tls-server/tls.key",
      ]);
      expect(configuration).not.to.include("port 6379");
      const plainly = (await deploy()).one("ConfigMap").data["redis.conf"];
      expect(plainly).to.contain("\nport 6379\n").and.not.contain("tls");
    });

    it("Redis has a certificate for the names of its Service, and the servers one from the same authority", async () => {
      const deployed = await encrypted();
      const [server, client] = ["server", "client"].map((side) => deployed.one("Secret", `trivy-redis-${side}-certificate`));
      for (const { stringData } of [server, client]) expect(stringData).to.have.all.keys("ca.crt", "tls.crt", "tls.key");
      expect(server.stringData["ca.crt"]).to.equal(client.stringData["ca.crt"]);
      const authority = new X509Certificate(server.stringData["ca.crt"]);
      const shown = [server, client].map(({ stringData }) => new X509Certificate(stringData["tls.crt"]));
      for (const certificate of shown) expect(certificate.verify(authority.publicKey) && certificate.checkIssued(authority)).to.equal(true);
      expect(shown.map(({ subjectAltName }) => subjectAltName)).to.deep.equal([
        "DNS:redis, DNS:redis.trivy.svc, DNS:redis.trivy.svc.cluster.local",
        undefined,
      ]);
      expect(deployed.resource("trivy-redis-authority-server-key").parent).to.match(/PrivateAuthority::trivy-redis-authority$/);
    });

    it("the servers get the client certificate, and Redis' pod both, because its probes are clients", async () => {
      const deployed = await encrypted();
      const [server, client] = ["server", "client"].map((side) => deployed.one("Secret", `trivy-redis-${side}-certificate`).metadata.name);
      const { volumes } = deployed.one("StatefulSet").spec.template.spec;
      const { volumeMounts, ...container } = deployed.container("StatefulSet");
      for (const [side, secretName] of [
        ["server", server],
        ["client", client],
      ]) {
        expect(volumes).to.deep.include({ name: `tls-${side}`, secret: { secretName, defaultMode: 0o440 } });
        expect(volumeMounts).to.deep.include({ name: `tls-${side}`, mountPath: `/etc/redis/tls-${side}`, readOnly: true });
      }
      const flags = "--tls --cacert /etc/redis/tls-client/ca.crt --cert /etc/redis/tls-client/tls.crt --key /etc/redis/tls-client/tls.key";
      for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"])
        expect(container[probe].exec.command[2]).to.contain(` ${flags} --user trivy `);

      expect(deployed.one("Deployment").spec.template.spec.volumes).to.deep.include({
        name: "redis-client",
        secret: { secretName: client, defaultMode: 0o440 },
      });
      const files = ["CA", "CERT", "KEY"].map((name) => deployed.variable(`TRIVY_REDIS_${name}`));
      expect(files).to.deep.equal(["ca.crt", "tls.crt", "tls.key"].map((file) => `/etc/trivy-server/redis-client/${file}`));
      expect(JSON.stringify(deployed.one("Deployment"))).not.to.contain(server);
    });

    it("private keys are not in plain text, the authority's key is not in the cluster, and the servers do not wait for Redis because of TLS", async () => {
      const deployed = await encrypted();
      const keys = deployed.resources
        .filter(({ type }) => type.endsWith(":PrivateKey"))
        .map(({ name, state }) => [name, plain(state["privateKeyPem"]) as string] as const);
      expect(keys.map(([name]) => name)).to.have.members([
        "trivy-redis-authority-key",
        "trivy-redis-authority-server-key",
        "trivy-redis-authority-client-key",
      ]);
      const lines = keys.map(([, key]) => key.split("\n")[1] ?? "");
      expect(plainSecrets(deployed.resources, lines)).to.deep.equal([]);
      const authority = Object.fromEntries(keys)["trivy-redis-authority-key"] ?? "";
      expect(JSON.stringify(deployed.all("Secret"))).not.to.contain(JSON.stringify(authority).slice(1, -1));
      expect(deployed.resource("trivy-server-deployment").dependsOn).not.to.include(deployed.resource("trivy-redis-stateful-set").urn);
    });
  });

  describe("on its own", () => {
    it("all allowed pods may connect to Redis", async () => {
      const { resources } = await cache({ allowedPods: [{ app: "a" }, { app: "b" }] });
      const policy = plain(resources.find(({ name }) => name === "cache-policy")?.inputs["spec"]) as Manifest;
      expect(policy.ingress[0].from).to.deep.equal([
        { podSelector: { matchLabels: { app: "a" } } },
        { podSelector: { matchLabels: { app: "b" } } },
      ]);
    });

    it("without allowed pods no pod may connect to Redis, although Kubernetes takes a rule without peers for one that allows everyone", async () => {
      const { resources } = await cache({ allowedPods: [] });
      expect(resources.find(({ name }) => name === "cache-policy")?.inputs["spec"]).to.deep.include({
        ingress: [],
        policyTypes: ["Ingress"],
      });
    });

    it("the connection has the address and the user for health checks", async () => {
      const embedded = (await cache({})).connection.health;
      expect(await settled(embedded)).to.deep.equal({ host: "redis.scanning.svc", port: 6379, user: "probe" });
      const external = (await cache({ redis: { mode: "external", host: "r.example.com", port: 6380, user: "me" } })).connection.health;
      expect(await settled(external)).to.deep.equal({ host: "r.example.com", port: 6380 });
    });

    it("servers wait for Redis for a shorter time when a gateway retries their requests", async () => {
      for (const redis of [{ mode: "embedded" }, { mode: "external", host: "r.example.com" }] as const) {
        const { connection } = await cache({ retried: true, redis });
        expect(await settled(connection.backend)).to.match(
          /\?max_retries=6&min_retry_backoff=200ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=10s$/,
        );
      }
    });
  });

  describe("in external mode", () => {
    const tls = { caCertificates: certificate, clientCertificate: serverCertificate.leaf, clientKey: serverCertificate.key };

    it("an external Redis needs no resource other than the Secret of its password, which is encoded for the URL", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "redis.example.com", user: "me@x", password: "a/b:c@d" } });
      expect(deployed.all("StatefulSet")).to.deep.equal([]);
      expect(deployed.all("PersistentVolumeClaim")).to.deep.equal([]);
      expect(deployed.all("Service").map(({ metadata }) => metadata.name)).to.deep.equal(["trivy"]);
      const secret = deployed.one("Secret", "trivy-redis-credentials");
      expect(secret.stringData).to.deep.equal({ password: "a%2Fb%3Ac%40d" });
      expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: secret.metadata.name, key: "password" } });
      expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://me%40x:$(REDIS_PASSWORD)@redis.example.com:6379/0?${waiting}`);
      expect(deployed.variable("TRIVY_REDIS_TLS")).to.equal(undefined);
    });

    it("the password of an external Redis can be in an existing Secret", async () => {
      const deployed = await deploy({
        redis: { mode: "external", host: "10.1.2.3", port: 6380, database: 2, existingSecret: { name: "cache", key: "auth" } },
      });
      expect(deployed.all("Secret").map(({ metadata }) => metadata.name)).to.not.include("cache");
      expect(deployed.variable("REDIS_PASSWORD")).to.deep.equal({ secretKeyRef: { name: "cache", key: "auth" } });
      expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://:$(REDIS_PASSWORD)@10.1.2.3:6380/2?${waiting}`);
      expect(deployed.one("NetworkPolicy", "trivy-server").spec.egress[0]).to.deep.equal({
        to: [{ ipBlock: { cidr: "10.1.2.3/32" } }],
        ports: [{ port: 6380, protocol: "TCP" }],
      });
    });

    it("an external Redis needs no login, and its IPv6 address is in brackets", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "fd00::1" } });
      expect(deployed.variable("TRIVY_CACHE_BACKEND")).to.equal(`redis://[fd00::1]:6379/0?${waiting}`);
      expect(deployed.variable("REDIS_PASSWORD")).to.equal(undefined);
    });

    it("TLS to an external Redis uses the system's certificate authorities, and those of a private CA in addition", async () => {
      const system = await deploy({ redis: { mode: "external", host: "r.example.com", tls: { enabled: true } } });
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

    it("mutual TLS to an external Redis uses all three files, because Trivy takes all three or none", async () => {
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

    it("CIDR blocks narrow the network policy for an external Redis", async () => {
      const deployed = await deploy({ redis: { mode: "external", host: "r.example.com", cidrs: ["10.9.0.0/16"] } });
      expect(deployed.one("NetworkPolicy", "trivy-server").spec.egress[0].to).to.deep.equal([{ ipBlock: { cidr: "10.9.0.0/16" } }]);
    });
  });
});
