import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import ipaddr from "ipaddr.js";
import { artifacts } from "../../database-mirror/index.ts";
import { blockDefaults, type ClientArgs, defaults, type GatewayArgs } from "../args.ts";
import type { CacheConnection } from "../cache/connection.ts";
import type { MirrorConnection } from "../database-mirror/connection.ts";
import type { Backend } from "../exposure/exposure.ts";
import { Component, optional, several, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { secretText, sha256, validGenerations } from "../shared/generated-secret.ts";
import { image } from "../shared/images.ts";
import { selector } from "../shared/labels.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { ingressFrom, type Peer, podsInNamespace, podsWith, tcp } from "../shared/network.ts";
import { configMap, disruptionBudget, generatedMetadata, namedMetadata, networkPolicy, secret } from "../shared/objects.ts";
import { parts, project, serviceName } from "../shared/parts.ts";
import { containerResources, fromSecret, httpProbe, type Mount, type SecretKey, secretVolume } from "../shared/pod.ts";
import { PrivateAuthority } from "../shared/private-authority.ts";
import { clusterDomainOf } from "../shared/proxy.ts";
import { bytes } from "../shared/quantity.ts";
import { surgeOne, workload } from "../shared/workload.ts";
import { balancerCfg, clientMetrics } from "./balancer.cfg.ts";
import { edgeCfg } from "./edge.cfg.ts";
import { gatewayPaths, gatewayPorts, longestRequest } from "./haproxy.ts";

const part = parts.gateway;

/** Returns the name of the headless Service by which the gateway finds the servers of a trust domain, or those without one. */
const serversNameOf = (domain?: string) => (domain === undefined ? "trivy-servers" : `trivy-servers-${domain}`);

/** Memory that the balancer itself needs, with a thousand connections, in addition to that of requests. In bytes. */
const balancerMemory = bytes("128Mi");

/** Memory that the edge itself needs, with 10,000 connections that have completed the TLS handshake, in addition to data. In bytes. */
const edgeMemory = bytes("384Mi");

/** Seconds between the removal from the Service's endpoints and the stop: until every kube-proxy knows of the removal (measured). */
const drainSeconds = 15;

const script = readFileSync(join(import.meta.dirname, "run.sh"), "utf8");

const children = {
  /** The generated tokens of all clients, the newest of each client first. */
  tokens: several(random.RandomPassword),
  /** The Secret with the hashes of the clients' tokens. */
  clients: k8s.core.v1.Secret,
  authority: optional(PrivateAuthority),
  /** The Secret with the certificate. */
  certificate: optional(k8s.core.v1.Secret),
  /** The ConfigMap with HAProxy's configuration. */
  config: k8s.core.v1.ConfigMap,
  /** The headless Service by which the gateway finds the servers. */
  servers: k8s.core.v1.Service,
  /** The headless Services by which the gateway finds the servers of trust domains. */
  domainServers: several(k8s.core.v1.Service),
  policy: k8s.networking.v1.NetworkPolicy,
  deployment: k8s.apps.v1.Deployment,
  disruptionBudget: k8s.policy.v1.PodDisruptionBudget,
};

/** The servers that a gateway distributes requests to. */
export interface GatewayServers {
  /** Labels of their pods. */
  readonly selector: Readonly<Record<string, string>>;
  readonly port: number;
  /** Maximum number of servers. */
  readonly maximum: pulumi.Input<number>;
  /** The token that they require. */
  readonly token: SecretKey;
  /** The servers of trust domains, which have the same port and token. @default none */
  readonly domains?: readonly DomainServers[];
}

/** The servers that only some clients use. */
export interface DomainServers extends Pick<GatewayServers, "selector" | "maximum"> {
  /** Name of the trust domain. */
  readonly name: string;
  /** Names of the clients. */
  readonly clients: readonly string[];
}

export interface GatewayComponentArgs {
  readonly context: Context;
  readonly gateway?: GatewayArgs;
  readonly servers: GatewayServers;
  /** The servers' cache, whose health tells an outage from a lost entry. */
  readonly cache: CacheConnection;
  /** The mirror whose Java database clients download through the gateway. @default none */
  readonly database?: MirrorConnection | undefined;
  /** Who may connect to the gateway. @default no one but `kubectl port-forward` */
  readonly peers?: readonly Peer[];
  /** DNS name of the service outside the cluster, for the generated certificate. @default none */
  readonly externalHost?: pulumi.Input<string> | undefined;
  readonly transform?: Transforms<typeof children> | undefined;
}

type Settings = WithDefaults<GatewayArgs, typeof defaults.gateway>;

interface Certificate {
  /** Name of the Secret. */
  readonly secret: pulumi.Input<string>;
  /** The authorities that clients must trust, PEM, if they are known. */
  readonly authorities: pulumi.Output<string> | undefined;
}

/**
 * HAProxy in front of the servers: it retries failed requests on another server, queues them fairly, authenticates clients by their tokens,
 * and terminates TLS.
 *
 * @example
 * const gateway = new Gateway("gateway", {
 *   context,
 *   gateway: { clients: [{ name: "team-a" }], tls: { enabled: true } },
 *   servers: { selector: { app: "trivy" }, port: 4954, maximum: 8, token: { name: "servers-token", key: "token" } },
 *   cache: cache.connection,
 *   peers: [{ namespaceSelector: {} }],
 * });
 * export const tokens = gateway.tokens;
 */
export class Gateway extends Component<GatewayComponentArgs, typeof children> {
  /** The pods as a Service reaches them. */
  readonly backend: Backend;
  /** The ports of the pods that clients in the cluster may use. */
  readonly ports: readonly number[];
  /** The current token of each client, by its name. */
  readonly tokens: pulumi.Output<Record<string, string>>;
  /** The certificate authority that clients must trust, PEM; `undefined` if it is not known here. */
  readonly caCertificate: pulumi.Output<string> | undefined;
  /** Name of the Secret with the certificate; `undefined` without TLS. */
  readonly certificateSecret: pulumi.Input<string> | undefined;

  constructor(name: string, args: GatewayComponentArgs, options?: pulumi.ComponentResourceOptions) {
    super("Gateway", name, args, { children, settings: ["gateway"] }, options);
    const gateway = withDefaults(defaults.gateway, this.args.gateway);
    const { tls } = gateway;
    const plainHttp = !tls.enabled || tls.plainHttp;
    this.backend = { selector: selector(part), http: "http", plainHttp, ...(tls.enabled && { https: "https" }) };
    this.ports = [...(plainHttp ? [gatewayPorts.http] : []), ...(tls.enabled ? [gatewayPorts.https] : [])];

    const tokens = this.createTokens(gateway);
    this.tokens = currentTokens(tokens);
    const clients = this.createClients(tokens);
    const certificate = tls.enabled ? this.createCertificate(gateway) : undefined;
    this.caCertificate = certificate?.authorities;
    this.certificateSecret = certificate?.secret;
    const config = this.createConfig(gateway);
    this.createServersServices();
    const policy = this.createPolicy(gateway);
    const { cache, database } = this.args;
    const { clientCertificate } = cache;
    const secretMount = (name: string, mountPath: string, secret: pulumi.Input<string>): Mount => ({
      name,
      mountPath,
      volume: secretVolume(secret),
    });
    const volumes: Volumes = {
      configuration: { name: "configuration", mountPath: gatewayPaths.configuration, volume: { configMap: { name: config } } },
      clients: secretMount("clients", gatewayPaths.clients, clients),
      certificate: certificate && secretMount("certificate", gatewayPaths.certificate, certificate.secret),
      cacheCertificate:
        clientCertificate === undefined ? undefined : secretMount("cache-certificate", gatewayPaths.cacheCertificate, clientCertificate),
      databaseAuthority: database && {
        name: "database-authority",
        mountPath: gatewayPaths.databaseAuthority,
        volume: secretVolume(database.authority.name, [{ key: database.authority.key, path: "ca.crt" }]),
      },
    };
    this.createDeployment(gateway, volumes, policy);
    this.create("disruptionBudget", disruptionBudget(this.args.context, part));
    this.registerOutputs({ tokens: this.tokens, caCertificate: this.caCertificate });
  }

  private createTokens({ clients }: Settings): pulumi.Output<ClientTokens[]> {
    const generate = (client: string, generation: number) =>
      this.create("tokens", secretText(), {}, `token-${client}-${generation}`).result;
    const valid = clients.map((given) => {
      const { name, token, previousToken, ...generations } = withDefaults<ClientArgs, typeof blockDefaults.ClientArgs>(
        blockDefaults.ClientArgs,
        given,
      );
      const tokens =
        token === undefined
          ? validGenerations(generations).map((generation) => generate(name, generation))
          : [token, ...(previousToken === undefined ? [] : [previousToken])];
      return pulumi.all(tokens).apply((texts) => ({ name, tokens: texts }));
    });
    return pulumi.all(valid);
  }

  /** Returns the name of the Secret with the map from the hashes of tokens to clients. */
  private createClients(tokens: pulumi.Output<ClientTokens[]>): pulumi.Output<string> {
    return this.create("clients", secret(this.args.context, part, { "clients.map": clientsMap(tokens) })).metadata.name;
  }

  private createCertificate({ tls }: Settings): Certificate {
    const { context } = this.args;
    const { existingSecret, certificate, key, caCertificates } = tls;
    const authorities = caCertificates === undefined ? undefined : pulumi.output(caCertificates);
    if (existingSecret !== undefined) return { secret: existingSecret, authorities };
    const own = certificate !== undefined && key !== undefined ? { certificate, key, authorities } : this.issueCertificate(tls.names);
    const data = { "tls.crt": own.certificate, "tls.key": own.key };
    const { metadata } = this.create("certificate", secret(context, part, data, "kubernetes.io/tls"));
    return { secret: metadata.name, authorities: own.authorities };
  }

  private issueCertificate(names: readonly pulumi.Input<string>[]) {
    const { context, externalHost } = this.args;
    const { namespace } = context;
    const all = pulumi.all([...(externalHost === undefined ? [] : [externalHost]), ...names]);
    const ownNames = pulumi.all([
      serviceName,
      pulumi.interpolate`${serviceName}.${namespace}`,
      pulumi.interpolate`${serviceName}.${namespace}.svc`,
      pulumi.interpolate`${serviceName}.${namespace}.svc.${clusterDomainOf(context)}`,
      "localhost",
    ]);
    const authority = this.create("authority", { commonName: project, authorities: context.authorities });
    const issued = authority.issue("server", {
      commonName: serviceName,
      dnsNames: pulumi.all([ownNames, all]).apply(([own, more]) => [...own, ...more.filter((text) => !ipaddr.isValid(text))]),
      ipAddresses: all.apply((more) => ["127.0.0.1", ...more.filter((text) => ipaddr.isValid(text))]),
      use: "server",
    });
    return { ...issued, authorities: authority.certificate };
  }

  /** Returns the name of the ConfigMap with everything that HAProxy reads. */
  private createConfig(gateway: Settings): pulumi.Output<string> {
    const { metadata } = this.create(
      "config",
      configMap(this.args.context, part, {
        "edge.cfg": this.edgeConfiguration(gateway),
        "balancer.cfg": this.balancerConfiguration(gateway),
        "run.sh": script,
        "client-metrics.txt": clientMetrics(gateway.clients.map((client) => client.name)),
      }),
    );
    return metadata.name;
  }

  private balancerConfiguration({ replicas, requestsPerServer, rateLimit, resources }: Settings): pulumi.Output<string> {
    const { context, servers, cache } = this.args;
    const domain = clusterDomainOf(context);
    const options = { replicas, requestsPerServer, rateLimit, memoryLimit: resources.limits.memory };
    const groups = [{ name: undefined, clients: [], maximum: servers.maximum }, ...this.domains];
    return pulumi
      .all([
        context.namespace,
        domain,
        pulumi.all(groups.map(({ maximum }) => maximum)),
        cache.health.host,
        cache.health.port,
        pulumi.output(options),
      ])
      .apply(([namespace, clusterDomain, maxima, cacheHost, cachePort, own]) =>
        balancerCfg({
          servers: groups.map(({ name, clients }, index) => ({
            ...(name !== undefined && { domain: { name, clients } }),
            host: `${serversNameOf(name)}.${namespace}.svc.${clusterDomain}`,
            slots: slots(maxima[index] ?? 1),
          })),
          port: servers.port,
          requests: Math.ceil(own.requestsPerServer / own.replicas),
          cache: {
            // HAProxy queries the cluster's DNS itself and has no search domains.
            host: cacheHost.endsWith(".svc") ? `${cacheHost}.${clusterDomain}` : cacheHost,
            port: cachePort,
            user: cache.health.user,
            tls: cache.tls,
            clientCertificate: cache.clientCertificate !== undefined,
          },
          memory: bytes(own.memoryLimit) - balancerMemory,
          // Each pod counts only its share of a client's requests.
          rateLimit: own.rateLimit === undefined ? undefined : Math.ceil(own.rateLimit / own.replicas),
        }),
      );
  }

  private edgeConfiguration({ tls, maxRequestSize, edge }: Settings): pulumi.Output<string> {
    const { context, database } = this.args;
    const { connectionsPerAddress, resources } = edge;
    const options = { maxRequestSize, connectionsPerAddress, memoryLimit: resources.limits.memory };
    return pulumi.all([clusterDomainOf(context), database?.host, pulumi.output(options)]).apply(([clusterDomain, databaseHost, own]) =>
      edgeCfg({
        tls: tls.enabled,
        plainHttp: this.backend.plainHttp,
        maxRequestBytes: bytes(own.maxRequestSize),
        connectionsPerAddress: own.connectionsPerAddress,
        ...(databaseHost !== undefined && {
          database: { host: `${databaseHost}.${clusterDomain}`, port: 443, repository: artifacts.java.repository },
        }),
        memory: bytes(own.memoryLimit) - edgeMemory,
      }),
    );
  }

  private get domains(): readonly DomainServers[] {
    return this.args.servers.domains ?? [];
  }

  private createServersServices(): void {
    const { context, servers } = this.args;
    const service = (selector: GatewayServers["selector"], name?: string) => ({
      metadata: { ...generatedMetadata(context, part), name: serversNameOf(name) },
      // It has no address of its own, and only ready servers: one that drains is removed from DNS, and keeps answering until every client
      // of DNS knows.
      spec: { clusterIP: "None", selector: { ...selector }, ports: [{ name: "http", port: servers.port, targetPort: "http" }] },
    });
    this.create("servers", service(servers.selector));
    for (const { name, selector } of this.domains) this.create("domainServers", service(selector, name), {}, `servers-${name}`);
  }

  private createPolicy({ monitors }: Settings): pulumi.Resource {
    const { context, servers, cache, database, peers = [] } = this.args;
    const toDatabase = database ? [{ to: [podsWith(database.selector)], ports: [tcp(database.port)] }] : [];
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [
          ...ingressFrom(peers, this.ports),
          ...ingressFrom(monitors.map(podsInNamespace), [gatewayPorts.admin, gatewayPorts.edgeAdmin]),
        ],
        egress: [
          { to: [servers.selector, ...this.domains.map(({ selector }) => selector)].map(podsWith), ports: [tcp(servers.port)] },
          cache.egress,
          ...toDatabase,
        ],
      }),
    );
  }

  private createDeployment({ replicas, resources, edge, tls }: Settings, volumes: Volumes, policy: pulumi.Resource): void {
    const { context } = this.args;
    const { configuration, clients, certificate, databaseAuthority } = volumes;
    this.create(
      "deployment",
      {
        metadata: namedMetadata(context, part),
        spec: {
          replicas,
          strategy: surgeOne,
          ...workload(context, {
            part,
            replicated: true,
            // Of its two paths, Prometheus' annotations can name one: that of the metrics that the rules read.
            metrics: { port: gatewayPorts.admin, path: "/metrics/clients" },
            terminationGracePeriodSeconds: drainSeconds + longestRequest + 15,
            // A container with a restart policy starts before the edge and stops after it, so the edge's requests can complete.
            initContainers: [{ ...this.balancer(resources, volumes), restartPolicy: "Always" }],
            container: {
              name: "edge",
              image: image("haproxy", context),
              command: ["sh", `${gatewayPaths.configuration}/run.sh`, "edge.cfg"],
              ports: [
                { name: "http", containerPort: gatewayPorts.http },
                ...(tls.enabled ? [{ name: "https", containerPort: gatewayPorts.https }] : []),
                { name: "edge-admin", containerPort: gatewayPorts.edgeAdmin },
              ],
              readinessProbe: { ...httpProbe("/ready", "edge-admin"), periodSeconds: 2, failureThreshold: 2 },
              livenessProbe: liveness("edge-admin"),
              lifecycle: { preStop: { sleep: { seconds: drainSeconds } } },
              resources: containerResources(edge.resources, { request: "16Mi", limit: "256Mi" }),
            },
            mounts: [configuration, clients, certificate, databaseAuthority].filter((mount) => mount !== undefined),
          }),
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }

  private balancer(resources: Settings["resources"], { configuration, cacheCertificate }: Volumes) {
    const { context, servers } = this.args;
    return {
      name: "balancer",
      image: image("haproxy", context),
      command: ["sh", `${gatewayPaths.configuration}/run.sh`, "balancer.cfg"],
      env: [fromSecret("SERVER_TOKEN", servers.token)],
      ports: [{ name: "admin", containerPort: gatewayPorts.admin }],
      // It looks for servers as soon as it runs. It is ready without any, so that clients get an answer to retry and not a refusal.
      startupProbe: { ...httpProbe("/ready", "admin"), initialDelaySeconds: 2, periodSeconds: 1, failureThreshold: 30 },
      readinessProbe: { ...httpProbe("/ready", "admin"), periodSeconds: 2, failureThreshold: 2 },
      livenessProbe: liveness("admin"),
      resources: containerResources(resources, { request: "16Mi", limit: "256Mi" }),
      mounts: [configuration, ...(cacheCertificate ? [cacheCertificate] : [])],
    };
  }
}

/** A process that does not answer cannot complete requests either, so it need not get the time for them. */
const liveness = (port: string) => ({
  ...httpProbe("/live", port),
  periodSeconds: 10,
  failureThreshold: 6,
  terminationGracePeriodSeconds: 10,
});

/** The volumes of the pods. */
interface Volumes {
  readonly configuration: Mount;
  readonly clients: Mount;
  readonly certificate: Mount | undefined;
  /** The client certificate for the cache. */
  readonly cacheCertificate: Mount | undefined;
  /** The certificate authority of the mirror. */
  readonly databaseAuthority: Mount | undefined;
}

/** The valid tokens of a client, newest first. */
interface ClientTokens {
  readonly name: string;
  readonly tokens: readonly string[];
}

const currentTokens = (clients: pulumi.Output<ClientTokens[]>): pulumi.Output<Record<string, string>> =>
  pulumi.secret(clients.apply((all) => Object.fromEntries(all.map(({ name, tokens }) => [name, tokens[0] ?? ""]))));

const clientsMap = (clients: pulumi.Output<ClientTokens[]>): pulumi.Output<string> =>
  pulumi.secret(clients.apply((all) => all.flatMap(({ name, tokens }) => tokens.map((token) => `${sha256(token)} ${name}\n`)).join("")));

/**
 * Returns the number of servers that the configuration has room for: a power of two, so that one more server does not change the
 * configuration.
 */
export const slots = (maximum: number) => Math.max(16, 2 ** Math.ceil(Math.log2(2 * maximum)));
