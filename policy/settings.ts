import { project } from "../components/shared/parts.ts";
import type { Properties, Resource } from "./resource.ts";
import { ifKnown, textsIn } from "./values.ts";

/** What the settings of services request beyond the rules. */
export interface RequestedEgress {
  /** Ports of every address. */
  readonly ports: readonly number[];
  /** Blocks of addresses. */
  readonly cidrs: readonly string[];
  /** Whether the data of a service need not be protected. */
  readonly unprotected: boolean;
}

export const isService = ({ type }: Pick<Resource, "type">) => type === `${project}:index:ScanService`;

/**
 * Returns what services request, according to the arguments of their components. The address of a host is not known to a NetworkPolicy: for a
 * public name on another port than 443, the port is opened to every address.
 */
export function requestedEgress(services: readonly Resource[]): RequestedEgress {
  const requests = services.map(({ inputs }) => requestsOf(inputs));
  return {
    ports: requests.flatMap(({ ports }) => ports),
    cidrs: requests.flatMap(({ cidrs }) => cidrs),
    unprotected: requests.some(({ unprotected }) => unprotected),
  };
}

function requestsOf(settings: Properties): RequestedEgress {
  const texts = [...textsIn(settings)];
  const cidrs = texts.filter(({ path }) => /\.cidrs\.\d+$/.test(path)).map(({ text }) => text);
  const ports = texts.flatMap(({ path, text }) => (hosts.test(path) ? portsOf(text) : []));
  const redis = ifKnown(() => (settings.redis?.mode === "external" ? [settings.redis.port ?? 6379] : []), []);
  // A registry is tried on both ports if it may use plain HTTP.
  const plainHttp = ["database", "registryScan"].some((block) => ifKnown(() => settings[block]?.plainHttp === true, false));
  return {
    ports: [...ports, ...redis, ...(plainHttp ? [80, 443] : [])].map(Number),
    cidrs,
    unprotected: ifKnown(() => settings.protect === false, false),
  };
}

/** Paths of settings with a host, a reference of an image or repository, or a URL. */
const hosts = /(?:^|\.)(?:host|registry|repository|to|image|url|endpoint|http|https|\w*[rR]epositories\.\d+)$/;

/** Returns the ports of every address that connections to a host request. */
function portsOf(text: string): number[] {
  const [, scheme, host = "", port] = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?(?=\/|$)/i.exec(text) ?? [];
  const number = Number(port) || (scheme === "http" ? 80 : 443);
  return host !== "" && number !== 443 ? [number] : [];
}
