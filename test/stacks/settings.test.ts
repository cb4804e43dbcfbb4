import { expect } from "chai";
import { placeholder } from "../../commands/program.ts";
import { imageReference, images } from "../../components/shared/images.ts";
import { record, settled } from "../../recorder/record.ts";
import { type Problem, warnings } from "../../stacks/rules.ts";
import { checkSettings, readSettings, SettingsError, serviceArgs } from "../../stacks/settings.ts";
import { certificate, serverCertificate } from "../support/certificate.ts";

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

const { leaf, intermediate, authority, key, otherKey, encryptedKey, expired, early, otherNames, expiredAuthority } = serverCertificate;
const tokens = ["0123456789abcdef", "fedcba9876543210"];
const withGateway = (gateway: Record<string, unknown>) => ({ gateway: { enabled: true, ...gateway } });
const withClients = (...clients: Record<string, unknown>[]) => withGateway({ clients });
const withTls = (tls: Record<string, unknown>) => withGateway({ tls: { enabled: true, ...tls } });
const withRedisTls = (tls: Record<string, unknown>) => ({
  redis: { mode: "external", host: "r", tls: { enabled: true, caCertificates: certificate, ...tls } },
});

const withScan = (scan: Record<string, unknown>) => ({ registryScan: { enabled: true, targets: [{ image: "alpine:3.10" }], ...scan } });
const withTargets = (...targets: Record<string, unknown>[]) => withScan({ targets });
const withAlerts = (...alerts: Record<string, unknown>[]) => withScan({ alerts });

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
  [
    "readers of an external Redis' metrics",
    { redis: { mode: "external", host: "r", monitors: ["monitoring"] } },
    "redis.monitors",
    /no meaning for an external Redis/,
  ],
  ["readers in no namespace", { redis: { monitors: ["Monitoring"] } }, "redis.monitors[0]", /small letters/],
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
    /malware.*GHSA-69fq-xp46-6x23.*use \d/,
  ],
  ["another one, by digest too", { images: { trivy: `aquasec/trivy:v0.69.6@sha256:${"a".repeat(64)}` } }, "images.trivy", /malware/],
  ["an image that is none", { images: { redis: "Redis 8" } }, "images.redis", /contains white space/],
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
  [
    "two passwords for Redis",
    { redis: { mode: "external", host: "r", password: "p", existingSecret: { name: "a" } } },
    "redis.existingSecret",
    /stands beside redis\.password; remove one/,
  ],
  [
    "TLS material beside a Secret with it",
    withRedisTls({ existingSecret: "a" }),
    "redis.tls.caCertificates",
    /stands beside .*; remove one/,
  ],
  [
    "logins beside a Secret with them",
    { database: { existingSecret: "a", credentials: [{ registry: "ghcr.io", username: "u", password: "p" }] } },
    "database.existingSecret",
    /stands beside database\.credentials; remove one/,
  ],
  ["a label that is none", { labels: { team: "a b" } }, "labels.team", /at most 63 letters/],
  ["clients of no gateway", { gateway: { clients: [{ name: "a" }] } }, "gateway.clients", /while gateway\.enabled is false; set/],
  ["TLS of no gateway", { gateway: { enabled: false, tls: true } }, "gateway.tls", /while gateway\.enabled is false; set/],
  [
    "the servers' token beside the gateway's",
    { gateway: true, server: { token: { value: "0123456789abcdef" } } },
    "server.token.value",
    /name those who may scan in gateway\.clients/,
  ],
  [
    "no token for servers behind a gateway",
    { gateway: true, server: { token: false } },
    "server.token.enabled",
    /no meaning with the gateway/,
  ],
  ["a gateway without clients", withGateway({ clients: [] }), "gateway.clients", /name at least one/],
  ["a client without a name", withClients({}), "gateway.clients[0].name", /is missing; write a DNS label/],
  ["a client that is no DNS label", withClients({ name: "Team A" }), "gateway.clients[0].name", /write a DNS label/],
  ["two clients of one name", withClients({ name: "a" }, { name: "b" }, { name: "a" }), "gateway.clients[2].name", /is a a second time/],
  ["a short token", withClients({ name: "a", token: "0123456789abcde" }), "gateway.clients[0].token", /at least 16 printable/],
  ["a token with a space", withClients({ name: "a", token: "0123456789 abcdef" }), "gateway.clients[0].token", /without spaces/],
  [
    "a previous token beside a generated one",
    withClients({ name: "a", previousToken: tokens[0] }),
    "gateway.clients[0].previousToken",
    /no meaning without token/,
  ],
  [
    "a rotation that changes nothing",
    withClients({ name: "a", token: tokens[0], previousToken: tokens[0] }),
    "gateway.clients[0].previousToken",
    /the same as token/,
  ],
  [
    "one token for two clients",
    withClients({ name: "a", token: tokens[0], previousToken: tokens[1] }, { name: "b", token: tokens[1] }),
    "gateway.clients[1].token",
    /a token of gateway\.clients\[0\] as well/,
  ],
  [
    "the generation of a token that is given",
    withClients({ name: "a", token: tokens[0], generation: 2 }),
    "gateway.clients[0].generation",
    /no meaning beside token/,
  ],
  ["retiring a token that is given", withClients({ name: "a", token: tokens[0], retire: 1 }), "gateway.clients[0].retire", /beside token/],
  ["retiring what is valid", withClients({ name: "a", generation: 2, retire: 2 }), "gateway.clients[0].retire", /write at most 1/],
  ["generation zero", withClients({ name: "a", generation: 0 }), "gateway.clients[0].generation", /from 1/],
  [
    "too little memory",
    withGateway({ resources: { limits: { memory: "100Mi" } } }),
    "gateway.resources.limits.memory",
    /write at least 256Mi/,
  ],
  [
    "a gateway that asks for more than it gets",
    withGateway({ resources: { requests: { memory: "2Gi" } } }),
    "gateway.resources.requests.memory",
    /above the limit of 1Gi; .*raise gateway\.resources\.limits\.memory/,
  ],
  ["an address that is none", withTls({ names: ["10.0.0.256"] }), "gateway.tls.names[0]", /write a DNS name or an IP address/],
  ["a name with a scheme", withTls({ names: ["https://trivy.example.com"] }), "gateway.tls.names[0]", /without scheme/],
  ["a name without TLS", withGateway({ tls: { names: ["trivy.example.com"] } }), "gateway.tls.names", /set gateway\.tls\.enabled: true/],
  ["a certificate without its key", withTls({ certificate: leaf }), "gateway.tls.key", /is missing/],
  ["a key without its certificate", withTls({ key }), "gateway.tls.certificate", /is missing/],
  [
    "another certificate's key",
    withTls({ certificate: leaf, key: otherKey }),
    "gateway.tls.key",
    /does not belong to gateway\.tls\.certificate/,
  ],
  ["a chain upside down", withTls({ certificate: `${intermediate}\n${leaf}`, key }), "gateway.tls.key", /write its own certificate first/],
  ["a key with a passphrase", withTls({ certificate: leaf, key: encryptedKey }), "gateway.tls.key", /protected by a passphrase/],
  ["half of a key", withTls({ certificate: leaf, key: key.slice(0, 100) }), "gateway.tls.key", /write the key's whole text/],
  [
    "an expired certificate",
    withTls({ certificate: expired, key }),
    "gateway.tls.certificate",
    /expired on 2021-01-01; write the renewed one/,
  ],
  ["a certificate whose time has not come", withTls({ certificate: early, key }), "gateway.tls.certificate", /not valid before 2125-01-01/],
  [
    "an expired one further up",
    withTls({ certificate: `${leaf}\n${expiredAuthority}`, key }),
    "gateway.tls.certificate",
    /\(2 of 2\) that expired/,
  ],
  [
    "an authority that did not sign",
    withTls({ certificate: `${leaf}\n${intermediate}`, key, caCertificates: certificate }),
    "gateway.tls.caCertificates",
    /did not sign gateway\.tls\.certificate, whose issuer is CN=example-intermediate;/,
  ],
  [
    "an authority that did not sign, though it stands in the chain",
    withTls({ certificate: `${leaf}\n${certificate}`, key, caCertificates: certificate }),
    "gateway.tls.caCertificates",
    /did not sign gateway\.tls\.certificate/,
  ],
  [
    "a gap between certificate and authority",
    withTls({ certificate: leaf, key, caCertificates: authority }),
    "gateway.tls.caCertificates",
    /intermediate ones into gateway\.tls\.certificate/,
  ],
  [
    "an authority that is none",
    withTls({ certificate: leaf, key, caCertificates: `${intermediate}\n${leaf}` }),
    "gateway.tls.caCertificates",
    /\(2 of 2\) that is no authority's/,
  ],
  [
    "an expired authority",
    withTls({ certificate: `${leaf}\n${intermediate}`, key, caCertificates: expiredAuthority }),
    "gateway.tls.caCertificates",
    /expired on 2021-01-01/,
  ],
  ["an authority for what is generated", withTls({ caCertificates: authority }), "gateway.tls.caCertificates", /generated too; remove it/],
  [
    "names for a certificate that is given",
    withTls({ certificate: leaf, key, names: ["a.example.com"] }),
    "gateway.tls.names",
    /names are in it/,
  ],
  ["names for a Secret", withTls({ existingSecret: "a", names: ["a.example.com"] }), "gateway.tls.names", /names are in it/],
  [
    "a certificate beside a Secret",
    withTls({ existingSecret: "a", certificate: leaf }),
    "gateway.tls.certificate",
    /stands beside gateway\.tls\.existingSecret/,
  ],
  [
    "plain HTTP from a controller to a gateway that speaks TLS alone",
    { ...withTls({}), clients: { namespaces: ["ingress"] }, exposure: { type: "ingress", host: "trivy.example.com" } },
    "gateway.tls.plainHttp",
    /set gateway\.tls\.plainHttp: true/,
  ],
  ["retiring the present password", { redis: { retire: 1 } }, "redis.retire", /generation 1 is the present one; remove it/],
  [
    "the generation of somebody else's password",
    { redis: { mode: "external", host: "r", generation: 2 } },
    "redis.generation",
    /no meaning for an external Redis/,
  ],
  [
    "certificates for the embedded Redis",
    { redis: { tls: { enabled: true, caCertificates: certificate } } },
    "redis.tls.caCertificates",
    /whose certificates are generated; remove it/,
  ],
  [
    "an expired certificate for Redis",
    withRedisTls({ clientCertificate: expired, clientKey: key }),
    "redis.tls.clientCertificate",
    /expired on 2021-01-01/,
  ],
  [
    "another certificate's key for Redis",
    withRedisTls({ clientCertificate: leaf, clientKey: otherKey }),
    "redis.tls.clientKey",
    /does not belong to redis\.tls\.clientCertificate/,
  ],
  ["a cron line with too few fields", withScan({ schedule: "0 3 * *" }), "registryScan.schedule", /five fields, not 4; .*`0 3 \* \* \*`/],
  ["a cron line with a wrong hour", withScan({ schedule: "0 25 * * *" }), "registryScan.schedule", /its hour is 25, .* from 0 to 23;/],
  ["a cron line with a range that ends before it begins", withScan({ schedule: "0 3 * * FRI-MON" }), "registryScan.schedule", /FRI-MON/],
  ["a cron line that never steps", withScan({ schedule: "*/0 * * * *" }), "registryScan.schedule", /minute is \*\/0/],
  ["a cron line with a time zone", withScan({ schedule: "TZ=UTC 0 3 * * *" }), "registryScan.schedule", /its own, timeZone/],
  ["a time zone that nobody knows", withScan({ timeZone: "Europe/Atlantis" }), "registryScan.timeZone", /Europe\/Berlin/],
  ["a time zone that is an offset", withScan({ timeZone: "+02:00" }), "registryScan.timeZone", /Europe\/Berlin/],
  ["nothing to scan", withTargets(), "registryScan.targets", /name at least one image or repository/],
  ["a target that names nothing", withTargets({ newest: 3 }), "registryScan.targets[0]", /write `image` or `repository`/],
  ["an image that is no reference", withTargets({ image: "https://r.example.com/a:1" }), "registryScan.targets[0].image", /leave .* out/],
  [
    "an image without tag",
    withTargets({ image: "alpine" }),
    "registryScan.targets[0].image",
    /is "alpine", which has neither a tag nor a digest; /,
  ],
  ["a repository with a tag", withTargets({ repository: "r.example.com/a:1" }), "registryScan.targets[0].repository", /remove its tag/],
  [
    "an image and a repository in one",
    withTargets({ image: "a:1", repository: "b" }),
    "registryScan.targets[0].repository",
    /an entry of its own/,
  ],
  ["tags of an image", withTargets({ image: "a:1", tags: ["v*"] }), "registryScan.targets[0].tags", /name the repository/],
  ["no tags at all", withTargets({ repository: "a", tags: [] }), "registryScan.targets[0].tags", /remove the setting for all/],
  ["a range that is none", withTargets({ repository: "a", versions: "newer" }), "registryScan.targets[0].versions", /semantic versions/],
  [
    "a target twice",
    withTargets({ image: "a:1" }, { repository: "b" }, { image: "a:1" }),
    "registryScan.targets[2]",
    /same as targets\[0\]/,
  ],
  ["a severity that is none", withScan({ severities: ["HIGH", "SEVERE"] }), "registryScan.severities[1]", /one of UNKNOWN, LOW/],
  ["a severity twice", withScan({ severities: ["HIGH", "HIGH"] }), "registryScan.severities[1]", /a second time/],
  ["an ignore file that is no YAML", withScan({ ignoreFile: "a: [" }), "registryScan.ignoreFile", /^cannot be read \(.*line 1.*\); write /],
  [
    "an ignore file of the old kind",
    withScan({ ignoreFile: "CVE-2021-36159\n" }),
    "registryScan.ignoreFile",
    /no table.*\.trivyignore\.yaml/,
  ],
  ["a VEX document that is no JSON", withScan({ vex: ['{"@context": }'] }), "registryScan.vex[0]", /^is no JSON .*OpenVEX/],
  ["a VEX document that is nothing", withScan({ vex: ["null"] }), "registryScan.vex[0]", /no object.*OpenVEX/],
  [
    "an image with half a digest",
    withScan({ targets: [{ image: "a:1@sha256:0f" }] }),
    "registryScan.targets[0].image",
    /^is "a:1@.*digest/,
  ],
  ["an image that may take longer than its run", withScan({ timeout: "2h", deadline: "1h" }), "registryScan.timeout", /raise the deadline/],
  [
    "a receiver without address",
    withAlerts({ name: "a", type: "json" }),
    "registryScan.alerts[0].url",
    /as a secret, or name an existingSecret/,
  ],
  ["a receiver's address that is none", withAlerts({ name: "a", type: "json", url: "hooks" }), "registryScan.alerts[0].url", /write a URL/],
  [
    "a receiver with two addresses",
    withAlerts({ name: "a", type: "slack", url: "https://h.example.com", existingSecret: { name: "s" } }),
    "registryScan.alerts[0].existingSecret",
    /remove one of the two/,
  ],
  [
    "a receiver's name twice",
    withAlerts(...[1, 2].map(() => ({ name: "a", type: "slack", existingSecret: { name: "s" } }))),
    "registryScan.alerts[1].name",
    /a second time/,
  ],
  [
    "a bucket without its keys",
    withScan({ reports: { bucket: { name: "reports" } } }),
    "registryScan.reports.bucket.existingSecret",
    /write a DNS name/,
  ],
  ["settings of a scan that is off", { registryScan: { targets: [{ image: "a:1" }] } }, "registryScan.targets", /enabled: true/],
  [
    "the scan's own name for a client",
    { ...withScan({}), ...withClients({ name: "registry-scan" }) },
    "gateway.clients[0].name",
    /choose another/,
  ],
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
      gateway: { clients: [{ name: "a" }], tls: true },
      redis: { maxMemory: "1GB", host: "r", tls: true },
      bogus: true,
      database: { repositories: ["x"] },
    });
    expect(found.map(({ path }) => path)).to.have.members([
      "server.replicas",
      "server.replcas",
      "server.autoscaling.minReplicas",
      "redis.maxMemory",
      "gateway.clients",
      "gateway.tls",
      "redis.host",
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
      ...problems(withClients({ name: "a", token: secret })),
      ...problems(withClients(...["a", "b"].map((name) => ({ name, token: `${secret}-of-mine` })))),
    ];
    expect(found.map(({ path }) => path)).to.include.members([
      "proxy.http",
      "redis.host",
      "database.repositories[0]",
      "server.token.value",
      "redis.tls.clientKey",
      "gateway.clients[0].token",
      "gateway.clients[1].token",
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
    const gateway = {
      enabled: true,
      clients: [{ name: "a" }, { name: "b", token: tokens[0], previousToken: tokens[1] }],
      tls: { enabled: true, certificate: leaf, key },
    };
    expect(problems({ gateway }, () => false).map(({ path }) => path)).to.deep.equal([
      "gateway.clients[1].token",
      "gateway.clients[1].previousToken",
      "gateway.tls.key",
    ]);
    expect(problems({ gateway })).to.deep.equal([]);
  });

  it("understand `persistence: false` and its like, and numbers for cores", () => {
    const settings = checkSettings({ redis: { persistence: false, cpu: 0.5, tls: true }, server: { token: false } });
    expect(settings.redis.tls.enabled).to.equal(true);
    expect(checkSettings({ gateway: true }).gateway).to.deep.equal(checkSettings({ gateway: { enabled: true } }).gateway);
    expect(checkSettings(withGateway({ tls: true })).gateway.tls.enabled).to.equal(true);
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

  it("give the components what they say", () => {
    expect(serviceArgs(checkSettings({})).gateway).to.deep.equal({
      enabled: false,
      replicas: 2,
      clients: [{ name: "default", generation: 1, retire: 0 }],
      requestsPerServer: 16,
      maxRequestSize: "64Mi",
      tls: { enabled: false, names: [], plainHttp: false },
      resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } },
      monitors: [],
    });
    expect(serviceArgs(checkSettings({})).clusterDomain).to.equal("cluster.local");
    expect(serviceArgs(checkSettings({ redis: { tls: true, generation: 2, retire: 1 } })).redis).to.deep.include({
      generation: 2,
      retire: 1,
      tls: { enabled: true },
    });
    expect(serviceArgs(checkSettings({ redis: { mode: "external", host: "r" } })).redis).not.to.have.property("monitors");
  });

  it("accept a chain whose authority is given, whole or from an intermediate one on", () => {
    const chain = `${leaf}\n${intermediate}`;
    for (const caCertificates of [authority, `${certificate}\n${expiredAuthority}\n${authority}`, intermediate])
      expect(problems(withTls({ certificate: chain, key, caCertificates }))).to.deep.equal([]);
  });

  it("hold nothing against a key or a token that cannot be read, as for `npm start`", () => {
    const stand = placeholder("trivy-server:gateway.tls.key");
    expect(problems(withTls({ certificate: leaf, key: stand }))).to.deep.equal([]);
    expect(problems(withClients(...["a", "b"].map((name) => ({ name, token: placeholder(name) }))))).to.deep.equal([]);
  });

  describe("warn", () => {
    const warned = (settings: Record<string, unknown>) => [...warnings(checkSettings(settings))];
    const clients = [{ name: "a" }, { name: "b" }];

    it("of a rate limit that the servers would never reach, and say which they would", () => {
      expect(warned(withGateway({ clients, rateLimit: 12_000 }))).to.deep.equal([]);
      const [found, ...others] = warned(withGateway({ clients, rateLimit: 12_001 }));
      expect(others).to.deep.equal([]);
      expect(found?.path).to.equal("gateway.rateLimit");
      expect(found?.message).to.match(/allows 24002 requests .*\(clients: 2\), above the 24000 .*\(servers: 2\), .*; at most 12000 would/);
    });

    it("when the stack's configuration is read", async () => {
      const said: string[] = [];
      const { warn } = console;
      console.warn = (text: string) => said.push(text);
      try {
        await record(() => readSettings(), { config: withGateway({ clients, rateLimit: 99_999 }) });
      } finally {
        console.warn = warn;
      }
      expect(said).to.have.length(1);
      expect(said[0]).to.contain("trivy-server:gateway.rateLimit is 99999,");
    });

    it("by the most servers and their limit of CPU", () => {
      const server = { autoscaling: { maxReplicas: 10 }, resources: { limits: { cpu: "500m" } } };
      expect(warned({ ...withGateway({ rateLimit: 60_000 }), server })).to.deep.equal([]);
      expect(warned({ ...withGateway({ rateLimit: 60_001 }), server })).to.have.length(1);
    });

    it("of a certificate that is not for the Service's name", () => {
      const found = warned(withTls({ certificate: otherNames, key }));
      expect(found.map(({ path }) => path)).to.deep.equal(["gateway.tls.certificate"]);
      expect(found[0]?.message).to.contain("is not for trivy.trivy.svc;");
      expect(warned(withTls({ certificate: leaf, key }))).to.deep.equal([]);
      expect(warned({ ...withTls({ certificate: leaf, key }), namespace: { name: "scan" } })).to.have.length(1);
    });
  });

  it("are read from the stack's configuration, and shown wrong before anything is registered", async () => {
    const config = { server: { replicas: 3 }, redis: { mode: "external", host: "r.example.com", password: "secret-password" } };
    const { result, resources } = await record(() => readSettings(), { stack: "test", config, secretKeys: ["redis"] });
    expect(resources).to.deep.equal([]);
    expect(result.instance).to.equal("test");
    expect(result.server?.replicas).to.equal(3);
    expect(await settled((result.redis as { password: unknown }).password)).to.not.equal("secret-password");

    const broken = record(() => import("../../index.ts?broken" as string), { config: { server: { replicas: 0 }, nothing: 1 } });
    const error = await broken.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(SettingsError);
    expect((error as SettingsError).message.split("\n")).to.deep.equal([
      "2 settings of this stack cannot be used:",
      "  trivy-server:server.replicas is 0; write a whole number from 1 to 100",
      "  trivy-server:nothing is no setting; there are namespace, images, server, gateway, database, proxy, redis, clients, exposure, registryScan, scheduling, labels, podAnnotations",
    ]);
  });
});
