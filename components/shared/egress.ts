import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import type { EgressArgs, ProxyArgs } from "../args.ts";
import type { Context } from "./context.ts";
import {
  addressBlock,
  anyPeers,
  destinationBlock,
  type EgressRule,
  type Endpoint,
  type Peer,
  podsInNamespace,
  publicPeers,
  tcp,
} from "./network.ts";
import { clusterDomainOf, inCluster, isDirect } from "./proxy.ts";

/** What decides which rule allows connections to an endpoint. */
export interface Surroundings {
  /** Where hosts are, if their name does not say it. */
  readonly egress: readonly pulumi.Unwrap<EgressArgs>[];
  /** Blocks of addresses that are allowed on every port. */
  readonly cidrs: readonly string[];
  readonly proxy: pulumi.Unwrap<ProxyArgs>;
  readonly clusterDomain: string;
}

/** Whether no public DNS resolves a name. */
export const isPrivateName = (host: string): boolean =>
  /^[^.]+$|\.(local|localdomain|localhost|internal|intranet|private|corp|home|lan|home\.arpa|test)$/i.test(host);

/** Returns the namespace of a Service's name, or of a pod's behind it. */
function serviceNamespace(host: string, clusterDomain: string): string | undefined {
  const short = host.endsWith(`.svc.${clusterDomain}`) ? host.slice(0, -clusterDomain.length - 1) : host;
  return /^(?:[^.]+\.)+([^.]+)\.svc$/.exec(short)?.[1];
}

const entryFor = ({ host }: Endpoint, { egress }: Surroundings) => egress.find(({ hosts }) => hosts.includes(host));

/**
 * Returns why no rule can allow connections to an endpoint without allowing more, and what to set; undefined if one can. NetworkPolicies know
 * addresses, pods and the pods' ports, not names and Services.
 */
export function endpointProblem(endpoint: Endpoint, surroundings: Surroundings, cidrsSetting: string | undefined): string | undefined {
  const { host, port } = endpoint;
  const { cidrs, clusterDomain } = surroundings;
  if (isProxied(endpoint, surroundings) || entryFor(endpoint, surroundings) || ipaddr.isValid(host)) return undefined;
  if (serviceNamespace(host, clusterDomain) !== undefined)
    return port < 1024
      ? `is a Service on port ${port}, whose pods usually listen on another port, which the network policy needs; add the host to egress with namespaces and ports`
      : undefined;
  if (!isPrivateName(host) || cidrs.length > 0) return undefined;
  const block = cidrsSetting === undefined ? "" : `, or set ${cidrsSetting}`;
  return `has a private name, whose addresses a network policy cannot know; add the host to egress with its namespaces or cidrs${block}`;
}

/**
 * Returns the narrowest rules that allow connections to an endpoint: a public name on port 443 may have any address outside of the private
 * ranges; one on another port may have any address but those of metadata services; a Service is known by its namespace.
 *
 * @throws RunError if there is no such rule
 */
function endpointRules(endpoint: Endpoint, surroundings: Surroundings): EgressRule[] {
  const { host, port } = endpoint;
  const problem = endpointProblem(endpoint, surroundings, undefined);
  if (problem !== undefined) throw new pulumi.RunError(`${host} ${problem}`);
  const entry = entryFor(endpoint, surroundings);
  if (entry) return [{ to: peersOf(entry), ports: (entry.ports?.length ? entry.ports : [port]).map(tcp) }];
  if (ipaddr.isValid(host)) {
    const address = ipaddr.parse(host);
    return [{ to: [addressBlock(`${address.toString()}/${address.kind() === "ipv4" ? 32 : 128}`)], ports: [tcp(port)] }];
  }
  const namespace = serviceNamespace(host, surroundings.clusterDomain);
  if (namespace !== undefined) return [{ to: [podsInNamespace(namespace)], ports: [tcp(port)] }];
  // The blocks of addresses have a rule of their own.
  if (isPrivateName(host)) return [];
  return [{ to: port === 443 ? publicPeers : anyPeers, ports: [tcp(port)] }];
}

function peersOf({ namespaces = [], podLabels = {}, cidrs = [] }: pulumi.Unwrap<EgressArgs>): Peer[] {
  const pods = Object.keys(podLabels).length > 0 ? { podSelector: { matchLabels: podLabels } } : undefined;
  const selected = namespaces.map((name) => ({ ...podsInNamespace(name), ...pods }));
  return [...(selected.length === 0 && pods ? [pods] : selected), ...cidrs.map(destinationBlock)];
}

/** Returns the host and port of a URL. */
export function urlEndpoint(text: string): Endpoint {
  const { hostname, port, protocol } = new URL(text);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) };
}

const proxiesOf = ({ proxy: { http, https } }: Surroundings) => [http, https].filter((url) => url !== undefined);

/** Returns whether connections to an endpoint go through a proxy. */
export const isProxied = (endpoint: Endpoint, surroundings: Surroundings): boolean =>
  proxiesOf(surroundings).length > 0 &&
  !isDirect(endpoint, [...inCluster(surroundings.clusterDomain), ...(surroundings.proxy.noProxy ?? [])]);

/**
 * Returns rules for connections out of the service: to the proxies, to the endpoints that are reached without them, and to blocks of
 * addresses.
 *
 * @throws RunError if the place of an endpoint is not known
 */
export function egressRules(endpoints: readonly Endpoint[], surroundings: Surroundings): EgressRule[] {
  const { cidrs } = surroundings;
  const proxies = proxiesOf(surroundings).map(urlEndpoint);
  const direct = endpoints.filter((endpoint) => !isProxied(endpoint, surroundings));
  const rules = [
    ...proxies.flatMap((endpoint) => endpointRules(endpoint, { ...surroundings, proxy: {} })),
    ...direct.flatMap((endpoint) => endpointRules(endpoint, surroundings)),
  ];
  const distinct = [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
  return cidrs.length > 0 ? [...distinct, { to: cidrs.map(destinationBlock) }] : distinct;
}

/**
 * Returns the rule for connections to a host that is never reached through a proxy. The blocks, if there are any, are those of its
 * addresses.
 */
export function hostEgress(
  context: Pick<Context, "clusterDomain" | "egress">,
  endpoint: pulumi.Input<Endpoint>,
  cidrs: readonly pulumi.Input<string>[],
): pulumi.Output<EgressRule> {
  return pulumi
    .all([endpoint, pulumi.all([...cidrs]), clusterDomainOf(context), pulumi.output(context.egress)])
    .apply(([to, blocks, clusterDomain, entries = []]): EgressRule => {
      const surroundings = { proxy: {}, cidrs: [], clusterDomain, egress: entries };
      if (blocks.length > 0 && !entryFor(to, surroundings)) return { to: blocks.map(destinationBlock), ports: [tcp(to.port)] };
      const [rule] = endpointRules(to, surroundings);
      // A rule without peers would allow everything.
      if (!rule) throw new Error(`${to.host} has no rule`);
      return rule;
    });
}

/** Returns `egressRules` for endpoints and addresses that may be outputs. */
export function egress(
  context: Pick<Context, "proxy" | "clusterDomain" | "egress">,
  endpoints: pulumi.Input<readonly Endpoint[]>,
  cidrs: readonly pulumi.Input<string>[] = [],
): pulumi.Output<EgressRule[]> {
  return pulumi
    .all([endpoints, pulumi.output(context.proxy), pulumi.all([...cidrs]), clusterDomainOf(context), pulumi.output(context.egress)])
    .apply(([to, proxy = {}, blocks, clusterDomain, entries = []]) =>
      egressRules(to, { proxy, cidrs: blocks, clusterDomain, egress: entries }),
    );
}
