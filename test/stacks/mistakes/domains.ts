import type { Mistakes } from "./mistake.ts";

const withDomains = (...domains: Record<string, unknown>[]) => ({
  gateway: { enabled: true, clients: [{ name: "a" }, { name: "b" }] },
  domains,
});
const b = { name: "b", clients: ["b"], cacheDatabase: 1 };

export const domains: Mistakes = {
  inSchema: [
    ["a domain without clients", withDomains({ ...b, clients: [] }), "domains[0].clients", /name at least one client/],
    ["a domain whose clients are missing", withDomains({ name: "b", cacheDatabase: 1 }), "domains[0].clients", /is missing/],
    ["a domain without a Redis database", withDomains({ name: "b", clients: ["b"] }), "domains[0].cacheDatabase", /from 1 to 15/],
    ["the Redis database of all others", withDomains({ ...b, cacheDatabase: 0 }), "domains[0].cacheDatabase", /from 1 to 15/],
    [
      "replicas and an autoscaler",
      withDomains({ ...b, replicas: 2, autoscaling: { maxReplicas: 3 } }),
      "domains[0].replicas",
      /autoscaling/,
    ],
  ],
  beyondSchema: [
    ["a domain with a long name", withDomains({ ...b, name: "b".repeat(41) }), "domains[0].name", /shorter/],
    [
      "domains without the gateway",
      { domains: [b] },
      "domains",
      /needs the gateway, which tells clients apart; set gateway\.enabled: true/,
    ],
    [
      "a client that does not exist",
      withDomains({ ...b, clients: ["c"] }),
      "domains[0].clients[0]",
      /is c, which is not a client in gateway\.clients; use one of a, b/,
    ],
    [
      "the registry scan in a domain",
      withDomains({ ...b, clients: ["registry-scan"] }),
      "domains[0].clients[0]",
      /is not a client in gateway\.clients/,
    ],
    [
      "a client in two domains",
      withDomains(b, { name: "c", clients: ["a", "b"], cacheDatabase: 2 }),
      "domains[1].clients[1]",
      /is b, which is already in the domain b; leave it in one/,
    ],
    ["a client twice in a domain", withDomains({ ...b, clients: ["b", "b"] }), "domains[0].clients[1]", /is already in the domain b/],
    ["two domains of one name", withDomains(b, { name: "b", clients: ["a"], cacheDatabase: 2 }), "domains[1].name", /the same as/],
    [
      "two domains with one Redis database",
      withDomains(b, { name: "a", clients: ["a"], cacheDatabase: 1 }),
      "domains[1].cacheDatabase",
      /is 1, which is that of the domain b; use another number/,
    ],
    [
      "the external Redis' own database",
      { ...withDomains(b), redis: { mode: "external", host: "10.0.0.7", database: 1 } },
      "domains[0].cacheDatabase",
      /is 1, which is redis\.database, .* use another number/,
    ],
    [
      "an autoscaler's minimum above its maximum",
      withDomains({ ...b, autoscaling: { minReplicas: 5, maxReplicas: 4 } }),
      "domains[0].autoscaling.minReplicas",
      /is 5, above maxReplicas \(4\)/,
    ],
  ],
};
