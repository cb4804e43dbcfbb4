import { parser } from "@prometheus-io/lezer-promql";

/** A metric that an expression reads, with its label matchers as they are written. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly string[];
}

/** Returns what is wrong with a PromQL expression by Prometheus' own grammar. */
export function promqlProblems(expr: string): string[] {
  const problems: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) problems.push(`syntax error at ${from}: ${expr.slice(Math.max(0, from - 10), to + 10)}`);
    },
  });
  return problems;
}

/** Returns the metrics that an expression reads. */
export function selectorsOf(expr: string): Selector[] {
  const selectors: { metric: string; matchers: string[] }[] = [];
  parser.parse(expr).iterate({
    enter: ({ name, from, to }) => {
      if (name === "VectorSelector") selectors.push({ metric: "", matchers: [] });
      if (name === "Identifier" && selectors.length > 0) {
        const last = selectors.at(-1);
        if (last?.metric === "") last.metric = expr.slice(from, to);
      }
      if (name === "UnquotedLabelMatcher") selectors.at(-1)?.matchers.push(expr.slice(from, to).replaceAll(/\s/g, ""));
    },
  });
  return selectors;
}
