import * as pulumi from "@pulumi/pulumi";
import { blockDefaults, defaults, type GatewayArgs, type ServerArgs, type SettingsArgs } from "./args.ts";
import { RedisCache } from "./cache/redis-cache.ts";
import { DatabaseCopy } from "./database-mirror/database-copy.ts";
import { DatabaseMirror } from "./database-mirror/database-mirror.ts";
import { type Backend, Exposure } from "./exposure/exposure.ts";
import { Gateway } from "./gateway/gateway.ts";
import { Namespace } from "./namespace/namespace.ts";
import { RegistryScan } from "./registry-scan/registry-scan.ts";
import type { ServiceConnection } from "./registry-scan/scan-job.ts";
import { TrivyServer } from "./server/trivy-server.ts";
import { Component, optional, type Transforms } from "./shared/component.ts";
import type { Context, Identity } from "./shared/context.ts";
import { image, trivyVersion } from "./shared/images.ts";
import { selector } from "./shared/labels.ts";
import { withDefaults } from "./shared/merge.ts";
import { accessPeers, type Peer, podsWith } from "./shared/network.ts";
import { parts, registryScanClient, serviceName, servicePort } from "./shared/parts.ts";
import type { SecretKey } from "./shared/pod.ts";

const children = {
  namespace: Namespace,
  redis: RedisCache,
  databaseMirror: optional(DatabaseMirror),
  databaseCopy: optional(DatabaseCopy),
  server: TrivyServer,
  gateway: optional(Gateway),
  exposure: Exposure,
  registryScan: optional(RegistryScan),
};

export interface ScanServiceArgs extends SettingsArgs, Pick<Identity, "instance"> {
  /** Changes to resources before they are created, by component and resource. @default none */
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * A vulnerability-scanning service: Trivy servers behind one Service, which share a cache.
 *
 * @example
 * const service = new ScanService("trivy", {
 *   instance: pulumi.getStack(),
 *   server: { replicas: 3 },
 *   access: { namespaces: ["ci"] },
 *   transform: { redis: { claim: { metadata: { annotations: { "example.com/backup": "daily" } } } } },
 * });
 * export const { address, token } = service;
 * export const servers = service.nodes.server.nodes.deployment.metadata.name;
 */
export class ScanService extends Component<ScanServiceArgs, typeof children> {
  /** Name of the namespace. */
  readonly namespace: pulumi.Output<string>;
  /** URL for clients in the cluster. */
  readonly address: pulumi.Output<string>;
  /** URL for clients outside the cluster; `undefined` if the service is not exposed. */
  readonly externalAddress: pulumi.Output<string> | undefined;
  /** The command that makes the service reachable on the user's machine, at http://localhost:8080. */
  readonly portForward: pulumi.Output<string>;
  /** The command that scans an image through the port-forward, with the client of the servers' version. */
  readonly scan: pulumi.Output<string>;
  /** The token that clients send, with several clients the first one's; `undefined` if it is switched off or in an existing Secret. */
  readonly token: pulumi.Output<string> | undefined;
  /** The token of each client of the gateway, by its name; `undefined` without a gateway. */
  readonly tokens: pulumi.Output<Record<string, string>> | undefined;
  /** The certificate authority that clients must trust, PEM; `undefined` if there is none, or it is not known here. */
  readonly caCertificate: pulumi.Output<string> | undefined;
  /** The command that makes the reports of the registry scan reachable on the user's machine; `undefined` without a registry scan. */
  readonly reports: pulumi.Output<string> | undefined;

  /** @throws ResourceError if the servers' token is switched off behind a gateway */
  constructor(name: string, args: ScanServiceArgs, options?: pulumi.ComponentResourceOptions) {
    super("ScanService", name, args, { children, settings: settingsOf(args) }, options);
    const namespace = this.createNamespace();
    const context = this.context(namespace);
    const cache = this.createCache(context);
    const mirror = this.createMirror(context, namespace);
    const server = this.createServer(context, cache, mirror, namespace);
    const gateway = this.gateway.enabled ? this.createGateway(context, cache, server, mirror, namespace) : undefined;
    const exposure = this.createExposure(context, gateway?.backend ?? serversBackend(server));
    const registryScan = this.args.registryScan?.enabled
      ? this.createRegistryScan(context, connection(exposure, server, gateway), mirror, namespace)
      : undefined;

    this.namespace = namespace.name;
    this.address = exposure.address;
    this.externalAddress = exposure.externalAddress;
    this.portForward = pulumi.interpolate`kubectl port-forward service/${serviceName} 8080:${servicePort} -n ${namespace.name}`;
    this.scan = pulumi.output(scanCommand(gateway !== undefined || server.tokenKey !== undefined));
    this.token = gateway ? gateway.tokens.apply((tokens) => tokens[this.gateway.clients[0]?.name ?? ""] ?? "") : server.token;
    this.tokens = gateway?.tokens.apply(({ [registryScanClient]: own, ...tokens }) => tokens);
    this.caCertificate = gateway?.caCertificate;
    this.reports = registryScan?.portForward;
    this.registerOutputs({
      namespace: this.namespace,
      address: this.address,
      externalAddress: this.externalAddress,
      token: this.token,
      tokens: this.tokens,
      caCertificate: this.caCertificate,
      reports: this.reports,
    });
  }

  private createNamespace(): Namespace {
    const { instance, labels, protect, namespace } = this.args;
    // It has this component's name, because it holds everything else.
    return this.create("namespace", { identity: { instance, labels, protect }, namespace }, {}, "");
  }

  private context({ name }: Namespace): Context {
    const { instance, labels, protect, images, scheduling, podAnnotations, proxy, clusterDomain } = this.args;
    return { instance, labels, protect, namespace: name, images, scheduling, podAnnotations, proxy, clusterDomain };
  }

  private get gateway() {
    return withDefaults(defaults.gateway, this.args.gateway);
  }

  private createCache(context: Context): RedisCache {
    const { enabled: retried } = this.gateway;
    const allowedPods = [selector(parts.server), ...(retried ? [selector(parts.gateway)] : [])];
    return this.create("redis", { context, redis: this.args.redis, allowedPods, retried });
  }

  /** Creates what copies the database into the stack or into a registry, and returns the mirror in the stack if there is one. */
  private createMirror(context: Context, { policies }: Namespace): DatabaseMirror | undefined {
    const { database, server, registryScan } = this.args;
    const { enabled, to, java } = withDefaults(defaults.database.mirror, database?.mirror);
    if (!enabled) return undefined;
    const args = { context, database: database ?? {}, caCertificates: server?.caCertificates };
    if (to === undefined) {
      const clients = [
        parts.server,
        ...(java.enabled && this.gateway.enabled ? [parts.gateway] : []),
        ...(java.enabled && registryScan?.enabled ? [parts.registryScan] : []),
      ];
      const peers = clients.map((part) => podsWith(selector(part)));
      return this.create("databaseMirror", { ...args, peers }, { dependsOn: [...policies] });
    }
    this.create("databaseCopy", args, { dependsOn: [...policies] });
    return undefined;
  }

  private createServer(
    context: Context,
    { connection: cache, ready }: RedisCache,
    mirror: DatabaseMirror | undefined,
    { policies }: Namespace,
  ): TrivyServer {
    const { server, database } = this.args;
    const behindGateway = { peers: [podsWith(selector(parts.gateway))], tokenKeepers: this.tokenKeepers(context) };
    return this.create(
      "server",
      {
        context,
        cache,
        server,
        database,
        mirror: mirror?.connection,
        ...(this.gateway.enabled ? behindGateway : { peers: this.clients() }),
      },
      { dependsOn: [...policies, ...ready, ...(mirror?.ready ?? [])] },
    );
  }

  /**
   * What the servers' token depends on behind a gateway. No client knows it there, so it can change with the servers' version and with
   * every other generated secret.
   */
  private tokenKeepers(context: Context): Record<string, pulumi.Input<string>> {
    const { redis = {} } = this.args;
    const generations = this.gateway.clients.map(({ name, generation = blockDefaults.ClientArgs.generation }) => `${name}=${generation}`);
    const { generation } = blockDefaults.EmbeddedRedisArgs;
    return {
      server: image("trivy", context),
      redis: String(redis.mode === "external" ? 0 : (redis.generation ?? generation)),
      clients: generations.join(),
    };
  }

  /** Who may connect to the service. */
  private clients(): Peer[] {
    const { access, registryScan } = this.args;
    return [...accessPeers(access ?? {}), ...(registryScan?.enabled ? [podsWith(selector(parts.registryScan))] : [])];
  }

  private createGateway(
    context: Context,
    { connection: cache }: RedisCache,
    server: TrivyServer,
    mirror: DatabaseMirror | undefined,
    { policies }: Namespace,
  ): Gateway {
    const { exposure = {}, registryScan } = this.args;
    return this.create(
      "gateway",
      {
        context,
        gateway: registryScan?.enabled ? withClient(this.gateway, registryScanClient) : this.gateway,
        servers: {
          selector: selector(parts.server),
          port: server.port.number,
          maximum: maximumServers(this.args.server),
          token: this.serversToken(server),
        },
        cache,
        database: mirror && javaMirror(mirror),
        peers: this.clients(),
        externalHost: "host" in exposure ? exposure.host : undefined,
      },
      { dependsOn: [...policies] },
    );
  }

  private serversToken({ tokenKey }: TrivyServer): SecretKey {
    if (tokenKey) return tokenKey;
    const message = "server.token.enabled is false, but behind the gateway the token keeps other clients from the servers; remove it";
    throw new pulumi.ResourceError(message, this, true);
  }

  private createExposure(context: Context, backend: Backend): Exposure {
    // Each gateway pod reaches every server. With servers only, those in the clients' zone would get all of the load.
    const { exposure, access } = this.args;
    return this.create("exposure", { context, backend, preferSameZone: this.gateway.enabled, exposure, sourceRanges: access?.cidrs });
  }

  private createRegistryScan(
    context: Context,
    service: ServiceConnection,
    mirror: DatabaseMirror | undefined,
    { policies }: Namespace,
  ): RegistryScan {
    const { registryScan } = this.args;
    const args = { context, registryScan, service, database: mirror && javaMirror(mirror) };
    return this.create("registryScan", args, { dependsOn: [...policies] });
  }
}

/** Returns the mirror's connection if it has the Java database. */
const javaMirror = ({ connection }: DatabaseMirror) => (connection.repositories.java === undefined ? undefined : connection);

const settingsOf = ({ transform, ...settings }: ScanServiceArgs) => Object.keys(settings) as (keyof ScanServiceArgs)[];

const serversBackend = ({ port }: TrivyServer): Backend => ({ selector: selector(parts.server), http: port.name, plainHttp: true });

const withClient = ({ clients, ...gateway }: GatewayArgs, name: string): GatewayArgs => ({
  ...gateway,
  clients: [...(clients ?? []), { name }],
});

function maximumServers(server: ServerArgs | undefined): pulumi.Input<number> {
  const { autoscaling, replicas } = withDefaults(defaults.server, server);
  return autoscaling?.maxReplicas ?? replicas;
}

/** Returns how the registry scan reaches the service: as a client of the gateway, or with the servers' token. */
function connection({ address: url }: Exposure, server: TrivyServer, gateway: Gateway | undefined): ServiceConnection {
  if (!gateway) return { url, tokenKey: server.tokenKey, selector: selector(parts.server), ports: [server.port.number] };
  return {
    url,
    token: gateway.tokens.apply((tokens) => tokens[registryScanClient] ?? ""),
    selector: gateway.backend.selector,
    ports: gateway.ports,
    caCertificate: gateway.caCertificate,
  };
}

const scanCommand = (token: boolean) =>
  `trivy image --server http://localhost:8080${token ? ' --token "$TRIVY_TOKEN"' : ""} alpine:3.10   # client ${trivyVersion}`;
