import * as pulumi from "@pulumi/pulumi";
import { Exposure, type ExposureArgs, servicePort } from "./exposure.ts";
import { trivyVersion } from "./images.ts";
import type { Identity } from "./kubernetes/labels.ts";
import type { ClientsArgs } from "./kubernetes/network.ts";
import type { PodArgs } from "./kubernetes/pod.ts";
import { Namespace, type NamespaceArgs, type NamespaceSettings } from "./namespace.ts";
import { type RedisArgs, RedisCache, type RedisCacheArgs, sealedRedis } from "./redis-cache.ts";
import {
  type DatabaseArgs,
  type ProxyArgs,
  type ServerArgs,
  sealedDatabase,
  sealedServer,
  serverSelector,
  TrivyServer,
  type TrivyServerArgs,
} from "./trivy-server.ts";

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
  /** How clients outside the cluster get in. @default not at all */
  readonly exposure?: ExposureArgs["exposure"];
  /** Changes to the parts' children before they are created. @default none */
  readonly transform?: {
    readonly namespace?: NamespaceArgs["transform"];
    readonly redis?: RedisCacheArgs["transform"];
    readonly server?: TrivyServerArgs["transform"];
    readonly exposure?: ExposureArgs["transform"];
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
  /** The token that clients send; absent when it is switched off or stands in a Secret of somebody else's. */
  readonly token: pulumi.Output<string> | undefined;

  constructor(name: string, args: ScanServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, ...inputs } = args;
    const redis = sealedRedis(args.redis ?? { mode: "embedded" });
    const server = sealedServer(args.server ?? {});
    const database = sealedDatabase(args.database ?? {});
    super("trivy-server:index:ScanService", name, { ...inputs, redis, server, database }, opts);
    const { instance, labels, images, scheduling, podAnnotations } = args;
    const common = { instance, labels, images, scheduling, podAnnotations };
    const child = { parent: this };

    const namespace = new Namespace(name, { instance, labels, namespace: args.namespace, transform: transform?.namespace }, child);
    const inNamespace = { ...common, namespace: namespace.name };
    const cache = new RedisCache(`${name}-redis`, { ...inNamespace, redis, clients: [serverSelector], transform: transform?.redis }, child);
    const servers = new TrivyServer(
      `${name}-server`,
      {
        ...inNamespace,
        cache: cache.connection,
        server,
        database,
        proxy: args.proxy,
        clients: args.clients,
        transform: transform?.server,
      },
      { parent: this, dependsOn: [...namespace.policies, ...cache.connection.ready] },
    );
    const exposure = new Exposure(
      `${name}-exposure`,
      {
        instance,
        labels,
        namespace: namespace.name,
        backend: { selector: serverSelector, port: servers.port },
        exposure: args.exposure,
        transform: transform?.exposure,
      },
      child,
    );

    this.namespace = namespace.name;
    this.address = exposure.address;
    this.externalAddress = exposure.externalAddress;
    this.token = servers.token;
    this.portForward = pulumi.interpolate`kubectl port-forward service/trivy 8080:${servicePort} -n ${this.namespace}`;
    const tokenFlag = (args.server?.token?.enabled ?? true) ? ' --token "$TRIVY_TOKEN"' : "";
    this.scan = pulumi.output(`trivy image --server http://localhost:8080${tokenFlag} alpine:3.10   # client ${trivyVersion}`);
    this.registerOutputs({ namespace: this.namespace, address: this.address, externalAddress: this.externalAddress, token: this.token });
  }
}
