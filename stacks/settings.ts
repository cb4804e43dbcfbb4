import * as pulumi from "@pulumi/pulumi";
import { distance } from "fastest-levenshtein";
import { z } from "zod";
import { images } from "../components/images.ts";
import { bytes } from "../components/kubernetes/quantity.ts";
import { namespaceDefaults } from "../components/namespace.ts";
import { claimSize, redisDefaults } from "../components/redis-cache.ts";
import type { ScanServiceArgs } from "../components/scan-service.ts";
import { databaseDefaults, managedVariables, serverDefaults } from "../components/trivy-server.ts";
import * as v from "./values.ts";

const project = "trivy-server";

const secretKey = (key: string) =>
  v.block({
    name: v.objectName().describe("Name of the Secret, in the service's namespace."),
    key: v.dataKey().default(key).describe("Key in the Secret."),
  });

const resources = v
  .block({
    requests: v
      .block({
        cpu: v.cpu().default(serverDefaults.resources.requests.cpu).describe("CPU that each server asks for."),
        memory: v.size().default(serverDefaults.resources.requests.memory).describe("Memory that each server asks for."),
      })
      .prefault({}),
    limits: v
      .block({
        cpu: v.cpu().optional().describe("CPU that each server gets at most; without it, what is free."),
        memory: v
          .size()
          .default(serverDefaults.resources.limits.memory)
          .describe("Memory that each server gets at most; the database is mapped into it, and read again from disk when it is short."),
      })
      .prefault({}),
  })
  .prefault({});

const pem = "write the key's whole text, -----BEGIN PRIVATE KEY-----…";

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
      trivy: v.image().optional().meta({
        description:
          "Image of the servers, whole (`registry` does not change it); a digest is welcome. Releases with known malware are refused.",
        otherwise: images.trivy,
      }),
      redis: v.image().optional().meta({ description: "Image of the cache, whole. Valkey's works as well.", otherwise: images.redis }),
    })
    .prefault({}),
  server: v
    .block({
      replicas: v.count(1, 100).default(serverDefaults.replicas).describe("Number of servers."),
      autoscaling: v
        .block({
          minReplicas: v.count(1, 100).default(serverDefaults.autoscaling.minReplicas).describe("Never fewer servers."),
          maxReplicas: v.count(1, 100).describe("Never more servers."),
          targetCpuUtilization: v
            .count(1, 1000)
            .default(serverDefaults.autoscaling.targetCpuUtilization)
            .describe("CPU to aim at, in percent of what the servers request."),
        })
        .optional()
        .describe("Lets the number of servers follow their CPU, instead of `replicas`."),
      token: v
        .block({
          enabled: v
            .flag()
            .default(serverDefaults.token.enabled)
            .describe("Clients must send a token; generated, unless one of the next two is given."),
          value: v
            .secretText("write at least 16 printable characters without spaces", (value) => /^[\x21-\x7e]{16,}$/.test(value))
            .optional()
            .describe("The token, as a secret."),
          existingSecret: secretKey(serverDefaults.token.key).optional().describe("An existing Secret that holds the token."),
        })
        .prefault({}),
      resources,
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
      credentials: v
        .listOf(
          v.block({
            registry: v.registry().describe("Host of the registry."),
            username: v.anyText().describe("User."),
            password: v.secretText("write the password or access token").describe("Password, as a secret."),
          }),
        )
        .default([])
        .describe("Logins, each for one registry."),
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
      ttl: v.duration().default(redisDefaults.ttl).describe("How long an analysed image stays in the cache, counted from its analysis."),
      maxMemory: v
        .size()
        .default(redisDefaults.embedded.maxMemory)
        .describe("Embedded: memory for the cache's data; the least recently used goes when it is full. The container gets twice that."),
      cpu: v.cpu().default(redisDefaults.embedded.cpu).describe("Embedded: CPU that it asks for."),
      persistence: v
        .block({
          enabled: v.flag().default(true).describe("Embedded: keeps the cache over restarts. `persistence: false` is short for this one."),
          size: v.size().optional().meta({ description: "Embedded: size of the volume claim.", otherwise: "four times `maxMemory`" }),
          storageClass: v.objectName().optional().describe("Embedded: StorageClass of the claim; without it, the cluster's."),
        })
        .prefault({}),
      host: v
        .redisHost()
        .optional()
        .describe("External: the one address that can be written to; Trivy knows neither Sentinel nor Cluster."),
      port: v.count(1, 65535).default(redisDefaults.port).describe("External: port."),
      database: v.count(0, 1000).default(redisDefaults.database).describe("External: number of the database."),
      user: v.anyText().optional().describe("External: ACL user; needs GET, SET, DEL and PING on `fanal::*`."),
      password: v.secretText("write the password").optional().describe("External: password, as a secret."),
      existingSecret: secretKey(redisDefaults.passwordKey)
        .optional()
        .describe("External: an existing Secret with the password, which must be of letters and digits."),
      tls: v
        .block({
          enabled: v
            .flag()
            .default(false)
            .describe("External: speaks TLS, with the system's certificate authorities unless told otherwise."),
          caCertificates: v.certificates().optional().describe("External: certificate authorities of a private CA."),
          clientCertificate: v.certificates().optional().describe("External: certificate for mutual TLS."),
          clientKey: v
            .secretText(pem, (value) => /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(value))
            .optional()
            .describe("External: its key, as a secret."),
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

/** One thing that is wrong with a stack's settings. */
export interface Problem {
  /** Where, as `pulumi config set --path` takes it. */
  readonly path: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

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
  const isSecret = (key: string) => isConfigSecret(`${project}:${key}`);
  return { ...serviceArgs(checkSettings(Object.fromEntries(given), isSecret)), instance: pulumi.getStack() };
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
  const raw = abbreviations(given);
  const problems: Problem[] = [];
  const unusable: string[] = [];
  // What cannot be used is taken out and the rest checked again, so that one mistake does not hide another.
  for (let rest = raw; ; ) {
    const { data, error } = schema.safeParse(rest);
    if (data) {
      const touched = (path: string) => unusable.some((bad) => `${bad}.`.startsWith(`${path}.`) || `${path}.`.startsWith(`${bad}.`));
      problems.push(...rules(data, raw, isSecret).filter(({ path, concerns = [] }) => ![path, ...concerns].some(touched)));
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

/** `persistence: false` for `persistence: {enabled: false}`, and likewise for the others that have such a switch. */
function abbreviations(given: Raw): Raw {
  const expanded = (block: unknown, key: string) =>
    isBlock(block) && typeof block[key] === "boolean" ? { ...block, [key]: { enabled: block[key] } } : block;
  const { server, redis } = given;
  return {
    ...given,
    ...(server !== undefined && { server: expanded(server, "token") }),
    ...(redis !== undefined && { redis: expanded(expanded(redis, "persistence"), "tls") }),
  };
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

interface RuleProblem extends Problem {
  /** Other settings that the rule looked at: if one of those is wrong by itself, the rule has nothing to say. */
  readonly concerns?: readonly string[];
}

/** What no setting can tell by itself. `raw` is what the stack's file says: a default is nobody's mistake. */
function rules(settings: Settings, raw: Raw, isSecret: (key: string) => boolean): RuleProblem[] {
  const given = (path: string) => path.split(".").reduce<unknown>((at, key) => (isBlock(at) ? at[key] : undefined), raw) !== undefined;
  return [
    ...serverRules(settings, given),
    ...redisRules(settings.redis, given),
    ...databaseRules(settings.database),
    ...podRules(settings),
    ...exposureRules(settings, given),
    ...plainSecrets(settings, isSecret),
  ];
}

function* serverRules({ server }: Settings, given: (path: string) => boolean): Generator<RuleProblem> {
  const { autoscaling, token, resources, env } = server;
  if (autoscaling && given("server.replicas"))
    yield { path: "server.replicas", message: "has no meaning beside server.autoscaling; remove one of the two" };
  if (autoscaling && autoscaling.minReplicas > autoscaling.maxReplicas)
    yield {
      path: "server.autoscaling.minReplicas",
      message: `is ${autoscaling.minReplicas}, above maxReplicas (${autoscaling.maxReplicas}); write at most that`,
      concerns: ["server.autoscaling.maxReplicas"],
    };
  if (token.value && token.existingSecret)
    yield { path: "server.token.existingSecret", message: "stands beside server.token.value; remove one of the two" };
  for (const key of ["value", "existingSecret"] as const)
    if (!token.enabled && token[key])
      yield { path: `server.token.${key}`, message: "has no meaning while server.token.enabled is false; remove it or enable the token" };
  if (bytes(resources.requests.memory) > bytes(resources.limits.memory))
    yield {
      path: "server.resources.requests.memory",
      message: `is ${resources.requests.memory}, above the limit of ${resources.limits.memory}; write at most that, or raise server.resources.limits.memory`,
      concerns: ["server.resources.limits.memory"],
    };
  const { cpu } = resources.limits;
  if (cpu !== undefined && v.cores(resources.requests.cpu) > v.cores(cpu))
    yield {
      path: "server.resources.requests.cpu",
      message: `is ${resources.requests.cpu}, above the limit of ${cpu}; write at most that, or raise server.resources.limits.cpu`,
      concerns: ["server.resources.limits.cpu"],
    };
  for (const name of Object.keys(env)) {
    const setting = managedVariables[name.toUpperCase()];
    if (setting) yield { path: `server.env.${name}`, message: `is decided by ${setting}; remove it here` };
  }
}

const embeddedOnly = ["maxMemory", "cpu", "persistence"] as const;
const externalOnly = ["host", "port", "database", "user", "password", "existingSecret", "tls", "cidrs"] as const;

function* redisRules(redis: Settings["redis"], given: (path: string) => boolean): Generator<RuleProblem> {
  const concerns = ["redis.mode"];
  for (const key of redis.mode === "embedded" ? externalOnly : embeddedOnly)
    if (given(`redis.${key}`))
      yield {
        path: `redis.${key}`,
        message: `has no meaning for ${redis.mode === "embedded" ? "the embedded Redis; remove it, or set redis.mode: external to use a Redis that exists" : "an external Redis; remove it"}`,
        concerns,
      };
  if (redis.mode === "embedded") {
    const { enabled, size } = redis.persistence;
    for (const key of ["size", "storageClass"] as const)
      if (!enabled && redis.persistence[key] !== undefined)
        yield { path: `redis.persistence.${key}`, message: "has no meaning while redis.persistence.enabled is false; remove it" };
    if (enabled && size !== undefined && bytes(size) < 3 * bytes(redis.maxMemory))
      yield {
        path: "redis.persistence.size",
        message: `is ${size}, too little for an append-only file of ${redis.maxMemory} while it is rewritten; write ${claimSize(bytes(redis.maxMemory))}`,
        concerns: ["redis.maxMemory"],
      };
    return;
  }
  if (redis.host === undefined)
    yield { path: "redis.host", message: "is missing; write the external Redis' DNS name or IP address", concerns };
  if (redis.password && redis.existingSecret)
    yield { path: "redis.existingSecret", message: "stands beside redis.password; remove one of the two" };
  const { tls } = redis;
  const material = ["caCertificates", "clientCertificate", "clientKey"] as const;
  for (const key of [...material, "existingSecret"] as const)
    if (!tls.enabled && tls[key] !== undefined)
      yield {
        path: `redis.tls.${key}`,
        message: "has no meaning without TLS; set redis.tls.enabled: true or remove it",
        concerns: ["redis.tls.enabled"],
      };
  if (tls.existingSecret !== undefined)
    for (const key of material)
      if (tls[key] !== undefined)
        yield { path: `redis.tls.${key}`, message: "stands beside redis.tls.existingSecret, which holds it; remove one of the two" };
  if (tls.clientCertificate !== undefined || tls.clientKey !== undefined)
    for (const key of material)
      if (tls[key] === undefined)
        yield {
          path: `redis.tls.${key}`,
          message: "is missing; for mutual TLS Trivy wants caCertificates, clientCertificate and clientKey, all three",
          concerns: material.map((name) => `redis.tls.${name}`),
        };
}

function* databaseRules({ credentials, existingSecret }: Settings["database"]): Generator<RuleProblem> {
  if (existingSecret !== undefined && credentials.length > 0)
    yield { path: "database.existingSecret", message: "stands beside database.credentials; remove one of the two" };
  for (const [index, { registry }] of credentials.entries())
    if (credentials.findIndex((other) => other.registry === registry) < index)
      yield { path: `database.credentials[${index}].registry`, message: `is ${registry} a second time; keep one login for each registry` };
}

function* podRules({ images, scheduling }: Settings): Generator<RuleProblem> {
  for (const [index, name] of images.pullSecrets.entries())
    if (images.pullSecrets.indexOf(name) < index)
      yield { path: `images.pullSecrets[${index}]`, message: `is ${name} a second time; keep one` };
  for (const [index, { key, operator, value }] of scheduling.tolerations.entries()) {
    const path = `scheduling.tolerations[${index}]`;
    if (key === undefined && operator === "Equal")
      yield { path: `${path}.key`, message: "is missing; name the taint, or write operator: Exists to tolerate every one" };
    if (value !== undefined && operator === "Exists")
      yield { path: `${path}.value`, message: "has no meaning with operator: Exists; remove it, or write operator: Equal" };
  }
}

const exposureKeys = {
  none: [],
  loadBalancer: ["class", "annotations"],
  ingress: ["host", "class", "tlsSecret", "annotations"],
  gateway: ["host", "gateway", "annotations"],
} as const satisfies Record<Settings["exposure"]["type"], readonly (keyof Settings["exposure"])[]>;

function* exposureRules({ exposure, clients, server }: Settings, given: (path: string) => boolean): Generator<RuleProblem> {
  const { type } = exposure;
  const allowed: readonly string[] = exposureKeys[type];
  const concerns = ["exposure.type"];
  for (const key of Object.keys(exposure))
    if (key !== "type" && given(`exposure.${key}`) && !allowed.includes(key))
      yield {
        path: `exposure.${key}`,
        message: `has no meaning with exposure.type: ${type}; remove it or set the type that it is for`,
        concerns,
      };
  if (type === "none") return;
  for (const key of ["host", "gateway"] as const)
    if (allowed.includes(key) && exposure[key] === undefined)
      yield { path: `exposure.${key}`, message: `is missing; exposure.type: ${type} needs it`, concerns };
  if (type === "ingress" && exposure.class?.includes("/"))
    yield { path: "exposure.class", message: `is ${exposure.class}; an Ingress class has no slash in its name`, concerns };
  if (clients.namespaces.length === 0 && clients.cidrs.length === 0)
    yield {
      path: "clients",
      message: `lets nobody in, so exposure.type: ${type} would lead nowhere; write ${type === "loadBalancer" ? "the clients' addresses into clients.cidrs" : "the controller's namespace into clients.namespaces"}`,
      concerns,
    };
  if (!server.token.enabled)
    yield {
      path: "server.token.enabled",
      message: "is false although the service is exposed: anybody could write to the cache; enable the token",
      concerns,
    };
}

/** Secrets that stand in the stack's file for everybody to read. */
function* plainSecrets({ server, redis, database }: Settings, isSecret: (key: string) => boolean): Generator<RuleProblem> {
  const secrets = {
    "server.token.value": server.token.value,
    "redis.password": redis.password,
    "redis.tls.clientKey": redis.tls.clientKey,
    ...Object.fromEntries(database.credentials.map(({ password }, index) => [`database.credentials[${index}].password`, password])),
  };
  for (const [path, value] of Object.entries(secrets))
    if (value && !isSecret(path.split(".")[0] ?? ""))
      yield { path, message: `stands in plain text; set it with: pulumi config set --path --secret '${project}:${path}'` };
}

/** The settings as the components take them: without what has no meaning beside another. */
export function serviceArgs({ redis, exposure, server, ...settings }: Settings): Omit<ScanServiceArgs, "instance"> {
  const { replicas, ...others } = server;
  return { ...settings, server: others.autoscaling ? others : server, redis: redisArgs(redis), exposure: exposureArgs(exposure) };
}

function redisArgs({
  mode,
  ttl,
  maxMemory,
  cpu,
  persistence,
  host = "",
  tls,
  cidrs,
  ...login
}: Settings["redis"]): NonNullable<ScanServiceArgs["redis"]> {
  const { enabled: persistent, ...claim } = persistence;
  const { enabled: encrypted, ...material } = tls;
  if (mode === "embedded")
    return {
      mode,
      ttl,
      maxMemory,
      cpu,
      persistence: persistent && (Object.values(claim).some((value) => value !== undefined) ? claim : true),
    };
  return { mode, ttl, host, cidrs, ...login, ...(encrypted && { tls: material }) };
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
      return undefined;
    case "loadBalancer":
      return { type, class: className, annotations };
    case "ingress":
      return { type, host, class: className, tlsSecret, annotations };
    case "gateway":
      return gateway && { type, host, gateway, annotations };
  }
}
