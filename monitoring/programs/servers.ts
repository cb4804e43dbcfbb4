import { lookup } from "node:dns/promises";
import type { ExporterConfiguration } from "./configuration.ts";
import type { Metric, Sample } from "./text-format.ts";

/** Milliseconds. Less than Prometheus' timeout of ten seconds: otherwise the exporter would seem to be unreachable, and not a server. */
const timeout = 3_000;

/** What a server says about itself. Times are in seconds since 1970. */
interface Server {
  readonly labels: Readonly<Record<string, string>>;
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
    const groups = await Promise.all(
      this.#configuration.map(async ({ domain, host, port, expected }) => {
        const labels: Server["labels"] = domain === undefined ? {} : { domain };
        const addresses = await this.#lookup(host);
        const servers = await Promise.all(
          addresses.map(async (address): Promise<Server> => ({ labels, address, ...(await ask(address, port)) })),
        );
        return { labels, expected, servers };
      }),
    );
    const servers = groups.flatMap((group) => group.servers);
    const ready = servers.filter(isReady);
    this.#readySince = new Map(ready.map(({ address }) => [address, this.#readySince.get(address) ?? now]));
    const own = ({ labels, address }: Server) => ({ ...labels, server: address });
    const times = (key: "updatedAt" | "nextUpdate" | "downloadedAt") =>
      ready.flatMap((server): Sample[] => (server[key] === undefined ? [] : [[own(server), server[key]]]));
    return [
      gauge(
        "trivy_servers_expected",
        "Number of servers that should be ready.",
        groups.map(({ labels, expected }) => [labels, expected]),
      ),
      gauge(
        "trivy_servers_ready",
        "Number of servers that answer.",
        groups.map((group) => [group.labels, group.servers.filter(isReady).length]),
      ),
      gauge(
        "trivy_server_up",
        "Whether the server answers: 1 or 0.",
        servers.map((server) => [own(server), isReady(server) ? 1 : 0]),
      ),
      gauge(
        "trivy_server_info",
        "Version of the server: always 1.",
        ready.map((server) => [{ ...own(server), version: server.version ?? "" }, 1]),
      ),
      gauge(
        "trivy_server_ready_since_timestamp_seconds",
        "Time since when the server answers, as seen by the exporter.",
        ready.map((server) => [own(server), this.#readySince.get(server.address) ?? now]),
      ),
      gauge("trivy_server_database_updated_timestamp_seconds", "Time when the server's database was built.", times("updatedAt")),
      gauge("trivy_server_database_next_update_timestamp_seconds", "Time when the server looks for a newer database.", times("nextUpdate")),
      gauge("trivy_server_database_downloaded_timestamp_seconds", "Time when the server downloaded its database.", times("downloadedAt")),
    ];
  }
}

const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({ name, type: "gauge", help, samples });

const isReady = ({ version }: Server) => version !== undefined;

/** Returns what a server says about itself; nothing if it does not answer. */
async function ask(address: string, port: number): Promise<Omit<Server, "labels" | "address">> {
  try {
    const host = address.includes(":") ? `[${address}]` : address;
    const response = await fetch(`http://${host}:${port}/version`, { signal: AbortSignal.timeout(timeout) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { Version, VulnerabilityDB: database = {} } = (await response.json()) as {
      readonly Version: string;
      readonly VulnerabilityDB?: Readonly<Partial<Record<"UpdatedAt" | "NextUpdate" | "DownloadedAt", string>>>;
    };
    return {
      version: Version,
      ...time("updatedAt", database.UpdatedAt),
      ...time("nextUpdate", database.NextUpdate),
      ...time("downloadedAt", database.DownloadedAt),
    };
  } catch {
    return {};
  }
}

/** Returns a time as a property, unless it is missing, or the year 1 by which Trivy says that there is none. */
function time<Key extends string>(key: Key, text: string | undefined): { readonly [_ in Key]?: number } {
  const seconds = Date.parse(text ?? "") / 1000;
  return (seconds > 0 ? { [key]: seconds } : {}) as { readonly [_ in Key]?: number };
}
