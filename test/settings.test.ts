import { expect } from "chai";
import { record, settled } from "../commands/recorder.ts";
import { imageReference, images } from "../components/images.ts";
import { checkSettings, type Problem, readSettings, SettingsError } from "../stacks/settings.ts";
import { certificate } from "./support/certificate.ts";

/** What the settings are refused for. */
function problems(settings: Record<string, unknown>, isSecret?: (key: string) => boolean): readonly Problem[] {
  try {
    checkSettings(settings, isSecret);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

/** One mistake: the settings, where it is found, and words of what would be right. */
const mistakes: [what: string, settings: Record<string, unknown>, path: string, right: RegExp][] = [
  ["an unknown block", { serevr: {} }, "serevr", /did you mean server\?/],
  ["an unknown key", { server: { replcas: 3 } }, "server.replcas", /did you mean replicas\?/],
  [
    "an unknown key deep down",
    { server: { resources: { limits: { memroy: "1Gi" } } } },
    "server.resources.limits.memroy",
    /did you mean memory\?/,
  ],
  ["an unknown key in a list", { scheduling: { tolerations: [{ kee: "a" }] } }, "scheduling.tolerations[0].kee", /did you mean key\?/],
  ["a pull secret twice", { images: { pullSecrets: ["a", "b", "a"] } }, "images.pullSecrets[2]", /is a a second time/],
  ["a toleration of a nameless taint", { scheduling: { tolerations: [{ value: "a" }] } }, "scheduling.tolerations[0].key", /is missing/],
  [
    "a value that nothing is compared with",
    { scheduling: { tolerations: [{ key: "a", operator: "Exists", value: "b" }] } },
    "scheduling.tolerations[0].value",
    /no meaning with operator: Exists/,
  ],
  ["a key like no other", { namespace: { zzzzzz: 1 } }, "namespace.zzzzzz", /there are name, create/],
  ["a text for a block", { server: "large" }, "server", /is "large"; write a block of settings/],
  ["a text for a number", { server: { replicas: "three" } }, "server.replicas", /is "three"; write a whole number from 1 to 100/],
  ["no replica", { server: { replicas: 0 } }, "server.replicas", /is 0; write a whole number from 1/],
  ["fewer than no replica", { server: { replicas: -1 } }, "server.replicas", /write a whole number from 1/],
  ["a part of a replica", { server: { replicas: 1.5 } }, "server.replicas", /write a whole number/],
  [
    "min above max",
    { server: { autoscaling: { minReplicas: 5, maxReplicas: 2 } } },
    "server.autoscaling.minReplicas",
    /above maxReplicas \(2\)/,
  ],
  [
    "autoscaling without a bound",
    { server: { autoscaling: { minReplicas: 5 } } },
    "server.autoscaling.maxReplicas",
    /is missing; write a whole number/,
  ],
  ["replicas beside autoscaling", { server: { replicas: 3, autoscaling: { maxReplicas: 5 } } }, "server.replicas", /remove one of the two/],
  ["megabytes for memory", { redis: { maxMemory: "512MB" } }, "redis.maxMemory", /write 512Mi/],
  ["memory that is none", { redis: { maxMemory: "much" } }, "redis.maxMemory", /write a Kubernetes quantity such as 512Mi/],
  ["memory without a unit", { redis: { maxMemory: "512" } }, "redis.maxMemory", /write a unit/],
  ["cores that are none", { redis: { cpu: "fast" } }, "redis.cpu", /write cores, such as 200m/],
  [
    "a request above the limit",
    { server: { resources: { requests: { memory: "4Gi" } } } },
    "server.resources.requests.memory",
    /above the limit of 2Gi/,
  ],
  [
    "more cores than the limit",
    { server: { resources: { requests: { cpu: 2 }, limits: { cpu: "1500m" } } } },
    "server.resources.requests.cpu",
    /above the limit of 1500m/,
  ],
  ["days", { redis: { ttl: "7d" } }, "redis.ttl", /write 168h/],
  ["a TTL that is no duration", { redis: { ttl: "a week" } }, "redis.ttl", /write a duration such as 168h/],
  ["a TTL of nothing", { redis: { ttl: "0h" } }, "redis.ttl", /above zero/],
  ["a host beside the embedded Redis", { redis: { host: "redis.example.com" } }, "redis.host", /set redis\.mode: external/],
  [
    "memory for an external Redis",
    { redis: { mode: "external", host: "r", maxMemory: "1Gi" } },
    "redis.maxMemory",
    /no meaning for an external Redis/,
  ],
  ["an external Redis nowhere", { redis: { mode: "external" } }, "redis.host", /is missing/],
  ["rediss://", { redis: { mode: "external", host: "rediss://r.example.com" } }, "redis.host", /set redis\.tls\.enabled: true/],
  ["several Redis hosts", { redis: { mode: "external", host: "r1,r2" } }, "redis.host", /neither Redis Cluster nor/],
  ["a Sentinel", { redis: { mode: "external", host: "redis-sentinel://s:26379" } }, "redis.host", /cannot ask a Sentinel/],
  [
    "TLS material without TLS",
    { redis: { mode: "external", host: "r", tls: { caCertificates: certificate } } },
    "redis.tls.caCertificates",
    /set redis\.tls\.enabled: true/,
  ],
  [
    "half of mutual TLS",
    { redis: { mode: "external", host: "r", tls: { enabled: true, caCertificates: certificate, clientCertificate: certificate } } },
    "redis.tls.clientKey",
    /all three/,
  ],
  [
    "a certificate that is none",
    { server: { caCertificates: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" } },
    "server.caCertificates",
    /certificate 1 of 1 cannot be read/,
  ],
  ["too small a volume", { redis: { maxMemory: "1Gi", persistence: { size: "1Gi" } } }, "redis.persistence.size", /write 4Gi/],
  [
    "a volume for a cache that keeps nothing",
    { redis: { persistence: { enabled: false, size: "8Gi" } } },
    "redis.persistence.size",
    /no meaning/,
  ],
  ["latest", { images: { trivy: "ghcr.io/aquasecurity/trivy:latest" } }, "images.trivy", /exact tag instead of latest/],
  ["no version", { images: { redis: "docker.io/library/redis" } }, "images.redis", /names no version/],
  [
    "a release with malware",
    { images: { trivy: "docker.io/aquasec/trivy:0.69.4" } },
    "images.trivy",
    /malware.*GHSA-69fq-xp46-6x23.*write \d/,
  ],
  ["another one, by digest too", { images: { trivy: `aquasec/trivy:v0.69.6@sha256:${"a".repeat(64)}` } }, "images.trivy", /malware/],
  ["an image that is none", { images: { redis: "Redis 8" } }, "images.redis", /is no image's name/],
  ["a registry with a scheme", { images: { registry: "https://mirror.example.com" } }, "images.registry", /no scheme/],
  ["an invalid namespace", { namespace: { name: "Trivy_1" } }, "namespace.name", /small letters/],
  ["Kubernetes' own namespace", { namespace: { name: "kube-system" } }, "namespace.name", /Kubernetes' own/],
  [
    "an invalid DNS name",
    { clients: { namespaces: ["ci"] }, exposure: { type: "ingress", host: "https://x/" } },
    "exposure.host",
    /write a DNS name/,
  ],
  ["an Ingress without a host", { clients: { namespaces: ["ci"] }, exposure: { type: "ingress" } }, "exposure.host", /is missing/],
  ["a host for nobody", { exposure: { host: "trivy.example.com" } }, "exposure.host", /no meaning with exposure\.type: none/],
  ["exposure to nobody", { exposure: { type: "ingress", host: "trivy.example.com" } }, "clients", /lets nobody in/],
  [
    "exposure without a token",
    { server: { token: false }, clients: { cidrs: ["10.0.0.0/8"] }, exposure: { type: "loadBalancer" } },
    "server.token.enabled",
    /enable the token/,
  ],
  ["addresses that are none", { clients: { cidrs: ["10.0.0.0"] } }, "clients.cidrs[0]", /such as 10\.20\.0\.0\/16/],
  ["an address inside of its block", { clients: { cidrs: ["10.1.2.3/8"] } }, "clients.cidrs[0]", /write that/],
  ["a repository with a scheme", { database: { repositories: ["oci://ghcr.io/a/b"] } }, "database.repositories[0]", /leave the scheme out/],
  ["no repository", { database: { repositories: [] } }, "database.repositories", /at least one/],
  [
    "one registry twice",
    { database: { credentials: [1, 2].map(() => ({ registry: "ghcr.io", username: "u", password: "p" })) } },
    "database.credentials[1].registry",
    /a second time/,
  ],
  ["a variable that a setting decides", { server: { env: { TRIVY_TOKEN: "x" } } }, "server.env.TRIVY_TOKEN", /decided by server\.token/],
  ["a variable that is none", { server: { env: { "a-b": "x" } } }, "server.env.a-b", /letters, digits and underscores/],
  ["a number for a text", { server: { env: { A: 1 } } }, "server.env.A", /in quotes/],
  [
    "a token that nobody asks for",
    { server: { token: { enabled: false, existingSecret: { name: "a" } } } },
    "server.token.existingSecret",
    /enable the token/,
  ],
  [
    "two tokens",
    { server: { token: { value: "0123456789abcdef", existingSecret: { name: "a" } } } },
    "server.token.existingSecret",
    /one of the two/,
  ],
  ["a label that is none", { labels: { team: "a b" } }, "labels.team", /at most 63 letters/],
];

describe("the settings", () => {
  it("have a default for everything", async () => {
    const settings = checkSettings({});
    expect(settings.server.replicas).to.equal(2);
    expect(settings.redis.ttl).to.equal("168h");
    expect(settings.server.token.enabled).to.equal(true);
    expect(imageReference("trivy", settings.images)).to.equal(images.trivy);
  });

  for (const [what, settings, path, right] of mistakes)
    it(`refuse ${what}`, () => {
      const found = problems(settings);
      expect(found.map((problem) => problem.path)).to.deep.equal([path]);
      expect(found[0]?.message).to.match(right);
    });

  it("name all mistakes at once, those between settings as well", () => {
    const found = problems({
      server: { replicas: 0, replcas: 1, autoscaling: { minReplicas: 9, maxReplicas: 3 } },
      redis: { maxMemory: "1GB", host: "r", tls: true },
      bogus: true,
      database: { repositories: ["x"] },
    });
    expect(found.map(({ path }) => path)).to.have.members([
      "server.replicas",
      "server.replcas",
      "server.autoscaling.minReplicas",
      "redis.maxMemory",
      "redis.host",
      "redis.tls",
      "bogus",
      "database.repositories[0]",
    ]);
  });

  it("repeat no password, wherever somebody wrote it", () => {
    const secret = "pass-of-mine";
    const found = [
      ...problems({ proxy: { http: `http://me:${secret}@proxy.example.com:3128` } }),
      ...problems({ redis: { mode: "external", host: `redis://me:${secret}@r.example.com` } }),
      ...problems({ database: { repositories: [`https://me:${secret}@ghcr.io/a/b`] } }),
      ...problems({ server: { token: { value: `${secret} ` } } }),
      ...problems({ redis: { mode: "external", host: "r", tls: { enabled: true, clientKey: secret } } }),
    ];
    expect(found.map(({ path }) => path)).to.include.members([
      "proxy.http",
      "redis.host",
      "database.repositories[0]",
      "server.token.value",
      "redis.tls.clientKey",
    ]);
    expect(new SettingsError(found).message).not.to.contain(secret);
  });

  it("take a secret only encrypted", () => {
    const settings = {
      server: { token: { value: "0123456789abcdef" } },
      redis: { mode: "external", host: "r", password: "p" },
      database: { credentials: [{ registry: "ghcr.io", username: "u", password: "p" }] },
    };
    const found = problems(settings, (key) => key === "redis");
    expect(found.map(({ path }) => path)).to.deep.equal(["server.token.value", "database.credentials[0].password"]);
    expect(found[0]?.message).to.contain("pulumi config set --path --secret 'trivy-server:server.token.value'");
    expect(problems(settings)).to.deep.equal([]);
  });

  it("understand `persistence: false` and its like, and numbers for cores", () => {
    const settings = checkSettings({ redis: { persistence: false, cpu: 0.5 }, server: { token: false } });
    expect(settings.redis.persistence.enabled).to.equal(false);
    expect(settings.server.token.enabled).to.equal(false);
    expect(settings.redis.cpu).to.equal("500m");
  });

  it("spell quantities as the cluster does, so that nothing differs that is the same", () => {
    const settings = checkSettings({ redis: { maxMemory: "1024Mi", cpu: "1000m" }, server: { databaseVolume: "2048Mi" } });
    expect(settings.redis.maxMemory).to.equal("1Gi");
    expect(settings.redis.cpu).to.equal("1");
    expect(settings.server.databaseVolume).to.equal("2Gi");
  });

  it("accept what a registry of one's own, or a digest, looks like", () => {
    const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
    expect(
      problems({
        images: { trivy: `registry.example.com:5000/team/trivy:0.74.0@${digest}`, redis: `valkey@${digest}`, registry: "localhost:5000/x" },
      }),
    ).to.deep.equal([]);
    expect(problems({ database: { repositories: ["10.0.0.1:5000/trivy-db:2", "registry.example.com/trivy-db"] } })).to.deep.equal([]);
  });

  it("are read from the stack's configuration, and shown wrong before anything is registered", async () => {
    const config = { server: { replicas: 3 }, redis: { mode: "external", host: "r.example.com", password: "secret-password" } };
    const { result, resources } = await record(() => readSettings(), { stack: "test", config, secretKeys: ["redis"] });
    expect(resources).to.deep.equal([]);
    expect(result.instance).to.equal("test");
    expect(result.server?.replicas).to.equal(3);
    expect(await settled((result.redis as { password: unknown }).password)).to.not.equal("secret-password");

    const broken = record(() => import("../index.ts?broken" as string), { config: { server: { replicas: 0 }, nothing: 1 } });
    const error = await broken.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(SettingsError);
    expect((error as SettingsError).message.split("\n")).to.deep.equal([
      "2 settings of this stack cannot be used:",
      "  trivy-server:server.replicas is 0; write a whole number from 1 to 100",
      "  trivy-server:nothing is no setting; there are namespace, images, server, database, proxy, redis, clients, exposure, scheduling, labels, podAnnotations",
    ]);
  });
});
