import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { checked, matching, text } from "./text.ts";

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const isDnsLabel = (value: string) => label.test(value);
export const isDnsName = (value: string) => value.length <= 253 && value.split(".").every(isDnsLabel);
const isAddress = (value: string) => isIP(value) > 0;

/** Whether a name is taken for an IPv4 address, valid or not, because its last part is a number: 10.0.0.256, 10.1. */
const endsInNumber = (value: string) => /(^|\.)(\d+|0x[0-9a-f]*)$/.test(value);

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
      return isDnsName(value) || isAddress(value) ? undefined : redisHostAdvice;
    },
    { pattern: /^[A-Za-z0-9.:-]+$/ },
  );

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
      const { username, password, pathname, search, hash } = new URL(value);
      if (username || password)
        return "it would be readable in the manifests; put the whole variable into a Secret and name that in server.envFromSecrets";
      return pathname === "/" && !search && !hash ? undefined : proxyAdvice;
    },
    { pattern: /^[Hh][Tt][Tt][Pp][Ss]?:\/\/[^@]+$/ },
  );

export const noProxyEntry = () =>
  matching("host, domain or CIDR block", "use a host, a domain such as .example.com or a CIDR block", /^[A-Za-z0-9.:*/-]+$/);

export const webUrlAdvice = "use a URL such as https://hooks.example.com/path";
const webUrlPattern = /^[Hh][Tt][Tt][Pp][Ss]?:\/\/\S+$/;
export const isWebUrl = (value: string) => webUrlPattern.test(value) && URL.canParse(value);

/** A URL that is not a secret, and so must not hold one. */
export const webUrl = () =>
  checked(
    "URL",
    webUrlAdvice,
    (value) => {
      if (!isWebUrl(value)) return webUrlAdvice;
      const { username, password } = new URL(value);
      return username || password ? "use the URL without user and password" : undefined;
    },
    { pattern: webUrlPattern },
  );

const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export const bucketName = () => matching("name of a bucket", "use 3 to 63 lowercase letters, digits, hyphens and dots", bucketPattern);

/** A region of an S3-compatible service. */
export const region = () => matching("region", "use a region such as us-east-1", bucketPattern);
