import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { parse } from "tldts";
import { isPrivateName } from "../../components/shared/egress.ts";
import { parseDirectHosts } from "../../components/shared/proxy.ts";
import { checked, matching, text } from "./text.ts";

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const isDnsLabel = (value: string) => label.test(value);
export const isDnsName = (value: string) => value.length <= 253 && value.split(".").every(isDnsLabel);
const isAddress = (value: string) => isIP(value) > 0;

/** Whether a name is taken for an IPv4 address, valid or not, because its last part is a number: 10.0.0.256, 10.1. */
const endsInNumber = (value: string) => /(^|\.)(\d+|0x[0-9a-f]*)$/.test(value);

/** Domains that no public DNS has, and that no Service of a cluster is likely to be in. */
const isReserved = (host: string) => isPrivateName(host) || /\.(example|invalid)$/.test(host);

/**
 * Returns what is wrong with a host that pods connect to, as a phrase that follows "a host that", and what would be right. Names that
 * programs resolve in different ways are refused: Go and Node try the search domains of the pod, HAProxy and proxies do not.
 */
export function hostProblem(given: string): string | undefined {
  // Programs take 127.1 and 0x7f000001 for addresses too.
  const url = `http://${isIP(given) === 6 ? `[${given}]` : given}`;
  const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, "") : given.toLowerCase();
  if (isLoopback(host)) return "is the pod itself; use the name of a Service, or the name or address of another machine";
  if (isAddress(host)) return undefined;
  if (host.endsWith(".")) return "ends with a dot, which not all programs accept; leave the dot out";
  if (!host.includes(".")) return "has no domain; for a Service use NAME.NAMESPACE.svc, otherwise the full name";
  if (host.split(".").length === 2 && !isReserved(host) && !parse(host).isIcann)
    return "has no public domain; for a Service use NAME.NAMESPACE.svc, otherwise the full name";
  return undefined;
}

function isLoopback(host: string): boolean {
  if (!isAddress(host)) return /^(.+\.)?(localhost|localhost\.localdomain|ip6-(localhost|loopback))\.?$/i.test(host);
  return ["loopback", "unspecified"].includes(ipaddr.process(host).range());
}

export const dnsLabelAdvice = "use a DNS label: at most 63 lowercase letters, digits and hyphens, a letter or digit at both ends";
export const dnsLabel = () => matching("DNS label", dnsLabelAdvice, label);

export const dnsName = () =>
  text(
    "DNS name",
    "use a DNS name such as trivy.example.com, without scheme, port or path",
    (value) => isDnsName(value) && !endsInNumber(value),
    /^[a-z0-9.-]{1,253}$/,
  );

/** A name or address that a certificate can be issued for. */
export const hostName = () =>
  text(
    "DNS name or IP address",
    "use a DNS name or an IP address, without scheme, port or path",
    (value) => isAddress(value) || (isDnsName(value) && !endsInNumber(value)),
    /^[A-Za-z0-9.:-]+$/,
  );

const redisHostAdvice = "use a DNS name or an IP address, without scheme, port, user or password";

/** The host of a Redis. Trivy supports one form of address; the messages cover others that users try. */
export const redisHost = () =>
  checked(
    "DNS name or IP address",
    redisHostAdvice,
    (value) => {
      if (value.includes("@")) return "user and password have their own settings; use redis.user and redis.password";
      if (/^rediss:/i.test(value)) return "Trivy does not support rediss:// addresses; use the host only and set redis.tls.enabled: true";
      if (/sentinel/i.test(value) && value.includes(":")) return "Trivy does not support Sentinel; use the one address that accepts writes";
      if (/^[^:]+:\d+$/.test(value)) return "the port has its own setting; use redis.port";
      if (value.includes(",")) return "Trivy supports neither Redis Cluster nor several addresses; use the one that accepts writes";
      if (!isAddress(value) && (!isDnsName(value.replace(/\.$/, "")) || endsInNumber(value))) return redisHostAdvice;
      const problem = hostProblem(value);
      return problem && `it is a host that ${problem}`;
    },
    { pattern: /^[A-Za-z0-9.:-]+$/ },
  ).meta({ example: "redis.example.com" });

const cidrAdvice = "use a CIDR block such as 10.20.0.0/16";

/** A CIDR block, written with its network address. */
export const cidr = () =>
  checked(
    "CIDR block",
    cidrAdvice,
    (value) => {
      const [address = "", prefix] = value.split("/");
      if (isAddress(value)) return `${cidrAdvice}; for this one address, ${value}/${isIP(value) === 4 ? 32 : 128}`;
      if (!isAddress(address) || !ipaddr.isValidCIDR(value)) return cidrAdvice;
      const family = ipaddr.parse(address).kind() === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6;
      const network = `${family.networkAddressFromCIDR(value)}/${prefix}`;
      return network === value ? undefined : `its network address is ${network}; use that`;
    },
    { pattern: /^[0-9A-Fa-f.:]+\/\d{1,3}$/ },
  ).meta({ example: "10.20.0.0/16" });

const proxyAdvice = "use a URL such as http://proxy.example.com:3128";

/** The URL of an HTTP proxy, without credentials: it can be read in the manifests. */
export const proxyUrl = () =>
  checked(
    "URL",
    proxyAdvice,
    (value) => {
      if (!/^https?:\/\//i.test(value) || !URL.canParse(value)) return proxyAdvice;
      const { hostname, username, password, pathname, search, hash } = new URL(value);
      if (username || password)
        return "it would be readable in the manifests; put the whole variable into a Secret and name that in server.envFromSecrets";
      if (pathname !== "/" || search || hash) return proxyAdvice;
      const problem = hostProblem(hostname);
      return problem && `it is on a host that ${problem}`;
    },
    { pattern: /^[Hh][Tt][Tt][Pp][Ss]?:\/\/[^@]+$/ },
  );

const noProxyAdvice = "use a host, a domain such as example.com with all of its subdomains, a CIDR block, or host:port";

/** What is reached without a proxy, in a spelling that means the same to all programs. */
export const noProxyEntry = () =>
  checked(
    "host, domain or CIDR block",
    noProxyAdvice,
    (value) => {
      if (value === "*") return "no proxy would be used at all; remove proxy.http and proxy.https instead";
      if (/^[a-z]+:\/\//i.test(value)) return `leave the scheme out; ${noProxyAdvice}`;
      if (/^[\d.]+-[\d.]+$/.test(value)) return "not all programs know ranges; use CIDR blocks";
      return parseDirectHosts(value) ? undefined : noProxyAdvice;
    },
    { pattern: /^(\*?\.)?[\w.:/[\]-]+$/ },
  );

export const webUrlAdvice = "use a URL such as https://hooks.example.com/path";
const webUrlPattern = /^[Hh][Tt][Tt][Pp][Ss]?:\/\/\S+$/;
export const isWebUrl = (value: string) => webUrlPattern.test(value) && URL.canParse(value);

/** A URL for people, that is not a secret and so must not hold one. */
export const webUrl = () => checked("URL", webUrlAdvice, publicUrlProblem, { pattern: webUrlPattern });

/** Such a URL that pods connect to. */
export const serviceUrl = () =>
  checked(
    "URL",
    webUrlAdvice,
    (value) => {
      const problem = publicUrlProblem(value);
      if (problem !== undefined) return problem;
      const ofHost = hostProblem(new URL(value).hostname);
      return ofHost && `it is on a host that ${ofHost}`;
    },
    { pattern: webUrlPattern },
  );

function publicUrlProblem(value: string): string | undefined {
  if (!isWebUrl(value)) return webUrlAdvice;
  const { username, password } = new URL(value);
  return username || password ? "use the URL without user and password" : undefined;
}

const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export const bucketName = () => matching("name of a bucket", "use 3 to 63 lowercase letters, digits, hyphens and dots", bucketPattern);

/** A region of an S3-compatible service. */
export const region = () => matching("region", "use a region such as us-east-1", bucketPattern);
