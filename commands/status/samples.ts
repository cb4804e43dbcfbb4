/** Metrics by their name with labels, such as `up{job="a"}`. */
export type Samples = ReadonlyMap<string, number>;

/** Parses Prometheus' text format. */
export function samples(text: string): Samples {
  const lines = text.split("\n").flatMap((line) => {
    const [, name = "", value = ""] = /^([a-zA-Z_:][^ {]*(?:\{.*\})?) (\S+)/.exec(line) ?? [];
    return name === "" ? [] : [[name, Number(value)] as const];
  });
  return new Map(lines);
}

/** Returns the samples of one metric with the value of one of its labels. */
export function labelled(all: Samples, metric: string, label: string): (readonly [label: string, value: number])[] {
  return [...all].flatMap(([name, value]) => {
    if (!name.startsWith(`${metric}{`)) return [];
    const text = new RegExp(`[{,]${label}="((?:[^"\\\\]|\\\\.)*)"`).exec(name)?.[1];
    return text === undefined ? [] : [[text, value] as const];
  });
}
