import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { type AutoscalingArgs, blockDefaults, type DatabaseArgs, defaults, type ServerArgs } from "../args.ts";
import type { CacheConnection } from "../cache/connection.ts";
import type { MirrorConnection } from "../database-mirror/connection.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { egress } from "../shared/egress.ts";
import { secretText } from "../shared/generated-secret.ts";
import { image } from "../shared/images.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { type EgressRule, ingressFrom, type Peer, podsWith, tcp } from "../shared/network.ts";
import { configMap, disruptionBudget, namedMetadata, networkPolicy, secret } from "../shared/objects.ts";
import { type Part, serverPart } from "../shared/parts.ts";
import { containerResources, httpProbe, type Mount, type SecretKey, secretVolume, variables } from "../shared/pod.ts";
import { bytes, quantity } from "../shared/quantity.ts";
import { loginData, loginSecretType, loginVolume, registryEndpoints } from "../shared/registry-login.ts";
import { surgeOne, workload } from "../shared/workload.ts";
import { repositoriesFile, serverEnvironment, serverPaths, serverPort } from "./environment.ts";

const portName = "http";

/** File with the certificate authority of the mirror. */
const mirrorAuthority = "database.pem";

const children = {
  /** The generated token. */
  token: optional(random.RandomPassword),
  /** The Secret with the token. */
  credentials: optional(k8s.core.v1.Secret),
  /** The Secret with the logins for registries. */
  registryLogin: optional(k8s.core.v1.Secret),
  certificateAuthorities: optional(k8s.core.v1.ConfigMap),
  policy: k8s.networking.v1.NetworkPolicy,
  deployment: k8s.apps.v1.Deployment,
  disruptionBudget: k8s.policy.v1.PodDisruptionBudget,
  autoscaler: optional(k8s.autoscaling.v2.HorizontalPodAutoscaler),
};

export interface TrivyServerArgs {
  readonly context: Context;
  /** The cache that the servers share, `connection` of a RedisCache. */
  readonly cache: CacheConnection;
  readonly server?: ServerArgs;
  /** The trust domain whose clients the servers serve. @default that of the clients without one */
  readonly domain?: string;
  readonly database?: DatabaseArgs;
  /** The mirror of the database, `connection` of a DatabaseMirror. @default none */
  readonly mirror?: MirrorConnection | undefined;
  /** Who may connect to the servers. @default no one but `kubectl port-forward` */
  readonly peers?: readonly Peer[];
  /** What a generated token depends on: it is generated again when one of these changes. @default nothing */
  readonly tokenKeepers?: Readonly<Record<string, pulumi.Input<string>>>;
  readonly transform?: Transforms<typeof children> | undefined;
}

type Server = WithDefaults<ServerArgs, typeof defaults.server>;
type Database = WithDefaults<DatabaseArgs, typeof defaults.database>;

/**
 * Replicated Trivy servers, which keep no state of their own: any of them can answer any request.
 *
 * @example
 * const server = new TrivyServer(
 *   "server",
 *   { context, cache: cache.connection, server: { replicas: 3 }, peers: [{ namespaceSelector: {} }] },
 *   { dependsOn: [...cache.ready] },
 * );
 * export const token = server.token;
 */
export class TrivyServer extends Component<TrivyServerArgs, typeof children> {
  /** The port of the pods. */
  readonly port: { readonly name: string; readonly number: number } = { name: portName, number: serverPort };
  /** The token that clients must send; `undefined` if it is switched off or in an existing Secret. */
  readonly token: pulumi.Output<string> | undefined;
  /** Where the token is; `undefined` if it is switched off. */
  readonly tokenKey: SecretKey | undefined;
  readonly #part: Part;

  constructor(name: string, args: TrivyServerArgs, options?: pulumi.ComponentResourceOptions) {
    super("TrivyServer", name, args, { children, settings: ["server", "database"] }, options);
    this.#part = serverPart(this.args.domain);
    const server = withDefaults(defaults.server, this.args.server);
    const database = withDefaults(defaults.database, this.args.database);
    const { token, tokenKey } = this.createToken(server);
    this.token = token;
    this.tokenKey = tokenKey;
    const login = this.createLogin(database);
    const authorities = this.createAuthorities(server);
    const policy = this.createPolicy(database);
    const deployment = this.createDeployment(server, database, { login, authorities }, policy);
    this.create("disruptionBudget", disruptionBudget(this.args.context, this.#part));
    if (server.autoscaling) this.createAutoscaler(server.autoscaling, deployment);
    this.registerOutputs({ token: this.token });
  }

  private createToken({ token: { enabled, value, generation, existingSecret } }: Server): {
    token?: pulumi.Output<string>;
    tokenKey?: SecretKey;
  } {
    if (!enabled) return {};
    const defaultKey = blockDefaults.TokenSecretRef;
    if (existingSecret) return { tokenKey: withDefaults(defaultKey, existingSecret) };
    const { context, tokenKeepers } = this.args;
    const keepers = generation === 1 ? tokenKeepers : { ...tokenKeepers, generation: String(generation) };
    const token = value === undefined ? this.create("token", secretText(keepers)).result : pulumi.output(value);
    const { metadata } = this.create("credentials", secret(context, this.#part, { [defaultKey.key]: token }));
    return { token, tokenKey: { name: metadata.name, ...defaultKey } };
  }

  /** Returns the name of the Secret with the logins, if there are any. */
  private createLogin({ credentials, existingSecret }: Database): pulumi.Input<string> | undefined {
    if (existingSecret !== undefined || credentials.length === 0) return existingSecret;
    return this.create("registryLogin", secret(this.args.context, this.#part, loginData(credentials), loginSecretType)).metadata.name;
  }

  /** Returns the name of the ConfigMap with the certificate authorities, if there are any. */
  private createAuthorities({ caCertificates }: Server): pulumi.Input<string> | undefined {
    const { context, cache } = this.args;
    const files = {
      ...(caCertificates !== undefined && { "server.pem": caCertificates }),
      ...(cache.caCertificates !== undefined && { "redis.pem": cache.caCertificates }),
    };
    if (Object.keys(files).length === 0) return undefined;
    return this.create("certificateAuthorities", configMap(context, this.#part, files)).metadata.name;
  }

  private createPolicy(database: Database): pulumi.Resource {
    const { context, cache, mirror, peers = [] } = this.args;
    const toMirror = mirror ? [{ to: [podsWith(mirror.selector)], ports: [tcp(mirror.port)] }] : [];
    return this.create(
      "policy",
      networkPolicy(context, this.#part, {
        ingress: ingressFrom(peers, [serverPort]),
        egress: pulumi.all([cache.egress, databaseEgress(context, database)]).apply(([toCache, rules]) => [toCache, ...toMirror, ...rules]),
      }),
    );
  }

  private createDeployment(server: Server, database: Database, files: Files, policy: pulumi.Resource): k8s.apps.v1.Deployment {
    const { context, cache, mirror } = this.args;
    const { autoscaling, replicas, drainSeconds, databaseVolume, envFromSecrets } = server;
    const healthz = httpProbe("/healthz", portName);
    return this.create(
      "deployment",
      {
        metadata: namedMetadata(context, this.#part),
        spec: {
          // An autoscaler sets the number of replicas itself; a number here would reset it with every `up`.
          ...(!autoscaling && { replicas }),
          strategy: surgeOne,
          progressDeadlineSeconds: 900,
          ...workload(context, {
            part: this.#part,
            replicated: true,
            // Trivy stops at SIGTERM without waiting for requests, so these must end while it drains; 45 s are left for longer ones.
            terminationGracePeriodSeconds: pulumi.output(drainSeconds).apply((seconds) => seconds + 45),
            ...(mirror && { initContainers: [this.waitForDatabase(mirror, database)] }),
            container: {
              name: "trivy",
              image: image("trivy", context),
              args: ["server"],
              env: serverEnvironment({
                context,
                server,
                database,
                cache,
                token: this.tokenKey,
                repositories: mirror ? undefined : repositoriesOf(database),
                login: files.login !== undefined,
                authorities: [
                  ...(files.authorities === undefined ? [] : [serverPaths.authorities]),
                  ...(mirror ? [serverPaths.mirrorAuthority] : []),
                ],
              }),
              ...(envFromSecrets.length > 0 && { envFrom: envFromSecrets.map((name) => ({ secretRef: { name } })) }),
              ports: [{ name: portName, containerPort: serverPort }],
              // The server listens only when it has the database, whose download may take ten minutes.
              startupProbe: { ...healthz, periodSeconds: 1, failureThreshold: 600 },
              readinessProbe: { ...healthz, periodSeconds: 2, failureThreshold: 2 },
              livenessProbe: { ...healthz, periodSeconds: 10, failureThreshold: 6 },
              lifecycle: { preStop: { sleep: { seconds: drainSeconds } } },
              resources: containerResources(server.resources, {
                request: databaseVolume,
                // Both volumes full, and the log.
                limit: pulumi.output(databaseVolume).apply((size) => quantity(2 * bytes(size) + bytes("256Mi"))),
              }),
            },
            mounts: serverMounts(databaseVolume, files, cache, mirror),
          }),
        },
      },
      // Each server may need the ten minutes of its startup probe, and they are replaced one after the other.
      { dependsOn: [policy, ...this.dependencies], customTimeouts: { create: "30m", update: "60m" } },
    );
  }

  /** Returns the container that waits for the mirror's database, and writes the order in which Trivy tries the repositories. */
  private waitForDatabase({ host, repositories }: MirrorConnection, database: Database) {
    return {
      name: "wait-for-database",
      image: image("node", this.args.context),
      command: ["node", `${serverPaths.waitProgram}/wait.js`],
      env: variables({
        MIRROR_HOST: host,
        MIRROR_REPOSITORY: repositories.vulnerabilities,
        OTHER_REPOSITORIES: repositoriesOf(database).apply((others) => others.join(",")),
        // A server that runs does not take an older build by itself: when the pin changes, the servers are replaced.
        MIRROR_PIN: database.mirror.pin,
        REPOSITORIES_FILE: repositoriesFile,
        NODE_EXTRA_CA_CERTS: `${serverPaths.mirrorAuthority}/${mirrorAuthority}`,
      }),
      resources: containerResources(
        { requests: { cpu: "10m", memory: "48Mi" }, limits: { memory: "128Mi" } },
        { request: "16Mi", limit: "64Mi" },
      ),
      volumeMounts: [
        { name: "wait-program", mountPath: serverPaths.waitProgram, readOnly: true },
        { name: "database-authority", mountPath: serverPaths.mirrorAuthority, readOnly: true },
        { name: "repositories", mountPath: serverPaths.repositories },
      ],
    };
  }

  private createAutoscaler(autoscaling: AutoscalingArgs, deployment: k8s.apps.v1.Deployment): void {
    const { minReplicas, maxReplicas, targetCpuUtilization } = withDefaults(blockDefaults.AutoscalingArgs, autoscaling);
    this.create("autoscaler", {
      metadata: namedMetadata(this.args.context, this.#part),
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: deployment.metadata.name },
        minReplicas,
        maxReplicas,
        // Only CPU: the database is mapped into memory, so memory says nothing about the load.
        metrics: [
          {
            type: "Resource",
            resource: { name: "cpu", target: { type: "Utilization", averageUtilization: targetCpuUtilization } },
          },
        ],
        behavior: { scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: "Pods", value: 1, periodSeconds: 60 }] } },
      },
    });
  }
}

/** Names of the objects whose content the pods get as files. */
interface Files {
  /** Secret with logins for registries. */
  readonly login: pulumi.Input<string> | undefined;
  /** ConfigMap with certificate authorities. */
  readonly authorities: pulumi.Input<string> | undefined;
}

function serverMounts(
  databaseVolume: pulumi.Input<string>,
  { login, authorities }: Files,
  { clientCertificate }: CacheConnection,
  mirror: MirrorConnection | undefined,
): Mount[] {
  const scratch = { options: { readOnly: false }, volume: { emptyDir: { sizeLimit: databaseVolume } } };
  return [
    { name: "database", mountPath: serverPaths.database, ...scratch },
    { name: "temporary", mountPath: serverPaths.temporary, ...scratch },
    ...(authorities === undefined
      ? []
      : [{ name: "certificate-authorities", mountPath: serverPaths.authorities, volume: { configMap: { name: authorities } } }]),
    ...(login === undefined ? [] : [{ name: "registry-login", mountPath: serverPaths.login, volume: loginVolume(login) }]),
    ...(clientCertificate === undefined
      ? []
      : [{ name: "redis-client", mountPath: serverPaths.cacheCertificate, volume: secretVolume(clientCertificate) }]),
    ...(mirror
      ? [
          { name: "database-authority", mountPath: serverPaths.mirrorAuthority, volume: authorityVolume(mirror.authority) },
          { name: "repositories", mountPath: serverPaths.repositories, volume: { emptyDir: { sizeLimit: "1Mi" } } },
          { name: "wait-program", mountPath: serverPaths.waitProgram, volume: { configMap: { name: mirror.waitProgram } } },
        ]
      : []),
  ];
}

const authorityVolume = ({ name, key }: SecretKey) => secretVolume(name, [{ key, path: mirrorAuthority }]);

/** Whether the servers get the database only from the mirror in the stack. */
const usesOnlyMirror = ({ mirror: { enabled, to, offline, fallback } }: Database) => enabled && to === undefined && (offline || !fallback);

/** Returns the repositories outside of the stack from which the servers may download the database. */
function repositoriesOf(database: Database): pulumi.Output<string[]> {
  const { repositories, mirror } = database;
  if (usesOnlyMirror(database)) return pulumi.output([]);
  if (!mirror.enabled || mirror.to === undefined) return pulumi.all([...repositories]);
  return pulumi.all([mirror.to, ...(mirror.fallback ? repositories : [])]);
}

/** Returns the rules that let the servers download the vulnerability database from outside of the stack. */
function databaseEgress(context: Context, database: Database): pulumi.Output<EgressRule[]> {
  if (usesOnlyMirror(database)) return pulumi.output([]);
  const endpoints = pulumi
    .all([repositoriesOf(database), database.plainHttp])
    .apply(([all, http]) => all.flatMap((repository) => registryEndpoints(repository, http)));
  return egress(context, endpoints, database.cidrs);
}
