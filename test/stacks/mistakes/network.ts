import type { Mistakes } from "./mistake.ts";

const repository = (reference: string) => ({ database: { repositories: [reference] } });
const redis = (host: string, more: object = {}) => ({ redis: { mode: "external", host, ...more } });
const receiver = (url: string) => ({
  registryScan: { enabled: true, targets: [{ image: "registry.example.com/a:1" }], alerts: [{ name: "a", type: "alertmanager", url }] },
});
const target = (image: string) => ({ registryScan: { enabled: true, targets: [{ image }] } });
const bucket = (endpoint: string) => ({
  registryScan: {
    ...{ enabled: true, targets: [{ image: "registry.example.com/a:1" }] },
    reports: { bucket: { endpoint, name: "reports", region: "us-east-1", existingSecret: "bucket" } },
  },
});
const proxy = (https: string, noProxy: string[] = []) => ({ proxy: { https, noProxy } });
const noProxy = (entry: string) => proxy("http://proxy.example.com:3128", [entry]);
const harbor = { database: { repositories: ["harbor.corp/trivy-db:2"] } };
const egress = (entry: object, more: object = harbor) => ({ ...more, egress: [{ hosts: ["harbor.corp"], ...entry }] });

const itself = /is the pod itself; use the name of a Service/;
const noDomain = /has no domain; for a Service use NAME\.NAMESPACE\.svc/;
const noPublicDomain = /has no public domain; for a Service use NAME\.NAMESPACE\.svc/;
const unknownPlace = /has a private name, whose addresses .*; add the host to egress with its namespaces or cidrs/;
const otherPort = /is a Service on port \d+, whose pods usually listen on another port.*; add the host to egress with namespaces and ports/;

export const network: Mistakes = {
  inSchema: [
    ["a resolver without a network", { dns: { cidrs: ["10.96.0.10"] } }, "dns.cidrs[0]", /for this one address, 10\.96\.0\.10\/32/],
    ["an entry of egress without hosts", { ...harbor, egress: [{ hosts: [], cidrs: ["10.0.0.0/8"] }] }, "egress[0].hosts", /is empty/],
    ["a port of egress that does not exist", egress({ cidrs: ["10.0.0.0/8"], ports: [0] }), "egress[0].ports[0]", /from 1 to 65535/],
    [
      "a block of addresses twice",
      { database: { cidrs: ["10.0.0.0/8", "10.0.0.0/8"] } },
      "database.cidrs[1]",
      /is 10\.0\.0\.0\/8, the same as database\.cidrs\[0\]; keep one of the two/,
    ],
    [
      "a host without a proxy twice",
      proxy("http://proxy.example.com:3128", ["a.example.com", "a.example.com"]),
      "proxy.noProxy[1]",
      /keep one of the two/,
    ],
    ["no proxy for anything", noProxy("*"), "proxy.noProxy[0]", /remove proxy\.http and proxy\.https/],
    ["a glob in noProxy", noProxy("registry-*.example.com"), "proxy.noProxy[0]", /use a host, a domain/],
  ],
  beyondSchema: [
    ["a range of addresses in noProxy", noProxy("10.0.0.1-10.0.0.9"), "proxy.noProxy[0]", /use CIDR blocks/],
    ["a URL in noProxy", noProxy("https://registry.example.com"), "proxy.noProxy[0]", /leave the scheme out/],
    ["a block with a port in noProxy", noProxy("10.0.0.0/8:443"), "proxy.noProxy[0]", /use a host, a domain/],
    ["a port that does not exist in noProxy", noProxy("example.com:70000"), "proxy.noProxy[0]", /use a host, a domain/],

    ["a database in the pod itself", repository("localhost:5000/trivy-db:2"), "database.repositories[0]", itself],
    ["a Redis in the pod itself", redis("127.0.0.1"), "redis.host", itself],
    ["a Redis at every address of the pod", redis("::"), "redis.host", itself],
    ["a Redis at an abbreviated address", redis("127.1"), "redis.host", /use a DNS name or an IP address/],
    ["a receiver in the pod itself", receiver("http://localhost:9093"), "registryScan.alerts[0].url", itself],
    ["a receiver at a loopback address written as a number", receiver("http://2130706433:9093"), "registryScan.alerts[0].url", itself],
    ["a receiver at a mapped loopback address", receiver("http://[::ffff:127.0.0.1]:9093"), "registryScan.alerts[0].url", itself],
    ["a target in the pod itself", target("localhost:5000/app:1"), "registryScan.targets[0].image", itself],
    ["a bucket in the pod itself", bucket("http://127.0.0.1:9000"), "registryScan.reports.bucket.endpoint", itself],
    ["a proxy in the pod itself", proxy("http://localhost:3128"), "proxy.https", itself],

    ["a database on a host without a domain", repository("registry:5000/trivy-db:2"), "database.repositories[0]", noDomain],
    ["a Redis without a domain", redis("redis"), "redis.host", noDomain],
    ["a Redis by its Service and namespace only", redis("redis.infra"), "redis.host", noPublicDomain],
    ["a receiver by its Service and namespace only", receiver("http://am.monitoring:9093"), "registryScan.alerts[0].url", noPublicDomain],
    ["a target by its Service and namespace only", target("registry.infra:5000/app:1"), "registryScan.targets[0].image", noPublicDomain],
    ["a proxy without a domain", proxy("http://proxy:3128"), "proxy.https", noDomain],
    ["a Redis with a dot at the end", redis("redis.example.com."), "redis.host", /leave the dot out/],
    ["a bucket with a dot at the end", bucket("https://s3.example.com."), "registryScan.reports.bucket.endpoint", /leave the dot out/],

    ["a database with a private name", harbor, "database.repositories[0]", unknownPlace],
    ["a Redis with a private name", redis("redis.corp"), "redis.host", unknownPlace],
    ["a target with a private name", target("harbor.corp/app:1"), "registryScan.targets[0].image", unknownPlace],
    ["a receiver with a private name", receiver("https://chat.corp/hooks/0123456789"), "registryScan.alerts[0].url", unknownPlace],
    ["a proxy with a private name", proxy("http://proxy.corp:3128"), "proxy.https", unknownPlace],
    [
      "a private name that the proxy does not serve",
      { ...harbor, ...proxy("http://proxy.example.com:3128", ["corp"]) },
      "database.repositories[0]",
      unknownPlace,
    ],
    ["a Service on a port that is not its pods'", receiver("http://am.monitoring.svc"), "registryScan.alerts[0].url", otherPort],
    ["a Service on the port of HTTPS", repository("harbor.infra.svc/trivy-db:2"), "database.repositories[0]", otherPort],

    ["a host of egress without a place", egress({}), "egress[0]", /set namespaces, podLabels or cidrs/],
    ["a host of egress that no setting names", egress({ cidrs: ["10.0.0.0/8"] }, {}), "egress[0].hosts[0]", /no setting connects to/],
    [
      "a host of egress that is in two entries",
      {
        ...harbor,
        egress: [
          { hosts: ["harbor.corp"], cidrs: ["10.0.0.0/8"] },
          { hosts: ["harbor.corp"], namespaces: ["harbor"] },
        ],
      },
      "egress[1].hosts[0]",
      /egress\[0\]\.hosts\[0\] contains already/,
    ],
    [
      "a host of egress that is reached through the proxy",
      { ...egress({ cidrs: ["10.0.0.0/8"] }), ...proxy("http://proxy.example.com:3128") },
      "egress[0].hosts[0]",
      /is reached through the proxy; add it to proxy\.noProxy/,
    ],
  ],
};
