import { type RunReport, severities, verdicts } from "../../protocol/model.ts";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

const escaped = (value: string) => value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');

function gauge(name: string, help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const full = `trivy_registry_scan_${name}`;
  const lines = samples.map(([labels, value]) => {
    const written = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    return `${full}${written.length > 0 ? `{${written.join(",")}}` : ""} ${value}\n`;
  });
  return `# HELP ${full} ${help}\n# TYPE ${full} gauge\n${lines.join("")}`;
}

const seconds = (time: string) => Date.parse(time) / 1000;

/**
 * What Prometheus reads, in its text format: the findings of each image, and the last run.
 * @param report - the last run of all targets: one that was asked for a few images knows nothing of the others
 * @param state - `undelivered`: messages that wait, by receiver
 */
export function metrics(
  report: RunReport | undefined,
  state: { readonly undelivered: Readonly<Record<string, number>>; readonly running: boolean },
): string {
  const images = report?.images ?? [];
  const looked = severities.filter((severity) => report?.policy.severities.includes(severity));
  const of = (value: (report: RunReport) => readonly Sample[]): readonly Sample[] => (report ? value(report) : []);
  return [
    gauge(
      "findings",
      "Findings of the image's last good scan.",
      // Of an image that was never scanned nothing is known, which is not zero.
      images.flatMap(({ name, counts, scannedAt }) =>
        scannedAt === undefined ? [] : looked.map((severity): Sample => [{ image: name, severity }, counts[severity]]),
      ),
    ),
    gauge(
      "image_failed",
      "Whether the last run could not scan the image: 1 or 0. Its findings are those of its last good scan then.",
      images.map(({ name, error }) => [{ image: name }, error === undefined ? 0 : 1]),
    ),
    gauge(
      "image_last_success_timestamp_seconds",
      "When the image was last scanned well.",
      images.flatMap(({ name, scannedAt }): Sample[] => (scannedAt === undefined ? [] : [[{ image: name }, seconds(scannedAt)]])),
    ),
    gauge(
      "image_end_of_life",
      "Images whose distribution gives no more fixes: 1.",
      images.flatMap(({ name, endOfLife }): Sample[] => (endOfLife ? [[{ image: name }, 1]] : [])),
    ),
    gauge(
      "images",
      "Images of the last run by their outcome.",
      of(({ totals }) => [
        [{ outcome: "scanned" }, totals.scanned],
        [{ outcome: "failed" }, totals.failed],
      ]),
    ),
    gauge(
      "problems",
      "What went wrong while the last run listed its targets.",
      of(({ problems }) =>
        (["warning", "error"] as const).map((kind) => [{ kind }, problems.filter((problem) => problem.kind === kind).length]),
      ),
    ),
    gauge(
      "new_findings",
      "Findings of the last run that the last good scans did not have.",
      of(({ totals }) => [[{}, totals.fresh]]),
    ),
    gauge(
      "gone_findings",
      "Findings of the last good scans that the last run did not have.",
      of(({ totals }) => [[{}, totals.gone]]),
    ),
    gauge(
      "verdict",
      "The last run's verdict: 1 for the one that it is.",
      of(({ verdict }) => verdicts.map((one) => [{ verdict: one }, one === verdict ? 1 : 0])),
    ),
    gauge(
      "start_timestamp_seconds",
      "When the last run began.",
      of(({ startedAt }) => [[{}, seconds(startedAt)]]),
    ),
    gauge(
      "end_timestamp_seconds",
      "When the last run ended.",
      of(({ finishedAt }) => [[{}, seconds(finishedAt)]]),
    ),
    gauge("running", "Whether a run is under way: 1 or 0.", [[{}, state.running ? 1 : 0]]),
    gauge(
      "undelivered_alerts",
      "Messages that a receiver has not taken yet.",
      Object.entries(state.undelivered).map(([receiver, waiting]) => [{ receiver }, waiting]),
    ),
  ].join("");
}
