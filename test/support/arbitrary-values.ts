import fc, { type Arbitrary } from "fast-check";
import { certificate, serverCertificate } from "./certificate.ts";

const { leaf, intermediate, authority, key } = serverCertificate;

const names = fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/);
const texts = fc.string({ maxLength: 20 });

/** Valid values of the kinds that settings have, by the kind's name. */
const byKind: Readonly<Record<string, Arbitrary<unknown>>> = {
  "DNS label": names,
  "DNS label or *": fc.oneof(names, fc.constant("*")),
  "name of an object": names,
  "name of a class": fc.oneof(
    names,
    names.map((name) => `example.com/${name}`),
  ),
  "name of a bucket": fc.constant("scan.reports"),
  region: fc.constantFrom("eu-central-1", "us-east-1"),
  "key of a Secret": fc.oneof(names, fc.constantFrom("tls.key", "API_TOKEN")),
  "name of a variable": fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/),
  label: fc.oneof(
    names,
    names.map((name) => `example.com/${name}`),
  ),
  "value of a label": fc.stringMatching(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?)?$/),
  text: texts,
  "DNS name": fc.constantFrom("trivy.example.com", "scan.corp"),
  "DNS name or IP address": fc.constantFrom("redis.example.com", "10.0.0.7", "fd00::7", "redis.data.svc"),
  "CIDR block": fc.oneof(
    fc.tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255)).map(([a, b]) => `${a}.${b}.0.0/16`),
    fc.constantFrom("10.0.0.0/8", "203.0.113.7/32", "fd00::/8", "2001:db8::1/128", "0.0.0.0/0"),
  ),
  URL: fc.constantFrom(
    "http://10.0.0.9:3128",
    "http://proxy.example.com:3128",
    "https://proxy.example.net",
    "http://minio.storage.svc:9000",
    "http://[fd00::7]:9000",
  ),
  "host, domain or CIDR block": fc.constantFrom(".corp", "10.0.0.0/8", "internal.example.com"),
  image: fc.constantFrom("registry.example.com:5000/a/b_c:1.0-alpine", `registry.example.com/a@sha256:${"0f".repeat(32)}`),
  digest: fc.constant(`sha256:${"0f".repeat(32)}`),
  registry: fc.constantFrom("ghcr.io", "10.1.2.3:5000", "harbor.corp", "mirror.example.com", "localhost:5000/hub"),
  "OCI repository": fc.constantFrom(
    "ghcr.io/aquasecurity/trivy-db:2",
    "10.1.2.3:5000/trivy-db",
    "mirror.infra.svc:5000/trivy-db:2",
    "harbor.example.com/security/trivy-db:2",
    "registry.example.com:5000/trivy-db:2",
  ),
  repository: fc.constantFrom("alpine", "ghcr.io/team/app", "10.1.2.3:5000/app", "harbor.example.com/security/app"),
  "tag or glob": fc.constantFrom("latest", "1.*", "release-{a,b}"),
  "path of a YAML file": fc.constant("test/support/targets.yaml"),
  platform: fc.constantFrom("linux/amd64", "linux/arm64", "linux/arm/v7"),
  "range of versions": fc.constantFrom(">=1.4 <3", "^2.1", "1.x || 3"),
  duration: fc.constantFrom("1h30m", "168h", "600s"),
  "quantity of bytes": fc
    .tuple(fc.integer({ min: 2, max: 4096 }), fc.constantFrom("Mi", "Gi", "M", "G"))
    .map(([number, unit]) => `${number}${unit}`),
  "quantity of cores": fc.oneof(
    fc.integer({ min: 1, max: 64 }),
    fc.integer({ min: 1, max: 4000 }).map((number) => `${number}m`),
    fc.constantFrom("0.5", "1.25"),
  ),
  "certificates, PEM": fc.constant(certificate),
  secret: fc.stringMatching(/^[\x21-\x7e]{16,40}$/),
  "cron expression": fc.constantFrom("0 3 * * *", "*/15 0-6,22 1 jan-MAR MON-FRI", "@weekly"),
  "time zone": fc.constantFrom("Europe/Berlin", "Etc/UTC", "America/Argentina/Buenos_Aires"),
  YAML: fc.constantFrom("vulnerabilities:\n  - id: CVE-2021-36159\n    paths: [usr/lib]\n", "# nothing yet\n"),
  JSON: fc.jsonValue({ maxDepth: 2 }).map((statement) => JSON.stringify({ "@context": "https://openvex.dev/ns/v0.2.0", statement })),
};

/** Values of settings for which not every value of their kind fits, by the interface and the key. */
const byKey: Readonly<Record<string, Arbitrary<unknown>>> = {
  // Requests are below the limits, and the limits above what the gateway needs.
  "ResourceRequests.memory": fc.constantFrom("64Mi", "128Mi"),
  "ResourceLimits.memory": fc.constantFrom("512Mi", "4096Mi", "4Gi"),
  "ResourceLimits.cpu": fc.constantFrom(64, "100"),
  "ServerArgs.databaseVolume": fc.constantFrom("2Gi", "1536Mi", "8G"),
  "EmbeddedRedisArgs.maxMemory": fc.constantFrom("16Mi", "512Mi", "4G"),
  "RegistryScanArgs.workVolume": fc.constantFrom("256Mi", "8Gi"),
  "ReportsArgs.size": fc.constantFrom("64Mi", "2G"),
  "AutoscalingArgs.minReplicas": fc.integer({ min: 1, max: 5 }),
  "AutoscalingArgs.maxReplicas": fc.integer({ min: 5, max: 20 }),
  "DatabaseMirrorArgs.size": fc.constant("64Ti"),
  "DatabaseMirrorArgs.interval": fc.constantFrom("1h", "20m"),
  "PersistenceArgs.size": fc.constant("64Ti"),
  "ClientArgs.generation": fc.integer({ min: 2, max: 9 }),
  "ClientArgs.retire": fc.constantFrom(0, 1),
  "AuthoritiesArgs.generation": fc.integer({ min: 2, max: 3 }),
  "AuthoritiesArgs.retire": fc.constantFrom(0, 1),
  "ProbeArgs.generation": fc.integer({ min: 2, max: 3 }),
  "ProbeArgs.retire": fc.constantFrom(0, 1),
  "EmbeddedRedisArgs.generation": fc.integer({ min: 2, max: 3 }),
  "EmbeddedRedisArgs.retire": fc.constantFrom(0, 1),
  "GatewayTlsArgs.certificate": fc.constant(`${leaf}\n${intermediate}`),
  "GatewayTlsArgs.key": fc.constant(key),
  "GatewayTlsArgs.names": fc.constantFrom("scan.corp", "10.0.0.7", "fd00::7"),
  "GatewayTlsArgs.caCertificates": fc.constant(authority),
  "RedisTlsArgs.clientCertificate": fc.constant(leaf),
  "RedisTlsArgs.clientKey": fc.constant(key),
  "ExternalRedisArgs.password": fc.string({ minLength: 1 }),
  "LoginArgs.password": fc.string({ minLength: 1 }),
  "RegistryScanArgs.timeout": fc.constantFrom("90s", "10m"),
  "RegistryScanArgs.retire": fc.constant(0),
  "RegistryScanArgs.deadline": fc.constantFrom("30m", "23h", "1h30m"),
  "ReceiverArgs.type": fc.constantFrom("alertmanager", "slack", "json"),
  "TolerationArgs.operator": fc.constant("Exists"),
  "ImagesArgs.redis": fc.constantFrom("docker.io/valkey/valkey:8.1.1", `redis@sha256:${"0f".repeat(32)}`),
  "ImageTargetArgs.image": fc.constantFrom(
    "alpine:3.10",
    "team/app:latest",
    "registry.example.com/team/app:1.0",
    "registry.example.net:5000/app:1",
    "[fd00::7]:5000/team/app:1.0",
    `mirror.infra.svc:5000/app@sha256:${"0f".repeat(32)}`,
  ),
  // Of a receiver's URL, the path is the secret.
  "ReceiverArgs.url": fc
    .tuple(
      fc.constantFrom(
        "https://hooks.example.com",
        "http://alertmanager.monitoring.svc:9093",
        "http://10.0.0.8",
        "https://[fd00::8]:8443",
        "http://chat.example.com:8065",
      ),
      fc.stringMatching(/^[A-Za-z0-9]{16}$/),
    )
    .map(([origin, path]) => `${origin}/services/${path}`),
};

/** Returns valid values of a kind; `owner` is the interface and the key of the setting, `usual` what the kind has no entry for. */
export function valuesOf(kind: string, owner: string, usual?: Arbitrary<unknown>): Arbitrary<unknown> {
  const found = byKey[owner] ?? usual ?? byKind[kind];
  if (!found) throw new Error(`test/support/arbitrary-values.ts has no values of the kind ${kind}, for ${owner}`);
  return found;
}

/** What users write by mistake, and what no user would. */
export const nonsense: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    "512MB",
    "7d",
    "latest",
    "rediss://r:6379",
    "http://me:pw@proxy:3128",
    "-1",
    "0",
    "",
    " ",
    "Ü",
    "__proto__",
    "10.0.0.1/8",
    "0 25 * * *",
    "{no: yes",
    "https://me:pw@hooks.example.com/x",
    "me:pw@harbor.corp/app:1",
  ),
  fc.constantFrom<unknown>(0, -1, 1.5, 1e21, Number.MAX_SAFE_INTEGER, null, true, false, [], {}, [[]], [null], { enabled: "yes" }),
  fc.string(),
  fc.integer(),
  fc.jsonValue({ maxDepth: 2 }),
);
