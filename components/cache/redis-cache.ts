import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import { generatedSecret, sha256, validGenerations } from "../shared/generated-secret.ts";
import { imageReference } from "../shared/images.ts";
import { type Identity, labels, selector } from "../shared/labels.ts";
import { type EgressRule, ingressFrom, tcp, toEndpoint } from "../shared/network.ts";
import {
  basePodSpec,
  containerSecurity,
  fromSecret,
  type PodArgs,
  podMetadata,
  type SecretKey,
  secretVolume,
  userIds,
} from "../shared/pod.ts";
import { PrivateAuthority } from "../shared/private-authority.ts";
import { bytes, quantity } from "../shared/quantity.ts";
import { type Transform, transformed } from "../shared/transform.ts";
import { volumeClaim } from "../shared/volume-claim.ts";
import { redisConf, tlsPath } from "./redis.conf.ts";
import { RedisExporter, type RedisExporterArgs, redisExporterSelector } from "./redis-exporter.ts";

const component = "cache";
const port = 6379;
const serviceName = "redis";

export const redisDefaults = {
  ttl: "168h",
  port,
  database: 0,
  passwordKey: "password",
  embedded: { maxMemory: "512Mi", cpu: "100m", persistence: true, generation: 1, retire: 0 },
} as const;

/**
 * How clients of the cache wait for it (go-redis' parameters), measured with Redis killed, away and cut off under load. Alone, a server's own patience is all
 * there is. Where something in front repeats what fails, a server that soon gives up is repeated sooner, and the waits do not multiply.
 */
const patiences = {
  alone: "max_retries=20&min_retry_backoff=250ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=30s",
  repeated: "max_retries=6&min_retry_backoff=200ms&max_retry_backoff=1s&dial_timeout=2s&read_timeout=3s&write_timeout=3s&pool_timeout=10s",
} as const;

const patience = ({ repeated = false }: RedisCacheArgs) => patiences[repeated ? "repeated" : "alone"];

/** May PING with any password, and nothing else: for those who only ask whether Redis answers. */
const probeUser = "probe";

/** Has the servers' password, and may read Redis' own figures. */
const monitorUser = "monitor";

/** The names by which TLS material stands in a Secret of cert-manager's. */
const tlsKeys = { ca: "ca.crt", certificate: "tls.crt", key: "tls.key" } as const;

export interface PersistenceArgs {
  /** Size of the volume claim, a quantity of bytes. The append-only file may grow to three times the data while it is rewritten. @default four times `maxMemory` */
  readonly size?: string;
  /** StorageClass of the claim. @default the cluster's */
  readonly storageClass?: string;
}

interface CommonRedisArgs {
  /** How long an analysed image stays in the cache, a duration such as 168h; counted from the analysis, reading does not renew it. @default 168h (seven days) */
  readonly ttl?: string;
}

/** A Redis, or Valkey, of the service's own: one pod, whose password, and certificates if wanted, are generated. */
export interface EmbeddedRedisArgs extends CommonRedisArgs {
  readonly mode: "embedded";
  /** Memory for the cache's data, a quantity of bytes; the container's memory follows from it. 10,000 images with 500 packages each need about 1Gi (205 bytes a package, measured). @default 512Mi */
  readonly maxMemory?: string;
  /** CPU that the container asks for. @default 100m */
  readonly cpu?: string;
  /** Keeps the cache on a volume over restarts; `false`: a restart empties it and every image is analysed once more. @default true */
  readonly persistence?: PersistenceArgs | boolean;
  /** Number of the generated password. One more generates another, and the one before stays valid as well. @default 1 */
  readonly generation?: number;
  /** Passwords up to this number are no longer valid; raise it when all servers use the present one. @default 0 */
  readonly retire?: number;
  /** Mutual TLS, with certificates of an authority of the stack's own. @default no TLS */
  readonly tls?: Readonly<Record<string, never>>;
  /** Namespaces whose pods may read Redis' figures, as Prometheus takes them; `*` means all of the cluster. With any, an exporter runs. @default none */
  readonly monitors?: readonly string[];
}

/**
 * A Redis of somebody else's: one address that can be written to. Trivy has no client for Sentinel or Cluster, and no `rediss://`: `tls` does that.
 */
export interface ExternalRedisArgs extends CommonRedisArgs {
  readonly mode: "external";
  /** DNS name or IP address. */
  readonly host: string;
  /** @default 6379 */
  readonly port?: number;
  /** Number of the database. @default 0 */
  readonly database?: number;
  /** ACL user; needs GET, SET, DEL and PING on `fanal::*`. @default Redis' default user */
  readonly user?: string;
  /** Password. @default none */
  readonly password?: pulumi.Input<string>;
  /** An existing Secret that holds the password; it goes into a URL as it is, so let it be of letters and digits. @default none */
  readonly existingSecret?: { readonly name: string; readonly key?: string };
  readonly tls?: RedisTlsArgs;
  /** CIDR blocks where the host's addresses are: narrows the network policy. @default any address if the host is a name */
  readonly cidrs?: readonly string[];
}

/** Without anything: TLS with the system's certificate authorities. */
export interface RedisTlsArgs {
  /** Certificate authorities of a private CA, PEM. @default the system's */
  readonly caCertificates?: string;
  /** The client's certificate for mutual TLS, PEM; needs `caCertificates` and `clientKey`, because Trivy takes all three or none. @default none */
  readonly clientCertificate?: string;
  /** The client certificate's key, PEM. */
  readonly clientKey?: pulumi.Input<string>;
  /** An existing Secret with `ca.crt`, `tls.crt` and `tls.key`, such as cert-manager's, instead of the three above. @default none */
  readonly existingSecret?: string;
}

export type RedisArgs = EmbeddedRedisArgs | ExternalRedisArgs;

/** The arguments as the state may hold them: what is secret marked as such. */
export function sealedRedis(redis: RedisArgs): RedisArgs {
  if (redis.mode === "embedded") return redis;
  const { password, tls } = redis;
  return {
    ...redis,
    ...(password !== undefined && { password: pulumi.secret(password) }),
    ...(tls?.clientKey !== undefined && { tls: { ...tls, clientKey: pulumi.secret(tls.clientKey) } }),
  };
}

export interface RedisCacheArgs extends Identity, PodArgs {
  readonly namespace: pulumi.Input<string>;
  /** Labels of the pods that may connect: each entry selects some. */
  readonly clients: readonly Readonly<Record<string, string>>[];
  readonly redis: RedisArgs;
  /** Whether something in front of the servers repeats requests that fail. @default false */
  readonly repeated?: boolean;
  readonly transform?: {
    readonly statefulSet?: Transform<k8s.types.input.apps.v1.StatefulSet>;
    readonly service?: Transform<k8s.types.input.core.v1.Service>;
    readonly persistentVolumeClaim?: Transform<k8s.types.input.core.v1.PersistentVolumeClaim>;
    readonly configMap?: Transform<k8s.types.input.core.v1.ConfigMap>;
    readonly networkPolicy?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
    /** All of them: the password's, the users' and those of certificates. */
    readonly secret?: Transform<k8s.types.input.core.v1.Secret>;
    readonly exporter?: RedisExporterArgs["transform"];
  };
}

/** All that a Trivy server must know to use the cache. */
export interface CacheConnection {
  /** The address for `--cache-backend`; `$(REDIS_PASSWORD)` in it stands for the password, if there is one. */
  readonly backend: pulumi.Output<string>;
  readonly ttl: string;
  readonly password?: SecretKey;
  /** Whether to speak TLS. */
  readonly tls: boolean;
  /** Certificate authorities to trust besides the system's, PEM. */
  readonly caCertificates?: string;
  /** A Secret with the CA, certificate and key of mutual TLS. */
  readonly clientCertificate?: { readonly secret: pulumi.Input<string>; readonly keys: typeof tlsKeys };
  readonly egress: EgressRule;
  /** Where to ask whether Redis answers. `user` may PING with any password; without it, an unauthenticated PING is answered with `+PONG` or `-NOAUTH`. */
  readonly health: { readonly host: pulumi.Output<string>; readonly port: number; readonly user?: string };
  /** What servers must wait for, because before it Redis refuses them: empty but for a password that was rotated. */
  readonly ready: readonly pulumi.Resource[];
}

/** Where Trivy's servers keep what they have learned about images, so that each of them can answer any request. */
export class RedisCache extends pulumi.ComponentResource {
  readonly connection: CacheConnection;

  constructor(name: string, args: RedisCacheArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, ...inputs } = args;
    const redis = sealedRedis(args.redis);
    super("trivy-server:index:RedisCache", name, { ...inputs, redis }, opts);
    this.connection = redis.mode === "embedded" ? this.embedded(name, args, redis) : this.external(name, args, redis);
    this.registerOutputs({ backend: this.connection.backend });
  }

  private embedded(name: string, args: RedisCacheArgs, redis: EmbeddedRedisArgs): CacheConnection {
    const podSelector = selector(component);
    const metadata = metadataOf(args);
    const host = pulumi.interpolate`${serviceName}.${args.namespace}.svc`;
    const maxMemory = bytes(redis.maxMemory ?? redisDefaults.embedded.maxMemory);
    const persistence = redis.persistence ?? redisDefaults.embedded.persistence;
    const memory = containerMemory(maxMemory, persistence !== false);
    const { monitors = [] } = redis;

    const generation = redis.generation ?? redisDefaults.embedded.generation;
    // Letters and digits only: the password stands in a URL, and Trivy's log hides what is before the first @.
    const passwords = validGenerations(generation, redis.retire ?? redisDefaults.embedded.retire, (number) =>
      generatedSecret(`${name}-password${number === 1 ? "" : `-${number}`}`, this),
    );
    const passwordKey = this.passwordKey(name, args, passwords[0]);
    // Apart from the password, so that the servers need not be replaced when only the users change.
    const users = this.secret(`${name}-users`, args, { "users.acl": pulumi.all(passwords).apply(aclFile) });
    const tls = redis.tls && this.certificates(name, args, host);

    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      transformed(args.transform?.configMap, {
        metadata,
        data: { "redis.conf": redisConf({ maxMemory, persistence: persistence !== false, tls: tls !== undefined }) },
      }),
      { parent: this },
    );
    const { size = claimSize(maxMemory), storageClass }: PersistenceArgs = typeof persistence === "object" ? persistence : {};
    const claim =
      persistence === false
        ? undefined
        : volumeClaim(`${name}-claim`, { ...metadata, name: "redis" }, { size, storageClass }, args.transform?.persistentVolumeClaim, {
            parent: this,
          });
    new k8s.core.v1.Service(
      `${name}-service`,
      transformed(args.transform?.service, {
        metadata: { ...metadata, name: serviceName },
        spec: { selector: podSelector, ports: [{ name: "redis", port, targetPort: "redis" }] },
      }),
      { parent: this },
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      transformed(args.transform?.networkPolicy, {
        metadata: { ...metadata, name: "redis" },
        spec: {
          podSelector: { matchLabels: podSelector },
          policyTypes: ["Ingress"],
          ingress: ingressFrom(
            [...args.clients, ...(monitors.length > 0 ? [redisExporterSelector] : [])].map((labels) => ({
              podSelector: { matchLabels: { ...labels } },
            })),
            [port],
          ),
        },
      }),
      { parent: this },
    );
    // A StatefulSet, because it never runs two pods at once on one append-only file.
    const statefulSet = new k8s.apps.v1.StatefulSet(
      `${name}-stateful-set`,
      transformed(args.transform?.statefulSet, {
        metadata: { ...metadata, name: "redis" },
        spec: {
          // By name: the Service is there when it has a pod, so the StatefulSet must not wait for it.
          serviceName: "redis",
          replicas: 1,
          selector: { matchLabels: podSelector },
          template: {
            metadata: podMetadata(metadata.labels, args),
            spec: {
              ...basePodSpec(userIds.cache, args),
              // Redis ends within a second of SIGTERM; the rest is for a slow disk.
              terminationGracePeriodSeconds: 30,
              containers: [
                {
                  name: "redis",
                  image: imageReference("redis", args.images),
                  // Whichever of the two the image has; its own entrypoint would load modules that a cache does not need.
                  command: ["sh", "-c", 'exec "$(command -v redis-server || command -v valkey-server)" /etc/redis/redis.conf'],
                  env: [fromSecret("REDISCLI_AUTH", passwordKey)],
                  ports: [{ name: "redis", containerPort: port }],
                  // Loading a large append-only file takes its time; ten minutes are over 50 GiB on an ordinary disk.
                  startupProbe: { ...probe("PONG", tls !== undefined), periodSeconds: 1, failureThreshold: 600 },
                  readinessProbe: { ...probe("PONG", tls !== undefined), periodSeconds: 5, failureThreshold: 2 },
                  livenessProbe: { ...probe("PONG|LOADING*|BUSY*|MASTERDOWN*", tls !== undefined), periodSeconds: 10, failureThreshold: 6 },
                  resources: {
                    requests: { cpu: redis.cpu ?? redisDefaults.embedded.cpu, memory, "ephemeral-storage": "64Mi" },
                    limits: { memory, "ephemeral-storage": "64Mi" },
                  },
                  securityContext: containerSecurity,
                  volumeMounts: [
                    { name: "config", mountPath: "/etc/redis/redis.conf", subPath: "redis.conf", readOnly: true },
                    { name: "acl", mountPath: "/etc/redis/acl", readOnly: true },
                    ...(tls ? Object.keys(tls).map((side) => ({ name: `tls-${side}`, mountPath: tlsPath(side), readOnly: true })) : []),
                    { name: "data", mountPath: "/data" },
                  ],
                },
              ],
              volumes: [
                { name: "config", configMap: { name: config.metadata.name } },
                { name: "acl", ...secretVolume(users) },
                ...Object.entries(tls ?? {}).map(([side, secretName]) => ({ name: `tls-${side}`, ...secretVolume(secretName) })),
                claim
                  ? { name: "data", persistentVolumeClaim: { claimName: claim.metadata.name } }
                  : { name: "data", emptyDir: { sizeLimit: "16Mi" } },
              ],
            },
          },
        },
      }),
      { parent: this, dependsOn: [policy], customTimeouts: { create: "15m", update: "15m" } },
    );
    const clientCertificate = tls && { secret: tls.client, keys: tlsKeys };
    const egress = { to: [{ podSelector: { matchLabels: podSelector } }], ports: [tcp(port)] };
    // A new stack starts Redis and the servers at once; only a later password is one that a Redis at work may not know yet.
    const ready = generation > 1 ? [statefulSet] : [];
    if (monitors.length > 0) {
      const { instance, labels, images, scheduling, podAnnotations, namespace } = args;
      new RedisExporter(
        `${name}-exporter`,
        {
          instance,
          labels,
          images,
          scheduling,
          podAnnotations,
          namespace,
          monitors,
          redis: { host, port, user: monitorUser, password: passwordKey, clientCertificate, egress },
          transform: args.transform?.exporter,
        },
        { parent: this, dependsOn: ready },
      );
    }
    return {
      backend: pulumi.interpolate`redis://trivy:$(REDIS_PASSWORD)@${host}:${port}?${patience(args)}`,
      ttl: redis.ttl ?? redisDefaults.ttl,
      password: passwordKey,
      tls: tls !== undefined,
      ...(clientCertificate && { clientCertificate }),
      egress,
      health: { host, port, user: probeUser },
      ready,
    };
  }

  /** Gives the Secret's name. */
  private secret(name: string, args: RedisCacheArgs, stringData: Record<string, pulumi.Input<string>>): pulumi.Output<string> {
    const inputs = transformed(args.transform?.secret, { metadata: metadataOf(args), stringData });
    return new k8s.core.v1.Secret(name, inputs, { parent: this }).metadata.name;
  }

  private passwordKey(name: string, args: RedisCacheArgs, password: pulumi.Input<string>): SecretKey {
    const key = redisDefaults.passwordKey;
    return { name: this.secret(`${name}-credentials`, args, { [key]: password }), key };
  }

  /** Certificates for both sides of mutual TLS: names of their Secrets. */
  private certificates(
    name: string,
    args: RedisCacheArgs,
    host: pulumi.Output<string>,
  ): { readonly server: pulumi.Output<string>; readonly client: pulumi.Output<string> } {
    const authority = new PrivateAuthority(`${name}-authority`, { commonName: "trivy-server Redis" }, { parent: this });
    const make = (use: "server" | "client", commonName: string, dnsNames: pulumi.Input<string>[]) => {
      const { certificate, key } = authority.issue(`${name}-${use}`, { commonName, dnsNames, use });
      return this.secret(`${name}-${use}-certificate`, args, {
        [tlsKeys.ca]: authority.certificate,
        [tlsKeys.certificate]: certificate,
        [tlsKeys.key]: key,
      });
    };
    return {
      server: make("server", serviceName, [serviceName, host, pulumi.interpolate`${host}.cluster.local`]),
      client: make("client", "trivy", []),
    };
  }

  private external(name: string, args: RedisCacheArgs, redis: ExternalRedisArgs): CacheConnection {
    const { host, database = redisDefaults.database, user = "", tls } = redis;
    let password: SecretKey | undefined;
    if (redis.existingSecret) password = { key: redisDefaults.passwordKey, ...redis.existingSecret };
    else if (redis.password !== undefined) password = this.passwordKey(name, args, pulumi.output(redis.password).apply(encodeURIComponent));
    let clientCertificate: CacheConnection["clientCertificate"];
    if (tls?.existingSecret) clientCertificate = { secret: tls.existingSecret, keys: tlsKeys };
    else if (tls?.clientCertificate !== undefined && tls.clientKey !== undefined && tls.caCertificates !== undefined) {
      const material = {
        [tlsKeys.ca]: tls.caCertificates,
        [tlsKeys.certificate]: tls.clientCertificate,
        [tlsKeys.key]: tls.clientKey,
      };
      clientCertificate = { secret: this.secret(`${name}-client-certificate`, args, material), keys: tlsKeys };
    }
    const login = password || user ? `${encodeURIComponent(user)}${password ? ":$(REDIS_PASSWORD)" : ""}@` : "";
    const endpoint = { host, port: redis.port ?? port };
    const address = `${ipaddr.IPv6.isValid(host) ? `[${host}]` : host}:${endpoint.port}`;
    const egress = redis.cidrs?.length
      ? { to: redis.cidrs.map((cidr) => ({ ipBlock: { cidr } })), ports: [tcp(endpoint.port)] }
      : toEndpoint(endpoint);
    return {
      backend: pulumi.output(`redis://${login}${address}/${database}?${patience(args)}`),
      ttl: redis.ttl ?? redisDefaults.ttl,
      ...(password && { password }),
      tls: tls !== undefined,
      ...(tls?.caCertificates !== undefined && !clientCertificate && { caCertificates: tls.caCertificates }),
      ...(clientCertificate && { clientCertificate }),
      egress,
      health: { host: pulumi.output(endpoint.host), port: endpoint.port },
      ready: [],
    };
  }
}

const metadataOf = (args: RedisCacheArgs) => ({ namespace: args.namespace, labels: labels(args, component) });

/**
 * Users of the cache: Trivy's, who may only do what Trivy does on Trivy's keys, one who may look at Redis' own figures, and one who may ask whether it answers.
 * The file holds the passwords' hashes.
 * What go-redis sends (measured): HELLO, AUTH, CLIENT SETINFO, PING; Trivy itself: GET, SET, DEL.
 * What the exporter sends besides INFO and cannot be told to leave: SLOWLOG LEN and GET.
 */
export function aclFile(passwords: readonly string[]): string {
  const hashes = passwords.map((password) => `#${sha256(password)}`).join(" ");
  return [
    "user default off",
    `user trivy on ${hashes} resetchannels ~fanal::* -@all +hello +auth +client|setinfo +ping +get +set +del`,
    `user ${monitorUser} on ${hashes} resetkeys resetchannels -@all +ping +info +slowlog|len +slowlog|get`,
    `user ${probeUser} on nopass resetkeys resetchannels -@all +ping`,
    "",
  ].join("\n");
}

/** Rewriting the append-only file forks, and pages that change meanwhile exist twice; without it a quarter is enough for buffers and fragmentation. */
export function containerMemory(maxMemory: number, persistence: boolean): string {
  return quantity(persistence ? maxMemory * 2 : maxMemory / 0.75);
}

/** The old file, at most twice the data, and the new one that replaces it, with room to spare. */
export function claimSize(maxMemory: number): string {
  return quantity(maxMemory * 4);
}

/** Looks at the answer: redis-cli ends with 0 also when Redis refuses. */
function probe(answers: string, tls: boolean): k8s.types.input.core.v1.Probe {
  const client = tlsPath("client");
  const encrypted = tls
    ? ` --tls --cacert ${client}/${tlsKeys.ca} --cert ${client}/${tlsKeys.certificate} --key ${client}/${tlsKeys.key}`
    : "";
  const ask = `"$(command -v redis-cli || command -v valkey-cli)"${encrypted} --user trivy --no-auth-warning ping`;
  return { exec: { command: ["sh", "-c", `case "$(${ask} 2>&1)" in ${answers}) ;; *) exit 1 ;; esac`] }, timeoutSeconds: 5 };
}
