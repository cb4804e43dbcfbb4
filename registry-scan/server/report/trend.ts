import type { Severity } from "../../protocol/policy.ts";
import type { RunSummary } from "../../protocol/report.ts";
import { addCounts, countBySeverity } from "../findings.ts";
import { type Html, html, number, severityBadge, shownSeverities, time, verdictBadge } from "./html.ts";
import { numberCell, numericColumns, severityCells, table } from "./table.ts";

/** Maximum number of runs in the chart. */
const maximumRuns = 60;
/** The chart in SVG units: its size, and the area of the bars. */
const chart = { width: 720, height: 200, left: 56, right: 712, top: 12, bottom: 172 };
/** The chart has room for at least this number of runs, so that the bars of a few runs are not broad. */
const minimumSlots = 8;

/**
 * The findings of the kept runs, as a chart and as a table.
 *
 * @param runs - the oldest first
 * @returns no chart for fewer than two runs
 */
export function trend(runs: readonly RunSummary[], link: (run: string) => Html): { figure: Html | undefined; numbers: Html } {
  const recent = runs.slice(-maximumRuns);
  const severities = shownSeverities(recent.reduce((sum, { counts }) => addCounts(sum, counts), countBySeverity([])));
  return { figure: recent.length < 2 ? undefined : figure(recent, severities), numbers: numbers(runs, severities, link) };
}

function figure(runs: readonly RunSummary[], severities: readonly Severity[]): Html {
  const legend = severities.map((severity) => html` ${severityBadge(severity)}`);
  const top = axisEnd(Math.max(1, ...runs.map(({ counts }) => severities.reduce((sum, severity) => sum + counts[severity], 0))));
  const step = (chart.right - chart.left) / Math.max(runs.length, minimumSlots);
  return html`<figure><figcaption class="quiet">Findings of each run${legend.length > 0 && html`, the most severe on top:${legend}`}. “!” marks a run with errors.</figcaption>
<svg viewBox="0 0 ${chart.width} ${chart.height}" role="img" aria-label="Findings by severity of the last ${runs.length} runs; the table contains the numbers">${[
    0, 0.5, 1,
  ].map((part) => rule(part, top))}${runs.map((run, index) =>
    bar(run, severities, {
      x: chart.left + index * step + step * 0.12,
      width: step * 0.76,
      top,
      labelled: index % Math.ceil(runs.length / 8) === 0,
    }),
  )}</svg></figure>`;
}

/** A horizontal line with its number. */
function rule(part: number, top: number): Html {
  const y = chart.bottom - part * (chart.bottom - chart.top);
  return html`<line class="rule" x1="${chart.left}" x2="${chart.right}" y1="${y}" y2="${y}"/><text x="${chart.left - 6}" y="${y + 4}" text-anchor="end">${number(top * part)}</text>`;
}

interface BarPosition {
  readonly x: number;
  readonly width: number;
  /** The number of findings at the top of the chart. */
  readonly top: number;
  readonly labelled: boolean;
}

function bar(run: RunSummary, severities: readonly Severity[], { x, width, top, labelled }: BarPosition): Html {
  const { finishedAt, counts, verdict, scanned, failed } = run;
  let y = chart.bottom;
  const rectangles = severities.toReversed().map((severity) => {
    const height = (counts[severity] / top) * (chart.bottom - chart.top);
    y -= height;
    return (
      height > 0 &&
      html`<rect class="${severity}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}"/>`
    );
  });
  const findings = severities.map((severity) => `${counts[severity]} ${severity}`).join(", ") || "no findings";
  return html`<g><title>${finishedAt.slice(0, 10)}: ${findings}; ${scanned} scanned, ${failed} failed</title>${rectangles}${
    verdict === "errors" && html`<text x="${(x + width / 2).toFixed(1)}" y="${(y - 3).toFixed(1)}" text-anchor="middle">!</text>`
  }${labelled && html`<text x="${x.toFixed(1)}" y="${chart.height - 12}">${finishedAt.slice(5, 10)}</text>`}</g>`;
}

/** Returns the next even number with one or two significant digits, so that the middle of the axis is a whole number. */
function axisEnd(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1) * 2;
  return Math.max(2, Math.ceil(value / unit) * unit);
}

function numbers(runs: readonly RunSummary[], severities: readonly Severity[], link: (run: string) => Html): Html {
  const columns = [
    { title: "Run" },
    { title: "Ended" },
    { title: "Verdict" },
    ...numericColumns(severities),
    ...numericColumns(["New", "Fixed", "Scanned", "Failed"]),
  ];
  const rows = runs
    .toReversed()
    .map((run) => [
      link(run.run),
      time(run.finishedAt),
      verdictBadge(run.verdict),
      ...severityCells(severities, run.counts),
      ...[run.fresh, run.gone, run.scanned, run.failed].map((value) => numberCell(value)),
    ]);
  return table("Runs, the latest first", columns, rows);
}
