import { lookup } from "node:dns/promises";
import type { ExporterConfiguration } from "./configuration.ts";
import type { Metric, Sample } from "./text-format.ts";

/** Milliseconds. Less than Prometheus' timeout of ten seconds: otherwise the exporter would seem to be unreachable, and not a server. */
const timeout = 3_000;

/** What a server says about itself. Times are in seconds since 1970. */
interface Server {
  readonly address: string;
  /** Trivy's version; `undefined` if the server does not answer. */
  readonly version?: string;
  readonly updatedAt?: number;
  readonly nextUpdate?: number;
  readonly downloadedAt?: number;
}

type Lookup = (host: string) => Promise<readonly string[]>;

/** Returns every address of a name; none if the name does not exist, as for a Service without pods. */
const allAddresses: Lookup = async (host) => {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTFOUND") return [];
    throw error;
  }
};

/** Asks every server for its version, and remembers since when each answers. */
export class Servers {
  readonly #configuration: ExporterConfiguration["servers"];
  readonly #lookup: Lookup;
  /** Time at which a server answered first, by its address. */
  #readySince = new Map<string, number>();

  constructor(configuration: ExporterConfiguration["servers"], addresses: Lookup = allAddresses) {
    this.#configuration = configuration;
    this.#lookup = addresses;
  }

  /** @throws if the cluster's DNS does not answer: the number of servers is unknown then, and not zero */
  async metrics(now: number): Promise<Metric[]> {
    const { host, port, expected } = this.#configuration;
    const addresses = await this.#lookup(host);
    const servers = await Promise.all(addresses.map((address) => ask(address, port)));
    const ready = servers.filter(({ version }) => version !== undefined);
    this.#readySince = new Map(ready.map(({ address }) => [address, this.#readySince.get(address) ?? now]));
    const times = (key: "updatedAt" | "nextUpdate" | "downloadedAt") =>
      ready.flatMap(({ address, [key]: time }): Sample[] => (time === undefined ? [] : [[{ server: address }, time]]));
    return [
      gauge("trivy_servers_expected", "Number of servers that should be ready.", [[{}, expected]]),
      gauge("trivy_servers_ready", "Number of servers that answer.", [[{}, ready.length]]),
      gauge(
        "trivy_server_up",
        "Whether the server answers: 1 or 0.",
        servers.map(({ address, version }) => [{ server: address }, version === undefined ? 0 : 1]),
      ),
      gauge(
        "trivy_server_info",
        "Version of the server: always 1.",
        ready.map(({ address, version = "" }) => [{ server: address, version }, 1]),
      ),
      gauge(
        "trivy_server_ready_since_timestamp_seconds",
        "Time since when the server answers, as seen by the exporter.",
        [...this.#readySince].map(([address, time]) => [{ server: address }, time]),
      ),
      gauge("trivy_server_database_updated_timestamp_seconds", "Time when the server's database was built.", times("updatedAt")),
      gauge("trivy_server_database_next_update_timestamp_seconds", "Time when the server looks for a newer database.", times("nextUpdate")),
      gauge("trivy_server_database_downloaded_timestamp_seconds", "Time when the server downloaded its database.", times("downloadedAt")),
    ];
  }
}

const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({ name, type: "gauge", help, samples });

async function ask(address: string, port: number): Promise<Server> {
  try {
    const host = address.includes(":") ? `[${address}]` : address;
    const response = await fetch(`http://${host}:${port}/version`, { signal: AbortSignal.timeout(timeout) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { Version, VulnerabilityDB: database = {} } = (await response.json()) as {
      readonly Version: string;
      readonly VulnerabilityDB?: Readonly<Partial<Record<"UpdatedAt" | "NextUpdate" | "DownloadedAt", string>>>;
    };
    return {
      address,
      version: Version,
      ...time("updatedAt", database.UpdatedAt),
      ...time("nextUpdate", database.NextUpdate),
      ...time("downloadedAt", database.DownloadedAt),
    };
  } catch {
    return { address };
  }
}

/** Returns a time as a property, unless it is missing, or the year 1 by which Trivy says that there is none. */
function time<Key extends string>(key: Key, text: string | undefined): { readonly [_ in Key]?: number } {
  const seconds = Date.parse(text ?? "") / 1000;
  return (seconds > 0 ? { [key]: seconds } : {}) as { readonly [_ in Key]?: number };
}
