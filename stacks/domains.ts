import type { z } from "zod";
import type { SettingProblem } from "./errors.ts";
import type { Gateway } from "./gateway.ts";
import * as v from "./kinds/index.ts";
import type { redis } from "./redis.ts";
import type { RuleProblem } from "./rule.ts";
import { autoscaling, autoscalingRules } from "./server.ts";

/** A Redis has 16 databases by default; managed ones have no more. The first is that of the clients without a domain. */
const lastDatabase = 15;

const domain = v
  .block("DomainArgs", {
    name: v
      .plain(v.dnsLabel())
      .describe("Name of the domain, in the names of its objects: at most 40 characters.")
      .refine((name) => name.length <= 40, {
        error: "is longer than 40 characters; use a shorter name, it is part of the names of objects",
      }),
    clients: v
      .listOf(v.plain(v.dnsLabel()))
      .min(1, { error: "is empty; name at least one client of gateway.clients, or remove the domain" })
      .describe("Names of the clients in `gateway.clients` that use the domain's servers. A client is in one domain at most."),
    cacheDatabase: v
      .plain(v.count(1, lastDatabase))
      .describe(
        "Number of the Redis database with the domain's layers. Do not give it to another domain before `redis.ttl` has passed, because its layers stay until then.",
      ),
    replicas: v.count(1, 100).default(2).describe("Number of servers."),
    autoscaling,
  })
  .meta({
    description: "A trust domain: clients with servers and cached layers of their own. No other client can change what their scans find.",
    conflicts: [["replicas", "autoscaling"]],
  });

export const domains = v
  .uniqueListOf(domain, "name")
  .default([])
  .describe(
    "Trust domains. The other clients, the registry scan and the synthetic scan share the servers of `server`, whose other settings apply to all servers.",
  );

export type Domains = z.output<typeof domains>;

export function* domainRules(domains: Domains, gateway: Gateway, cache: z.output<typeof redis>): Generator<RuleProblem> {
  if (domains.length === 0) return;
  if (!gateway.enabled) {
    yield {
      path: "domains",
      message: "needs the gateway, which tells clients apart; set gateway.enabled: true, or remove the domains",
      concerns: ["gateway"],
    };
    return;
  }
  const names = gateway.clients.map(({ name }) => name);
  const domainOf = new Map<string, string>();
  const databases = new Map<number, string>();
  for (const [index, { name, clients, cacheDatabase, autoscaling: scaled }] of domains.entries()) {
    const path = `domains[${index}]`;
    for (const [position, client] of clients.entries()) {
      const at = `${path}.clients[${position}]`;
      const other = domainOf.get(client);
      if (!names.includes(client))
        yield {
          path: at,
          message: `is ${client}, which is not a client in gateway.clients; use one of ${names.join(", ")}`,
          concerns: ["gateway"],
        };
      else if (other !== undefined)
        yield { path: at, message: `is ${client}, which is already in the domain ${other}; leave it in one of them`, concerns: [path] };
      domainOf.set(client, other ?? name);
    }
    const owner = databases.get(cacheDatabase);
    if (owner !== undefined)
      yield {
        path: `${path}.cacheDatabase`,
        message: `is ${cacheDatabase}, which is that of the domain ${owner}; use another number, up to ${lastDatabase}`,
      };
    else if (cache.mode === "external" && cache.database === cacheDatabase)
      yield {
        path: `${path}.cacheDatabase`,
        message: `is ${cacheDatabase}, which is redis.database, that of the clients without a domain; use another number, up to ${lastDatabase}`,
        concerns: ["redis.database"],
      };
    databases.set(cacheDatabase, owner ?? name);
    yield* autoscalingRules(`${path}.autoscaling`, scaled);
  }
}

/** Returns what works, but hardly as intended. */
export function* domainWarnings(
  domains: Domains,
  gateway: Gateway,
  registryScan: { readonly enabled: boolean },
): Generator<SettingProblem> {
  if (domains.length === 0) return;
  const assigned = new Set(domains.flatMap(({ clients }) => clients));
  const others = gateway.clients.filter(({ name }) => !assigned.has(name)).map(({ name }) => name);
  if (registryScan.enabled && others.length > 0)
    yield {
      path: "domains",
      message: `leave the registry scan on the same servers as ${others.join(", ")}, which can change what it finds; put every client into a domain`,
    };
}
