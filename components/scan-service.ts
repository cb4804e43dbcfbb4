import * as pulumi from "@pulumi/pulumi";
import { type RedisArgs, RedisCache, type RedisCacheArgs, sealedRedis } from "./cache/redis-cache.ts";
import { type BackendArgs, Exposure, type ExposureArgs, servicePort } from "./exposure/exposure.ts";
import {
  Gateway,
  type GatewayArgs,
  type GatewayComponentArgs,
  gatewayDefaults,
  gatewaySelector,
  sealedGateway,
} from "./gateway/gateway.ts";
import { Namespace, type NamespaceArgs, type NamespaceSettings } from "./namespace/namespace.ts";
import {
  RegistryScan,
  type RegistryScanArgs,
  type RegistryScanComponentArgs,
  registryScanClient,
  registryScanSelector,
  sealedRegistryScan,
} from "./registry-scan/registry-scan.ts";
import {
  type DatabaseArgs,
  type ServerArgs,
  sealedDatabase,
  sealedServer,
  serverDefaults,
  serverSelector,
  TrivyServer,
  type TrivyServerArgs,
} from "./server/trivy-server.ts";
import { imageReference, trivyVersion } from "./shared/images.ts";
import type { Identity } from "./shared/labels.ts";
import { type ClientsArgs, clientPeers, type Peer, type ProxyArgs } from "./shared/network.ts";
import type { PodArgs, SecretKey } from "./shared/pod.ts";

export interface ScanServiceArgs extends Identity, PodArgs {
  /** Where all of it lives. @default a new namespace called trivy */
  readonly namespace?: NamespaceSettings;
  /** The cache that the servers share. @default a Redis of the service's own */
  readonly redis?: RedisArgs;
  readonly server?: ServerArgs;
  /** Where the vulnerability database comes from. @default the public registries */
  readonly database?: DatabaseArgs;
  /** @default no proxy */
  readonly proxy?: ProxyArgs;
  /** Who may connect. @default nobody but `kubectl port-forward` */
  readonly clients?: ClientsArgs;
  /** What stands before the servers, so that no scan fails when one of them does. @default nothing: clients reach the servers themselves */
  readonly gateway?: GatewayArgs;
  /** How clients outside the cluster get in. @default not at all */
  readonly exposure?: ExposureArgs["exposure"];
  /** Images of registries that are scanned at regular times. @default none */
  readonly registryScan?: RegistryScanArgs;
  /** Changes to the parts' children before they are created. @default none */
  readonly transform?: {
    readonly namespace?: NamespaceArgs["transform"];
    readonly redis?: RedisCacheArgs["transform"];
    readonly server?: TrivyServerArgs["transform"];
    readonly gateway?: GatewayComponentArgs["transform"];
    readonly exposure?: ExposureArgs["transform"];
    readonly registryScan?: RegistryScanComponentArgs["transform"];
  };
}

/** One vulnerability-scanning service: Trivy servers behind one Service, with one cache. */
export class ScanService extends pulumi.ComponentResource {
  /** The namespace's name. */
  readonly namespace: pulumi.Output<string>;
  /** URL for clients in the cluster. */
  readonly address: pulumi.Output<string>;
  /** URL for clients outside the cluster, if the service is exposed. */
  readonly externalAddress: pulumi.Output<string> | undefined;
  /** Makes the service reachable from this machine. */
  readonly portForward: pulumi.Output<string>;
  /** Scans an image through the port-forward, with the client of the server's version. */
  readonly scan: pulumi.Output<string>;
  /** The token that clients send, of several clients the first one's; absent when it is switched off or stands in a Secret of somebody else's. */
  readonly token: pulumi.Output<string> | undefined;
  /** With a gateway, each client's token by name. */
  readonly tokens: pulumi.Output<Record<string, string>> | undefined;
  /** The authority that clients must trust, PEM, if it is a private one that is known here. */
  readonly caCertificate: pulumi.Output<string> | undefined;
  /** With a registry scan, what makes its reports reachable from this machine. */
  readonly reports: pulumi.Output<string> | undefined;

  constructor(name: string, args: ScanServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, ...inputs } = args;
    const redis = sealedRedis(args.redis ?? { mode: "embedded" });
    const server = sealedServer(args.server ?? {});
    const database = sealedDatabase(args.database ?? {});
    const gateway = args.gateway && sealedGateway(args.gateway);
    const registryScan = args.registryScan && sealedRegistryScan(args.registryScan);
    const sealed = { redis, server, database, ...(gateway && { gateway }), ...(registryScan && { registryScan }) };
    super("trivy-server:index:ScanService", name, { ...inputs, ...sealed }, opts);
    const { instance, labels, images, scheduling, podAnnotations } = args;
    const common = { instance, labels, images, scheduling, podAnnotations };
    const child = { parent: this };

    const namespace = new Namespace(name, { instance, labels, namespace: args.namespace, transform: transform?.namespace }, child);
    const inNamespace = { ...common, namespace: namespace.name };
    const { connection: cache } = new RedisCache(
      `${name}-redis`,
      {
        ...inNamespace,
        redis,
        clients: gateway ? [serverSelector, gatewaySelector] : [serverSelector],
        repeated: gateway !== undefined,
        transform: transform?.redis,
      },
      child,
    );
    const peers = [...clientPeers(args.clients ?? {}), ...(registryScan ? [podsOf(registryScanSelector)] : [])];
    const servers = new TrivyServer(
      `${name}-server`,
      {
        ...inNamespace,
        cache,
        server,
        database,
        proxy: args.proxy,
        peers: gateway ? [podsOf(gatewaySelector)] : peers,
        ...(gateway && { tokenKeepers: tokenKeepers(args) }),
        transform: transform?.server,
      },
      { parent: this, dependsOn: [...namespace.policies, ...cache.ready] },
    );
    const front =
      gateway &&
      new Gateway(
        `${name}-gateway`,
        {
          ...inNamespace,
          gateway: registryScan ? withClient(gateway, registryScanClient) : gateway,
          servers: { selector: serverSelector, port: servers.portNumber, most: mostServers(server), token: tokenOf(servers) },
          cache,
          peers,
          externalHost: args.exposure && "host" in args.exposure ? args.exposure.host : undefined,
          transform: transform?.gateway,
        },
        { parent: this, dependsOn: [...namespace.policies] },
      );
    const alone: BackendArgs = { selector: serverSelector, http: servers.port, plainHttp: true };
    const exposure = new Exposure(
      `${name}-exposure`,
      {
        instance,
        labels,
        namespace: namespace.name,
        backend: front?.backend ?? alone,
        // A gateway reaches every server, so that it does not matter which one a client gets. With servers alone the nearest would get all the load.
        nearest: front !== undefined,
        exposure: args.exposure,
        transform: transform?.exposure,
      },
      child,
    );

    const scan =
      registryScan &&
      new RegistryScan(
        `${name}-registry-scan`,
        {
          ...inNamespace,
          scan: registryScan,
          service: {
            url: exposure.address,
            ...(front
              ? {
                  token: front.tokens.apply((tokens) => tokens[registryScanClient] ?? ""),
                  selector: gatewaySelector,
                  ports: front.ports,
                  caCertificate: front.caCertificate,
                }
              : { tokenKey: servers.tokenKey, selector: serverSelector, ports: [servers.portNumber] }),
          },
          proxy: args.proxy,
          transform: transform?.registryScan,
        },
        { parent: this, dependsOn: [...namespace.policies] },
      );

    this.namespace = namespace.name;
    this.address = exposure.address;
    this.externalAddress = exposure.externalAddress;
    this.tokens = front?.tokens.apply(({ [registryScanClient]: own, ...tokens }) => tokens);
    this.reports = scan?.portForward;
    const firstClient = (gateway?.clients ?? gatewayDefaults.clients)[0]?.name ?? "";
    this.token = front ? front.tokens.apply((tokens) => tokens[firstClient] ?? "") : servers.token;
    this.caCertificate = front?.caCertificate;
    this.portForward = pulumi.interpolate`kubectl port-forward service/trivy 8080:${servicePort} -n ${this.namespace}`;
    const tokenFlag = front || (args.server?.token?.enabled ?? true) ? ' --token "$TRIVY_TOKEN"' : "";
    this.scan = pulumi.output(`trivy image --server http://localhost:8080${tokenFlag} alpine:3.10   # client ${trivyVersion}`);
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
}

/** Behind a gateway nobody else knows the servers' token: it changes with their version, and whenever somebody changes another secret. */
function tokenKeepers({ images, redis, gateway }: ScanServiceArgs): Record<string, string> {
  const generations = (gateway?.clients ?? []).map((client) => `${client.name}=${client.generation ?? 1}`);
  return {
    server: imageReference("trivy", images),
    redis: String(redis?.mode === "external" ? 0 : (redis?.generation ?? 1)),
    clients: generations.join(),
  };
}

const podsOf = (selector: Readonly<Record<string, string>>): Peer => ({ podSelector: { matchLabels: { ...selector } } });

const withClient = ({ clients = gatewayDefaults.clients, ...gateway }: GatewayArgs, name: string): GatewayArgs => ({
  ...gateway,
  clients: [...clients, { name }],
});

const mostServers = ({ replicas = serverDefaults.replicas, autoscaling }: ServerArgs) => autoscaling?.maxReplicas ?? replicas;

function tokenOf({ tokenKey }: TrivyServer): SecretKey {
  if (!tokenKey) throw new pulumi.RunError("server.token cannot be switched off behind a gateway: it is what keeps everybody else out");
  return tokenKey;
}
