import type { types } from "@pulumi/kubernetes";
import ipaddr from "ipaddr.js";

export type Peer = types.input.networking.v1.NetworkPolicyPeer;
export type EgressRule = types.input.networking.v1.NetworkPolicyEgressRule;

/** Who may connect from outside the service's own pods. */
export interface ClientsArgs {
  /** Namespaces whose pods may connect; `*` means all of the cluster. @default none: only `kubectl port-forward` gets through */
  readonly namespaces?: readonly string[];
  /** Addresses that may connect, as CIDR blocks: load balancers, nodes, machines outside the cluster. @default none */
  readonly cidrs?: readonly string[];
}

/** Where a host and port may be, as far as a NetworkPolicy can say it. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Ranges that are never a public registry. 100.64.0.0/10 is the carriers', 169.254.0.0/16 holds the clouds' metadata services. */
const privateV4 = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"];
const privateV6 = ["fc00::/7", "fe80::/10"];

const publicPeers: Peer[] = [{ ipBlock: { cidr: "0.0.0.0/0", except: privateV4 } }, { ipBlock: { cidr: "::/0", except: privateV6 } }];
const anyPeers: Peer[] = [{ ipBlock: { cidr: "0.0.0.0/0" } }, { ipBlock: { cidr: "::/0" } }];

export const inNamespace = (name: string): Peer => ({
  namespaceSelector: name === "*" ? {} : { matchLabels: { "kubernetes.io/metadata.name": name } },
});

export const tcp = (port: number): types.input.networking.v1.NetworkPolicyPort => ({ port, protocol: "TCP" });

export function clientPeers({ namespaces = [], cidrs = [] }: ClientsArgs): Peer[] {
  return [...namespaces.map(inNamespace), ...cidrs.map((cidr) => ({ ipBlock: { cidr } }))];
}

/** Lets peers in on some ports. A rule without peers would mean everybody to Kubernetes, so there is none for nobody. */
export function ingressFrom(peers: readonly Peer[], ports: readonly number[]): types.input.networking.v1.NetworkPolicyIngressRule[] {
  return peers.length > 0 ? [{ from: [...peers], ports: ports.map(tcp) }] : [];
}

/** Pods reach the cluster's DNS, and the cache of it that some clusters run on each node under this address. */
export const toDns: EgressRule = {
  to: [inNamespace("kube-system"), { ipBlock: { cidr: "169.254.20.10/32" } }],
  ports: [
    { port: 53, protocol: "UDP" },
    { port: 53, protocol: "TCP" },
  ],
};

/** Names that no public DNS answers. */
const privateName = /^[^.]+$|\.(local|localhost|internal|intranet|private|corp|home|lan|home\.arpa|test)$/i;

/**
 * The narrowest rule that lets a connection to a host through. NetworkPolicies know addresses, not names: a public name on 443 may be anywhere
 * but in the private ranges; a name that only the inside knows, or another port, may be anywhere at all; a Service of the cluster is known by its
 * namespace, on any port, because the policy sees the pod's port and not the Service's.
 */
export function toEndpoint({ host, port }: Endpoint): EgressRule {
  if (ipaddr.isValid(host)) {
    const address = ipaddr.parse(host);
    return { to: [{ ipBlock: { cidr: `${address.toString()}/${address.kind() === "ipv4" ? 32 : 128}` } }], ports: [tcp(port)] };
  }
  const service = /^[^.]+\.([^.]+)\.svc(?:\.|$)/.exec(host);
  if (service?.[1]) return { to: [inNamespace(service[1])] };
  return { to: port === 443 && !privateName.test(host) ? publicPeers : anyPeers, ports: [tcp(port)] };
}

/** Rules for several endpoints, each rule once. */
export function toEndpoints(endpoints: readonly Endpoint[]): EgressRule[] {
  const rules = new Map(endpoints.map((endpoint) => toEndpoint(endpoint)).map((rule) => [JSON.stringify(rule), rule]));
  return [...rules.values()];
}

/** An HTTP proxy for the way out of the cluster. */
export interface ProxyArgs {
  /** URL for plain HTTP. @default none */
  readonly http?: string;
  /** URL for HTTPS. @default none */
  readonly https?: string;
  /** Hosts, domains and CIDR blocks that are reached directly, besides the cluster's own. @default none */
  readonly noProxy?: readonly string[];
}

const inCluster = ["localhost", "127.0.0.1", "::1", ".svc", ".cluster.local"];

/** The variables by which programs are told of the proxy. */
export function proxyVariables({ http, https, noProxy = [] }: ProxyArgs): Record<string, string | undefined> {
  return {
    HTTP_PROXY: http,
    HTTPS_PROXY: https,
    NO_PROXY: (http ?? https) === undefined ? undefined : [...inCluster, ...noProxy].join(","),
  };
}

/** Where a URL leads to. */
export function urlEndpoint(text: string): Endpoint {
  const { hostname, port, protocol } = new URL(text);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) };
}

/** What pods may reach outside of the service: the proxies, the endpoints that are not behind them, and blocks of addresses. */
export function egress(
  endpoints: readonly Endpoint[],
  { http, https, noProxy = [] }: ProxyArgs,
  cidrs: readonly string[] = [],
): EgressRule[] {
  const direct = [...inCluster, ...noProxy].map((entry) => entry.replace(/^\*?\./, ""));
  const proxies = [http, https].filter((url) => url !== undefined);
  const proxied = ({ host }: Endpoint) => proxies.length > 0 && !direct.some((entry) => entry === host || host.endsWith(`.${entry}`));
  const rules = toEndpoints([...proxies.map(urlEndpoint), ...endpoints.filter((endpoint) => !proxied(endpoint))]);
  return cidrs.length > 0 ? [...rules, { to: cidrs.map((cidr) => ({ ipBlock: { cidr } })) }] : rules;
}
