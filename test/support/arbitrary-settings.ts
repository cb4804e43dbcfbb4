import fc, { type Arbitrary } from "fast-check";
import { certificate, serverCertificate } from "./certificate.ts";

const names = fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/);
const sizes = fc
  .tuple(fc.integer({ min: 2, max: 4096 }), fc.constantFrom("Mi", "Gi", "M", "G"))
  .map(([number, unit]) => `${number}${unit}`);
const cores = fc.oneof(
  fc.integer({ min: 1, max: 64 }),
  fc.integer({ min: 1, max: 4000 }).map((number) => `${number}m`),
  fc.constantFrom("0.5", "1.25"),
);
const cidrs = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255)).map(([a, b]) => `${a}.${b}.0.0/16`),
  fc.constantFrom("10.0.0.0/8", "203.0.113.7/32", "fd00::/8", "2001:db8::1/128", "0.0.0.0/0"),
);
const texts = fc.string({ maxLength: 20 });
const labelValues = fc.stringMatching(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?)?$/);
const tables = (values: Arbitrary<string>) =>
  fc.dictionary(
    fc.oneof(
      names,
      names.map((name) => `example.com/${name}`),
    ),
    values,
    { maxKeys: 3 },
  );
const images = fc.constantFrom(
  "docker.io/valkey/valkey:8.1.1",
  "registry.example.com:5000/a/b_c:1.0-alpine",
  `redis@sha256:${"0f".repeat(32)}`,
);
const repositories = fc.constantFrom(
  "ghcr.io/aquasecurity/trivy-db:2",
  "10.1.2.3:5000/trivy-db",
  "mirror.infra.svc:5000/trivy-db:2",
  "harbor.corp/security/trivy-db:2",
  "localhost:5000/trivy-db:2",
);

const scannedImages = fc.constantFrom(
  "alpine:3.10",
  "team/app:latest",
  "registry.example.com/team/app:1.0",
  "localhost:5000/app:1",
  "[fd00::7]:5000/team/app:1.0",
  `mirror.infra.svc:5000/app@sha256:${"0f".repeat(32)}`,
);
const scannedRepositories = fc.constantFrom("alpine", "ghcr.io/team/app", "10.1.2.3:5000/app", "harbor.corp/security/app");
/** Their paths are what must not be known. */
const receiverUrls = fc
  .tuple(
    fc.constantFrom(
      "https://hooks.example.com",
      "http://alertmanager.monitoring.svc:9093",
      "http://10.0.0.8",
      "https://[fd00::8]:8443",
      "http://chat.corp:8065",
    ),
    fc.stringMatching(/^[A-Za-z0-9]{16}$/),
  )
  .map(([origin, path]) => `${origin}/services/${path}`);

/** What users write by mistake, and what no user would. */
const nonsense: Arbitrary<unknown> = fc.oneof(
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

/**
 * Settings of a stack. Without mistakes every value is of the right kind, though the values need not fit each other;
 * with mistakes, any value may be nonsense, and there may be unknown keys.
 */
export function arbitrarySettings({ mistakes }: { readonly mistakes: boolean }): Arbitrary<Record<string, unknown>> {
  const leaf = (good: Arbitrary<unknown>): Arbitrary<unknown> =>
    mistakes ? fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: nonsense }) : good;
  const block = (keys: Record<string, Arbitrary<unknown>>, requiredKeys: string[] = []): Arbitrary<unknown> => {
    const known = fc.record(keys, { requiredKeys });
    if (!mistakes) return known;
    const more = fc.tuple(
      known,
      fc.dictionary(fc.oneof(texts, fc.constantFrom("replcas", "constructor", "toString")), nonsense, { maxKeys: 1 }),
    );
    return fc.oneof(
      { weight: 12, arbitrary: known },
      { weight: 1, arbitrary: more.map(([one, other]) => ({ ...other, ...one })) },
      { weight: 1, arbitrary: nonsense },
    );
  };
  const list = (item: Arbitrary<unknown>) => leaf(fc.array(item, { maxLength: 3 }));
  const flag = leaf(fc.boolean());
  const secretKey = (key = names) => block({ name: leaf(names), key: leaf(key) }, ["name"]);

  const autoscaling = block({ minReplicas: leaf(fc.integer({ min: 1, max: 5 })), maxReplicas: leaf(fc.integer({ min: 5, max: 20 })) }, [
    "maxReplicas",
  ]);
  const tokenText = leaf(fc.stringMatching(/^[\x21-\x7e]{16,40}$/));
  const token = fc.oneof(block({ enabled: flag }), block({ value: tokenText }), block({ existingSecret: secretKey() }));
  const server = {
    resources: block({
      requests: block({ cpu: leaf(cores), memory: leaf(fc.constantFrom("64Mi", "1Gi")) }),
      limits: block({ memory: leaf(fc.constantFrom("2Gi", "4096Mi")) }),
    }),
    databaseVolume: leaf(sizes),
    drainSeconds: leaf(fc.integer({ min: 0, max: 300 })),
    debug: flag,
    caCertificates: leaf(fc.constant(certificate)),
    env: leaf(fc.dictionary(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/), texts, { maxKeys: 3 })),
    envFromSecrets: list(names),
  };
  const { leaf: own, intermediate, authority, key } = serverCertificate;
  const chain = `${own}\n${intermediate}`;
  const on = leaf(fc.constant(true));
  const client = fc.oneof(
    block({ name: leaf(names), generation: leaf(fc.integer({ min: 1, max: 9 })) }, ["name"]),
    block({ name: leaf(names), generation: leaf(fc.integer({ min: 2, max: 9 })), retire: leaf(fc.constant(1)) }, ["name", "generation"]),
    block({ name: leaf(names), token: tokenText }, ["name", "token"]),
    block({ name: leaf(names), token: tokenText, previousToken: tokenText }, ["name", "token"]),
  );
  const gateway = {
    replicas: leaf(fc.integer({ min: 1, max: 4 })),
    clients: leaf(fc.array(client, { minLength: 1, maxLength: 3 })),
    requestsPerServer: leaf(fc.integer({ min: 1, max: 100 })),
    rateLimit: leaf(fc.integer({ min: 1, max: 100_000 })),
    maxRequestSize: leaf(sizes),
    tls: fc.oneof(
      block({ enabled: flag }),
      block({ enabled: on, names: list(fc.constantFrom("scan.corp", "10.0.0.7", "fd00::7")), plainHttp: flag }, ["enabled"]),
      block({ enabled: on, existingSecret: leaf(names), caCertificates: leaf(fc.constant(certificate)), plainHttp: flag }, [
        "enabled",
        "existingSecret",
      ]),
      block(
        {
          enabled: on,
          certificate: leaf(fc.constant(chain)),
          key: leaf(fc.constant(key)),
          caCertificates: leaf(fc.constant(authority)),
          plainHttp: flag,
        },
        ["enabled", "certificate", "key"],
      ),
    ),
    resources: block({
      requests: block({ cpu: leaf(cores), memory: leaf(fc.constantFrom("64Mi", "128Mi")) }),
      limits: block({ memory: leaf(fc.constantFrom("256Mi", "2Gi")) }),
    }),
    monitors: list(names),
  };
  const login = {
    registry: leaf(fc.constantFrom("ghcr.io", "10.1.2.3:5000", "harbor.corp")),
    username: leaf(texts),
    password: leaf(fc.string({ minLength: 1 })),
  };
  const database = {
    repositories: leaf(fc.array(repositories, { minLength: 1, maxLength: 3 })),
    plainHttp: flag,
    cidrs: list(cidrs),
  };
  const embedded = {
    ttl: leaf(fc.constantFrom("1h30m", "168h", "90s")),
    maxMemory: leaf(sizes),
    cpu: leaf(cores),
    persistence: fc.oneof(block({ enabled: flag }), block({ storageClass: leaf(names), size: leaf(fc.constant("64Ti")) })),
    generation: leaf(fc.integer({ min: 1, max: 3 })),
    monitors: list(fc.oneof(names, fc.constant("*"))),
    tls: block({ enabled: flag }),
  };
  const external = {
    mode: leaf(fc.constant("external")),
    host: leaf(fc.constantFrom("redis.example.com", "10.0.0.7", "fd00::7", "redis.data.svc", "redis")),
    port: leaf(fc.integer({ min: 1, max: 65535 })),
    database: leaf(fc.nat(15)),
    user: leaf(texts),
    password: leaf(fc.string({ minLength: 1 })),
    tls: fc.oneof(
      block({ enabled: flag }),
      fc.record({ enabled: on, existingSecret: leaf(names) }),
      fc.record({ enabled: on, caCertificates: leaf(fc.constant(certificate)) }),
      fc.record({
        enabled: on,
        caCertificates: leaf(fc.constant(certificate)),
        clientCertificate: leaf(fc.constant(own)),
        clientKey: leaf(fc.constant(key)),
      }),
    ),
    cidrs: list(cidrs),
  };
  // Twice the same in such a list is a mistake.
  const distinct = (...items: string[]) => leaf(fc.uniqueArray(fc.constantFrom(...items), { minLength: 1, maxLength: 3 }));
  const target = fc.oneof(
    block({ image: leaf(scannedImages) }, ["image"]),
    block(
      {
        repository: leaf(scannedRepositories),
        tags: distinct("latest", "1.*", "release-{a,b}"),
        versions: leaf(fc.constantFrom(">=1.4 <3", "^2.1", "1.x || 3")),
        newest: leaf(fc.integer({ min: 1, max: 10_000 })),
      },
      ["repository"],
    ),
  );
  const receiver = {
    name: leaf(names),
    type: leaf(fc.constantFrom("alertmanager", "slack", "json")),
    authorization: leaf(fc.stringMatching(/^Bearer [\x21-\x7e]{8,40}$/)),
  };
  const logins = leaf(fc.array(block(login, Object.keys(login)), { maxLength: 2 }));
  const podResources = block({
    requests: block({ cpu: leaf(cores), memory: leaf(fc.constantFrom("64Mi", "128Mi")) }),
    limits: block({ memory: leaf(fc.constantFrom("512Mi", "4Gi")) }),
  });
  const scan = {
    enabled: on,
    schedule: leaf(fc.constantFrom("0 3 * * *", "*/15 0-6,22 1 jan-MAR MON-FRI", "@weekly")),
    timeZone: leaf(fc.constantFrom("Europe/Berlin", "Etc/UTC", "America/Argentina/Buenos_Aires")),
    targets: leaf(fc.uniqueArray(target, { minLength: 1, maxLength: 3, selector: (given) => JSON.stringify(given) })),
    strict: flag,
    severities: distinct("UNKNOWN", "LOW", "HIGH", "CRITICAL"),
    ignoreUnfixed: flag,
    scanners: distinct("vuln", "secret", "misconfig", "license"),
    ignoreFile: leaf(fc.constantFrom("vulnerabilities:\n  - id: CVE-2021-36159\n    paths: [usr/lib]\n", "# nothing yet\n")),
    vex: list(fc.jsonValue({ maxDepth: 2 }).map((statement) => JSON.stringify({ "@context": "https://openvex.dev/ns/v0.2.0", statement }))),
    plainHttp: flag,
    caCertificates: leaf(fc.constant(certificate)),
    cidrs: list(cidrs),
    javaRepositories: leaf(fc.array(repositories, { minLength: 1, maxLength: 2 })),
    parallelism: leaf(fc.integer({ min: 1, max: 1000 })),
    timeout: leaf(fc.constantFrom("90s", "10m")),
    deadline: leaf(fc.constantFrom("30m", "23h", "1h30m")),
    workVolume: leaf(sizes),
    resources: podResources,
    reports: block({
      keep: leaf(fc.integer({ min: 1, max: 1000 })),
      size: leaf(sizes),
      storageClass: leaf(names),
      cycloneDx: flag,
      url: leaf(fc.constantFrom("https://reports.example.com/trivy/", "http://10.0.0.7:8080")),
      viewers: list(fc.oneof(names, fc.constant("*"))),
      bucket: block(
        {
          endpoint: leaf(fc.constantFrom("http://minio.storage.svc:9000", "https://s3.example.com", "http://[fd00::7]:9000")),
          region: leaf(fc.constant("eu-central-1")),
          name: leaf(fc.constant("scan.reports")),
          prefix: leaf(texts),
          existingSecret: leaf(names),
        },
        ["name", "existingSecret"],
      ),
      resources: podResources,
    }),
    alerts: list(
      fc.oneof(
        block({ ...receiver, url: leaf(receiverUrls) }, ["name", "type", "url"]),
        block({ ...receiver, existingSecret: secretKey() }, ["name", "type", "existingSecret"]),
      ),
    ),
  };
  const scanNeeds = ["enabled", "targets"];
  const host = leaf(fc.constantFrom("trivy.example.com", "scan.corp"));
  const exposure = fc.oneof(
    block({ type: leaf(fc.constant("none")) }),
    block({ type: leaf(fc.constant("loadBalancer")), class: leaf(names), annotations: leaf(tables(texts)) }, ["type"]),
    block({ type: leaf(fc.constant("ingress")), host, class: leaf(names), tlsSecret: leaf(names), annotations: leaf(tables(texts)) }, [
      "type",
      "host",
    ]),
    block(
      {
        type: leaf(fc.constant("gatewayApi")),
        host,
        gateway: block({ name: leaf(names), namespace: leaf(names), section: leaf(names) }, ["name"]),
      },
      ["type", "host", "gateway"],
    ),
  );
  const keys = {
    namespace: block({ name: leaf(names), create: flag }),
    images: block({
      registry: leaf(fc.constantFrom("mirror.example.com", "localhost:5000/hub")),
      pullSecrets: list(names),
      trivy: leaf(images),
      haproxy: leaf(images),
      redis: leaf(images),
      redisExporter: leaf(images),
      node: leaf(images),
      crane: leaf(images),
    }),
    database: fc.oneof(block({ ...database, credentials: logins }), block({ ...database, existingSecret: leaf(names) })),
    proxy: block({
      http: leaf(fc.constant("http://10.0.0.9:3128")),
      https: leaf(fc.constantFrom("http://proxy.example.com:3128", "https://p")),
      noProxy: list(fc.constant(".corp")),
    }),
    redis: fc.oneof(block(embedded), block(external, ["mode", "host"])),
    access: block({ namespaces: list(fc.oneof(names, fc.constant("*"))), cidrs: list(cidrs) }),
    exposure,
    registryScan: fc.oneof(
      block({ enabled: leaf(fc.constant(false)) }),
      block({ ...scan, credentials: logins }, scanNeeds),
      block({ ...scan, existingSecret: leaf(names) }, scanNeeds),
    ),
    scheduling: block({
      nodeSelector: leaf(tables(labelValues)),
      tolerations: list(
        block({
          key: leaf(names),
          operator: leaf(fc.constantFrom("Exists", "Equal")),
          effect: leaf(fc.constantFrom("NoSchedule", "NoExecute")),
        }),
      ),
      priorityClassName: leaf(names),
    }),
    clusterDomain: leaf(fc.constant("k8s.example.com")),
    labels: leaf(tables(labelValues)),
    podAnnotations: leaf(tables(texts)),
  };
  const servers = (more: Record<string, Arbitrary<unknown>>) =>
    fc.oneof(block({ ...server, ...more, replicas: leaf(fc.integer({ min: 1, max: 9 })) }), block({ ...server, ...more, autoscaling }));
  const fronts = fc.oneof(
    fc.record({ server: servers({ token }) }, { requiredKeys: [] }),
    fc.record(
      { server: servers({}), gateway: fc.oneof(block({ enabled: flag }), block({ ...gateway, enabled: on }, ["enabled"])) },
      { requiredKeys: ["gateway"] },
    ),
  );
  const unknownKeys = mistakes
    ? fc.dictionary(fc.constantFrom("sever", "constructor", "image"), nonsense, { maxKeys: 1 })
    : fc.constant({});
  return fc
    .tuple(fc.record(keys, { requiredKeys: [] }), fronts, unknownKeys)
    .map(([known, front, others]) => ({ ...others, ...known, ...front }));
}
