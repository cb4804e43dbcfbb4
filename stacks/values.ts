import * as pulumi from "@pulumi/pulumi";
import ipaddr from "ipaddr.js";
import { isMap, parseDocument } from "yaml";
import { z } from "zod";
import { pinnedImageProblem } from "../components/shared/images.ts";
import { bytes, bytesPattern, quantity } from "../components/shared/quantity.ts";
import * as targets from "../registry-scan/index.ts";
import { certificatesIn, keyProblem, unreadable } from "./certificates.ts";

/** The kinds of values that settings have: each knows what is right, in words for the person who wrote something else. */

declare module "zod" {
  interface GlobalMeta {
    /** What the documentation calls this kind of value. */
    kind?: string;
    /** What holds without the setting, where that is no value of the schema. */
    otherwise?: string;
  }
}

/** What stands there, in words: never a whole document, never a secret. */
function seen(input: unknown): string {
  if (input === undefined) return "is missing";
  if (input === null) return "is empty";
  if (Array.isArray(input)) return "is a list";
  if (typeof input === "object") return "is a block of settings";
  const text = JSON.stringify(input);
  return `is ${text.length > 60 ? `${text.slice(0, 57)}…` : text}`;
}

const wrong = (right: string) => (issue: { readonly input?: unknown }) => `${seen(issue.input)}; ${right}`;

const text = (kind: string, right: string, good: (value: string) => boolean) =>
  z
    .string({ error: wrong(right) })
    .refine(good, { error: wrong(right) })
    .meta({ kind });

/** A text with several ways to be wrong: `problem` says which one it is, in a sentence that `joint` begins. */
const checked = (kind: string, right: string, problem: (value: string) => string | undefined, joint = "; ") =>
  z
    .string({ error: wrong(right) })
    .superRefine((value, context) => {
      const found = problem(value);
      if (found === undefined) return;
      // Before an @ there may be a password, which no message repeats; unless it is one of a digest.
      const is = /@(?!sha\d+:)/.test(value) ? "holds a user or a password" : seen(value);
      context.addIssue({ code: "custom", message: `${is}${joint}${found}` });
    })
    .meta({ kind });

export function count(least: number, most: number) {
  const right = `write a whole number from ${least} to ${most}`;
  return z
    .int({ error: wrong(right) })
    .min(least, { error: wrong(right) })
    .max(most, { error: wrong(right) })
    .meta({ kind: "whole number" });
}

export const flag = () => z.boolean({ error: wrong("write true or false") }).meta({ kind: "true or false" });

export const choice = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: wrong(`write one of ${values.join(", ")}`) }).meta({ kind: values.join(", ") });

export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.array(item, { error: wrong("write a list, each item on a line of its own behind a dash") });

/** A block of settings; unknown keys are refused. */
export const block = <Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? undefined : wrong("write a block of settings, `key: value`")(issue)),
  });

/** A duration as Go writes it, which is what Trivy reads. */
export const duration = () =>
  checked("duration", "write a duration such as 168h or 1h30m", (value) => {
    const days = /^(\d+)\s*d(ays?)?$/.exec(value)?.[1];
    if (days) return `days are no unit here; write ${Number(days) * 24}h`;
    if (!/^(\d+(\.\d+)?(h|m|s|ms))+$/.test(value)) return "write a duration such as 168h or 1h30m";
    return /[1-9]/.test(value) ? undefined : "write a duration above zero: zero would keep everything for ever";
  });

const quantityRight = "write a Kubernetes quantity such as 512Mi or 2Gi (1Gi = 1024Mi)";

function byteProblem(value: string): string | undefined {
  const decimal = /^(\d+(?:\.\d+)?)\s*([KMGT])i?B$/i.exec(value);
  if (decimal) return `bytes are written without B; write ${decimal[1]}${decimal[2]?.toUpperCase()}i`;
  if (!bytesPattern.test(value)) return quantityRight;
  if (bytes(value) < 2 ** 20) return "that is less than a mebibyte; write a unit such as Mi or Gi";
  return bytes(value) > 2 ** 50 ? "that is more than a pebibyte" : undefined;
}

/** Memory or disk; spelt as the API server does, so that no difference shows where there is none. */
export const size = () =>
  checked("quantity of bytes", quantityRight, byteProblem)
    .transform((value) => quantity(bytes(value)))
    .meta({ kind: "quantity of bytes" });

/** CPU: `200m` is a fifth of a core. */
export const cpu = () =>
  z
    .union([z.string(), z.number()], { error: wrong("write cores, such as 200m (a fifth of a core) or 2") })
    .transform(String)
    .refine((value) => /^(\d+m|\d+(\.\d{1,3})?)$/.test(value) && Number.parseFloat(value) > 0, {
      error: wrong("write cores, such as 200m (a fifth of a core) or 2"),
    })
    .transform((value) => {
      const millicores = value.endsWith("m") ? Number.parseInt(value, 10) : Math.round(Number(value) * 1000);
      return millicores % 1000 === 0 ? String(millicores / 1000) : `${millicores}m`;
    })
    .meta({ kind: "quantity of cores" });

/** Cores of a quantity that `cpu` accepts. */
export const cores = (value: string) => (value.endsWith("m") ? Number.parseInt(value, 10) / 1000 : Number(value));

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const isDnsName = (value: string) => value.length <= 253 && value.split(".").every((part) => label.test(part));

const nameRight = "write a DNS label: at most 63 small letters, digits and hyphens, a letter or digit at both ends";
export const dnsLabel = () => text("DNS label", nameRight, (value) => label.test(value));

export const namespaceName = () =>
  checked("DNS label", nameRight, (value) => {
    if (!label.test(value)) return nameRight;
    return value === "default" || value.startsWith("kube-") ? "that namespace is Kubernetes' own; name one for the service" : undefined;
  });

/** A namespace that clients are in; `*` is all of them. */
export const clientNamespace = () => text("DNS label or *", `${nameRight}; or "*" for all`, (value) => value === "*" || label.test(value));

export const objectName = () =>
  text("name of an object", "write a DNS name: small letters, digits, hyphens and dots, a letter or digit at both ends", isDnsName);

/** Of an Ingress a DNS name, of a load balancer one with or without a prefix. */
export const className = () =>
  text("name of a class", "write a class such as traefik or service.example.com/balancer", (value) => {
    const [name = "", prefix, ...rest] = value.split("/").reverse();
    return rest.length === 0 && label.test(name) && (prefix === undefined || isDnsName(prefix));
  });

export const dataKey = () =>
  text("key of a Secret", "write letters, digits, hyphens, dots and underscores", (value) => /^[-._a-zA-Z0-9]{1,253}$/.test(value));

export const dnsName = () =>
  text(
    "DNS name",
    "write a DNS name such as trivy.example.com, without scheme, port or path",
    (value) => isDnsName(value) && !ipaddr.isValid(value),
  );

/** Redis' address: Trivy knows one way to write it, and two that people try it does not. */
export const redisHost = () => {
  const right = "write a DNS name or an IP address, without scheme, port, user or password";
  return checked("DNS name or IP address", right, (value) => {
    if (value.includes("@")) return "user and password have settings of their own, redis.user and redis.password";
    if (/^rediss:/i.test(value)) return "Trivy has no rediss:// addresses; write the host alone and set redis.tls.enabled: true";
    if (/sentinel/i.test(value) && value.includes(":")) return "Trivy cannot ask a Sentinel; write the one address that can be written to";
    if (value.includes(",")) return "Trivy knows neither Redis Cluster nor several addresses; write the one that can be written to";
    return isDnsName(value) || isAddress(value) ? undefined : right;
  });
};

const isAddress = (value: string) => ipaddr.IPv4.isValidFourPartDecimal(value) || ipaddr.IPv6.isValid(value);

/** A name that a certificate is for. */
export const hostName = () =>
  text(
    "DNS name or IP address",
    "write a DNS name or an IP address, without scheme, port or path",
    // What only looks like an address, 10.0.0.256 or 10.1, is no name either.
    (value) => isAddress(value) || (isDnsName(value) && !ipaddr.isValid(value) && !/(^|\.)\d+$/.test(value)),
  );

export const cidr = () => {
  const right = "write a block of addresses such as 10.20.0.0/16";
  return checked("CIDR block", right, (value) => {
    const address = value.split("/")[0] ?? "";
    if (!isAddress(address) || !ipaddr.isValidCIDR(value)) return right;
    const family = ipaddr.parse(address).kind() === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6;
    const network = `${family.networkAddressFromCIDR(value)}/${value.split("/")[1]}`;
    return network === value ? undefined : `the block's own address is ${network}; write that`;
  });
};

export const image = () =>
  z
    .string({ error: wrong("write an image with an exact tag or a digest") })
    .superRefine((value, context) => {
      const found = pinnedImageProblem(value);
      if (found !== undefined) context.addIssue({ code: "custom", message: `is ${JSON.stringify(value)}, which ${found}` });
    })
    .meta({ kind: "image" });

const registryPattern = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d{1,5})?$/;
const pathPattern = /^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*$/;
const isRegistry = (value: string) => {
  const [host = "", ...path] = value.split("/");
  return registryPattern.test(host) && path.every((part) => pathPattern.test(part)) && Number(host.split(":")[1] ?? 1) <= 65535;
};

export const registry = () =>
  text("registry", "write a registry's host, with port and path if needed, such as mirror.example.com/hub; no scheme", isRegistry);

export const repository = () => {
  const right = "write an OCI repository such as ghcr.io/aquasecurity/trivy-db:2";
  return checked("OCI repository", right, (value) => {
    if (/^[a-z]+:\/\//i.test(value)) return `leave the scheme out; ${right}`;
    const { name = "" } = /^(?<name>.*?\/.*?)(?::[\w][\w.-]{0,127})?$/.exec(value)?.groups ?? {};
    const host = name.split("/")[0] ?? "";
    return isRegistry(name) && /[.:]|^localhost$/.test(host) ? undefined : right;
  });
};

export const proxyUrl = () => {
  const right = "write a URL such as http://proxy.example.com:3128";
  return checked("URL", right, (value) => {
    if (!/^https?:\/\//i.test(value) || !URL.canParse(value)) return right;
    const { username, password, pathname, search, hash } = new URL(value);
    if (username || password)
      return "it would be readable in the manifest; put the whole variable into a Secret and name that in server.envFromSecrets";
    return pathname === "/" && !search && !hash ? undefined : right;
  });
};

export const noProxyEntry = () =>
  text("host, domain or CIDR block", "write a host, a domain such as .example.com or a CIDR block", (value) =>
    /^[A-Za-z0-9.:*/-]+$/.test(value),
  );

export const variableName = () =>
  text("name of a variable", "write letters, digits and underscores, no digit first", (value) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(value));

export const anyText = () => z.string({ error: wrong("write a text (numbers and true or false in quotes)") }).meta({ kind: "text" });

/** A table of texts. */
export const textsBy = <Key extends z.core.$ZodRecordKey>(key: Key, value = anyText()) =>
  z.record(key, value, { error: wrong("write `name: value` pairs") }).meta({ kind: "name: text" });

const qualifiedName = (value: string) => {
  const [name = "", prefix, ...rest] = value.split("/").reverse();
  return rest.length === 0 && /^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$/.test(name) && (prefix === undefined || isDnsName(prefix));
};

export const labelKey = () => text("label", "write a label's name such as team or example.com/team", qualifiedName);

export const labelValue = () =>
  text("text", "write at most 63 letters, digits, hyphens, dots and underscores, a letter or digit at both ends; quote numbers", (value) =>
    /^([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$/.test(value),
  );

export const certificates = () =>
  checked("certificates, PEM", "write one or more certificates, -----BEGIN CERTIFICATE-----…", (value) => {
    const found = certificatesIn(value);
    if (found.length === 0) return "write one or more certificates, -----BEGIN CERTIFICATE-----…";
    const unreadable = found.indexOf(undefined);
    return unreadable < 0 ? undefined : `certificate ${unreadable + 1} of ${found.length} cannot be read`;
  });

/** A value that appears in no message and leaves this module only as a secret. `problem` says what would be right. */
const secret = (right: string, problem: (value: string) => string | undefined) =>
  z
    .string({ error: (issue) => `${issue.input === undefined ? "is missing" : "is no text"}; ${right}` })
    .superRefine((value, context) => {
      const found = problem(value);
      if (found !== undefined) context.addIssue({ code: "custom", message: `is not usable; ${found}` });
    })
    .transform((value) => pulumi.secret(value))
    .meta({ kind: "secret" });

export const secretText = (right: string) => secret(right, (value) => (value.length > 0 ? undefined : right));

const tokenRight = "write at least 16 printable characters without spaces";
export const token = () => secret(tokenRight, (value) => (/^[\x21-\x7e]{16,}$/.test(value) ? undefined : tokenRight));

export const privateKey = () => secret("write the key's whole text, -----BEGIN PRIVATE KEY-----…", keyProblem);

/** An image to be scanned: it may be any tag, also one that moves. */
export const scannedImage = () =>
  checked(
    "image",
    "write an image with its tag or digest, such as registry.example.com/team/app:1.0",
    targets.scannedImageProblem,
    ", which ",
  );

export const scannedRepository = () =>
  checked(
    "repository",
    "write a repository without a tag, such as registry.example.com/team/app",
    targets.scannedRepositoryProblem,
    ", which ",
  );

export const versionRange = () =>
  checked("range of versions", "write a range of semantic versions such as >=1.4 <3", targets.versionRangeProblem, ", which ");

export const tagPattern = () =>
  text("tag or glob", "write a tag, or a glob such as release-*", (value) => /^[\w.\-*?[\]{},!]{1,128}$/.test(value));

const cronFields = [
  { name: "minute", least: 0, most: 59, names: [] },
  { name: "hour", least: 0, most: 23, names: [] },
  { name: "day of the month", least: 1, most: 31, names: [] },
  { name: "month", least: 1, most: 12, names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"] },
  { name: "day of the week", least: 0, most: 6, names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
] as const;

/** What Kubernetes would not take of a schedule: it reads the five fields of cron, and the names of some. */
function cronProblem(value: string): string | undefined {
  const right = "write minute, hour, day of the month, month and day of the week, such as `0 3 * * *` for every day at three";
  if (/^(CRON_)?TZ=/.test(value)) return "the time zone has a setting of its own, timeZone";
  if (/^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$/.test(value)) return undefined;
  const fields = value.trim().split(/\s+/);
  if (fields.length !== cronFields.length) return `a schedule has five fields, not ${fields.length}; ${right}`;
  for (const [index, { name, least, most, names }] of cronFields.entries()) {
    const number = (text: string) => {
      const named = (names as readonly string[]).indexOf(text.toUpperCase());
      return named >= 0 ? named + least : /^\d+$/.test(text) ? Number(text) : Number.NaN;
    };
    for (const part of (fields[index] ?? "").split(",")) {
      const { from, to, step = "1" } = /^(?<from>[^-/]+)(?:-(?<to>[^-/]+))?(?:\/(?<step>\d+))?$/.exec(part)?.groups ?? {};
      const all = from === "*" || from === "?";
      const [first, last] = all ? [least, most] : [number(from ?? ""), number(to ?? from ?? "")];
      if (!(first >= least && last <= most && first <= last && Number(step) > 0) || (all && to !== undefined))
        return `its ${name} is ${part}, which is none from ${least} to ${most}; ${right}`;
    }
  }
  return undefined;
}

export const schedule = () => checked("cron line", "write a schedule such as `0 3 * * *`", cronProblem);

export const timeZone = () =>
  text("time zone", "write a name of the time zone database such as Europe/Berlin", (value) => {
    try {
      // What is only an offset is known to JavaScript, but not to Kubernetes.
      return !/^[+-]/.test(value) && value !== "Local" && new Intl.DateTimeFormat("en", { timeZone: value }).format() !== "";
    } catch {
      return false;
    }
  });

const webRight = "write a URL such as https://hooks.example.com/path";
const isWebUrl = (value: string) => /^https?:\/\//i.test(value) && URL.canParse(value) && !/\s/.test(value);

/** A URL that everybody may read. */
export const webUrl = () =>
  checked("URL", webRight, (value) => {
    if (!isWebUrl(value)) return webRight;
    const { username, password } = new URL(value);
    return username || password ? "leave user and password out" : undefined;
  });

export const secretUrl = () => secret(webRight, (value) => (isWebUrl(value) || unreadable(value) ? undefined : webRight));

/** A text in a format: what a parser says of it tells the place, so that no message repeats the text. */
const document = (kind: string, right: string, problem: (value: string) => string | undefined) =>
  z
    .string({ error: wrong(right) })
    .superRefine((value, context) => {
      const found = problem(value);
      if (found !== undefined) context.addIssue({ code: "custom", message: `${found}; ${right}` });
    })
    .meta({ kind });

/** A JSON object, such as a VEX document. */
export const jsonText = (right: string) =>
  document("JSON", right, (value) => {
    try {
      const found: unknown = JSON.parse(value);
      return typeof found === "object" && found !== null && !Array.isArray(found) ? undefined : "is JSON, but no object";
    } catch (error) {
      return `is no JSON (${error instanceof Error ? error.message : error})`;
    }
  });

/** YAML with names and values, such as an ignore file; it may be empty. */
export const yamlText = (right: string) =>
  document("YAML", right, (value) => {
    const { errors, contents } = parseDocument(value);
    if (errors[0]) return `cannot be read (${errors[0].message.split("\n")[0]?.replace(/:$/, "")})`;
    return contents === null || isMap(contents) ? undefined : "is YAML, but no table of names and values";
  });

export const bucketName = () =>
  text("text", "write small letters, digits, hyphens and dots", (value) => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value));
