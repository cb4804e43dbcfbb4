import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { CacheConnection } from "../cache/redis-cache.ts";
import { dependencies } from "../shared/dependencies.ts";
import { generatedSecret } from "../shared/generated-secret.ts";
import { imageReference } from "../shared/images.ts";
import { type Identity, labels, selector } from "../shared/labels.ts";
import { type EgressRule, egress, ingressFrom, type Peer, type ProxyArgs, proxyVariables } from "../shared/network.ts";
import {
  containerResources,
  containerSecurity,
  disruptionBudget,
  fromSecret,
  httpProbe,
  type Mount,
  oneByOne,
  type PodArgs,
  podMetadata,
  type Resources,
  replicatedPodSpec,
  type SecretKey,
  secretVolume,
  userIds,
  variables,
  volumeMounts,
  volumes,
} from "../shared/pod.ts";
import { bytes, quantity } from "../shared/quantity.ts";
import { type LoginArgs, loginItems, registryEndpoints, registryLogin, sealedLogins } from "../shared/registry-login.ts";
import { type Transform, transformed } from "../shared/transform.ts";

const component = "server";
const port = 4954;

/** Selects the servers' pods. */
export const serverSelector = selector(component);

export const serverDefaults = {
  replicas: 2,
  autoscaling: { minReplicas: 2, targetCpuUtilization: 70 },
  token: { enabled: true, key: "token" },
  resources: { requests: { cpu: "200m", memory: "512Mi" }, limits: { memory: "2Gi" } },
  databaseVolume: "2Gi",
  drainSeconds: 15,
  debug: false,
} as const;

export const databaseDefaults = {
  // Upstream's order, and Amazon's copy after it: a registry that answers 429 or 5xx sends the server to the next.
  repositories: ["mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2", "public.ecr.aws/aquasecurity/trivy-db:2"],
  plainHttp: false,
} as const;

/** Number of servers by their CPU. */
export interface AutoscalingArgs {
  /** Never fewer replicas than this. @default 2 */
  readonly minReplicas?: number;
  /** Never more replicas than this. */
  readonly maxReplicas: number;
  /** Average CPU to aim at, in percent of what the servers request. @default 70 */
  readonly targetCpuUtilization?: number;
}

/** The token that clients must send. Everyone who has it can write to the cache. */
export interface TokenArgs {
  /** @default true */
  readonly enabled?: boolean;
  /** The token. @default 32 generated letters and digits */
  readonly value?: pulumi.Input<string>;
  /** An existing Secret that holds the token. @default none */
  readonly existingSecret?: { readonly name: string; readonly key?: string };
}

export interface ServerArgs {
  /** Number of servers. @default 2 */
  readonly replicas?: number;
  /** Lets the number follow the load; `replicas` does not count then. @default off */
  readonly autoscaling?: AutoscalingArgs;
  readonly token?: TokenArgs;
  /** @default requests of 200m and 512Mi, a memory limit of 2Gi, no CPU limit */
  readonly resources?: Resources;
  /** Size limit of each of two volumes: the vulnerability database's, and the one that an update is unpacked on. The database has 1.2 GB and doubles in two years. @default 2Gi */
  readonly databaseVolume?: string;
  /** Seconds that a server goes on answering after it left the Service; then requests still running are cut off. @default 15 */
  readonly drainSeconds?: number;
  /** Verbose log. @default false */
  readonly debug?: boolean;
  /** Certificate authorities to trust besides the system's, PEM: registries, proxies, Redis. @default none */
  readonly caCertificates?: string;
  /** Further environment variables. @default none */
  readonly env?: Readonly<Record<string, string>>;
  /** Names of existing Secrets whose keys become environment variables. @default none */
  readonly envFromSecrets?: readonly string[];
}

/** Where the servers get the vulnerability database. */
export interface DatabaseArgs {
  /** OCI repositories, in the order in which they are tried. The next one is asked only when one answers with 429, 408 or 5xx; not when it cannot be reached. */
  readonly repositories?: readonly string[];
  /** Tries plain HTTP when HTTPS fails. Trivy then verifies no registry's certificate. @default false */
  readonly plainHttp?: boolean;
  /** Logins, each for one registry's host. @default none */
  readonly credentials?: readonly LoginArgs[];
  /** An existing Secret of type kubernetes.io/dockerconfigjson with the logins. @default none */
  readonly existingSecret?: string;
  /** CIDR blocks that the servers may reach on any port besides what the repositories' names tell: a private address behind a public name, blobs stored elsewhere. @default none */
  readonly cidrs?: readonly string[];
}

export interface TrivyServerArgs extends Identity, PodArgs {
  readonly namespace: pulumi.Input<string>;
  readonly cache: CacheConnection;
  readonly server?: ServerArgs;
  readonly database?: DatabaseArgs;
  readonly proxy?: ProxyArgs;
  /** Who may connect. @default nobody */
  readonly peers?: readonly Peer[];
  /** What a generated token is bound to: when one of these changes, so does the token. @default nothing */
  readonly tokenKeepers?: Readonly<Record<string, string>>;
  readonly transform?: {
    readonly deployment?: Transform<k8s.types.input.apps.v1.Deployment>;
    readonly networkPolicy?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
    readonly podDisruptionBudget?: Transform<k8s.types.input.policy.v1.PodDisruptionBudget>;
    readonly horizontalPodAutoscaler?: Transform<k8s.types.input.autoscaling.v2.HorizontalPodAutoscaler>;
    readonly configMap?: Transform<k8s.types.input.core.v1.ConfigMap>;
    /** The token's and the registries' logins'. */
    readonly secret?: Transform<k8s.types.input.core.v1.Secret>;
  };
}

/** The arguments as the state may hold them: what is secret marked as such. */
export function sealedServer(server: ServerArgs): ServerArgs {
  return server.token?.value === undefined ? server : { ...server, token: { ...server.token, value: pulumi.secret(server.token.value) } };
}

/** The arguments as the state may hold them: what is secret marked as such. */
export function sealedDatabase(database: DatabaseArgs): DatabaseArgs {
  return database.credentials ? { ...database, credentials: sealedLogins(database.credentials) } : database;
}

/** Replicated Trivy servers without a state of their own. */
export class TrivyServer extends pulumi.ComponentResource {
  /** The port, by name, of the servers' pods. */
  readonly port = "http";
  /** Its number. */
  readonly portNumber = port;
  /** The token that clients send; absent when it is switched off or stands in a Secret of somebody else's. */
  readonly token: pulumi.Output<string> | undefined;
  /** Where the token stands; absent when it is switched off. */
  readonly tokenKey: SecretKey | undefined;

  constructor(name: string, args: TrivyServerArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, cache, ...inputs } = args;
    const server = sealedServer(args.server ?? {});
    const database = sealedDatabase(args.database ?? {});
    super("trivy-server:index:TrivyServer", name, { ...inputs, server, database }, opts);
    const { namespace } = args;
    const metadata = { namespace, labels: labels(args, component) };
    const child = { parent: this };

    const { token, tokenKey } = this.makeToken(name, metadata, args, server.token ?? {});
    this.token = token;
    this.tokenKey = tokenKey;
    const login = registryLogin(name, this, metadata, database, transform?.secret);
    const authorities = pemFiles({ "server.pem": server.caCertificates, "redis.pem": cache.caCertificates });
    const authoritiesMap =
      authorities &&
      new k8s.core.v1.ConfigMap(
        `${name}-certificate-authorities`,
        transformed(transform?.configMap, { metadata, data: authorities }),
        child,
      );

    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      transformed(transform?.networkPolicy, {
        metadata: { ...metadata, name: "trivy-server" },
        spec: {
          podSelector: { matchLabels: serverSelector },
          policyTypes: ["Ingress", "Egress"],
          ingress: ingressFrom(args.peers ?? [], [port]),
          egress: [cache.egress, ...databaseEgress(database, args.proxy ?? {})],
        },
      }),
      child,
    );

    const databaseVolume = server.databaseVolume ?? serverDefaults.databaseVolume;
    const mounts = serverMounts({
      databaseVolume,
      authorities: authoritiesMap?.metadata.name,
      registryLogin: login,
      clientCertificate: cache.clientCertificate?.secret,
    });
    const { autoscaling } = server;
    const drainSeconds = server.drainSeconds ?? serverDefaults.drainSeconds;
    const healthz = () => httpProbe("/healthz", this.port);
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      transformed(transform?.deployment, {
        metadata: { ...metadata, name: "trivy-server" },
        spec: {
          // With an autoscaler the number of replicas is its own to set: a number here would be fought over at every `up`.
          ...(!autoscaling && { replicas: server.replicas ?? serverDefaults.replicas }),
          selector: { matchLabels: serverSelector },
          strategy: oneByOne(),
          progressDeadlineSeconds: 900,
          template: {
            metadata: podMetadata(metadata.labels, args),
            spec: {
              ...replicatedPodSpec(userIds.server, serverSelector, args),
              // Trivy ends at SIGTERM without waiting for requests, so they must have ended before: 45 s are left for what has not.
              terminationGracePeriodSeconds: drainSeconds + 45,
              containers: [
                {
                  name: "trivy",
                  image: imageReference("trivy", args.images),
                  args: ["server"],
                  env: environment(args, tokenKey, login !== undefined, authorities !== undefined),
                  ...(server.envFromSecrets?.length && {
                    envFrom: server.envFromSecrets.map((secret) => ({ secretRef: { name: secret } })),
                  }),
                  ports: [{ name: this.port, containerPort: port }],
                  // It listens only when it has the database, whose download may take ten minutes.
                  startupProbe: { ...healthz(), periodSeconds: 1, failureThreshold: 600 },
                  readinessProbe: { ...healthz(), periodSeconds: 2, failureThreshold: 2 },
                  livenessProbe: { ...healthz(), periodSeconds: 10, failureThreshold: 6 },
                  lifecycle: { preStop: { sleep: { seconds: drainSeconds } } },
                  // Both volumes full, and the log.
                  resources: containerResources(serverDefaults.resources, server.resources, {
                    request: databaseVolume,
                    limit: quantity(2 * bytes(databaseVolume) + bytes("256Mi")),
                  }),
                  securityContext: containerSecurity,
                  volumeMounts: volumeMounts(mounts),
                },
              ],
              volumes: volumes(mounts),
            },
          },
        },
      }),
      // Each server may take the ten minutes of its start-up probe, and they are replaced one after the other.
      { parent: this, dependsOn: [policy, ...dependencies(opts)], customTimeouts: { create: "30m", update: "60m" } },
    );

    disruptionBudget(
      `${name}-disruption-budget`,
      { ...metadata, name: "trivy-server" },
      serverSelector,
      transform?.podDisruptionBudget,
      child,
    );
    if (autoscaling)
      new k8s.autoscaling.v2.HorizontalPodAutoscaler(
        `${name}-autoscaler`,
        transformed(transform?.horizontalPodAutoscaler, {
          metadata: { ...metadata, name: "trivy-server" },
          spec: {
            scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: deployment.metadata.name },
            minReplicas: autoscaling.minReplicas ?? serverDefaults.autoscaling.minReplicas,
            maxReplicas: autoscaling.maxReplicas,
            // CPU alone: the database is mapped into memory, which therefore says nothing of the load.
            metrics: [
              {
                type: "Resource",
                resource: {
                  name: "cpu",
                  target: {
                    type: "Utilization",
                    averageUtilization: autoscaling.targetCpuUtilization ?? serverDefaults.autoscaling.targetCpuUtilization,
                  },
                },
              },
            ],
            behavior: { scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: "Pods", value: 1, periodSeconds: 60 }] } },
          },
        }),
        child,
      );
    this.registerOutputs({ token: this.token });
  }

  private makeToken(
    name: string,
    metadata: k8s.types.input.meta.v1.ObjectMeta,
    { tokenKeepers, transform }: TrivyServerArgs,
    { enabled = serverDefaults.token.enabled, value, existingSecret }: TokenArgs,
  ): { token?: pulumi.Output<string>; tokenKey?: SecretKey } {
    if (!enabled) return {};
    if (existingSecret) return { tokenKey: { key: serverDefaults.token.key, ...existingSecret } };
    const token = value === undefined ? generatedSecret(`${name}-token`, this, tokenKeepers) : pulumi.output(value);
    const { key } = serverDefaults.token;
    const secret = new k8s.core.v1.Secret(
      `${name}-credentials`,
      transformed(transform?.secret, { metadata, stringData: { [key]: token } }),
      {
        parent: this,
      },
    );
    return { token, tokenKey: { name: secret.metadata.name, key } };
  }
}

const paths = {
  database: "/var/lib/trivy",
  temporary: "/tmp",
  authorities: "/etc/trivy-server/certificate-authorities",
  login: "/etc/trivy-server/registry-login",
  clientCertificate: "/etc/trivy-server/redis-client",
} as const;

function serverMounts(from: {
  databaseVolume: string;
  authorities: pulumi.Input<string> | undefined;
  registryLogin: pulumi.Input<string> | undefined;
  clientCertificate: pulumi.Input<string> | undefined;
}): Mount[] {
  const emptyDir = { sizeLimit: from.databaseVolume };
  const { authorities, registryLogin: login, clientCertificate } = from;
  return [
    { name: "database", mountPath: paths.database, readOnly: false, volume: { emptyDir } },
    { name: "temporary", mountPath: paths.temporary, readOnly: false, volume: { emptyDir } },
    ...(authorities === undefined
      ? []
      : [{ name: "certificate-authorities", mountPath: paths.authorities, volume: { configMap: { name: authorities } } }]),
    ...(login === undefined ? [] : [{ name: "registry-login", mountPath: paths.login, volume: secretVolume(login, loginItems) }]),
    ...(clientCertificate === undefined
      ? []
      : [{ name: "redis-client", mountPath: paths.clientCertificate, volume: secretVolume(clientCertificate) }]),
  ];
}

/** Variables that other settings decide: `env` must not set them. */
export const managedVariables: Readonly<Record<string, string>> = {
  TRIVY_LISTEN: "nothing: the Service needs the port as it is",
  TRIVY_CACHE_DIR: "server.databaseVolume",
  TMPDIR: "server.databaseVolume",
  TRIVY_CACHE_BACKEND: "redis",
  TRIVY_CACHE_TTL: "redis.ttl",
  TRIVY_REDIS_TLS: "redis.tls",
  TRIVY_REDIS_CA: "redis.tls",
  TRIVY_REDIS_CERT: "redis.tls",
  TRIVY_REDIS_KEY: "redis.tls",
  REDIS_PASSWORD: "redis.password",
  TRIVY_TOKEN: "server.token",
  TRIVY_DB_REPOSITORY: "database.repositories",
  TRIVY_INSECURE: "database.plainHttp",
  DOCKER_CONFIG: "database.credentials",
  SSL_CERT_DIR: "server.caCertificates",
  TRIVY_DEBUG: "server.debug",
  HTTP_PROXY: "proxy.http",
  HTTPS_PROXY: "proxy.https",
  NO_PROXY: "proxy.noProxy",
};

/** Everything is told to Trivy by its environment: arguments can be read by whoever lists processes. */
function environment(
  args: TrivyServerArgs,
  token: SecretKey | undefined,
  login: boolean,
  authorities: boolean,
): k8s.types.input.core.v1.EnvVar[] {
  const { cache, server = {}, database = {}, proxy = {} } = args;
  const plain: Record<string, pulumi.Input<string> | undefined | false> = {
    TRIVY_LISTEN: `:${port}`,
    TRIVY_CACHE_DIR: paths.database,
    TMPDIR: paths.temporary,
    TRIVY_CACHE_BACKEND: cache.backend,
    TRIVY_CACHE_TTL: cache.ttl,
    TRIVY_REDIS_TLS: cache.tls && !cache.clientCertificate && "true",
    ...(cache.clientCertificate && {
      TRIVY_REDIS_CA: `${paths.clientCertificate}/${cache.clientCertificate.keys.ca}`,
      TRIVY_REDIS_CERT: `${paths.clientCertificate}/${cache.clientCertificate.keys.certificate}`,
      TRIVY_REDIS_KEY: `${paths.clientCertificate}/${cache.clientCertificate.keys.key}`,
    }),
    TRIVY_DB_REPOSITORY: (database.repositories ?? databaseDefaults.repositories).join(","),
    TRIVY_INSECURE: (database.plainHttp ?? databaseDefaults.plainHttp) && "true",
    TRIVY_DEBUG: (server.debug ?? serverDefaults.debug) && "true",
    DOCKER_CONFIG: login && paths.login,
    SSL_CERT_DIR: authorities && `/etc/ssl/certs:${paths.authorities}`,
    ...proxyVariables(proxy),
    ...server.env,
  };
  return [
    // First, because a reference like $(REDIS_PASSWORD) only sees what stands above it.
    ...(cache.password ? [fromSecret("REDIS_PASSWORD", cache.password)] : []),
    ...(token ? [fromSecret("TRIVY_TOKEN", token)] : []),
    ...variables(plain),
  ];
}

function pemFiles(files: Record<string, string | undefined>): Record<string, string> | undefined {
  const given = Object.entries(files).filter((file): file is [string, string] => file[1] !== undefined);
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}

/** What the servers must reach to get the database. */
export function databaseEgress(database: DatabaseArgs, proxy: ProxyArgs): EgressRule[] {
  const { repositories = databaseDefaults.repositories, plainHttp = databaseDefaults.plainHttp, cidrs } = database;
  return egress(
    repositories.flatMap((repository) => registryEndpoints(repository, plainHttp)),
    proxy,
    cidrs,
  );
}
