import type { z } from "zod";
import { claimSize } from "../components/cache/sizes.ts";
import { bytes } from "../components/shared/quantity.ts";
import { certificateRules } from "./certificate-rules.ts";
import { generation, generationRules, retire, secretKeyRef } from "./common.ts";
import * as v from "./kinds/index.ts";
import type { Given, RuleProblem } from "./rule.ts";

const ttl = v
  .duration({ least: "10m", because: "a scan of a large image takes" })
  .default("168h")
  .describe("How long the analysis of an image stays in the cache, counted from the analysis; reading does not renew it.");

const persistence = v
  .block("PersistenceArgs", {
    enabled: v
      .plain(v.flag())
      .default(true)
      .describe("Keeps the cache on a volume across restarts; otherwise every image is analysed again after a restart."),
    size: v.size().optional().meta({
      description: "Size of the volume claim. The append-only file can grow to three times the data while it is rewritten.",
      otherwise: "four times `maxMemory`",
    }),
    storageClass: v.objectName().optional().meta({ description: "StorageClass of the claim.", otherwise: "the cluster's default" }),
  })
  .describe("The volume that keeps the cache across restarts.")
  .prefault({});

const embedded = v
  .block("EmbeddedRedisArgs", {
    mode: v.literal("embedded").optional().default("embedded").describe("A Redis of the service's own."),
    ttl,
    maxMemory: v
      .size({ least: "16Mi", because: "the analysis of a few images needs" })
      .default("512Mi")
      .describe(
        "Memory for the cache's data; when it is full, the least recently used entries are evicted. 10,000 images with 500 packages each need about 1Gi (measured: 205 bytes a package). The container reserves twice as much, and may use three times as much while Redis rewrites its file.",
      ),
    cpu: v.cpu().default("100m").describe("CPU that the scheduler reserves for the container."),
    persistence,
    generation: generation("password"),
    retire: retire("password"),
    monitors: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe(
        "Namespaces whose pods may read Redis' metrics, on port 9121 of an exporter that is created if there are any; `*` means every namespace.",
      ),
    tls: v
      .block("EmbeddedRedisTlsArgs", {
        enabled: v.plain(v.flag()).default(false).describe("Uses mutual TLS, with generated certificates."),
      })
      .describe("TLS between the servers and the embedded Redis.")
      .prefault({}),
  })
  .describe("A Redis or Valkey of the service's own: one pod, with a generated password.");

const tlsMaterial = ["caCertificates", "clientCertificate", "clientKey"] as const;

const external = v
  .block("ExternalRedisArgs", {
    mode: v.literal("external").describe("A Redis that exists already."),
    ttl,
    host: v.redisHost().describe("DNS name or IP address that accepts writes. Trivy supports neither Sentinel nor Redis Cluster."),
    port: v.count(1, 65535).default(6379).describe("Port."),
    database: v.count(0, 1000).default(0).describe("Number of the database."),
    user: v
      .anyText()
      .optional()
      .meta({ description: "ACL user; needs GET, SET, DEL and PING on `fanal::*`.", otherwise: "Redis' default user" }),
    password: v.secretText("use the password").optional().describe("Password, as a secret."),
    existingSecret: secretKeyRef("PasswordSecretRef", "password")
      .optional()
      .describe("An existing Secret that holds the password, which must consist of letters and digits, instead of `password`."),
    tls: v
      .block("RedisTlsArgs", {
        enabled: v.plain(v.flag()).default(false).describe("Uses TLS."),
        caCertificates: v
          .certificates()
          .optional()
          .meta({ description: "Certificate authorities of a private CA, PEM.", otherwise: "the system's" }),
        clientCertificate: v
          .certificates()
          .optional()
          .describe("Certificate for mutual TLS, PEM; needs `caCertificates` and `clientKey`, because Trivy takes all three or none."),
        clientKey: v.privateKey().optional().describe("The private key of `clientCertificate`, PEM, as a secret."),
        existingSecret: v
          .objectName()
          .optional()
          .describe("Name of an existing Secret with `ca.crt`, `tls.crt` and `tls.key`, such as cert-manager's, instead of the three."),
      })
      .meta({
        description: "TLS between the servers and the external Redis.",
        conflicts: tlsMaterial.map((key) => [key, "existingSecret"] as const),
      })
      .prefault({}),
    cidrs: v
      .uniqueListOf(v.cidr())
      .default([])
      .describe("CIDR blocks of the host's addresses, which narrow the network policy; otherwise a public DNS name allows every address."),
  })
  .meta({
    description: "A Redis that exists already, at one address that accepts writes.",
    conflicts: [["existingSecret", "password"]],
  });

export const redis = v.variants("RedisArgs", "mode", [embedded, external]).describe("The cache that the servers share.").prefault({});

type Redis = z.output<typeof redis>;

export function redisRules(redis: Redis, given: Given): Iterable<RuleProblem> {
  return redis.mode === "embedded" ? embeddedRules(redis) : tlsRules(redis.tls, given);
}

function* embeddedRules({ persistence, maxMemory, ...password }: z.output<typeof embedded>): Generator<RuleProblem> {
  const { enabled, size } = persistence;
  if (enabled && size !== undefined && bytes(size) < 3 * bytes(maxMemory))
    yield {
      path: "redis.persistence.size",
      message: `is ${size}, too little for the append-only file of ${maxMemory} while it is rewritten; use ${claimSize(bytes(maxMemory))}`,
      concerns: ["redis.maxMemory"],
    };
  yield* generationRules("redis", password);
}

function* tlsRules(tls: z.output<typeof external>["tls"], given: Given): Generator<RuleProblem> {
  if (!tls.enabled) return;
  if (tls.clientCertificate !== undefined || tls.clientKey !== undefined)
    for (const key of tlsMaterial)
      if (tls[key] === undefined)
        yield {
          path: `redis.tls.${key}`,
          message: "is missing; for mutual TLS use caCertificates, clientCertificate and clientKey, all three",
          concerns: tlsMaterial.map((name) => `redis.tls.${name}`),
        };
  yield* certificateRules("redis.tls", { certificate: "clientCertificate", key: "clientKey" }, given);
}
