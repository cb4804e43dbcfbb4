import type { Served } from "./registry-server.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** Returns the mirror's metrics in Prometheus' text format. */
export function metrics(served: readonly Served[]): string {
  /** Samples of all databases, each with the label `repository`. */
  const each = (samples: (of: Served) => readonly (readonly [Labels, number | undefined])[]): Sample[] =>
    served.flatMap((one) =>
      samples(one).flatMap(([labels, value]): Sample[] =>
        value === undefined ? [] : [[{ repository: one.database.artifact.repository, ...labels }, value]],
      ),
    );
  const volume = served[0]?.database.store.volume;
  return [
    metric(
      "build_timestamp_seconds",
      "gauge",
      "When the database that is served was built.",
      each(({ database }) => [[{}, database.served && Date.parse(database.served.updatedAt) / 1000]]),
    ),
    metric(
      "build_info",
      "gauge",
      "The build that is served: 1.",
      each(({ database }) => (database.served ? [[{ digest: database.served.digest, source: database.served.source }, 1]] : [])),
    ),
    metric(
      "builds",
      "gauge",
      "Number of builds that are kept.",
      each(({ database }) => [[{}, database.store.builds.length]]),
    ),
    metric(
      "last_success_timestamp_seconds",
      "gauge",
      "When an upstream registry last answered with a good build.",
      each(({ database }) => [[{}, database.lastSuccess === undefined ? undefined : database.lastSuccess / 1000]]),
    ),
    metric(
      "added_builds_total",
      "counter",
      "Number of builds that were downloaded or pushed, and are good.",
      each(({ database }) => [[{}, database.added]]),
    ),
    metric(
      "refused_builds_total",
      "counter",
      "Number of builds that were refused, by reason.",
      each(({ database }) => [...database.refusals].map(([reason, count]) => [{ reason }, count] as const)),
    ),
    metric(
      "upstream_refused",
      "gauge",
      "Whether the build that the upstream's tag names is refused: 1, with the reason.",
      each(({ database }) => (database.upstreamRefusal === undefined ? [] : [[{ reason: database.upstreamRefusal }, 1]])),
    ),
    metric(
      "upstream_requests_total",
      "counter",
      "Number of requests to upstream registries: digest, manifest or blob, ok or failed.",
      each(({ database }) =>
        [...database.upstreamRequests].map(([key, count]) => {
          const [kind = "", result = ""] = key.split("/");
          return [{ kind, result }, count] as const;
        }),
      ),
    ),
    metric(
      "pin_missing",
      "gauge",
      "Whether the pinned build is not kept, so that the newest one is served: 1 or 0.",
      each(({ database }) => [[{}, database.isPinMissing ? 1 : 0]]),
    ),
    metric(
      "served_downloads_total",
      "counter",
      "Number of complete downloads of a database.",
      each(({ downloads }) => [[{}, downloads]]),
    ),
    metric(
      "waiting_downloads",
      "gauge",
      "Number of downloads that wait for their turn.",
      each(({ turnstile }) => [[{}, turnstile.waiting]]),
    ),
    ...(volume
      ? [
          metric("volume_free_bytes", "gauge", "Free space of the volume.", [[{}, volume.free]]),
          metric("volume_size_bytes", "gauge", "Size of the volume.", [[{}, volume.size]]),
        ]
      : []),
  ].join("");
}

function metric(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const full = `trivy_mirror_${name}`;
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
    return `${full}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
  });
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join("")}`;
}
