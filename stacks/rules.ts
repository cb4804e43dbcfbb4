import type * as pulumi from "@pulumi/pulumi";
import { claimSize } from "../components/cache/sizes.ts";
import { registryScanClient } from "../components/scan-service.ts";
import { managedVariables } from "../components/server/environment.ts";
import { serviceName } from "../components/shared/parts.ts";
import { bytes, seconds } from "../components/shared/quantity.ts";
import { authorityProblem, names, pairProblem, validityProblem } from "./certificates.ts";
import type { Settings } from "./settings.ts";
import { cores } from "./values.ts";

export const project = "trivy-server";

/** One thing that is wrong with a stack's settings. */
export interface Problem {
  /** Where, as `pulumi config set --path` takes it. */
  readonly path: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

interface RuleProblem extends Problem {
  /** Other settings that the rule looked at: if one of those is wrong by itself, the rule has nothing to say. */
  readonly concerns?: readonly string[];
}

/** What the stack's file says at a path, if anything: a default is nobody's mistake, and a secret can be read here. */
type Given = (path: string) => unknown;

/** What no setting can tell by itself. `isSecret` tells whether the value of a top-level key was encrypted. */
export function rules(settings: Settings, given: Given, isSecret: (key: string) => boolean): RuleProblem[] {
  return [
    ...serverRules(settings, given),
    ...gatewayRules(settings.gateway, given),
    ...redisRules(settings.redis, given),
    ...loginRules("database", settings.database),
    ...podRules(settings),
    ...exposureRules(settings, given),
    ...registryScanRules(settings, given),
    ...plainSecrets(settings, isSecret),
  ];
}

/** Settings in the block at `path` that somebody has written although nothing looks at them. */
function* meaningless(
  given: Given,
  path: string,
  keys: readonly string[],
  message: string,
  concerns: readonly string[] = [],
): Generator<RuleProblem> {
  for (const key of keys) if (given(`${path}.${key}`) !== undefined) yield { path: `${path}.${key}`, message, concerns };
}

const othersThan = (key: string, block: object) => Object.keys(block).filter((other) => other !== key);

/** What works, but hardly as it was meant. */
export function* warnings({ gateway, server, namespace }: Settings): Generator<Problem> {
  if (!gateway.enabled) return;
  const { rateLimit, clients, tls } = gateway;
  const servers = server.autoscaling?.maxReplicas ?? server.replicas;
  const capacity = Math.floor(servers * requestsPerCore * cores(server.resources.limits.cpu ?? "1"));
  if (rateLimit !== undefined && rateLimit * clients.length > capacity)
    yield {
      path: "gateway.rateLimit",
      message: `is ${rateLimit}, which allows ${rateLimit * clients.length} requests a minute altogether (clients: ${clients.length}), above the ${capacity} or so that the servers answer (servers: ${servers}), so it protects nobody; at most ${Math.floor(capacity / clients.length)} would`,
    };
  const host = `${serviceName}.${namespace.name}.svc`;
  if (tls.enabled && tls.certificate !== undefined && !names(tls.certificate, host))
    yield { path: "gateway.tls.certificate", message: `is not for ${host}; clients in the cluster, which use that name, will refuse it` };
}

/** Requests a minute that a server answers with one core: 12 to 17 ms a scan of three requests, measured. */
const requestsPerCore = 12_000;

function* serverRules({ server, gateway }: Settings, given: Given): Generator<RuleProblem> {
  const { autoscaling, token, resources, env } = server;
  if (autoscaling && given("server.replicas") !== undefined)
    yield { path: "server.replicas", message: "has no meaning beside server.autoscaling; remove one of the two" };
  if (autoscaling && autoscaling.minReplicas > autoscaling.maxReplicas)
    yield {
      path: "server.autoscaling.minReplicas",
      message: `is ${autoscaling.minReplicas}, above maxReplicas (${autoscaling.maxReplicas}); write at most that`,
      concerns: ["server.autoscaling.maxReplicas"],
    };
  if (gateway.enabled) {
    const message =
      "has no meaning with the gateway, which has a token of its own for the servers; remove it, and name those who may scan in gateway.clients";
    yield* meaningless(given, "server.token", Object.keys(token), message, ["gateway.enabled"]);
  } else {
    if (token.value && token.existingSecret)
      yield { path: "server.token.existingSecret", message: "stands beside server.token.value; remove one of the two" };
    for (const key of ["value", "existingSecret"] as const)
      if (!token.enabled && token[key])
        yield { path: `server.token.${key}`, message: "has no meaning while server.token.enabled is false; remove it or enable the token" };
  }
  yield* resourceRules("server.resources", resources);
  for (const name of Object.keys(env)) {
    const setting = managedVariables[name.toUpperCase()];
    if (setting) yield { path: `server.env.${name}`, message: `is decided by ${setting}; remove it here` };
  }
}

function* resourceRules(path: string, { requests, limits }: Settings["server"]["resources"]): Generator<RuleProblem> {
  if (bytes(requests.memory) > bytes(limits.memory))
    yield {
      path: `${path}.requests.memory`,
      message: `is ${requests.memory}, above the limit of ${limits.memory}; write at most that, or raise ${path}.limits.memory`,
      concerns: [`${path}.limits.memory`],
    };
  if (limits.cpu !== undefined && cores(requests.cpu) > cores(limits.cpu))
    yield {
      path: `${path}.requests.cpu`,
      message: `is ${requests.cpu}, above the limit of ${limits.cpu}; write at most that, or raise ${path}.limits.cpu`,
      concerns: [`${path}.limits.cpu`],
    };
}

/** HAProxy by itself, and room for the fewest requests that it is of use with. */
const leastGatewayMemory = "256Mi";

function* gatewayRules(gateway: Settings["gateway"], given: Given): Generator<RuleProblem> {
  if (!gateway.enabled) {
    const message = "has no meaning while gateway.enabled is false; set gateway.enabled: true, or remove it";
    yield* meaningless(given, "gateway", othersThan("enabled", gateway), message, ["gateway.enabled"]);
    return;
  }
  const { memory } = gateway.resources.limits;
  if (bytes(memory) < bytes(leastGatewayMemory))
    yield {
      path: "gateway.resources.limits.memory",
      message: `is ${memory}, too little for HAProxy and the requests under way; write at least ${leastGatewayMemory}`,
    };
  yield* resourceRules("gateway.resources", gateway.resources);
  yield* clientRules(gateway.clients, given);
  yield* gatewayTlsRules(gateway.tls, given);
}

const presentRetired = (retire: number, generation: number) =>
  `is ${retire}, but generation ${generation} is the present one; ${generation === 1 ? "remove it" : `write at most ${generation - 1}`}`;

function* clientRules(clients: Settings["gateway"]["clients"], given: Given): Generator<RuleProblem> {
  const owners = new Map<unknown, string>();
  for (const [index, { name, token, previousToken, generation, retire }] of clients.entries()) {
    const path = `gateway.clients[${index}]`;
    if (clients.findIndex((other) => other.name === name) < index)
      yield { path: `${path}.name`, message: `is ${name} a second time; give each client a name of its own` };
    if (token === undefined) {
      if (previousToken !== undefined)
        yield {
          path: `${path}.previousToken`,
          message: "has no meaning without token; remove it: of a generated token, generation keeps the one before",
          concerns: [`${path}.token`],
        };
      if (retire >= generation)
        yield { path: `${path}.retire`, message: presentRetired(retire, generation), concerns: [`${path}.generation`] };
      continue;
    }
    const message = "has no meaning beside token: it is for generated tokens; remove one of the two";
    yield* meaningless(given, path, ["generation", "retire"], message);
    // Secrets are sealed in the settings; what they are must be looked up in what was given.
    for (const key of ["token", "previousToken"] as const) {
      const text = given(`${path}.${key}`);
      if (text === undefined) continue;
      const owner = owners.get(text);
      if (owner === undefined) owners.set(text, path);
      else
        yield {
          path: `${path}.${key}`,
          message:
            owner === path
              ? "is the same as token; write the one from before, or remove it"
              : `is a token of ${owner} as well, and the gateway could not tell the two apart; give each client one of its own`,
          concerns: [`${path}.token`],
        };
    }
  }
}

function* gatewayTlsRules(tls: Settings["gateway"]["tls"], given: Given): Generator<RuleProblem> {
  const path = "gateway.tls";
  if (!tls.enabled) {
    const message = "has no meaning without TLS; set gateway.tls.enabled: true or remove it";
    yield* meaningless(given, path, othersThan("enabled", tls), message, [`${path}.enabled`]);
    return;
  }
  const { existingSecret, certificate, key, caCertificates } = tls;
  const both = [`${path}.certificate`, `${path}.key`];
  if (existingSecret !== undefined) {
    for (const other of ["certificate", "key"] as const)
      if (tls[other] !== undefined)
        yield { path: `${path}.${other}`, message: "stands beside gateway.tls.existingSecret, which holds it; remove one of the two" };
  } else {
    if (certificate === undefined && key !== undefined)
      yield { path: `${path}.certificate`, message: "is missing; gateway.tls.key belongs to one, write that", concerns: both };
    if (certificate !== undefined && key === undefined)
      yield { path: `${path}.key`, message: "is missing; write the key of gateway.tls.certificate, as a secret", concerns: both };
    if (certificate === undefined && key === undefined && caCertificates !== undefined)
      yield {
        path: `${path}.caCertificates`,
        message: "has no meaning for a generated certificate, whose authority is generated too; remove it, or write certificate and key",
        concerns: both,
      };
    yield* certificateRules(path, "certificate", certificate, "key", key, given);
    if (certificate !== undefined && caCertificates !== undefined) {
      const message = authorityProblem(certificate, caCertificates, `${path}.certificate`);
      if (message !== undefined) yield { path: `${path}.caCertificates`, message };
    }
  }
  if (tls.names.length > 0 && (existingSecret ?? certificate ?? key) !== undefined)
    yield {
      path: `${path}.names`,
      message: "has no meaning for a certificate that is given: its names are in it; remove it",
      concerns: [...both, `${path}.existingSecret`],
    };
}

/** A certificate and its key, both in the block at `path`. */
function* certificateRules(
  path: string,
  name: string,
  certificate: string | undefined,
  keyName: string,
  key: pulumi.Output<string> | undefined,
  given: Given,
): Generator<RuleProblem> {
  if (certificate === undefined) return;
  const invalid = validityProblem(certificate);
  if (invalid !== undefined) yield { path: `${path}.${name}`, message: invalid };
  const mismatch = key && pairProblem(certificate, String(given(`${path}.${keyName}`)), `${path}.${name}`);
  if (mismatch !== undefined) yield { path: `${path}.${keyName}`, message: mismatch };
}

const embeddedOnly = ["maxMemory", "cpu", "persistence", "generation", "retire", "monitors"] as const;
const externalOnly = ["host", "port", "database", "user", "password", "existingSecret", "cidrs"] as const;

const tlsMaterial = ["caCertificates", "clientCertificate", "clientKey"] as const;

function* redisRules(redis: Settings["redis"], given: Given): Generator<RuleProblem> {
  const concerns = ["redis.mode"];
  if (redis.mode === "embedded") {
    const message = "has no meaning for the embedded Redis; remove it, or set redis.mode: external to use a Redis that exists";
    yield* meaningless(given, "redis", externalOnly, message, concerns);
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
    if (redis.retire >= redis.generation)
      yield { path: "redis.retire", message: presentRetired(redis.retire, redis.generation), concerns: ["redis.generation"] };
    for (const key of [...tlsMaterial, "existingSecret"] as const)
      if (redis.tls[key] !== undefined)
        yield {
          path: `redis.tls.${key}`,
          message: "has no meaning for the embedded Redis, whose certificates are generated; remove it",
          concerns,
        };
    return;
  }
  yield* meaningless(given, "redis", embeddedOnly, "has no meaning for an external Redis; remove it", concerns);
  if (redis.host === undefined)
    yield { path: "redis.host", message: "is missing; write the external Redis' DNS name or IP address", concerns };
  if (redis.password && redis.existingSecret)
    yield { path: "redis.existingSecret", message: "stands beside redis.password; remove one of the two" };
  const { tls } = redis;
  for (const key of [...tlsMaterial, "existingSecret"] as const)
    if (!tls.enabled && tls[key] !== undefined)
      yield {
        path: `redis.tls.${key}`,
        message: "has no meaning without TLS; set redis.tls.enabled: true or remove it",
        concerns: ["redis.tls.enabled"],
      };
  if (tls.existingSecret !== undefined)
    for (const key of tlsMaterial)
      if (tls[key] !== undefined)
        yield { path: `redis.tls.${key}`, message: "stands beside redis.tls.existingSecret, which holds it; remove one of the two" };
  if (tls.clientCertificate !== undefined || tls.clientKey !== undefined)
    for (const key of tlsMaterial)
      if (tls[key] === undefined)
        yield {
          path: `redis.tls.${key}`,
          message: "is missing; for mutual TLS Trivy wants caCertificates, clientCertificate and clientKey, all three",
          concerns: tlsMaterial.map((name) => `redis.tls.${name}`),
        };
  yield* certificateRules("redis.tls", "clientCertificate", tls.clientCertificate, "clientKey", tls.clientKey, given);
}

/** Logins of the block at `path`. */
function* loginRules(
  path: string,
  { credentials, existingSecret }: Pick<Settings["database"], "credentials" | "existingSecret">,
): Generator<RuleProblem> {
  if (existingSecret !== undefined && credentials.length > 0)
    yield { path: `${path}.existingSecret`, message: `stands beside ${path}.credentials; remove one of the two` };
  for (const [index, { registry }] of credentials.entries())
    if (credentials.findIndex((other) => other.registry === registry) < index)
      yield { path: `${path}.credentials[${index}].registry`, message: `is ${registry} a second time; keep one login for each registry` };
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

function* exposureRules({ exposure, clients, server, gateway }: Settings, given: Given): Generator<RuleProblem> {
  const { type } = exposure;
  const allowed: readonly string[] = exposureKeys[type];
  const concerns = ["exposure.type"];
  const others = othersThan("type", exposure).filter((key) => !allowed.includes(key));
  const message = `has no meaning with exposure.type: ${type}; remove it or set the type that it is for`;
  yield* meaningless(given, "exposure", others, message, concerns);
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
  if (!gateway.enabled && !server.token.enabled)
    yield {
      path: "server.token.enabled",
      message: "is false although the service is exposed: anybody could write to the cache; enable the token",
      concerns: [...concerns, "gateway.enabled"],
    };
  if (gateway.enabled && gateway.tls.enabled && !gateway.tls.plainHttp && type !== "loadBalancer")
    yield {
      path: "gateway.tls.plainHttp",
      message: `is false, but with exposure.type: ${type} the controller speaks plain HTTP to the service; set gateway.tls.plainHttp: true`,
      concerns: [...concerns, "gateway.tls.enabled"],
    };
}

function* registryScanRules({ registryScan: scan, gateway }: Settings, given: Given): Generator<RuleProblem> {
  const path = "registryScan";
  if (!scan.enabled) {
    const message = "has no meaning while registryScan.enabled is false; set registryScan.enabled: true, or remove it";
    yield* meaningless(given, path, othersThan("enabled", scan), message, [`${path}.enabled`]);
    return;
  }
  yield* targetRules(scan.targets, given);
  for (const key of ["severities", "scanners"] as const)
    for (const [index, name] of scan[key].entries())
      if ((scan[key] as readonly string[]).indexOf(name) < index)
        yield { path: `${path}.${key}[${index}]`, message: `is ${name} a second time; keep one` };
  yield* loginRules(path, scan);
  yield* resourceRules(`${path}.resources`, scan.resources);
  yield* resourceRules(`${path}.reports.resources`, scan.reports.resources);
  if (seconds(scan.timeout) > seconds(scan.deadline))
    yield {
      path: `${path}.timeout`,
      message: `is ${scan.timeout}, longer than a whole run may take (deadline: ${scan.deadline}); write less, or raise the deadline`,
      concerns: [`${path}.deadline`],
    };
  yield* alertRules(scan.alerts);
  const own = gateway.enabled ? gateway.clients.findIndex(({ name }) => name === registryScanClient) : -1;
  if (own >= 0)
    yield {
      path: `gateway.clients[${own}].name`,
      message: `is ${registryScanClient}, under which the registry scan itself comes; choose another`,
    };
}

function* targetRules(targets: Settings["registryScan"]["targets"], given: Given): Generator<RuleProblem> {
  const path = "registryScan.targets";
  const written = given(path);
  // One that cannot be used is there all the same.
  if (targets.length === 0 && !(Array.isArray(written) && written.length > 0))
    yield { path, message: "is missing or empty; name at least one image or repository" };
  const seen = new Map<string, number>();
  for (const [index, { image, repository, tags, versions, newest }] of targets.entries()) {
    const at = `${path}[${index}]`;
    if (image === undefined && repository === undefined)
      yield { path: at, message: "names nothing; write `image` or `repository`", concerns: [`${at}.image`, `${at}.repository`] };
    if (image !== undefined) {
      if (repository !== undefined)
        yield { path: `${at}.repository`, message: "stands beside image; write each as an entry of its own", concerns: [`${at}.image`] };
      yield* meaningless(
        given,
        at,
        ["tags", "versions", "newest"],
        "has no meaning for one image; remove it, or name the repository instead of the image",
      );
    }
    const same = JSON.stringify(image === undefined ? { repository, tags, versions, newest } : { image });
    const first = seen.get(same);
    if (first === undefined) seen.set(same, index);
    else yield { path: at, message: `is the same as targets[${first}]; keep one` };
  }
}

function* alertRules(alerts: Settings["registryScan"]["alerts"]): Generator<RuleProblem> {
  for (const [index, { name, url, existingSecret }] of alerts.entries()) {
    const path = `registryScan.alerts[${index}]`;
    if (alerts.findIndex((other) => other.name === name) < index)
      yield { path: `${path}.name`, message: `is ${name} a second time; give each receiver a name of its own` };
    if (url === undefined && existingSecret === undefined)
      yield {
        path: `${path}.url`,
        message: "is missing; write where to send to, as a secret, or name an existingSecret that holds it",
        concerns: [`${path}.existingSecret`],
      };
    if (url !== undefined && existingSecret !== undefined)
      yield { path: `${path}.existingSecret`, message: "stands beside url; remove one of the two" };
  }
}

/** Secrets that stand in the stack's file for everybody to read. */
function* plainSecrets(
  { server, gateway, redis, database, registryScan }: Settings,
  isSecret: (key: string) => boolean,
): Generator<RuleProblem> {
  const secrets = {
    "server.token.value": server.token.value,
    ...Object.fromEntries(
      gateway.clients.flatMap(({ token, previousToken }, index) => [
        [`gateway.clients[${index}].token`, token],
        [`gateway.clients[${index}].previousToken`, previousToken],
      ]),
    ),
    "gateway.tls.key": gateway.tls.key,
    "redis.password": redis.password,
    "redis.tls.clientKey": redis.tls.clientKey,
    ...Object.fromEntries(database.credentials.map(({ password }, index) => [`database.credentials[${index}].password`, password])),
    ...Object.fromEntries(registryScan.credentials.map(({ password }, index) => [`registryScan.credentials[${index}].password`, password])),
    ...Object.fromEntries(
      registryScan.alerts.flatMap(({ type, url, authorization }, index) => [
        // Of an Alertmanager it is an address and no more.
        [`registryScan.alerts[${index}].url`, type === "alertmanager" ? undefined : url],
        [`registryScan.alerts[${index}].authorization`, authorization],
      ]),
    ),
  };
  for (const [path, value] of Object.entries(secrets))
    if (value && !isSecret(path.split(".")[0] ?? ""))
      yield { path, message: `stands in plain text; set it with: pulumi config set --path --secret '${project}:${path}'` };
}
