import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import ipaddr from "ipaddr.js";
import { blockDefaults, type ClientArgs, defaults, type GatewayArgs } from "../args.ts";
import type { CacheConnection } from "../cache/connection.ts";
import type { Backend } from "../exposure/exposure.ts";
import { Component, optional, several, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { secretText, sha256, validGenerations } from "../shared/generated-secret.ts";
import { image } from "../shared/images.ts";
import { selector } from "../shared/labels.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { clusterDomainOf, ingressFrom, type Peer, podsInNamespace, podsWith, tcp } from "../shared/network.ts";
import { configMap, disruptionBudget, generatedMetadata, namedMetadata, networkPolicy, secret } from "../shared/objects.ts";
import { parts, project, serviceName } from "../shared/parts.ts";
import { containerResources, fromSecret, httpProbe, type Mount, type SecretKey, secretVolume } from "../shared/pod.ts";
import { PrivateAuthority } from "../shared/private-authority.ts";
import { bytes } from "../shared/quantity.ts";
import { surgeOne, workload } from "../shared/workload.ts";
import { clientMetrics, gatewayPaths, gatewayPorts, haproxyCfg, longestRequest } from "./haproxy.cfg.ts";

const part = parts.gateway;

/** Name of the headless Service by which the gateway finds the servers. */
const serversName = "trivy-servers";

/** Memory that HAProxy itself needs, with TLS and a thousand connections, in addition to that of requests. In bytes. */
const ownMemory = bytes("128Mi");

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
}

export interface GatewayComponentArgs {
  readonly context: Context;
  readonly gateway?: GatewayArgs;
  readonly servers: GatewayServers;
  /** The servers' cache, whose health tells an outage from a lost entry. */
  readonly cache: CacheConnection;
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
    this.createServersService();
    const policy = this.createPolicy(gateway);
    this.createDeployment(gateway, this.mounts(config, clients, certificate), policy);
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
    const authority = this.create("authority", { commonName: project });
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
        "haproxy.cfg": this.configuration(gateway),
        "run.sh": script,
        "client-metrics.txt": clientMetrics(gateway.clients.map((client) => client.name)),
      }),
    );
    return metadata.name;
  }

  private configuration({ replicas, requestsPerServer, rateLimit, maxRequestSize, resources, tls }: Settings): pulumi.Output<string> {
    const { context, servers, cache } = this.args;
    const domain = clusterDomainOf(context);
    const options = { replicas, requestsPerServer, rateLimit, maxRequestSize, memoryLimit: resources.limits.memory };
    return pulumi
      .all([context.namespace, domain, servers.maximum, cache.health.host, cache.health.port, pulumi.output(options)])
      .apply(([namespace, clusterDomain, maximum, cacheHost, cachePort, own]) =>
        haproxyCfg({
          servers: {
            host: `${serversName}.${namespace}.svc.${clusterDomain}`,
            port: servers.port,
            slots: slots(maximum),
            requests: Math.ceil(own.requestsPerServer / own.replicas),
          },
          cache: {
            // HAProxy queries the cluster's DNS itself and has no search domains.
            host: cacheHost.endsWith(".svc") ? `${cacheHost}.${clusterDomain}` : cacheHost,
            port: cachePort,
            user: cache.health.user,
            tls: cache.tls,
            clientCertificate: cache.clientCertificate !== undefined,
          },
          memory: bytes(own.memoryLimit) - ownMemory,
          maxRequestBytes: bytes(own.maxRequestSize),
          // Each pod counts only its share of a client's requests.
          rateLimit: own.rateLimit === undefined ? undefined : Math.ceil(own.rateLimit / own.replicas),
          tls: tls.enabled,
          plainHttp: this.backend.plainHttp,
        }),
      );
  }

  private createServersService(): void {
    const { context, servers } = this.args;
    this.create("servers", {
      metadata: { ...generatedMetadata(context, part), name: serversName },
      // It has no address of its own, and only ready servers: one that drains is removed from DNS, and keeps answering until every client
      // of DNS knows.
      spec: { clusterIP: "None", selector: { ...servers.selector }, ports: [{ name: "http", port: servers.port, targetPort: "http" }] },
    });
  }

  private createPolicy({ monitors }: Settings): pulumi.Resource {
    const { context, servers, cache, peers = [] } = this.args;
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [...ingressFrom(peers, this.ports), ...ingressFrom(monitors.map(podsInNamespace), [gatewayPorts.admin])],
        egress: [{ to: [podsWith(servers.selector)], ports: [tcp(servers.port)] }, cache.egress],
      }),
    );
  }

  private mounts(config: pulumi.Input<string>, clients: pulumi.Input<string>, certificate: Certificate | undefined): Mount[] {
    const { clientCertificate } = this.args.cache;
    return [
      { name: "configuration", mountPath: gatewayPaths.configuration, volume: { configMap: { name: config } } },
      { name: "clients", mountPath: gatewayPaths.clients, volume: secretVolume(clients) },
      ...(certificate ? [{ name: "certificate", mountPath: gatewayPaths.certificate, volume: secretVolume(certificate.secret) }] : []),
      ...(clientCertificate !== undefined
        ? [{ name: "cache-certificate", mountPath: gatewayPaths.cacheCertificate, volume: secretVolume(clientCertificate) }]
        : []),
    ];
  }

  private createDeployment({ replicas, resources, tls }: Settings, mounts: readonly Mount[], policy: pulumi.Resource): void {
    const { context, servers } = this.args;
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
            container: {
              name: "haproxy",
              image: image("haproxy", context),
              command: ["sh", `${gatewayPaths.configuration}/run.sh`],
              env: [fromSecret("SERVER_TOKEN", servers.token)],
              ports: [
                { name: "http", containerPort: gatewayPorts.http },
                ...(tls.enabled ? [{ name: "https", containerPort: gatewayPorts.https }] : []),
                { name: "admin", containerPort: gatewayPorts.admin },
              ],
              // It looks for servers as soon as it runs. It is ready without any, so that clients get an answer to retry and not a refusal.
              readinessProbe: { ...httpProbe("/ready", "admin"), initialDelaySeconds: 2, periodSeconds: 2, failureThreshold: 2 },
              livenessProbe: { ...httpProbe("/live", "admin"), periodSeconds: 10, failureThreshold: 6 },
              lifecycle: { preStop: { sleep: { seconds: drainSeconds } } },
              resources: containerResources(resources, { request: "16Mi", limit: "256Mi" }),
            },
            mounts,
          }),
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }
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
