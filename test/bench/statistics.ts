/** Statistics and verdicts of the benchmark's measurements. */

export interface Verdict {
  readonly what: string;
  /** The measured value as printed. */
  readonly value: string;
  readonly bound: string;
  /** `undecided`: the bound is missed by less than the spread of the rounds. */
  readonly outcome: "met" | "missed" | "undecided";
}

export interface Report {
  /** Markdown by the name of its section in docs/reference/performance.md. */
  readonly sections: Readonly<Record<string, string>>;
  readonly verdicts: readonly Verdict[];
}

/** Returns the quantile of `share` (0 to 1), interpolated linearly between neighbouring values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [below = Number.NaN, above = below] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Ratio {
  readonly median: number;
  /** Bounds of the median's 90 % confidence interval, without an assumption about the noise (sign test). */
  readonly low: number;
  readonly high: number;
}

/** Compares two series that were measured in turns by the ratio of each round, so that a temporary slowdown of the machine affects both. */
export function ratio(over: readonly number[], under: readonly number[]): Ratio {
  const sorted = over.map((value, round) => value / (under[round] ?? Number.NaN)).toSorted((a, b) => a - b);
  // The number of rounds that can be left out at each end.
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
  const outcome = measured.median >= bound ? "met" : measured.high >= bound ? "undecided" : "missed";
  return { what, value: showRatio(measured), bound: `at least ${bound}`, outcome };
}

export function atMost(bound: number, what: string, measured: Ratio): Verdict {
  const outcome = measured.median <= bound ? "met" : measured.low <= bound ? "undecided" : "missed";
  return { what, value: showRatio(measured), bound: `at most ${bound}`, outcome };
}

export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

/** Returns the number of rounds: BENCH_ROUNDS or the topic's default. */
export const rounds = (byDefault: number): number => Number(process.env["BENCH_ROUNDS"] || byDefault);

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
