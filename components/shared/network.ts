import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import { type AccessArgs, defaults, type ProxyArgs } from "../args.ts";
import type { Context } from "./context.ts";

export type Peer = types.input.networking.v1.NetworkPolicyPeer;
export type IngressRule = types.input.networking.v1.NetworkPolicyIngressRule;
export type EgressRule = types.input.networking.v1.NetworkPolicyEgressRule;

/** A host and a port that pods connect to. */
export interface Endpoint {
  /** DNS name or IP address, an IPv6 one without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Addresses of the metadata services of clouds, which give the credentials of the node to whoever asks, and prefixes that lead to them: all
 * of 169.254.0.0/16 and fe80::/10; Alibaba's, Azure's and AWS' by IPv6; the prefix by which NAT64 reaches any IPv4 address. A registry or a
 * name can redirect a pod there, so no rule includes them unless the settings name them.
 */
const metadata = ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "fe80::/10", "fd00:ec2::254/128", "64:ff9b::/96"];

/** Ranges that no public registry has: private ones, and 100.64.0.0/10 of carriers. */
const privateRanges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

/** Returns whether a block of addresses contains another one and more. */
function containsBlock(outer: string, inner: string): boolean {
  const [range, prefix] = ipaddr.parseCIDR(outer);
  const [address, length] = ipaddr.parseCIDR(inner);
  return range.kind() === address.kind() && prefix < length && address.match(range, prefix);
}

/** Returns whether all addresses of a block are private. */
export const isPrivateBlock = (cidr: string): boolean =>
  [...privateRanges, "127.0.0.0/8", "::1/128", "fe80::/10"].some((range) => range === cidr || containsBlock(range, cidr));

/** Returns the addresses of a block without the blocks in it that are to be left out; Kubernetes refuses others. */
function blockWithout(cidr: string, excluded: readonly string[]): Peer {
  const inside = excluded.filter((block) => containsBlock(cidr, block));
  const except = inside.filter((block) => !inside.some((other) => containsBlock(other, block)));
  return { ipBlock: { cidr, ...(except.length > 0 && { except }) } };
}

const everywhere = ["0.0.0.0/0", "::/0"];
const publicPeers = everywhere.map((cidr) => blockWithout(cidr, [...privateRanges, ...metadata]));
const anyPeers = everywhere.map((cidr) => blockWithout(cidr, metadata));

const namespaceSelector = (name: string) => (name === "*" ? {} : { matchLabels: { "kubernetes.io/metadata.name": name } });

/** Returns the pods of a namespace; `*` means every namespace. */
export const podsInNamespace = (name: pulumi.Input<string>): Peer => ({
  namespaceSelector: pulumi.output(name).apply(namespaceSelector),
});

/** Returns the pods of the service's namespace that have labels. */
export const podsWith = (labels: Readonly<Record<string, string>>): Peer => ({ podSelector: { matchLabels: { ...labels } } });

/** Returns exactly a block of addresses. */
const addressBlock = (cidr: pulumi.Input<string>): Peer => ({ ipBlock: { cidr } });

/** Returns a block of addresses that pods may connect to, without the metadata services of clouds unless the block is one of theirs. */
export const destinationBlock = (cidr: pulumi.Input<string>): pulumi.Output<Peer> =>
  pulumi.output(cidr).apply((text) => blockWithout(text, metadata));

/** Returns a TCP port of a network policy. */
export const tcp = (port: pulumi.Input<number>): types.input.networking.v1.NetworkPolicyPort => ({ port, protocol: "TCP" });

/** Returns the peers that may connect to the service from outside its own pods. */
export function accessPeers({ namespaces = [], cidrs = [] }: AccessArgs): Peer[] {
  return [...namespaces.map(podsInNamespace), ...cidrs.map(addressBlock)];
}

/**
 * Returns rules that let peers connect to ports; no rule without peers, because Kubernetes takes a rule without peers for one that allows
 * everyone.
 */
export function ingressFrom(peers: readonly Peer[], ports: readonly number[]): IngressRule[] {
  return peers.length > 0 ? [{ from: [...peers], ports: ports.map(tcp) }] : [];
}

/** Connections to the cluster's DNS, and to the DNS cache that some clusters run on each node under this address. */
export const dnsEgress: EgressRule = {
  to: [{ namespaceSelector: namespaceSelector("kube-system") }, addressBlock("169.254.20.10/32")],
  ports: [
    { port: 53, protocol: "UDP" },
    { port: 53, protocol: "TCP" },
  ],
};

/** Whether no public DNS resolves a name. */
export const isPrivateName = (host: string): boolean =>
  /^[^.]+$|\.(local|localhost|internal|intranet|private|corp|home|lan|home\.arpa|test)$/i.test(host);

/**
 * Returns the narrowest rule that allows connections to an endpoint. NetworkPolicies know addresses, not names: a public name on port 443
 * may have any address outside of the private ranges; a private name, or one on another port, may have any address but those of metadata
 * services; a Service of the
 * cluster is known by its namespace, on any port, because the policy sees the pod's port and not the Service's.
 */
export function endpointEgress({ host, port }: Endpoint): EgressRule {
  if (ipaddr.isValid(host)) {
    const address = ipaddr.parse(host);
    return { to: [addressBlock(`${address.toString()}/${address.kind() === "ipv4" ? 32 : 128}`)], ports: [tcp(port)] };
  }
  const service = /^[^.]+\.([^.]+)\.svc(?:\.|$)/.exec(host);
  if (service?.[1]) return { to: [{ namespaceSelector: namespaceSelector(service[1]) }] };
  return { to: port === 443 && !isPrivateName(host) ? publicPeers : anyPeers, ports: [tcp(port)] };
}

type Proxy = pulumi.Unwrap<ProxyArgs>;

/** What the pods reach without a proxy. */
const inCluster = (clusterDomain: string) => ["localhost", "127.0.0.1", "::1", ".svc", `.${clusterDomain}`];

/** Returns the DNS domain of the cluster. */
export const clusterDomainOf = ({ clusterDomain = defaults.clusterDomain }: Pick<Context, "clusterDomain">) => clusterDomain;

/** Returns the environment variables that make programs use the proxies. */
export function proxyVariables(context: Pick<Context, "proxy" | "clusterDomain">): Record<string, pulumi.Input<string> | undefined> {
  const { http, https, noProxy = [] } = context.proxy ?? {};
  const direct = pulumi.all([clusterDomainOf(context), pulumi.all([...noProxy])]);
  return {
    HTTP_PROXY: http,
    HTTPS_PROXY: https,
    NO_PROXY: (http ?? https) === undefined ? undefined : direct.apply(([domain, hosts]) => [...inCluster(domain), ...hosts].join(",")),
  };
}

/** Returns the host and port of a URL. */
export function urlEndpoint(text: string): Endpoint {
  const { hostname, port, protocol } = new URL(text);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) };
}

/**
 * Returns rules for connections out of the service: to the proxies, to the endpoints that are reached without them, and to blocks of
 * addresses.
 */
export function egressRules(
  endpoints: readonly Endpoint[],
  { http, https, noProxy = [] }: Proxy = {},
  cidrs: readonly string[] = [],
  clusterDomain: string = defaults.clusterDomain,
): EgressRule[] {
  const direct = [...inCluster(clusterDomain), ...noProxy].map((entry) => entry.replace(/^\*?\./, ""));
  const proxies = [http, https].filter((url) => url !== undefined);
  const isProxied = ({ host }: Endpoint) => proxies.length > 0 && !direct.some((entry) => entry === host || host.endsWith(`.${entry}`));
  const rules = [...proxies.map(urlEndpoint), ...endpoints.filter((endpoint) => !isProxied(endpoint))].map(endpointEgress);
  const distinct = [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
  return cidrs.length > 0 ? [...distinct, { to: cidrs.map((cidr) => blockWithout(cidr, metadata)) }] : distinct;
}

/** Returns `egressRules` for endpoints and addresses that may be outputs, with the proxies of the context. */
export function egress(
  context: Pick<Context, "proxy" | "clusterDomain">,
  endpoints: pulumi.Input<readonly Endpoint[]>,
  cidrs: readonly pulumi.Input<string>[] = [],
): pulumi.Output<EgressRule[]> {
  return pulumi
    .all([endpoints, pulumi.output(context.proxy), pulumi.all([...cidrs]), clusterDomainOf(context)])
    .apply(([to, proxy, blocks, domain]) => egressRules(to, proxy, blocks, domain));
}
