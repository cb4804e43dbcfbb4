/** Topic `throughput`: scans per second and their durations behind the gateway, with servers only, and with the official Helm chart's objects. */
import { environment } from "../e2e/support/environment.ts";
import { goodLoad, type Services } from "./services.ts";
import { atLeast, markdownTable, median, quantile, type Report, ratio, rounds, showRatio, type Verdict } from "./statistics.ts";

const comparisons = [
  { over: "gateway", under: "servers", bound: 0.95 },
  { over: "servers", under: "control", bound: 1 },
] as const;
const names = { gateway: "behind the gateway", servers: "servers only", control: "Helm chart" } as const;
type Design = keyof typeof names;

/** Few scans per turn and many turns, so that other load on the machine affects all designs alike. */
const workloads = [
  { clients: 4, scans: 12 },
  { clients: 16, scans: 32 },
].flatMap((load) => [
  { ...load, what: `${load.clients} clients, cached images`, unique: false },
  { ...load, what: `${load.clients} clients, new images`, unique: true },
]);

export async function throughput(services: Services): Promise<Report> {
  // All designs run before the first measurement; those without load are idle in every one.
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
      console.error(`round ${round + 1}, ${workload.what}: scans per second: ${latest.join(", ")}`);
    }
  }

  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  for (const { workload, perSecond, p50, p95 } of measured) {
    for (const { design } of designs) {
      const values = [median(perSecond[design]).toFixed(1), median(p50[design]).toFixed(2), median(p95[design]).toFixed(2)];
      rows.push([workload.what, names[design], ...values]);
    }
    for (const { over, under, bound } of comparisons) {
      const what = `${names[over]} / ${names[under]}`;
      // Inverted, because a shorter time is better.
      const [rate, half, most] = [ratio(perSecond[over], perSecond[under]), ratio(p50[under], p50[over]), ratio(p95[under], p95[over])];
      rows.push([workload.what, `**${what}**`, ...[rate, half, most].map(showRatio)]);
      verdicts.push(
        atLeast(bound, `${workload.what}: scans per second, ${what}`, rate),
        atLeast(bound, `${workload.what}: speed at p50, ${what}`, half),
        atLeast(bound, `${workload.what}: speed at p95, ${what}`, most),
      );
    }
  }
  return { sections: { throughput: markdownTable(["scans", "design", "per second", "p50, s", "p95, s"], rows) }, verdicts };
}

/** Returns the designs in the order of a round: the six orders of three designs take turns, so that none has an advantage. */
function inOrder<T>(all: readonly T[], round: number): T[] {
  const turned = [...all.slice(round % all.length), ...all.slice(0, round % all.length)];
  return Math.floor(round / all.length) % 2 === 0 ? turned : turned.toReversed();
}

const perDesign = (): Record<Design, number[]> => ({ gateway: [], servers: [], control: [] });
