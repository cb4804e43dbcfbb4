import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import type { CacheConnection } from "../cache/redis-cache.ts";
import { type BackendArgs, serviceName } from "../exposure/exposure.ts";
import { dependencies } from "../shared/dependencies.ts";
import { generatedSecret, sha256, validGenerations } from "../shared/generated-secret.ts";
import { imageReference } from "../shared/images.ts";
import { type Identity, labels, selector } from "../shared/labels.ts";
import { ingressFrom, inNamespace, type Peer, tcp } from "../shared/network.ts";
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
  volumeMounts,
  volumes,
} from "../shared/pod.ts";
import { PrivateAuthority } from "../shared/private-authority.ts";
import { bytes } from "../shared/quantity.ts";
import { type Transform, transformed } from "../shared/transform.ts";
import { clientMetrics, gatewayPaths, gatewayPorts, haproxyCfg, longestRequest } from "./haproxy.cfg.ts";

const component = "gateway";
const objectName = "trivy-gateway";
const serversName = "trivy-servers";

/** Selects the gateway's pods. */
export const gatewaySelector = selector(component);

export const gatewayDefaults = {
  replicas: 2,
  clients: [{ name: "default" }],
  generation: 1,
  retire: 0,
  requestsPerServer: 16,
  maxRequestSize: "64Mi",
  resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } },
  clusterDomain: "cluster.local",
} as const;

/** One who may scan, a team for instance: known by a token. */
export interface ClientArgs {
  /** Name in logs and metrics, a DNS label. */
  readonly name: string;
  /** Number of the generated token. Raised by one, a new token is made and the one before stays valid. @default 1 */
  readonly generation?: number;
  /** Generated tokens up to this number are no longer valid. @default 0 */
  readonly retire?: number;
  /** The token. @default 32 generated letters and digits */
  readonly token?: pulumi.Input<string>;
  /** A given token that is valid as well, while clients move to the new one. @default none */
  readonly previousToken?: pulumi.Input<string>;
}

/** Without anything: a certificate of a private authority that is generated. */
export interface GatewayTlsArgs {
  /** An existing Secret of type kubernetes.io/tls, such as cert-manager's; when it is renewed the gateway takes the new one within a minute. @default none */
  readonly existingSecret?: string;
  /** The certificate, with what stands between it and its authority, PEM. @default generated */
  readonly certificate?: string;
  /** The certificate's key, PEM. */
  readonly key?: pulumi.Input<string>;
  /** The authority that clients must trust for it, PEM. @default the generated one */
  readonly caCertificates?: string;
  /** Further DNS names and IP addresses in the generated certificate. @default those of the Service in the cluster */
  readonly names?: readonly string[];
  /** Serves plain HTTP in the cluster as well; without it, only `kubectl port-forward` gets to the Service's port 80. @default false */
  readonly plainHttp?: boolean;
}

/** What stands between the clients and the servers, so that no scan fails when a server does. */
export interface GatewayArgs {
  /** @default 2 */
  readonly replicas?: number;
  /** Who may scan. @default one, called default */
  readonly clients?: readonly ClientArgs[];
  /** Requests that one server works on at once; the others wait, with a fair share for each client. @default 16 */
  readonly requestsPerServer?: number;
  /** Requests a minute of each client; who sends more is told to try again, which Trivy does. A scan needs three, and one more for each new layer. @default no limit */
  readonly rateLimit?: number;
  /** Largest request, a quantity of bytes: what is known of one layer. 20,000 packages have about 4Mi. @default 64Mi */
  readonly maxRequestSize?: string;
  /** @default plain HTTP */
  readonly tls?: GatewayTlsArgs;
  /** The memory limit bounds the requests under way. @default requests of 100m and 64Mi, a memory limit of 1Gi, no CPU limit */
  readonly resources?: Resources;
  /** The cluster's DNS domain. @default cluster.local */
  readonly clusterDomain?: string;
  /** Namespaces whose pods may read the metrics, on port 8405 under /metrics and /metrics/clients. @default none */
  readonly monitors?: readonly string[];
}

/** The arguments as the state may hold them: what is secret marked as such. */
export function sealedGateway(gateway: GatewayArgs): GatewayArgs {
  const { clients, tls } = gateway;
  return {
    ...gateway,
    ...(clients && {
      clients: clients.map(({ token, previousToken, ...client }) => ({
        ...client,
        ...(token !== undefined && { token: pulumi.secret(token) }),
        ...(previousToken !== undefined && { previousToken: pulumi.secret(previousToken) }),
      })),
    }),
    ...(tls?.key !== undefined && { tls: { ...tls, key: pulumi.secret(tls.key) } }),
  };
}

export interface GatewayComponentArgs extends Identity, PodArgs {
  readonly namespace: pulumi.Input<string>;
  readonly gateway: GatewayArgs;
  /** The servers behind it. */
  readonly servers: {
    readonly selector: Readonly<Record<string, string>>;
    readonly port: number;
    /** Most servers that there may be. */
    readonly most: number;
    /** The token that they ask for. */
    readonly token: SecretKey;
  };
  readonly cache: CacheConnection;
  /** Who may connect. @default nobody but `kubectl port-forward` */
  readonly peers?: readonly Peer[];
  /** DNS name under which clients outside the cluster know the service. @default none */
  readonly externalHost?: string;
  readonly transform?: {
    readonly deployment?: Transform<k8s.types.input.apps.v1.Deployment>;
    /** The one without an address of its own, by which the servers are found. */
    readonly service?: Transform<k8s.types.input.core.v1.Service>;
    readonly networkPolicy?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
    readonly podDisruptionBudget?: Transform<k8s.types.input.policy.v1.PodDisruptionBudget>;
    readonly configMap?: Transform<k8s.types.input.core.v1.ConfigMap>;
    /** The clients' hashes' and the certificate's. */
    readonly secret?: Transform<k8s.types.input.core.v1.Secret>;
  };
}

/** HAProxy between clients and servers: it finds the servers, repeats what can be repeated, queues fairly, knows the clients and speaks TLS. */
export class Gateway extends pulumi.ComponentResource {
  /** How the Service reaches it. */
  readonly backend: BackendArgs;
  /** The pods' ports that clients in the cluster come to. */
  readonly ports: readonly number[];
  /** The clients' tokens by name, the newest of each. */
  readonly tokens: pulumi.Output<Record<string, string>>;
  /** The authority that clients must trust, PEM; absent when that is somebody else's to know. */
  readonly caCertificate: pulumi.Output<string> | undefined;

  constructor(name: string, args: GatewayComponentArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, cache, ...inputs } = args;
    const gateway = sealedGateway(args.gateway);
    super("trivy-server:index:Gateway", name, { ...inputs, gateway }, opts);
    const { namespace, servers } = args;
    const { replicas = gatewayDefaults.replicas, clients = gatewayDefaults.clients, tls } = gateway;
    const domain = gateway.clusterDomain ?? gatewayDefaults.clusterDomain;
    const metadata = { namespace, labels: labels(args, component) };
    const child = { parent: this };

    const { hashes, newest } = this.makeTokens(name, clients);
    this.tokens = newest;
    const clientsSecret = new k8s.core.v1.Secret(
      `${name}-clients`,
      transformed(transform?.secret, { metadata, stringData: { "clients.map": hashes } }),
      child,
    );
    const certificate = tls && this.certificate(name, args, tls, domain);
    this.caCertificate = certificate?.authority;

    const plainHttp = !tls || (tls.plainHttp ?? false);
    const { resources } = gateway;
    const memoryLimit = resources?.limits?.memory ?? gatewayDefaults.resources.limits.memory;
    const configuration = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      transformed(transform?.configMap, {
        metadata,
        data: {
          "haproxy.cfg": pulumi.all([namespace, cache.health.host]).apply(([namespaceName, cacheHost]) =>
            haproxyCfg({
              servers: {
                host: `${serversName}.${namespaceName}.svc.${domain}`,
                port: servers.port,
                slots: slots(servers.most),
                requests: Math.ceil((gateway.requestsPerServer ?? gatewayDefaults.requestsPerServer) / replicas),
              },
              cache: {
                // HAProxy asks the cluster's DNS itself, and knows no search domains.
                host: cacheHost.endsWith(".svc") ? `${cacheHost}.${domain}` : cacheHost,
                port: cache.health.port,
                user: cache.health.user,
                tls: cache.tls,
                clientCertificate: cache.clientCertificate !== undefined,
              },
              memory: bytes(memoryLimit) - ownMemory,
              maxRequestBytes: bytes(gateway.maxRequestSize ?? gatewayDefaults.maxRequestSize),
              // Each gateway sees its share of a client's requests.
              rateLimit: gateway.rateLimit === undefined ? undefined : Math.ceil(gateway.rateLimit / replicas),
              tls: tls !== undefined,
              plainHttp,
            }),
          ),
          "run.sh": script,
          "client-metrics.txt": clientMetrics(clients.map((client) => client.name)),
        },
      }),
      child,
    );

    new k8s.core.v1.Service(
      `${name}-servers`,
      transformed(transform?.service, {
        metadata: { ...metadata, name: serversName },
        // Only what is ready: a server that drains is taken out of DNS and goes on answering until everybody knows.
        spec: { clusterIP: "None", selector: { ...servers.selector }, ports: [{ name: "http", port: servers.port, targetPort: "http" }] },
      }),
      // Without servers it has no addresses, and nothing may wait for it.
      { parent: this },
    );
    const monitors = (gateway.monitors ?? []).map(inNamespace);
    this.ports = [...(plainHttp ? [gatewayPorts.http] : []), ...(tls ? [gatewayPorts.https] : [])];
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      transformed(transform?.networkPolicy, {
        metadata: { ...metadata, name: objectName },
        spec: {
          podSelector: { matchLabels: gatewaySelector },
          policyTypes: ["Ingress", "Egress"],
          ingress: [...ingressFrom(args.peers ?? [], this.ports), ...ingressFrom(monitors, [gatewayPorts.admin])],
          egress: [{ to: [{ podSelector: { matchLabels: { ...servers.selector } } }], ports: [tcp(servers.port)] }, cache.egress],
        },
      }),
      child,
    );

    const mounts: Mount[] = [
      { name: "configuration", mountPath: gatewayPaths.configuration, volume: { configMap: { name: configuration.metadata.name } } },
      { name: "clients", mountPath: gatewayPaths.clients, volume: secretVolume(clientsSecret.metadata.name) },
      ...(certificate ? [{ name: "certificate", mountPath: gatewayPaths.certificate, volume: secretVolume(certificate.secret) }] : []),
      ...(cache.clientCertificate
        ? [{ name: "cache-certificate", mountPath: gatewayPaths.cacheCertificate, volume: secretVolume(cache.clientCertificate.secret) }]
        : []),
    ];
    new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      transformed(transform?.deployment, {
        metadata: { ...metadata, name: objectName },
        spec: {
          replicas,
          selector: { matchLabels: gatewaySelector },
          strategy: oneByOne(),
          template: {
            metadata: podMetadata(metadata.labels, args),
            spec: {
              ...replicatedPodSpec(userIds.gateway, gatewaySelector, args),
              terminationGracePeriodSeconds: drainSeconds + longestRequest + 15,
              containers: [
                {
                  name: "haproxy",
                  image: imageReference("haproxy", args.images),
                  command: ["sh", `${gatewayPaths.configuration}/run.sh`],
                  env: [fromSecret("SERVER_TOKEN", servers.token)],
                  ports: [
                    { name: "http", containerPort: gatewayPorts.http },
                    ...(tls ? [{ name: "https", containerPort: gatewayPorts.https }] : []),
                    { name: "admin", containerPort: gatewayPorts.admin },
                  ],
                  // It looks for the servers as soon as it runs. It is ready without any: then clients are told to try again, not refused.
                  readinessProbe: { ...httpProbe("/ready", "admin"), initialDelaySeconds: 2, periodSeconds: 2, failureThreshold: 2 },
                  livenessProbe: { ...httpProbe("/live", "admin"), periodSeconds: 10, failureThreshold: 6 },
                  lifecycle: { preStop: { sleep: { seconds: drainSeconds } } },
                  resources: containerResources(gatewayDefaults.resources, resources, { request: "16Mi", limit: "256Mi" }),
                  securityContext: containerSecurity,
                  volumeMounts: volumeMounts(mounts),
                },
              ],
              volumes: volumes(mounts),
            },
          },
        },
      }),
      { parent: this, dependsOn: [policy, ...dependencies(opts)] },
    );
    disruptionBudget(
      `${name}-disruption-budget`,
      { ...metadata, name: objectName },
      gatewaySelector,
      transform?.podDisruptionBudget,
      child,
    );

    this.backend = { selector: gatewaySelector, http: "http", plainHttp, ...(tls && { https: "https" }) };
    this.registerOutputs({ tokens: this.tokens, caCertificate: this.caCertificate });
  }

  /** What the gateway needs to know a client by, and what the clients need. */
  private makeTokens(name: string, clients: readonly ClientArgs[]) {
    const valid = clients.map(
      ({ name: client, token, previousToken, generation = gatewayDefaults.generation, retire = gatewayDefaults.retire }) => {
        if (token !== undefined) return { client, tokens: [token, ...(previousToken === undefined ? [] : [previousToken])] };
        return {
          client,
          tokens: validGenerations(generation, retire, (number) => generatedSecret(`${name}-token-${client}-${number}`, this)),
        };
      },
    );
    const known = pulumi.all(valid.map(({ client, tokens }) => pulumi.all(tokens).apply((texts) => ({ client, texts }))));
    return {
      hashes: pulumi.secret(
        known.apply((all) => all.flatMap(({ client, texts }) => texts.map((text) => `${sha256(text)} ${client}\n`)).join("")),
      ),
      newest: pulumi.secret(known.apply((all) => Object.fromEntries(all.map(({ client, texts }) => [client, texts[0] ?? ""])))),
    };
  }

  private certificate(name: string, args: GatewayComponentArgs, tls: GatewayTlsArgs, domain: string) {
    const given = tls.caCertificates === undefined ? undefined : pulumi.output(tls.caCertificates);
    if (tls.existingSecret !== undefined) return { secret: tls.existingSecret, authority: given };
    const { certificate, key, authority } =
      tls.certificate !== undefined && tls.key !== undefined
        ? { certificate: tls.certificate, key: tls.key, authority: given }
        : this.generated(name, args, tls.names ?? [], domain);
    const secret = new k8s.core.v1.Secret(
      `${name}-certificate`,
      transformed(args.transform?.secret, {
        metadata: { namespace: args.namespace, labels: labels(args, component) },
        type: "kubernetes.io/tls",
        stringData: { "tls.crt": certificate, "tls.key": key },
      }),
      { parent: this },
    );
    return { secret: secret.metadata.name, authority };
  }

  private generated(name: string, { namespace, externalHost }: GatewayComponentArgs, names: readonly string[], domain: string) {
    const authority = new PrivateAuthority(`${name}-authority`, { commonName: "trivy-server" }, { parent: this });
    const issued = authority.issue(name, {
      commonName: serviceName,
      dnsNames: [
        serviceName,
        pulumi.interpolate`${serviceName}.${namespace}`,
        pulumi.interpolate`${serviceName}.${namespace}.svc`,
        pulumi.interpolate`${serviceName}.${namespace}.svc.${domain}`,
        "localhost",
        ...(externalHost === undefined ? [] : [externalHost]),
        ...names.filter((text) => !ipaddr.isValid(text)),
      ],
      ipAddresses: ["127.0.0.1", ...names.filter((text) => ipaddr.isValid(text))],
      use: "server",
    });
    return { ...issued, authority: authority.certificate };
  }
}

/** Room for servers that come and go, in powers of two: a server more or less must not change the gateway's configuration. */
export const slots = (most: number) => Math.max(16, 2 ** Math.ceil(Math.log2(2 * most)));

/** HAProxy's own memory, with TLS and a thousand connections, beside that of requests. */
const ownMemory = bytes("128Mi");

/** Seconds between leaving the Service and closing the door: until everybody's kube-proxy knows, measured to be enough. */
const drainSeconds = 15;

/** What the pods run. */
const script = readFileSync(join(import.meta.dirname, "run.sh"), "utf8");
