import * as pulumi from "@pulumi/pulumi";
import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { blockDefaults, defaults } from "../components/args.ts";
import type { ScanServiceArgs } from "../components/scan-service.ts";
import { images } from "../components/shared/images.ts";
import { scanners, severities } from "../registry-scan/index.ts";
import { type Problem, project, rules, warnings } from "./rules.ts";
import * as v from "./values.ts";

const {
  namespace: namespaceDefaults,
  server: serverDefaults,
  gateway: gatewayDefaults,
  database: databaseDefaults,
  registryScan: registryScanDefaults,
} = defaults;
const { AutoscalingArgs: autoscalingDefaults, EmbeddedRedisArgs: embeddedDefaults, ExternalRedisArgs: externalDefaults } = blockDefaults;

const secretKey = (key: string) =>
  v.block({
    name: v.objectName().describe("Name of the Secret, in the service's namespace."),
    key: v.dataKey().default(key).describe("Key in the Secret."),
  });

/** An image instead of the default one of that name. */
const ownImage = (name: keyof typeof images, description: string) =>
  v
    .image()
    .optional()
    .meta({ description, otherwise: `\`${images[name]}\`` });

interface ResourceDefaults {
  readonly requests: { readonly cpu: string; readonly memory: string };
  readonly limits: { readonly memory: string };
}

/** CPU and memory of pods; `whose` they are, and what happens at the limit of memory. */
const resources = (whose: string, standard: ResourceDefaults, atLimit: string) =>
  v
    .block({
      requests: v
        .block({
          cpu: v.cpu().default(standard.requests.cpu).describe(`CPU that ${whose} asks for.`),
          memory: v.size().default(standard.requests.memory).describe(`Memory that ${whose} asks for.`),
        })
        .prefault({}),
      limits: v
        .block({
          cpu: v.cpu().optional().describe(`CPU that ${whose} gets at most; without it, what is free.`),
          memory: v.size().default(standard.limits.memory).describe(`Memory that ${whose} gets at most; ${atLimit}.`),
        })
        .prefault({}),
    })
    .prefault({});

const logins = () =>
  v
    .listOf(
      v.block({
        registry: v.registry().describe("Host of the registry."),
        username: v.anyText().describe("User."),
        password: v.secretText("write the password or access token").describe("Password, as a secret."),
      }),
    )
    .default([])
    .describe("Logins, each for one registry.");

const generation = () => v.count(1, 1_000_000);
const retired = () => v.count(0, 1_000_000);

/** Every setting of a stack: its key under `trivy-server:`, what it may be, its default and its documentation. */
export const schema = v.block({
  namespace: v
    .block({
      name: v.namespaceName().default(namespaceDefaults.name).describe("Namespace of everything."),
      create: v
        .flag()
        .default(namespaceDefaults.create)
        .describe(
          "Creates the namespace, under Pod Security `restricted`. `false`: it exists, and only the service's own pods are isolated in it.",
        ),
    })
    .prefault({}),
  images: v
    .block({
      registry: v
        .registry()
        .optional()
        .describe("Registry that stands in for the host of the default images: a mirror, or that of a cluster without internet."),
      pullSecrets: v.listOf(v.objectName()).default([]).describe("Existing Secrets for pulling images."),
      trivy: ownImage(
        "trivy",
        "Image of the servers, whole (`registry` does not change it); a digest is welcome. Releases with known malware are refused.",
      ),
      haproxy: ownImage("haproxy", "Image of the gateway, whole."),
      node: ownImage("node", "Image with Node 24 for the registry scan, whole."),
      crane: ownImage("crane", "Image from which the registry scan takes `crane`, whole."),
      redis: ownImage("redis", "Image of the cache, whole. Valkey's works as well."),
      redisExporter: ownImage("redisExporter", "Image of the cache's exporter for Prometheus, whole."),
    })
    .prefault({}),
  server: v
    .block({
      replicas: v.count(1, 100).default(serverDefaults.replicas).describe("Number of servers."),
      autoscaling: v
        .block({
          minReplicas: v.count(1, 100).default(autoscalingDefaults.minReplicas).describe("Never fewer servers."),
          maxReplicas: v.count(1, 100).describe("Never more servers."),
          targetCpuUtilization: v
            .count(1, 1000)
            .default(autoscalingDefaults.targetCpuUtilization)
            .describe("CPU to aim at, in percent of what the servers request."),
        })
        .optional()
        .describe("Lets the number of servers follow their CPU, instead of `replicas`."),
      token: v
        .block({
          enabled: v
            .flag()
            .default(serverDefaults.token.enabled)
            .describe(
              "Clients must send a token; generated, unless one of the next two is given. Without the gateway only, which has one for each client.",
            ),
          value: v.token().optional().describe("The token, as a secret."),
          existingSecret: secretKey(blockDefaults.TokenSecretRef.key).optional().describe("An existing Secret that holds the token."),
        })
        .prefault({}),
      resources: resources(
        "each server",
        serverDefaults.resources,
        "the database is mapped into it, and read again from disk when it is short",
      ),
      databaseVolume: v
        .size()
        .default(serverDefaults.databaseVolume)
        .describe(
          "Size limit of each of two volumes: the database's (1.2 GB in 2026, doubling in two years) and the one that an update is unpacked on.",
        ),
      drainSeconds: v
        .count(0, 3600)
        .default(serverDefaults.drainSeconds)
        .describe("Seconds that a server goes on answering after it left the Service."),
      debug: v.flag().default(serverDefaults.debug).describe("Verbose log."),
      caCertificates: v
        .certificates()
        .optional()
        .describe("Certificate authorities to trust besides the system's: registries, proxies, Redis."),
      env: v.textsBy(v.variableName()).default({}).describe("Further environment variables."),
      envFromSecrets: v.listOf(v.objectName()).default([]).describe("Existing Secrets whose keys become environment variables."),
    })
    .prefault({}),
  gateway: v
    .block({
      enabled: v
        .flag()
        .default(false)
        .describe(
          "HAProxy before the servers: repeats what failed on another server, queues, knows each client by its token, speaks TLS. `gateway: true` is short for this one.",
        ),
      replicas: v.count(1, 100).default(gatewayDefaults.replicas).describe("Number of gateway pods."),
      clients: v
        .listOf(
          v.block({
            name: v.dnsLabel().describe("Name of the client, a team for instance; in the outputs, logs and metrics."),
            generation: generation()
              .default(blockDefaults.ClientArgs.generation)
              .describe("Number of the generated token. One more is a new token; the one before stays valid until `retire`."),
            retire: retired().default(blockDefaults.ClientArgs.retire).describe("Tokens up to this generation are no longer valid."),
            token: v.token().optional().describe("The token, as a secret, instead of a generated one."),
            previousToken: v
              .token()
              .optional()
              .describe("A given token that is valid besides, as a secret, while clients change to `token`."),
          }),
        )
        .min(1, { error: "is empty; name at least one client, or remove the setting for one called default" })
        .prefault(gatewayDefaults.clients.map((client) => ({ ...client })))
        .meta({ description: "Who may scan: each has a token, and a fair share of the servers.", otherwise: "one called `default`" }),
      requestsPerServer: v
        .count(1, 10_000)
        .default(gatewayDefaults.requestsPerServer)
        .describe("Requests that one server works on at once; more of them wait in the gateway."),
      rateLimit: v
        .count(1, 10_000_000)
        .optional()
        .describe(
          "Requests a minute of each client; a scan has three, and one more for each new layer. What is above it is told to come again, which Trivy does for half a minute.",
        ),
      maxRequestSize: v
        .size()
        .default(gatewayDefaults.maxRequestSize)
        .describe("Largest request: what a client has found in one layer. 20,000 packages have about 4Mi."),
      tls: v
        .block({
          enabled: v.flag().default(false).describe("HTTPS on port 443. `tls: true` is short for this one."),
          existingSecret: v
            .objectName()
            .optional()
            .describe("An existing Secret of type kubernetes.io/tls with the certificate, such as cert-manager's."),
          certificate: v
            .certificates()
            .optional()
            .describe("The certificate, and intermediate ones after it; without one it is generated, by an authority of the stack's own."),
          key: v.privateKey().optional().describe("Its key, as a secret."),
          caCertificates: v
            .certificates()
            .optional()
            .describe("Certificate authorities that clients need for `certificate` or `existingSecret`: the output `caCertificate`."),
          names: v.listOf(v.hostName()).default([]).describe("Further DNS names and IP addresses in the generated certificate."),
          plainHttp: v
            .flag()
            .default(false)
            .describe("Port 80 answers in the cluster as well; without it, only `kubectl port-forward` gets there."),
        })
        .prefault({}),
      resources: resources("each gateway pod", gatewayDefaults.resources, "it bounds the requests under way"),
      clusterDomain: v.dnsName().default(defaults.clusterDomain).describe("The cluster's DNS domain."),
      monitors: v.listOf(v.clientNamespace()).default([]).describe("Namespaces whose pods may read the metrics, on port 8405."),
    })
    .prefault({}),
  database: v
    .block({
      repositories: v
        .listOf(v.repository())
        .min(1, { error: "is empty; write at least one repository, or remove the setting for the public ones" })
        .default([...databaseDefaults.repositories])
        .describe(
          "Where the vulnerability database comes from. The next one is asked when one answers 408, 429 or 5xx; not when it cannot be reached.",
        ),
      plainHttp: v
        .flag()
        .default(databaseDefaults.plainHttp)
        .describe("Tries plain HTTP when HTTPS fails. Trivy then verifies no registry's certificate; prefer `server.caCertificates`."),
      credentials: logins(),
      existingSecret: v.objectName().optional().describe("An existing Secret of type kubernetes.io/dockerconfigjson with the logins."),
      cidrs: v
        .listOf(v.cidr())
        .default([])
        .describe(
          "Addresses that the servers may reach besides what the repositories' names tell: a private one behind a public name, blobs stored elsewhere.",
        ),
    })
    .prefault({}),
  proxy: v
    .block({
      http: v.proxyUrl().optional().describe("Proxy for plain HTTP."),
      https: v.proxyUrl().optional().describe("Proxy for HTTPS."),
      noProxy: v.listOf(v.noProxyEntry()).default([]).describe("What is reached directly, besides the cluster's own."),
    })
    .prefault({}),
  redis: v
    .block({
      mode: v
        .choice(["embedded", "external"])
        .default("embedded")
        .describe("`embedded`: a Redis of the service's own. `external`: one that exists."),
      ttl: v.duration().default(embeddedDefaults.ttl).describe("How long an analysed image stays in the cache, counted from its analysis."),
      maxMemory: v
        .size()
        .default(embeddedDefaults.maxMemory)
        .describe("Embedded: memory for the cache's data; the least recently used goes when it is full. The container gets twice that."),
      cpu: v.cpu().default(embeddedDefaults.cpu).describe("Embedded: CPU that it asks for."),
      persistence: v
        .block({
          enabled: v.flag().default(true).describe("Embedded: keeps the cache over restarts. `persistence: false` is short for this one."),
          size: v.size().optional().meta({ description: "Embedded: size of the volume claim.", otherwise: "four times `maxMemory`" }),
          storageClass: v.objectName().optional().describe("Embedded: StorageClass of the claim; without it, the cluster's."),
        })
        .prefault({}),
      generation: generation()
        .default(embeddedDefaults.generation)
        .describe("Embedded: number of the generated password. One more is a new password; the one before stays valid until `retire`."),
      retire: retired().default(embeddedDefaults.retire).describe("Embedded: passwords up to this generation are no longer valid."),
      monitors: v
        .listOf(v.clientNamespace())
        .default([])
        .describe("Embedded: namespaces whose pods may read Redis' metrics, on port 9121 of an exporter that runs if there are any."),
      host: v
        .redisHost()
        .optional()
        .describe("External: the one address that can be written to; Trivy knows neither Sentinel nor Cluster."),
      port: v.count(1, 65535).default(externalDefaults.port).describe("External: port."),
      database: v.count(0, 1000).default(externalDefaults.database).describe("External: number of the database."),
      user: v.anyText().optional().describe("External: ACL user; needs GET, SET, DEL and PING on `fanal::*`."),
      password: v.secretText("write the password").optional().describe("External: password, as a secret."),
      existingSecret: secretKey(blockDefaults.PasswordSecretRef.key)
        .optional()
        .describe("External: an existing Secret with the password, which must be of letters and digits."),
      tls: v
        .block({
          enabled: v
            .flag()
            .default(false)
            .describe(
              "Speaks TLS. Embedded: mutual TLS with generated certificates. External: with the system's certificate authorities unless told otherwise. `tls: true` is short for this one.",
            ),
          caCertificates: v.certificates().optional().describe("External: certificate authorities of a private CA."),
          clientCertificate: v.certificates().optional().describe("External: certificate for mutual TLS."),
          clientKey: v.privateKey().optional().describe("External: its key, as a secret."),
          existingSecret: v
            .objectName()
            .optional()
            .describe("External: an existing Secret with ca.crt, tls.crt and tls.key instead of the three."),
        })
        .prefault({}),
      cidrs: v.listOf(v.cidr()).default([]).describe("External: where the host's addresses are; narrows the network policy."),
    })
    .prefault({}),
  clients: v
    .block({
      namespaces: v
        .listOf(v.clientNamespace())
        .default([])
        .describe("Namespaces whose pods may connect; `*` is all of them. Without any, only `kubectl port-forward` gets through."),
      cidrs: v.listOf(v.cidr()).default([]).describe("Addresses that may connect: load balancers, nodes, machines outside the cluster."),
    })
    .prefault({}),
  exposure: v
    .block({
      type: v.choice(["none", "loadBalancer", "ingress", "gateway"]).default("none").describe("How clients outside the cluster get in."),
      host: v.dnsName().optional().describe("Ingress, gateway: DNS name."),
      class: v.className().optional().describe("Load balancer, ingress: class; without it, the cluster's."),
      tlsSecret: v.objectName().optional().describe("Ingress: existing Secret with the certificate; without it, the controller's own."),
      gateway: v
        .block({
          name: v.objectName().describe("Gateway: name of the Gateway."),
          namespace: v.dnsLabel().optional().describe("Gateway: its namespace; without it, the service's."),
          section: v.objectName().optional().describe("Gateway: one of its listeners; without it, all."),
        })
        .optional()
        .describe("Gateway: the Gateway of the Gateway API that the route hangs on."),
      annotations: v
        .textsBy(v.labelKey())
        .default({})
        .describe("Annotations of the LoadBalancer Service, Ingress or HTTPRoute: body size, time-outs, TLS."),
    })
    .prefault({}),
  registryScan: v
    .block({
      enabled: v
        .flag()
        .default(false)
        .describe("Scans images of registries at regular times, through the service, and tells of what is new."),
      schedule: v
        .schedule()
        .default(registryScanDefaults.schedule)
        .describe("When: minute, hour, day of the month, month, day of the week; or @daily and the like."),
      timeZone: v.timeZone().default(registryScanDefaults.timeZone).describe("Whose clock that is."),
      targets: v
        .listOf(
          v.block({
            image: v.scannedImage().optional().describe("One image, with its tag or digest; or the next ones."),
            repository: v.scannedRepository().optional().describe("A repository, whose tags are listed at each run."),
            tags: v
              .listOf(v.tagPattern())
              .min(1, { error: "is empty; name a tag or a glob, or remove the setting for all tags" })
              .optional()
              .meta({ description: "Tags and globs; what one of them matches is scanned.", otherwise: "all" }),
            versions: v
              .versionRange()
              .optional()
              .meta({ description: "Range of semantic versions; tags that are none, or outside, are left out.", otherwise: "any" }),
            newest: v.count(1, 10_000).optional().meta({
              description: "Only so many: the highest versions if all are versions, else those created last.",
              otherwise: "all",
            }),
          }),
        )
        .default([])
        .describe("What to scan. An image that has several tags is scanned once."),
      strict: v
        .flag()
        .default(registryScanDefaults.strict)
        .describe("A glob or range that matches nothing is an error of the run; without it, a warning in its report."),
      severities: v
        .listOf(v.choice(severities))
        .min(1, { error: "is empty; name the severities that count" })
        .default([...registryScanDefaults.severities])
        .describe("Which findings count."),
      ignoreUnfixed: v.flag().default(registryScanDefaults.ignoreUnfixed).describe("Leaves out what has no fix."),
      scanners: v
        .listOf(v.choice(scanners))
        .min(1, { error: "is empty; name what to look for" })
        .default([...registryScanDefaults.scanners])
        .describe("What to look for."),
      ignoreFile: v
        .yamlText("write what a .trivyignore.yaml has")
        .optional()
        .describe("Findings to leave out, with reasons and dates: the text of a .trivyignore.yaml."),
      vex: v
        .listOf(v.jsonText("write a VEX document: OpenVEX, CycloneDX or CSAF, as JSON"))
        .default([])
        .describe("VEX documents, as JSON text."),
      credentials: logins(),
      existingSecret: v.objectName().optional().describe("An existing Secret of type kubernetes.io/dockerconfigjson with the logins."),
      plainHttp: v
        .flag()
        .default(registryScanDefaults.plainHttp)
        .describe("Tries plain HTTP when HTTPS fails, and verifies no registry's certificate; prefer `caCertificates`."),
      caCertificates: v
        .certificates()
        .optional()
        .describe("Certificate authorities to trust besides the system's: registries, proxies, receivers."),
      cidrs: v
        .listOf(v.cidr())
        .default([])
        .describe("Addresses that may be reached besides what the names of registries and receivers tell."),
      javaRepositories: v
        .listOf(v.repository())
        .min(1, { error: "is empty; write at least one repository, or remove the setting for Trivy's" })
        .optional()
        .meta({ description: "Where the database comes from by which Java archives are identified.", otherwise: "Trivy's" }),
      parallelism: v
        .count(1, 1000)
        .default(registryScanDefaults.parallelism)
        .describe("Images that are scanned at once: the number of pods."),
      timeout: v.duration().default(registryScanDefaults.timeout).describe("How long one image may take."),
      deadline: v
        .duration()
        .default(registryScanDefaults.deadline)
        .describe("How long a run may take; images that are missing then are reported as such."),
      workVolume: v
        .size()
        .default(registryScanDefaults.workVolume)
        .describe("Size limit of the volume that layers are unpacked on, of each pod."),
      resources: resources("each scanning pod", registryScanDefaults.resources, "a large layer is analysed in it"),
      reports: v
        .block({
          keep: v.count(1, 1000).default(registryScanDefaults.reports.keep).describe("Runs whose reports are kept."),
          size: v.size().default(registryScanDefaults.reports.size).describe("Size of their volume claim."),
          storageClass: v.objectName().optional().describe("StorageClass of the claim; without it, the cluster's."),
          cycloneDx: v
            .flag()
            .default(registryScanDefaults.reports.cycloneDx)
            .describe("A CycloneDX document of each image besides: what is in it."),
          url: v.webUrl().optional().describe("URL under which people open the reports, for links in alerts."),
          viewers: v
            .listOf(v.clientNamespace())
            .default([])
            .describe("Namespaces whose pods may read reports and metrics; without any, only `kubectl port-forward` gets there."),
          bucket: v
            .block({
              endpoint: v.webUrl().optional().meta({ description: "URL of the service.", otherwise: "Amazon's" }),
              region: v.bucketName().default(blockDefaults.BucketArgs.region).describe("Region."),
              name: v.bucketName().describe("Name of the bucket."),
              prefix: v.anyText().default("").describe("What the objects' names begin with."),
              existingSecret: v
                .objectName()
                .describe("An existing Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if there is one."),
            })
            .optional()
            .describe("Copies of all reports go to this S3-compatible bucket."),
          resources: resources("the reports' server", registryScanDefaults.reports.resources, "10,000 images need about half of it"),
        })
        .prefault({}),
      alerts: v
        .listOf(
          v.block({
            name: v.dnsLabel().describe("Name of the receiver, in logs and metrics."),
            type: v
              .choice(["alertmanager", "slack", "json"])
              .describe(
                "`alertmanager`: an alert for each image, package and severity. `slack`: messages as Slack takes them. `json`: all of it, for programs.",
              ),
            url: v.secretUrl().optional().describe("Where to, as a secret: the root of an Alertmanager, the whole URL of a webhook."),
            existingSecret: secretKey("url").optional().describe("An existing Secret that holds the URL."),
            authorization: v
              .secretText("write the header's value, such as Bearer and a token")
              .optional()
              .describe("Value of the Authorization header, as a secret."),
          }),
        )
        .default([])
        .describe("Who is told of what is new and what is fixed."),
    })
    .prefault({}),
  scheduling: v
    .block({
      nodeSelector: v.textsBy(v.labelKey(), v.labelValue()).default({}).describe("Labels that a node must have."),
      tolerations: v
        .listOf(
          v.block({
            key: v.labelKey().optional().describe("Taint."),
            operator: v.choice(["Exists", "Equal"]).default("Equal").describe("How to compare."),
            value: v.labelValue().optional().describe("Value of the taint."),
            effect: v.choice(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional().describe("Effect of the taint; without it, all."),
          }),
        )
        .default([])
        .describe("Taints that the pods tolerate."),
      priorityClassName: v.objectName().optional().describe("PriorityClass of the pods."),
    })
    .prefault({}),
  labels: v.textsBy(v.labelKey(), v.labelValue()).default({}).describe("Labels on every object: team, cost centre."),
  podAnnotations: v.textsBy(v.labelKey()).default({}).describe("Annotations of every pod: service mesh, log collector."),
});

export type Settings = z.output<typeof schema>;

/** All that is wrong with a stack's settings, at once. Pulumi shows the message without a stack trace. */
export class SettingsError extends pulumi.RunError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ path, message }) => `  ${project}:${path} ${message}`);
    super(`${problems.length === 1 ? "A setting" : `${problems.length} settings`} of this stack cannot be used:\n${lines.join("\n")}`);
    this.problems = problems;
  }
}

/** The settings of the current stack, checked. Nothing else reads Pulumi's configuration. */
export function readSettings(): ScanServiceArgs & { readonly instance: string } {
  const given = Object.entries(pulumi.runtime.allConfig()).flatMap(([key, value]) =>
    key.startsWith(`${project}:`) ? [[key.slice(project.length + 1), parsed(value)] as const] : [],
  );
  const settings = checkSettings(Object.fromEntries(given), (key) => isConfigSecret(`${project}:${key}`));
  for (const { path, message } of warnings(settings)) pulumi.log.warn(`${project}:${path} ${message}`);
  return { ...serviceArgs(settings), instance: pulumi.getStack() };
}

/** Pulumi's SDK knows which values were encrypted, but does not declare it. */
const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret(key: string): boolean };

/** Structured values come as JSON. */
function parsed(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

type Raw = { readonly [key: string]: unknown };
const isBlock = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Checks settings as they stand in the stack's file and fills in the defaults. Throws a `SettingsError` with every problem.
 * `isSecret` tells whether the value of a top-level key was encrypted.
 */
export function checkSettings(given: Raw, isSecret: (key: string) => boolean = () => true): Settings {
  const raw = abbreviations(given) as Raw;
  const problems: Problem[] = [];
  const unusable: string[] = [];
  // What cannot be used is taken out and the rest checked again, so that one mistake does not hide another.
  for (let rest = raw; ; ) {
    const { data, error } = schema.safeParse(rest);
    if (data) {
      const touched = (path: string) => unusable.some((bad) => `${bad}.`.startsWith(`${path}.`) || `${path}.`.startsWith(`${bad}.`));
      problems.push(
        ...rules(data, (path) => lookUp(raw, path), isSecret).filter(({ path, concerns = [] }) => ![path, ...concerns].some(touched)),
      );
      if (problems.length > 0) throw new SettingsError(problems.map(({ path, message }) => ({ path, message })));
      return data;
    }
    for (const issue of error.issues) {
      const path = issue.path.map(String);
      if (issue.code === "unrecognized_keys") {
        for (const key of issue.keys) problems.push({ path: join([...path, key]), message: unknownKey(key, path) });
        for (const key of issue.keys) rest = without(rest, [...path, key]);
      } else {
        // A key of a table is refused with its path; what is missing is mended by leaving out the block that lacks it.
        const message =
          issue.code === "invalid_key" ? `is no name that can stand here; ${issue.issues[0]?.message.split("; ").at(-1)}` : issue.message;
        problems.push({ path: join(path), message });
        unusable.push(join(path));
        rest = without(rest, path);
      }
    }
  }
}

/** `persistence: false` for `persistence: {enabled: false}`, and likewise for every block that has such a switch. */
function abbreviations(given: unknown, type: z.ZodType = schema): unknown {
  const inner = unwrapped(type);
  if (!(inner instanceof z.ZodObject)) return given;
  if (typeof given === "boolean" && "enabled" in inner.shape) return { enabled: given };
  if (!isBlock(given)) return given;
  const expanded = (key: string, value: unknown) =>
    Object.hasOwn(inner.shape, key) ? abbreviations(value, inner.shape[key] as z.ZodType) : value;
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, expanded(key, value)]));
}

/** What stands at a path, written as the problems' paths are. */
function lookUp(settings: Raw, path: string): unknown {
  const parts = path.split(/[.[\]]+/).filter((part) => part !== "");
  return parts.reduce<unknown>(
    (at, part) => (typeof at === "object" && at !== null && Object.hasOwn(at, part) ? (at as Raw)[part] : undefined),
    settings,
  );
}

/** The settings without what stands at a path; or, if nothing stands there, without the block that lacks it. */
function without(settings: Raw, path: readonly string[]): Raw {
  const [key, ...deeper] = path;
  if (key === undefined) return {};
  const value = settings[key];
  const { [key]: _, ...others } = settings;
  if (deeper.length === 0) return key in settings ? others : {};
  if (!isBlock(value)) return others;
  const parent = deeper.slice(0, -1).reduce<unknown>((block, part) => (isBlock(block) ? block[part] : undefined), value);
  const there = isBlock(parent) && (deeper.at(-1) ?? "") in parent;
  if (!there) return deeper.length === 1 ? others : { ...others, [key]: without(value, deeper.slice(0, -1)) };
  return { ...others, [key]: without(value, deeper) };
}

const join = (path: readonly string[]) =>
  path.reduce((text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : text ? `${text}.${part}` : part), "");

function unknownKey(key: string, path: readonly string[]): string {
  const known = Object.keys(shapeAt(path) ?? {});
  const near = known
    .map((candidate) => ({ candidate, away: distance(key.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.away - b.away)
    .find(({ candidate, away }) => away <= Math.max(1, Math.ceil(candidate.length / 3)));
  const others = known.length > 0 ? `there are ${known.join(", ")}` : "remove it";
  return `is no setting; ${near ? `did you mean ${near.candidate}?` : others}`;
}

/** The keys of the schema's block at a path. */
function shapeAt(path: readonly string[]): Record<string, z.ZodType> | undefined {
  let type: z.ZodType | undefined = schema;
  for (const part of path) {
    const inner: z.ZodType | undefined = type && unwrapped(type);
    type =
      inner instanceof z.ZodObject
        ? (inner.shape[part] as z.ZodType | undefined)
        : inner instanceof z.ZodArray
          ? (inner.element as z.ZodType)
          : undefined;
  }
  const inner = type && unwrapped(type);
  return inner instanceof z.ZodObject ? inner.shape : undefined;
}

/** A type without the wrappers that make it optional or give it a default. */
export function unwrapped(type: z.ZodType): z.ZodType {
  if (type instanceof z.ZodOptional || type instanceof z.ZodDefault || type instanceof z.ZodPrefault)
    return unwrapped(type.unwrap() as z.ZodType);
  return type;
}

/** The settings in the shape of the components' arguments. */
export function serviceArgs({ redis, exposure, gateway, clients, registryScan, ...settings }: Settings): Omit<ScanServiceArgs, "instance"> {
  const { clusterDomain, ...gatewayArgs } = gateway;
  return {
    ...settings,
    clusterDomain,
    access: clients,
    gateway: gatewayArgs,
    redis: redisArgs(redis),
    exposure: exposureArgs(exposure),
    registryScan: {
      ...registryScan,
      targets: registryScan.targets.map(({ image, repository = "", ...choice }) =>
        image === undefined ? { repository, ...choice } : { image },
      ),
    },
  };
}

function redisArgs(redis: Settings["redis"]): ScanServiceArgs["redis"] {
  const { mode, ttl, maxMemory, cpu, persistence, generation, retire, monitors, tls, host = "", ...external } = redis;
  if (mode === "embedded") return { mode, ttl, maxMemory, cpu, persistence, generation, retire, monitors, tls: { enabled: tls.enabled } };
  return { mode, ttl, host, tls, ...external };
}

function exposureArgs({
  type,
  host = "",
  class: className,
  gateway,
  tlsSecret,
  annotations,
}: Settings["exposure"]): ScanServiceArgs["exposure"] {
  switch (type) {
    case "none":
      return { type };
    case "loadBalancer":
      return { type, class: className, annotations };
    case "ingress":
      return { type, host, class: className, tlsSecret, annotations };
    case "gateway":
      return gateway && { type: "gatewayApi", host, gateway, annotations };
  }
}
