import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import ipaddr from "ipaddr.js";
import { blockDefaults, type EmbeddedRedisArgs, type ExternalRedisArgs, type RedisArgs } from "../args.ts";
import { Component, optional, several, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { hostEgress } from "../shared/egress.ts";
import { eachGeneration, numbered, secretText } from "../shared/generated-secret.ts";
import { image } from "../shared/images.ts";
import { selector } from "../shared/labels.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { ingressFrom, podsWith, tcp } from "../shared/network.ts";
import { configMap, namedMetadata, networkPolicy, protection, secret, volumeClaim } from "../shared/objects.ts";
import { objectsName, parts, project } from "../shared/parts.ts";
import { containerResources, fromSecret, type Mount, type SecretKey, secretVolume } from "../shared/pod.ts";
import { type IssuedCertificate, PrivateAuthority } from "../shared/private-authority.ts";
import { clusterDomainOf } from "../shared/proxy.ts";
import { bytes } from "../shared/quantity.ts";
import { workload } from "../shared/workload.ts";
import { type CacheConnection, tlsKeys } from "./connection.ts";
import { redisConf, tlsPath } from "./redis.conf.ts";
import { RedisExporter } from "./redis-exporter.ts";
import { claimSize, containerMemory } from "./sizes.ts";
import { monitorUser, probeUser, serverUser, usersAcl } from "./users-acl.ts";

const part = parts.cache;
const port = 6379;

const paths = { configuration: "/etc/redis/redis.conf", start: "/etc/redis/start-redis.sh" } as const;
const startScript = readFileSync(join(import.meta.dirname, "start-redis.sh"), "utf8");

/**
 * How a server waits for Redis: go-redis' parameters, measured with Redis killed, unreachable and cut off under load. A server that clients
 * connect to directly needs all the patience itself. Behind a gateway that retries, a server that gives up soon is retried sooner, and the
 * waiting times do not multiply.
 */
const waiting = {
  direct: "max_retries=20&min_retry_backoff=250ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=30s",
  retried: "max_retries=6&min_retry_backoff=200ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=10s",
} as const;

const children = {
  /** The generated passwords of the servers that are valid, newest first. */
  passwords: several(random.RandomPassword),
  /** The generated passwords of the metrics exporter that are valid, newest first. */
  monitorPasswords: several(random.RandomPassword),
  /** The Secret with the current password, which the servers use. */
  credentials: optional(k8s.core.v1.Secret),
  /** The Secret with the current password of the metrics exporter. */
  monitorCredentials: optional(k8s.core.v1.Secret),
  /** The Secret with Redis' ACL file. */
  users: optional(k8s.core.v1.Secret),
  authority: optional(PrivateAuthority),
  serverCertificate: optional(k8s.core.v1.Secret),
  clientCertificate: optional(k8s.core.v1.Secret),
  /** The ConfigMap with redis.conf. */
  config: optional(k8s.core.v1.ConfigMap),
  claim: optional(k8s.core.v1.PersistentVolumeClaim),
  service: optional(k8s.core.v1.Service),
  policy: optional(k8s.networking.v1.NetworkPolicy),
  statefulSet: optional(k8s.apps.v1.StatefulSet),
  exporter: optional(RedisExporter),
};

export interface RedisCacheArgs {
  readonly context: Context;
  /** @default an embedded Redis */
  readonly redis?: RedisArgs;
  /** The pods that may connect to an embedded Redis: each entry is a set of labels that pods must have. */
  readonly allowedPods: readonly Readonly<Record<string, string>>[];
  /** Whether a gateway in front of the servers retries failed requests. @default false */
  readonly retried?: boolean;
  readonly transform?: Transforms<typeof children> | undefined;
}

type EmbeddedRedis = WithDefaults<EmbeddedRedisArgs, typeof blockDefaults.EmbeddedRedisArgs>;
type ExternalRedis = WithDefaults<ExternalRedisArgs, typeof blockDefaults.ExternalRedisArgs>;

/** Names of the Secrets with the certificates of both sides of mutual TLS. */
type Certificates = Readonly<Record<"server" | "client", pulumi.Output<string>>>;

/**
 * The cache in which the Trivy servers keep the analysis of images, so that any server can answer any request: a Redis of its own, or an
 * existing one.
 *
 * @example
 * const redis = new RedisCache("cache", {
 *   context: { instance: "prod", namespace: "scanning" },
 *   redis: { maxMemory: "1Gi" },
 *   allowedPods: [{ app: "scanner" }],
 * });
 * export const backend = redis.connection.backend;
 */
export class RedisCache extends Component<RedisCacheArgs, typeof children> {
  /** The connection of the servers that serve the clients without a trust domain. */
  readonly connection: CacheConnection;
  /**
   * What the servers must wait for, because Redis does not accept their password before. Empty unless the password was rotated: in a new
   * stack, Redis and the servers start at the same time; only a later password can be unknown to a running Redis.
   */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: RedisCacheArgs, options?: pulumi.ComponentResourceOptions) {
    super("RedisCache", name, args, { children, settings: ["redis"] }, options);
    const redis = this.args.redis ?? {};
    if (redis.mode === "external") {
      this.ready = [];
      this.connection = this.connectExternal(withDefaults(blockDefaults.ExternalRedisArgs, redis));
    } else {
      const embedded = withDefaults(blockDefaults.EmbeddedRedisArgs, redis);
      const { connection, statefulSet, monitorPassword } = this.createEmbedded(embedded);
      this.ready = embedded.generation > 1 ? [statefulSet] : [];
      this.connection = connection;
      if (embedded.monitors.length > 0) this.createExporter(embedded.monitors, monitorPassword);
    }
    this.registerOutputs({ backend: this.connection.backend });
  }

  private createEmbedded(redis: EmbeddedRedis) {
    const { context } = this.args;
    const host = pulumi.interpolate`${objectsName(part, context.sharedNamespace)}.${context.namespace}.svc`;
    const passwords = this.createPasswords(redis, "passwords", "password");
    const monitorPasswords = this.createPasswords(redis, "monitorPasswords", "monitor-password");
    const password = this.createCredentials("credentials", passwords[0]);
    const users = this.createUsers(passwords, monitorPasswords);
    const certificates = redis.tls.enabled ? this.createCertificates(host) : undefined;
    const mounts = [
      ...this.createConfig(redis),
      { name: "acl", mountPath: "/etc/redis/acl", volume: secretVolume(users) },
      ...Object.entries(certificates ?? {}).map(([side, name]) => ({
        name: `tls-${side}`,
        mountPath: tlsPath(side),
        volume: secretVolume(name),
      })),
      this.createData(redis),
    ];
    this.createService();
    const policy = this.createPolicy(redis);
    const statefulSet = this.createStatefulSet(redis, password, mounts, policy);
    const connection: CacheConnection = {
      backend: pulumi.interpolate`redis://${serverUser}:$(REDIS_PASSWORD)@${host}:${port}?${this.waiting()}`,
      ttl: redis.ttl,
      password,
      tls: redis.tls.enabled,
      ...(certificates && { clientCertificate: certificates.client }),
      egress: { to: [podsWith(selector(part))], ports: [tcp(port)] },
      health: { host, port, user: probeUser },
    };
    return { connection, statefulSet, monitorPassword: monitorPasswords[0] };
  }

  /**
   * Returns the connection of the servers of a trust domain, which see only the entries in their own Redis database. Clients cannot choose the
   * database: the servers select it.
   */
  connectionTo(database: number): CacheConnection {
    return { ...this.connection, backend: this.connection.backend.apply((url) => url.replace(/(\/\d+)?\?/, `/${database}?`)) };
  }

  private waiting(): string {
    return this.args.retried ? waiting.retried : waiting.direct;
  }

  /**
   * Returns the valid passwords, newest first: letters and digits, because they are part of a URL, and Trivy's log hides only what precedes
   * the first `@`.
   */
  private createPasswords(
    redis: EmbeddedRedis,
    child: "passwords" | "monitorPasswords",
    name: string,
  ): [pulumi.Output<string>, ...pulumi.Output<string>[]] {
    return eachGeneration(redis, (generation) => this.create(child, secretText(), {}, numbered(name, generation)).result);
  }

  private createCredentials(child: "credentials" | "monitorCredentials", password: pulumi.Input<string>): SecretKey {
    const { key } = blockDefaults.PasswordSecretRef;
    const { metadata } = this.create(child, secret(this.args.context, part, { [key]: password }));
    return { name: metadata.name, key };
  }

  /** In a Secret of its own, so that the servers are not replaced when only the users change. */
  private createUsers(server: readonly pulumi.Output<string>[], monitor: readonly pulumi.Output<string>[]): pulumi.Output<string> {
    const acl = pulumi.all([pulumi.all([...server]), pulumi.all([...monitor])]).apply(([own, others]) => usersAcl(own, others));
    return this.create("users", secret(this.args.context, part, { "users.acl": acl })).metadata.name;
  }

  private createCertificates(host: pulumi.Output<string>): Certificates {
    const { context } = this.args;
    const objectName = objectsName(part, context.sharedNamespace);
    const authority = this.create("authority", { commonName: `${project} Redis`, authorities: context.authorities });
    const material = ({ certificate, key }: IssuedCertificate) =>
      secret(context, part, { [tlsKeys.ca]: authority.certificate, [tlsKeys.certificate]: certificate, [tlsKeys.key]: key });
    const dnsNames = [objectName, host, pulumi.interpolate`${host}.${clusterDomainOf(context)}`];
    const server = authority.issue("server", { commonName: objectName, dnsNames, use: "server" });
    const client = authority.issue("client", { commonName: serverUser, use: "client" });
    return {
      server: this.create("serverCertificate", material(server)).metadata.name,
      client: this.create("clientCertificate", material(client)).metadata.name,
    };
  }

  private createConfig({ maxMemory, persistence, tls }: EmbeddedRedis): Mount[] {
    const text = pulumi
      .output(maxMemory)
      .apply((size) => redisConf({ maxMemory: bytes(size), persistence: persistence.enabled, tls: tls.enabled }));
    const files = { "redis.conf": text, ...(persistence.enabled && { "start-redis.sh": startScript }) };
    const { metadata } = this.create("config", configMap(this.args.context, part, files));
    return Object.keys(files).map((file) => ({
      name: "config",
      mountPath: `/etc/redis/${file}`,
      options: { subPath: file, readOnly: true },
      volume: { configMap: { name: metadata.name } },
    }));
  }

  private createData({ maxMemory, persistence }: EmbeddedRedis): Mount {
    const mount = { name: "data", mountPath: "/data", options: {} };
    if (!persistence.enabled) return { ...mount, volume: { emptyDir: { sizeLimit: "16Mi" } } };
    const { size = pulumi.output(maxMemory).apply((memory) => claimSize(bytes(memory))), storageClass } = persistence;
    const { context } = this.args;
    const { metadata } = this.create("claim", volumeClaim(context, part, { size, storageClass }), protection(context));
    return { ...mount, volume: { persistentVolumeClaim: { claimName: metadata.name } } };
  }

  private createService(): void {
    this.create("service", {
      metadata: namedMetadata(this.args.context, part),
      spec: { selector: selector(part), ports: [{ name: "redis", port, targetPort: "redis" }] },
    });
  }

  private createPolicy({ monitors }: EmbeddedRedis): pulumi.Resource {
    const { context, allowedPods } = this.args;
    const allowed = [...allowedPods, ...(monitors.length > 0 ? [selector(parts.redisExporter)] : [])];
    return this.create("policy", networkPolicy(context, part, { ingress: ingressFrom(allowed.map(podsWith), [port]) }));
  }

  /** A StatefulSet, because it never runs two pods at the same time on one append-only file. */
  private createStatefulSet(redis: EmbeddedRedis, password: SecretKey, mounts: readonly Mount[], policy: pulumi.Resource) {
    const { context } = this.args;
    const memory = pulumi.output(redis.maxMemory).apply((size) => containerMemory(bytes(size), redis.persistence.enabled));
    const { enabled: tls } = redis.tls;
    return this.create(
      "statefulSet",
      {
        metadata: namedMetadata(context, part),
        spec: {
          // The name as a text: a Service is ready when it has a pod, so the StatefulSet must not wait for it.
          serviceName: objectsName(part, this.args.context.sharedNamespace),
          replicas: 1,
          ...workload(context, {
            part,
            // Redis stops within a second after SIGTERM; the rest is for a slow disk.
            terminationGracePeriodSeconds: 30,
            container: {
              name: "redis",
              image: image("redis", context),
              // The image has one of the two. Its own entrypoint would load modules that a cache does not need.
              command: redis.persistence.enabled
                ? ["sh", paths.start, paths.configuration]
                : ["sh", "-c", `exec "$(command -v redis-server || command -v valkey-server)" ${paths.configuration}`],
              env: [fromSecret("REDISCLI_AUTH", password)],
              ports: [{ name: "redis", containerPort: port }],
              // Loading a large append-only file takes time; ten minutes are enough for more than 50 GiB on an ordinary disk.
              startupProbe: { ...pingProbe("PONG", tls), periodSeconds: 1, failureThreshold: 600 },
              readinessProbe: { ...pingProbe("PONG", tls), periodSeconds: 5, failureThreshold: 2 },
              livenessProbe: { ...pingProbe("PONG|LOADING*|BUSY*|MASTERDOWN*", tls), periodSeconds: 10, failureThreshold: 6 },
              resources: containerResources(
                { requests: { cpu: redis.cpu, memory: memory.request }, limits: { memory: memory.limit } },
                { request: "64Mi", limit: "64Mi" },
              ),
            },
            mounts,
          }),
        },
      },
      { dependsOn: [policy], customTimeouts: { create: "15m", update: "15m" } },
    );
  }

  private createExporter(monitors: readonly pulumi.Input<string>[], monitorPassword: pulumi.Input<string>): void {
    const { context } = this.args;
    const password = this.createCredentials("monitorCredentials", monitorPassword);
    const login = { user: monitorUser, password };
    this.create("exporter", { context, cache: this.connection, login, monitors }, { dependsOn: [...this.ready] });
  }

  private connectExternal(redis: ExternalRedis): CacheConnection {
    const { host, port: number, database, user, ttl, tls, cidrs } = redis;
    const password = this.externalPassword(redis);
    const clientCertificate = tls.enabled ? this.externalClientCertificate(tls) : undefined;
    const login = pulumi.output(user).apply((text = "") => {
      if (!password && text === "") return "";
      return `${encodeURIComponent(text)}${password ? ":$(REDIS_PASSWORD)" : ""}@`;
    });
    const address = pulumi.output(host).apply((text) => (ipaddr.IPv6.isValid(text) ? `[${text}]` : text));
    return {
      backend: pulumi.interpolate`redis://${login}${address}:${number}/${database}?${this.waiting()}`,
      ttl,
      ...(password && { password }),
      tls: tls.enabled,
      ...(tls.enabled && tls.caCertificates !== undefined && !clientCertificate && { caCertificates: tls.caCertificates }),
      ...(clientCertificate !== undefined && { clientCertificate }),
      egress: hostEgress(this.args.context, pulumi.output({ host, port: number }), cidrs),
      health: { host, port: number },
    };
  }

  private externalPassword({ existingSecret, password }: ExternalRedis): SecretKey | undefined {
    if (existingSecret) return withDefaults(blockDefaults.PasswordSecretRef, existingSecret);
    return password === undefined ? undefined : this.createCredentials("credentials", pulumi.output(password).apply(encodeURIComponent));
  }

  /** Returns the name of the Secret with the certificate for mutual TLS, if there is one. */
  private externalClientCertificate(tls: ExternalRedis["tls"]): pulumi.Input<string> | undefined {
    const { existingSecret, caCertificates, clientCertificate, clientKey } = tls;
    if (existingSecret !== undefined) return existingSecret;
    if (caCertificates === undefined || clientCertificate === undefined || clientKey === undefined) return undefined;
    const material = { [tlsKeys.ca]: caCertificates, [tlsKeys.certificate]: clientCertificate, [tlsKeys.key]: clientKey };
    return this.create("clientCertificate", secret(this.args.context, part, material)).metadata.name;
  }
}

/** Returns a probe that looks at Redis' answer, because redis-cli exits with 0 even when Redis refuses. */
function pingProbe(answers: string, tls: boolean): k8s.types.input.core.v1.Probe {
  const client = tlsPath("client");
  const encrypted = tls
    ? ` --tls --cacert ${client}/${tlsKeys.ca} --cert ${client}/${tlsKeys.certificate} --key ${client}/${tlsKeys.key}`
    : "";
  const ping = `"$(command -v redis-cli || command -v valkey-cli)"${encrypted} --user ${serverUser} --no-auth-warning ping`;
  return { exec: { command: ["sh", "-c", `case "$(${ping} 2>&1)" in ${answers}) ;; *) exit 1 ;; esac`] }, timeoutSeconds: 5 };
}
