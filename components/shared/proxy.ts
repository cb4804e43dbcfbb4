import { isIP } from "node:net";
import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import { defaults } from "../args.ts";
import type { Context } from "./context.ts";
import type { Endpoint } from "./network.ts";

/** Hosts that are reached without a proxy. */
export interface DirectHosts {
  /** Of a single address or a block of them. */
  readonly block?: string;
  /** Domain, which stands for itself and its subdomains. */
  readonly domain?: string;
  /** @default every port */
  readonly port?: number;
}

/**
 * Reads an entry of a NO_PROXY variable. Programs differ in what else they accept: Go knows no ranges, Node no blocks, and a leading dot
 * includes the domain itself in some.
 *
 * @returns undefined if the entry has no meaning that all programs share
 */
export function parseDirectHosts(entry: string): DirectHosts | undefined {
  const {
    bracketed,
    name = bracketed ?? "",
    port,
  } = /^(?:\[(?<bracketed>[^\]]+)\]|(?<name>[^:]+))(?::(?<port>\d{1,5}))?$/.exec(entry)?.groups ??
  (isIP(entry) === 6 ? { name: entry } : {});
  const number = port === undefined ? {} : { port: Number(port) };
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return undefined;
  if (isIP(name) > 0) return { block: `${name}/${isIP(name) === 4 ? 32 : 128}`, ...number };
  if (entry.includes("/")) return ipaddr.isValidCIDR(entry) ? { block: entry } : undefined;
  const domain = name.toLowerCase().replace(/^\*?\./, "");
  const isDomain = /^([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(domain) && !/(^|\.)\d+$/.test(domain);
  return isDomain ? { domain, ...number } : undefined;
}

/** Returns whether an endpoint is reached without a proxy. */
export function isDirect({ host, port }: Endpoint, entries: readonly string[]): boolean {
  const address = ipaddr.isValid(host) ? ipaddr.process(host) : undefined;
  const name = host.toLowerCase();
  return entries.map(parseDirectHosts).some((direct) => {
    if (!direct || (direct.port !== undefined && direct.port !== port)) return false;
    if (direct.domain !== undefined) return name === direct.domain || name.endsWith(`.${direct.domain}`);
    const [range, prefix] = ipaddr.parseCIDR(direct.block ?? "");
    return address !== undefined && address.kind() === range.kind() && address.match(range, prefix);
  });
}

/** What the pods reach without a proxy. */
export const inCluster = (clusterDomain: string) => ["localhost", "127.0.0.1", "::1", ".svc", `.${clusterDomain}`];

/** Returns the DNS domain of the cluster. */
export const clusterDomainOf = ({ clusterDomain = defaults.clusterDomain }: Pick<Context, "clusterDomain">) => clusterDomain;

/**
 * Returns the environment variables that make programs use the proxies. An entry for a domain is spelt in two ways, of which every program
 * understands one; Node, which knows no blocks, gets the addresses in them.
 *
 * @param endpoints what the programs connect to, as far as it is known.
 */
export function proxyVariables(
  context: Pick<Context, "proxy" | "clusterDomain">,
  endpoints: pulumi.Input<readonly Endpoint[]> = [],
): Record<string, pulumi.Input<string> | undefined> {
  const { http, https, noProxy = [] } = context.proxy ?? {};
  if ((http ?? https) === undefined) return {};
  return {
    HTTP_PROXY: http,
    HTTPS_PROXY: https,
    NO_PROXY: pulumi
      .all([clusterDomainOf(context), pulumi.all([...noProxy]), endpoints])
      .apply(([domain, entries, known]) => [...inCluster(domain), ...spellings(entries, known)].join(",")),
  };
}

function spellings(entries: readonly string[], endpoints: readonly Endpoint[]): string[] {
  const spelt = entries.flatMap((entry) => {
    const { domain, port } = parseDirectHosts(entry) ?? {};
    const suffix = port === undefined ? "" : `:${port}`;
    return domain === undefined ? [entry] : [`${domain}${suffix}`, `.${domain}${suffix}`];
  });
  const addresses = endpoints.filter((endpoint) => ipaddr.isValid(endpoint.host) && isDirect(endpoint, entries));
  const inUrls = addresses.map(({ host }) => (isIP(host) === 6 ? `[${host}]` : host));
  return [...new Set([...spelt, ...inUrls])];
}
