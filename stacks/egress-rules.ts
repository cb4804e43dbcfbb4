import { endpointProblem, isProxied, type Surroundings, urlEndpoint } from "../components/shared/egress.ts";
import type { Endpoint } from "../components/shared/network.ts";
import { registryEndpoints } from "../components/shared/registry-login.ts";
import { parseImageReference } from "../registry-scan/index.ts";
import type { Given, RuleProblem } from "./rule.ts";
import type { Settings } from "./schema.ts";

/** A host that a setting names. */
interface Named extends Endpoint {
  /** Path of the setting. */
  readonly path: string;
  /** Path of the setting with blocks of addresses that the same pods may reach. */
  readonly cidrs?: "database.cidrs" | "registryScan.cidrs" | "redis.cidrs";
}

export function* egressRules(settings: Settings, given: Given): Generator<RuleProblem> {
  const named = [...hostsOf(settings, given)];
  yield* hostProblems(settings, named);
  yield* entryProblems(settings, named);
}

function* hostProblems(settings: Settings, named: readonly Named[]): Generator<RuleProblem> {
  for (const { path, cidrs, ...endpoint } of named) {
    const message = endpointProblem(endpoint, surroundingsOf(settings, path, cidrs), cidrs);
    if (message !== undefined) yield { path, message, concerns: ["egress", "proxy", "clusterDomain", ...(cidrs ? [cidrs] : [])] };
  }
}

function* entryProblems(settings: Settings, named: readonly Named[]): Generator<RuleProblem> {
  const known = new Map<string, string>();
  for (const [index, { hosts, namespaces, podLabels, cidrs }] of settings.egress.entries()) {
    const path = `egress[${index}]`;
    if (namespaces.length === 0 && cidrs.length === 0 && Object.keys(podLabels).length === 0)
      yield { path, message: "does not say where the hosts are; set namespaces, podLabels or cidrs" };
    for (const [position, host] of hosts.entries()) {
      const at = `${path}.hosts[${position}]`;
      const users = named.filter((one) => one.host === host);
      const other = known.get(host);
      if (other !== undefined) yield { path: at, message: `is ${host}, which ${other} contains already; leave it in one of them` };
      else if (users.length === 0)
        yield {
          path: at,
          message: `is ${host}, which no setting connects to; use a host as another setting names it`,
          concerns: hostSettings,
        };
      else if (users.every((one) => isProxied(one, surroundingsOf(settings, one.path))))
        yield {
          path: at,
          message: `is ${host}, which is reached through the proxy; add it to proxy.noProxy, or remove it here`,
          concerns: ["proxy", "clusterDomain"],
        };
      known.set(host, other ?? at);
    }
  }
}

/** The blocks that contain hosts. */
const hostSettings = ["database", "redis", "registryScan", "proxy"];

/** Returns what decides about a host. A proxy itself is reached directly, and so is Redis, which is not reached by HTTP. */
function surroundingsOf(settings: Settings, path: string, cidrs?: Named["cidrs"]): Surroundings {
  const { egress: entries, proxy, clusterDomain, database, redis, registryScan } = settings;
  const blocks = {
    "database.cidrs": database.cidrs,
    "registryScan.cidrs": registryScan.cidrs,
    "redis.cidrs": redis.mode === "external" ? redis.cidrs : [],
  };
  return { egress: entries, cidrs: cidrs ? blocks[cidrs] : [], proxy: /^(proxy|redis)\./.test(path) ? {} : proxy, clusterDomain };
}

/** Returns the hosts that settings name and the service's pods connect to. */
function* hostsOf({ database, redis, registryScan, proxy }: Settings, given: Given): Generator<Named> {
  const registry = function* (path: string, reference: string | undefined, cidrs: Named["cidrs"], plainHttp: boolean) {
    if (reference === undefined || !parseImageReference(reference)) return;
    for (const endpoint of registryEndpoints(reference, plainHttp)) yield { path, cidrs, ...endpoint } as Named;
  };
  const url = function* (path: string, text: unknown, cidrs?: Named["cidrs"]) {
    if (typeof text === "string" && URL.canParse(text) && /^https?:/i.test(text))
      yield { path, ...(cidrs && { cidrs }), ...urlEndpoint(text) } as Named;
  };
  const { repositories, mirror, plainHttp } = database;
  if (!mirror.offline) {
    for (const [index, repository] of repositories.entries())
      yield* registry(`database.repositories[${index}]`, repository, "database.cidrs", plainHttp);
    if (mirror.enabled && mirror.java.enabled)
      for (const [index, repository] of mirror.java.repositories.entries())
        yield* registry(`database.mirror.java.repositories[${index}]`, repository, "database.cidrs", plainHttp);
  }
  if (mirror.enabled) {
    yield* registry("database.mirror.to", mirror.to, "database.cidrs", plainHttp);
    yield* registry("database.mirror.java.to", mirror.java.to, "database.cidrs", plainHttp);
  }
  if (redis.mode === "external") yield { path: "redis.host", cidrs: "redis.cidrs", host: redis.host, port: redis.port };
  yield* url("proxy.http", proxy.http);
  yield* url("proxy.https", proxy.https);
  if (!registryScan.enabled) return;
  for (const [index, target] of registryScan.targets.entries()) {
    const [key, reference] = "image" in target ? ["image", target.image] : ["repository", target.repository];
    yield* registry(`registryScan.targets[${index}].${key}`, reference, "registryScan.cidrs", registryScan.plainHttp);
  }
  for (const [index, repository] of (registryScan.javaRepositories ?? []).entries())
    yield* registry(`registryScan.javaRepositories[${index}]`, repository, "registryScan.cidrs", registryScan.plainHttp);
  // What is secret of a receiver's URL is not its host, which the policy must show.
  for (const index of registryScan.alerts.keys()) {
    const path = `registryScan.alerts[${index}].url`;
    yield* url(path, given(path), "registryScan.cidrs");
  }
  yield* url("registryScan.reports.bucket.endpoint", registryScan.reports.bucket?.endpoint, "registryScan.cidrs");
}
