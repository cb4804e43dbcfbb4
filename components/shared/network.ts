import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import type { AccessArgs, DnsArgs } from "../args.ts";

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

/** Every address that is neither private nor a metadata service's. */
export const publicPeers = everywhere.map((cidr) => blockWithout(cidr, [...privateRanges, ...metadata]));

/** Every address but those of metadata services. */
export const anyPeers = everywhere.map((cidr) => blockWithout(cidr, metadata));

const namespaceSelector = (name: string) => (name === "*" ? {} : { matchLabels: { "kubernetes.io/metadata.name": name } });

/** Returns the pods of a namespace; `*` means every namespace. */
export const podsInNamespace = (name: pulumi.Input<string>): Peer => ({
  namespaceSelector: typeof name === "string" ? namespaceSelector(name) : pulumi.output(name).apply(namespaceSelector),
});

/** Returns the pods of the service's namespace that have labels. */
export const podsWith = (labels: Readonly<Record<string, string>>): Peer => ({ podSelector: { matchLabels: { ...labels } } });

/** Returns exactly a block of addresses. */
export const addressBlock = (cidr: pulumi.Input<string>): Peer => ({ ipBlock: { cidr } });

/** Returns a block of addresses that pods may connect to, without the metadata services of clouds unless the block is one of theirs. */
export const destinationBlock = (cidr: string): Peer => blockWithout(cidr, metadata);

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

/** Namespaces of the pods that resolve the cluster's names: everywhere but on OpenShift, and there. */
const resolverNamespaces = ["kube-system", "openshift-dns"];

/**
 * Ports on which those pods listen. A policy sees the pod's port, not the Service's, which is 53: 5353 on OpenShift, 8053 on Gardener, 1053
 * in virtual clusters.
 */
const resolverPorts = [53, 5353, 8053, 1053];

/**
 * Addresses of resolvers that are not pods: the caches on the nodes of Kubernetes' own add-on, of Kubespray and of AKS, and the resolver of
 * GKE with Cloud DNS, which shares its address, but not its port, with the metadata service.
 */
const resolverAddresses = ["169.254.20.10/32", "169.254.25.10/32", "169.254.10.10/32", "169.254.10.11/32", "169.254.169.254/32"];

/** Returns the rules for connections to the cluster's DNS: to the known resolvers, and to those of the settings. */
export function dnsEgress({ namespaces = [], cidrs = [], ports = [] }: DnsArgs = {}): EgressRule[] {
  const both = (numbers: readonly pulumi.Input<number>[]) =>
    numbers.flatMap((port) => [
      { port, protocol: "UDP" },
      { port, protocol: "TCP" },
    ]);
  return [
    { to: [...resolverNamespaces, ...namespaces].map(podsInNamespace), ports: both([...resolverPorts, ...ports]) },
    { to: [...resolverAddresses, ...cidrs].map(addressBlock), ports: both([53, ...ports]) },
  ];
}
