/** Scans a second, and how long one takes: behind the gateway, with the servers alone, and with what the official Helm chart deploys. */
import { environment } from "../e2e/support/environment.ts";
import { atLeast, markdownTable, median, quantile, type Report, ratio, rounds, showRatio, type Verdict } from "./figures.ts";
import { goodLoad, type Services } from "./services.ts";

const comparisons = [
  { over: "gateway", under: "servers", bound: 0.95 },
  { over: "servers", under: "control", bound: 1 },
] as const;
const names = { gateway: "behind the gateway", servers: "servers alone", control: "Helm chart" } as const;
type Design = keyof typeof names;

/** Few scans in turn, and many turns: so what else the machine does meets all alike. */
const workloads = [
  { clients: 4, scans: 12 },
  { clients: 16, scans: 32 },
].flatMap((load) => [
  { ...load, what: `${load.clients} clients, in the cache`, unique: false },
  { ...load, what: `${load.clients} clients, never seen`, unique: true },
]);

export async function throughput(services: Services): Promise<Report> {
  // Wholly there before anything is measured. Those that are not loaded do the same nothing in every measurement.
  const designs = await Promise.all(
    (["gateway", "servers", "control"] as const).map(async (design) => ({ design, service: await services[design]() })),
  );
  const { images } = environment;
  for (const { service } of designs) await goodLoad(service, { images, scans: 4 * images.length });

  const measured = workloads.map((workload) => ({ workload, perSecond: perDesign(), p50: perDesign(), p95: perDesign() }));
  for (let round = 0; round < rounds(12); round++) {
    for (const { workload, perSecond, p50, p95 } of measured) {
      for (const { design, service } of inOrder(designs, round)) {
        const result = await goodLoad(service, { ...workload, images });
        perSecond[design].push(result.perSecond);
        p50[design].push(quantile(result.durations, 0.5));
        p95[design].push(quantile(result.durations, 0.95));
      }
      const latest = designs.map(({ design }) => `${design} ${perSecond[design].at(-1)?.toFixed(1)}`);
      console.error(`round ${round + 1}, ${workload.what}: scans a second: ${latest.join(", ")}`);
    }
  }

  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  for (const { workload, perSecond, p50, p95 } of measured) {
    for (const { design } of designs) {
      const figures = [median(perSecond[design]).toFixed(1), median(p50[design]).toFixed(2), median(p95[design]).toFixed(2)];
      rows.push([workload.what, names[design], ...figures]);
    }
    for (const { over, under, bound } of comparisons) {
      const what = `${names[over]} / ${names[under]}`;
      // Turned over: what takes less time is the better.
      const [rate, half, most] = [ratio(perSecond[over], perSecond[under]), ratio(p50[under], p50[over]), ratio(p95[under], p95[over])];
      rows.push([workload.what, `**${what}**`, ...[rate, half, most].map(showRatio)]);
      verdicts.push(
        atLeast(bound, `${workload.what}: scans a second, ${what}`, rate),
        atLeast(bound, `${workload.what}: speed at p50, ${what}`, half),
        atLeast(bound, `${workload.what}: speed at p95, ${what}`, most),
      );
    }
  }
  return { sections: { throughput: markdownTable(["scans", "design", "a second", "p50, s", "p95, s"], rows) }, verdicts };
}

/** Each is in each place, and after each other, as often as the others: six orders. */
function inOrder<T>(all: readonly T[], round: number): T[] {
  const turned = [...all.slice(round % all.length), ...all.slice(0, round % all.length)];
  return Math.floor(round / all.length) % 2 === 0 ? turned : turned.toReversed();
}

const perDesign = (): Record<Design, number[]> => ({ gateway: [], servers: [], control: [] });
