import * as pulumi from "@pulumi/pulumi";
import type { PreviousSecret } from "../monitoring/programs/configuration.ts";
import {
  type AuthoritiesArgs,
  blockDefaults,
  type ClientArgs,
  type DomainArgs,
  defaults,
  type RedisArgs,
  type ServerArgs,
  type SettingsArgs,
} from "./args.ts";
import { RedisCache } from "./cache/redis-cache.ts";
import { type CopyTargets, copySchedule, copyTargets, DatabaseCopy } from "./database-mirror/database-copy.ts";
import { DatabaseMirror } from "./database-mirror/database-mirror.ts";
import { type Backend, Exposure } from "./exposure/exposure.ts";
import { Gateway } from "./gateway/gateway.ts";
import { Monitoring } from "./monitoring/monitoring.ts";
import { Namespace } from "./namespace/namespace.ts";
import { RegistryScan } from "./registry-scan/registry-scan.ts";
import type { ServiceConnection } from "./registry-scan/scan-job.ts";
import { TrivyServer } from "./server/trivy-server.ts";
import { Component, optional, several, type Transforms } from "./shared/component.ts";
import type { Context, Identity } from "./shared/context.ts";
import { validGenerations } from "./shared/generated-secret.ts";
import { image } from "./shared/images.ts";
import { selector } from "./shared/labels.ts";
import { withDefaults } from "./shared/merge.ts";
import { accessPeers, type Peer, podsWith } from "./shared/network.ts";
import { parts, probeClient, registryScanClient, serverPart, serviceName, servicePort } from "./shared/parts.ts";
import type { SecretKey } from "./shared/pod.ts";

const children = {
  namespace: Namespace,
  redis: RedisCache,
  databaseMirror: optional(DatabaseMirror),
  databaseCopy: optional(DatabaseCopy),
  server: TrivyServer,
  /** The servers of the trust domains. */
  domainServers: several(TrivyServer),
  gateway: optional(Gateway),
  exposure: Exposure,
  registryScan: optional(RegistryScan),
  monitoring: optional(Monitoring),
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
    for (const domain of this.domains) this.createDomainServer(context, domain, { cache, mirror, server }, namespace);
    const gateway = this.gateway.enabled ? this.createGateway(context, cache, server, mirror, namespace) : undefined;
    const exposure = this.createExposure(context, gateway?.backend ?? serversBackend(server));
    const registryScan = this.args.registryScan?.enabled
      ? this.createRegistryScan(context, connection(exposure, server, gateway, registryScanClient), mirror, namespace)
      : undefined;
    const monitoring = this.monitoring.enabled
      ? this.createMonitoring(context, { cache, mirror, server, gateway, exposure, registryScan }, namespace)
      : undefined;
    if (this.copies) this.createCopy(context, monitoring, namespace);

    this.namespace = namespace.name;
    this.address = exposure.address;
    this.externalAddress = exposure.externalAddress;
    this.portForward = pulumi.interpolate`kubectl port-forward service/${serviceName} 8080:${servicePort} -n ${namespace.name}`;
    this.scan = image("trivy", context).apply((reference) =>
      scanCommand(gateway !== undefined || server.tokenKey !== undefined, reference),
    );
    this.token = gateway ? gateway.tokens.apply((tokens) => tokens[this.gateway.clients[0]?.name ?? ""] ?? "") : server.token;
    this.tokens = gateway?.tokens.apply(({ [registryScanClient]: _scan, [probeClient]: _probe, ...tokens }) => tokens);
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
    const { instance, labels, protect, namespace, dns } = this.args;
    // It has this component's name, because it holds everything else.
    return this.create("namespace", { identity: { instance, labels, protect }, namespace, dns }, {}, "");
  }

  private context({ name }: Namespace): Context {
    const { instance, labels, protect, images, scheduling, pods, podAnnotations, proxy, egress, authorities, clusterDomain } = this.args;
    const { enabled, discovery } = this.monitoring;
    const scrapeAnnotations = enabled && discovery === "annotations";
    return {
      instance,
      labels,
      protect,
      namespace: name,
      sharedNamespace: this.args.namespace?.create === false,
      images,
      scheduling,
      pods,
      podAnnotations,
      scrapeAnnotations,
      proxy,
      egress,
      authorities,
      clusterDomain,
    };
  }

  private get gateway() {
    return withDefaults(defaults.gateway, this.args.gateway);
  }

  private get domains(): readonly DomainArgs[] {
    return this.args.domains ?? [];
  }

  /** The labels of all servers' pods. */
  private get serverSelectors(): Record<string, string>[] {
    return [serverPart(), ...this.domains.map(({ name }) => serverPart(name))].map(selector);
  }

  private get monitoring() {
    return withDefaults(defaults.monitoring, this.args.monitoring);
  }

  /** Prometheus' namespaces, whose pods may read the metrics of every part. */
  private get monitors(): readonly pulumi.Input<string>[] {
    const { enabled, namespaces } = this.monitoring;
    return enabled ? namespaces : [];
  }

  private createCache(context: Context): RedisCache {
    const { enabled: retried } = this.gateway;
    const allowedPods = [...this.serverSelectors, ...(retried ? [selector(parts.gateway)] : [])];
    return this.create("redis", { context, redis: withMonitors(this.args.redis, this.monitors), allowedPods, retried });
  }

  /** Where databases are copied to in a registry, if they are. */
  private get copies(): CopyTargets | undefined {
    const mirror = withDefaults(defaults.database.mirror, this.args.database?.mirror);
    return mirror.enabled && mirror.to !== undefined ? copyTargets(mirror) : undefined;
  }

  private createCopy(context: Context, monitoring: Monitoring | undefined, { policies }: Namespace): void {
    const { database = {}, server } = this.args;
    const args = { context, database, caCertificates: server?.caCertificates, results: monitoring?.results };
    this.create("databaseCopy", args, { dependsOn: [...policies] });
  }

  /** Creates the mirror in the stack, if there is one. */
  private createMirror(context: Context, { policies }: Namespace): DatabaseMirror | undefined {
    const { database, server, registryScan } = this.args;
    const { enabled, to, java, monitors } = withDefaults(defaults.database.mirror, database?.mirror);
    if (!enabled || to !== undefined) return undefined;
    const monitored = { ...database, mirror: { ...database?.mirror, monitors: [...monitors, ...this.monitors] } };
    const clients = [
      ...(java.enabled && this.gateway.enabled ? [parts.gateway] : []),
      ...(java.enabled && registryScan?.enabled ? [parts.registryScan] : []),
    ];
    const peers = [...this.serverSelectors, ...clients.map(selector)].map(podsWith);
    const args = { context, database: monitored, caCertificates: server?.caCertificates, peers };
    return this.create("databaseMirror", args, { dependsOn: [...policies] });
  }

  private createServer(
    context: Context,
    { connection: cache, ready }: RedisCache,
    mirror: DatabaseMirror | undefined,
    { policies }: Namespace,
  ): TrivyServer {
    const { server, database } = this.args;
    const tokenKeepers = this.gateway.enabled ? this.tokenKeepers(context) : undefined;
    return this.create(
      "server",
      { context, cache, server, database, mirror: mirror?.connection, peers: this.serverPeers(), ...(tokenKeepers && { tokenKeepers }) },
      { dependsOn: [...policies, ...ready, ...(mirror?.ready ?? [])] },
    );
  }

  /** Creates the servers of a trust domain, which have the other servers' token: only the gateway knows it. */
  private createDomainServer(
    context: Context,
    { name, cacheDatabase, replicas, autoscaling }: DomainArgs,
    { cache, mirror, server }: Pick<Parts, "cache" | "mirror" | "server">,
    { policies }: Namespace,
  ): TrivyServer {
    const { replicas: _replicas, autoscaling: _autoscaling, ...common } = this.args.server ?? {};
    const own = { ...(replicas !== undefined && { replicas }), ...(autoscaling !== undefined && { autoscaling }) };
    return this.create(
      "domainServers",
      {
        context,
        domain: name,
        cache: cache.connectionTo(cacheDatabase),
        server: { ...common, ...own, token: { existingSecret: this.serversToken(server) } },
        database: this.args.database,
        mirror: mirror?.connection,
        peers: this.serverPeers(),
      },
      { dependsOn: [...policies, ...cache.ready, ...(mirror?.ready ?? [])] },
      `server-${name}`,
    );
  }

  /** Who may connect to the servers. */
  private serverPeers(): Peer[] {
    const exporter = this.monitoring.enabled ? [podsWith(selector(parts.exporter))] : [];
    return [...(this.gateway.enabled ? [podsWith(selector(parts.gateway))] : this.clients()), ...exporter];
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

  /** Whether there is a synthetic scan. */
  private get probes(): boolean {
    const { enabled, probe } = this.monitoring;
    return enabled && probe.enabled;
  }

  /** Who may connect to the service. */
  private clients(): Peer[] {
    const { access, registryScan } = this.args;
    return [
      ...accessPeers(access ?? {}),
      ...(registryScan?.enabled ? [podsWith(selector(parts.registryScan))] : []),
      ...(this.probes ? [podsWith(selector(parts.probe))] : []),
    ];
  }

  private createGateway(
    context: Context,
    { connection: cache }: RedisCache,
    server: TrivyServer,
    mirror: DatabaseMirror | undefined,
    { policies }: Namespace,
  ): Gateway {
    const { exposure = {}, registryScan } = this.args;
    const { generation, retire } = withDefaults(defaults.registryScan, registryScan);
    const { probe } = this.monitoring;
    const ownClients = [
      ...(registryScan?.enabled ? [{ name: registryScanClient, generation, retire }] : []),
      ...(this.probes ? [{ name: probeClient, generation: probe.generation, retire: probe.retire }] : []),
    ];
    const { clients, monitors } = this.gateway;
    return this.create(
      "gateway",
      {
        context,
        gateway: {
          ...this.gateway,
          clients: [...clients, ...ownClients],
          monitors: [...monitors, ...this.monitors],
        },
        servers: {
          selector: selector(parts.server),
          port: server.port.number,
          maximum: maximumServers(this.args.server),
          token: this.serversToken(server),
          domains: this.domains.map((domain) => ({
            name: domain.name,
            clients: domain.clients,
            selector: selector(serverPart(domain.name)),
            maximum: maximumServers(domain),
          })),
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
    return this.create("exposure", {
      context,
      backend,
      preferSameZone: this.gateway.enabled && this.gateway.preferSameZone,
      exposure,
      sourceRanges: access?.cidrs,
    });
  }

  private createRegistryScan(
    context: Context,
    service: ServiceConnection,
    mirror: DatabaseMirror | undefined,
    { policies }: Namespace,
  ): RegistryScan {
    const { registryScan = {} } = this.args;
    const { reports } = withDefaults(defaults.registryScan, registryScan);
    const java = this.copies?.java;
    const monitored = {
      ...(java !== undefined && { javaRepositories: [java] }),
      ...registryScan,
      reports: { ...registryScan.reports, monitors: [...reports.monitors, ...this.monitors] },
    };
    const args = { context, registryScan: monitored, service, database: mirror && javaMirror(mirror) };
    return this.create("registryScan", args, { dependsOn: [...policies] });
  }

  private createMonitoring(
    context: Context,
    { cache, mirror, server, gateway, exposure, registryScan: scan }: Parts,
    { policies }: Pick<Namespace, "policies">,
  ): Monitoring {
    const { redis = {}, monitoring } = this.args;
    const registryScan = withDefaults(defaults.registryScan, this.args.registryScan);
    const { schedule, timeZone } = registryScan;
    const { clientCertificate } = cache.connection;
    const { copies } = this;
    return this.create(
      "monitoring",
      {
        context,
        monitoring,
        stack: {
          servers: [
            { selector: selector(parts.server), port: server.port.number, expected: minimumServers(this.args.server) },
            ...this.domains.map((domain) => ({
              domain: domain.name,
              selector: selector(serverPart(domain.name)),
              port: server.port.number,
              expected: minimumServers(domain),
            })),
          ],
          certificates: {
            ...(gateway?.certificateSecret !== undefined && { gateway: gateway.certificateSecret }),
            ...(clientCertificate !== undefined && { redis: clientCertificate }),
            ...(mirror !== undefined && { mirror: mirror.connection.authority.name }),
            ...(scan !== undefined && { reports: scan.certificateSecret }),
          },
          previousSecrets: previousSecrets(
            [
              ...(gateway ? this.gateway.clients : []),
              ...(registryScan.enabled ? [{ ...registryScan, name: registryScanClient }] : []),
              ...(this.probes ? [{ ...this.monitoring.probe, name: probeClient }] : []),
            ],
            redis,
            withDefaults(defaults.authorities, this.args.authorities),
          ),
          registryScan: registryScan.enabled ? pulumi.output({ schedule, timeZone }) : undefined,
          copy:
            copies &&
            pulumi.output(copySchedule(this.args.database?.mirror ?? {})).apply((every) => ({
              ...{ schedule: every, timeZone: "Etc/UTC" },
              artifacts: Object.keys(copies),
            })),
        },
        parts: [
          ...(gateway ? (["gateway"] as const) : []),
          ...(redis.mode === "external" ? [] : (["redis"] as const)),
          ...(registryScan.enabled ? (["registryScan"] as const) : []),
          ...(mirror ? (["mirror"] as const) : []),
          ...(copies ? (["copy"] as const) : []),
        ],
        service: connection(exposure, server, gateway, probeClient),
      },
      { dependsOn: [...policies] },
    );
  }
}

/** Returns the mirror's connection if it has the Java database. */
const javaMirror = ({ connection }: DatabaseMirror) => (connection.repositories.java === undefined ? undefined : connection);

const settingsOf = ({ transform, ...settings }: ScanServiceArgs) => Object.keys(settings) as (keyof ScanServiceArgs)[];

const serversBackend = ({ port }: TrivyServer): Backend => ({ selector: selector(parts.server), http: port.name, plainHttp: true });

/** What the monitoring needs of other parts. */
interface Parts {
  readonly cache: RedisCache;
  readonly mirror: DatabaseMirror | undefined;
  readonly server: TrivyServer;
  readonly gateway: Gateway | undefined;
  readonly exposure: Exposure;
  readonly registryScan: RegistryScan | undefined;
}

/** Lets pods of more namespaces read the metrics of an embedded Redis. */
function withMonitors(redis: RedisArgs = {}, monitors: readonly pulumi.Input<string>[]): RedisArgs {
  if (redis.mode === "external" || monitors.length === 0) return redis;
  return { ...redis, monitors: [...(redis.monitors ?? []), ...monitors] };
}

/** Returns the secrets whose previous generation is still valid. */
function previousSecrets(
  clients: readonly Pick<ClientArgs, "name" | "token" | "previousToken" | "generation" | "retire">[],
  redis: RedisArgs,
  authorities: Required<AuthoritiesArgs>,
): PreviousSecret[] {
  const tokens = clients.filter((client) => {
    const { generation, retire } = withDefaults(blockDefaults.ClientArgs, client);
    return client.token === undefined ? validGenerations({ generation, retire }).length > 1 : client.previousToken !== undefined;
  });
  const password = redis.mode !== "external" && validGenerations(withDefaults(blockDefaults.EmbeddedRedisArgs, redis)).length > 1;
  return [
    ...tokens.map(({ name }): PreviousSecret => ({ kind: "token", name })),
    ...(password ? [{ kind: "password", name: "redis" } as const] : []),
    ...(validGenerations(authorities).length > 1 ? [{ kind: "authority", name: "all certificates" } as const] : []),
  ];
}

type Scaling = Pick<ServerArgs, "replicas" | "autoscaling">;

function minimumServers(server: Scaling | undefined): pulumi.Input<number> {
  const { autoscaling, replicas } = withDefaults(defaults.server, server);
  return autoscaling ? withDefaults(blockDefaults.AutoscalingArgs, autoscaling).minReplicas : replicas;
}

function maximumServers(server: Scaling | undefined): pulumi.Input<number> {
  const { autoscaling, replicas } = withDefaults(defaults.server, server);
  return autoscaling?.maxReplicas ?? replicas;
}

/** Returns how a part of the stack reaches the service: as a client of the gateway with this name, or with the servers' token. */
function connection({ address: url }: Exposure, server: TrivyServer, gateway: Gateway | undefined, client: string): ServiceConnection {
  if (!gateway) return { url, tokenKey: server.tokenKey, selector: selector(parts.server), ports: [server.port.number] };
  return {
    url,
    token: gateway.tokens.apply((tokens) => tokens[client] ?? ""),
    selector: gateway.backend.selector,
    ports: gateway.ports,
    caCertificate: gateway.caCertificate,
  };
}

/** Returns the command of a first scan, with the version of the client, which is in the tag of the servers' image. */
function scanCommand(token: boolean, image: string): string {
  const [, version] = /:v?(\d+\.\d+\.\d+)[^/]*$/.exec(image.replace(/@.*/, "")) ?? [];
  const client = version === undefined ? "the client of the servers' version" : `client ${version}`;
  return `trivy image --server http://localhost:8080${token ? ' --token "$TRIVY_TOKEN"' : ""} alpine:3.10   # ${client}`;
}
