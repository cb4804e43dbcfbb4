import { certificate, serverCertificate } from "../../support/certificate.ts";
import type { Mistakes } from "./mistake.ts";

const { leaf, key, otherKey, expired } = serverCertificate;
const withTls = (tls: Record<string, unknown>) => ({
  redis: { mode: "external", host: "r.example.com", tls: { enabled: true, caCertificates: certificate, ...tls } },
});

export const redis: Mistakes = {
  inSchema: [
    ["memory with a short unit", { redis: { maxMemory: "2g" } }, "redis.maxMemory", /use 2Gi/],
    ["an unknown mode", { redis: { mode: "cluster" } }, "redis.mode", /is "cluster"; use one of embedded, external/],
    ["megabytes of memory", { redis: { maxMemory: "512MB" } }, "redis.maxMemory", /use 512Mi/],
    ["an amount of memory in words", { redis: { maxMemory: "much" } }, "redis.maxMemory", /use a Kubernetes quantity such as 512Mi/],
    ["a number of cores in words", { redis: { cpu: "fast" } }, "redis.cpu", /use cores, such as 200m/],
    ["a duration in days", { redis: { ttl: "7d" } }, "redis.ttl", /is "7d", which has no unit d; use 168h/],
    ["a duration in words", { redis: { ttl: "a week" } }, "redis.ttl", /use a duration such as 168h/],
    ["a duration of zero", { redis: { ttl: "0h" } }, "redis.ttl", /above zero/],
    [
      "a host of the embedded Redis",
      { redis: { host: "redis.example.com" } },
      "redis.host",
      /has no effect because redis\.mode is embedded; remove it or set redis\.mode: external/,
    ],
    [
      "memory for an external Redis",
      { redis: { mode: "external", host: "r.example.com", maxMemory: "1Gi" } },
      "redis.maxMemory",
      /has no effect because redis\.mode is external; remove it or set redis\.mode: embedded/,
    ],
    [
      "readers of an external Redis' metrics",
      { redis: { mode: "external", host: "r.example.com", monitors: ["monitoring"] } },
      "redis.monitors",
      /has no effect because redis\.mode is external/,
    ],
    [
      "the generation of an external Redis' password",
      { redis: { mode: "external", host: "r.example.com", generation: 2 } },
      "redis.generation",
      /has no effect because redis\.mode is external/,
    ],
    [
      "certificates of the embedded Redis",
      { redis: { tls: { enabled: true, caCertificates: certificate } } },
      "redis.tls.caCertificates",
      /has no effect because redis\.mode is embedded; remove it or set redis\.mode: external/,
    ],
    ["an invalid namespace of readers", { redis: { monitors: ["Monitoring"] } }, "redis.monitors[0]", /lowercase letters/],
    ["an external Redis without a host", { redis: { mode: "external" } }, "redis.host", /is missing; use a DNS name or an IP address/],
    ["a rediss:// address", { redis: { mode: "external", host: "rediss://r.example.com" } }, "redis.host", /set redis\.tls\.enabled: true/],
    ["several Redis hosts", { redis: { mode: "external", host: "r1,r2" } }, "redis.host", /neither Redis Cluster nor/],
    ["a Sentinel", { redis: { mode: "external", host: "redis-sentinel://s:26379" } }, "redis.host", /does not support Sentinel/],
    [
      "TLS material without TLS",
      { redis: { mode: "external", host: "r.example.com", tls: { caCertificates: certificate } } },
      "redis.tls.caCertificates",
      /set redis\.tls\.enabled: true/,
    ],
    [
      "a volume of a cache that is not kept",
      { redis: { persistence: { enabled: false, size: "8Gi" } } },
      "redis.persistence.size",
      /has no effect because redis\.persistence\.enabled is false/,
    ],
    [
      "two sources of the password",
      { redis: { mode: "external", host: "r.example.com", password: "p", existingSecret: { name: "a" } } },
      "redis.existingSecret",
      /conflicts with redis\.password; remove one/,
    ],
    [
      "TLS material in addition to a Secret that holds it",
      withTls({ existingSecret: "a" }),
      "redis.tls.caCertificates",
      /conflicts with redis\.tls\.existingSecret; remove one/,
    ],
  ],
  beyondSchema: [
    ["entries that expire during a scan", { redis: { ttl: "1s" } }, "redis.ttl", /is "1s", less than .*; use at least 10m/],
    ["memory for nothing", { redis: { maxMemory: "1Mi" } }, "redis.maxMemory", /use at least 16Mi/],
    ["a host with a port", { redis: { mode: "external", host: "r.example.com:6379" } }, "redis.host", /use redis\.port/],
    ["memory without a unit", { redis: { maxMemory: "512" } }, "redis.maxMemory", /use a unit/],
    [
      "half of mutual TLS",
      {
        redis: {
          mode: "external",
          host: "r.example.com",
          tls: { enabled: true, caCertificates: certificate, clientCertificate: certificate },
        },
      },
      "redis.tls.clientKey",
      /all three/,
    ],
    ["a volume that is too small", { redis: { maxMemory: "1Gi", persistence: { size: "1Gi" } } }, "redis.persistence.size", /use 4Gi/],
    ["retiring the current password", { redis: { retire: 1 } }, "redis.retire", /generation 1 is the current one; remove it/],
    [
      "an expired certificate for Redis",
      withTls({ clientCertificate: expired, clientKey: key }),
      "redis.tls.clientCertificate",
      /expired on 2021-01-01/,
    ],
    [
      "a key of another certificate for Redis",
      withTls({ clientCertificate: leaf, clientKey: otherKey }),
      "redis.tls.clientKey",
      /does not belong to redis\.tls\.clientCertificate/,
    ],
  ],
};
