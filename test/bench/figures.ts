/** What the topics of the benchmark make of what they have measured. */

export interface Verdict {
  readonly what: string;
  /** As it is printed. */
  readonly figure: string;
  readonly bound: string;
  /** `undecided`: the bound is missed by less than the rounds differ among each other. */
  readonly outcome: "kept" | "missed" | "undecided";
}

export interface Report {
  /** Markdown, by the name of its place in docs/reference/performance.md. */
  readonly sections: Readonly<Record<string, string>>;
  readonly verdicts: readonly Verdict[];
}

/** The value that a share of all is not above, between two of them in proportion. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [below = Number.NaN, above = below] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Ratio {
  readonly median: number;
  /** Nine times in ten the true median is between these two, whatever the machine's noise looks like (sign test). */
  readonly low: number;
  readonly high: number;
}

/** How two things that were measured in turns compare: the ratio of each round, so that what slows the machine down for a while slows down both. */
export function ratio(over: readonly number[], under: readonly number[]): Ratio {
  const sorted = over.map((value, round) => value / (under[round] ?? Number.NaN)).toSorted((a, b) => a - b);
  // As many from each end as can be left out.
  let [left, chance, outside] = [0, 0.5 ** sorted.length, 0.5 ** sorted.length];
  for (; ; left++) {
    chance *= (sorted.length - left) / (left + 1);
    outside += chance;
    if (outside > 0.05) break;
  }
  return { median: median(sorted), low: sorted[left] ?? Number.NaN, high: sorted.at(-1 - left) ?? Number.NaN };
}

export const showRatio = ({ median, low, high }: Ratio): string => `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;

export function atLeast(bound: number, what: string, measured: Ratio): Verdict {
  const outcome = measured.median >= bound ? "kept" : measured.high >= bound ? "undecided" : "missed";
  return { what, figure: showRatio(measured), bound: `at least ${bound}`, outcome };
}

export function atMost(bound: number, what: string, measured: Ratio): Verdict {
  const outcome = measured.median <= bound ? "kept" : measured.low <= bound ? "undecided" : "missed";
  return { what, figure: showRatio(measured), bound: `at most ${bound}`, outcome };
}

export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

/** How often everything is measured: BENCH_ROUNDS, unless that is not given. */
export const rounds = (otherwise: number): number => Number(process.env["BENCH_ROUNDS"] || otherwise);

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
