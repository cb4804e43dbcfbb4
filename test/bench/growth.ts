/** Topic `growth`: the duration of a repeated scan with more servers and with more images in the cache. */
import { addAdministrator, redis } from "../e2e/support/cluster.ts";
import { environment } from "../e2e/support/environment.ts";
import { firstGoodScan, goodLoad, type Service, type Services } from "./services.ts";
import { atMost, markdownTable, median, type Report, ratio, rounds, showRatio } from "./statistics.ts";

/** Maximum ratio to the smallest case. */
const bound = 1.1;
const levels = [10, 100, 1_000, 10_000];
/** An image with several layers and a usual number of packages. */
const image = environment.images.at(-1) ?? environment.alpine;

export async function growth(services: Services): Promise<Report> {
  const one = await services.stack("one-server", { server: { replicas: 1 } });
  const two = await services.servers();
  const four = await services.stack("four-servers", { server: { replicas: 4 } });
  await addAdministrator(two.namespace);
  await firstGoodScan(two);

  const byServers = await inTurns([
    { what: "1 server", service: one },
    { what: "2 servers", service: two },
    { what: "4 servers", service: four },
  ]);
  const byImages = await inTurns(
    levels.map((level) => ({ what: `${level.toLocaleString("en")} images`, service: two, prepare: () => fill(two, level) })),
  );
  return {
    sections: {
      growth: markdownTable(
        ["repeated scan", "median, s", "compared with the first"],
        [byServers, byImages].flatMap(([first, ...others]) => [
          [first?.what ?? "", median(first?.seconds ?? []).toFixed(3), ""],
          ...others.map(({ what, seconds }) => [what, median(seconds).toFixed(3), showRatio(ratio(seconds, first?.seconds ?? []))]),
        ]),
      ),
    },
    verdicts: [byServers, byImages].flatMap(([first, ...others]) =>
      others.map(({ what, seconds }) => atMost(bound, `repeated scan, ${what} / ${first?.what}`, ratio(seconds, first?.seconds ?? []))),
    ),
  };
}

interface Case {
  readonly what: string;
  readonly service: Service;
  readonly prepare?: () => Promise<void>;
}

/** Measures a repeated scan in each case, in seconds, one value per round. With one client, because several would measure the machine's cores. */
async function inTurns(cases: readonly Case[]): Promise<{ readonly what: string; readonly seconds: number[] }[]> {
  const measured = cases.map((each) => ({ ...each, seconds: [] as number[] }));
  for (let round = 0; round < rounds(6); round++) {
    for (const { what, service, seconds, prepare } of measured) {
      await prepare?.();
      await goodLoad(service, { images: [image], scans: 2, clients: 1 });
      const { durations } = await goodLoad(service, { images: [image], scans: 8, clients: 1 });
      seconds.push(median(durations));
      console.error(`round ${round + 1}, ${what}: ${median(durations).toFixed(3)} s`);
    }
  }
  return measured;
}

/** Fills the cache with the entries of `images` images: those of a real one, and copies of them under other digests. */
async function fill(service: Service, images: number): Promise<void> {
  const { namespace } = service;
  await redis(namespace, "flushall");
  await goodLoad(service, { images: [image], scans: 1 });
  const originals = (await redis(namespace, "--scan", "--pattern", "fanal::*")).split("\n").filter(Boolean);
  // In batches, because Redis serves no other client during the script.
  for (let from = 2; from <= images; from += 1000)
    await redis(namespace, "eval", copying, String(originals.length), ...originals, String(from), String(Math.min(images, from + 999)));
  const entries = Number(await redis(namespace, "dbsize"));
  if (entries !== images * originals.length)
    throw new Error(`the cache has ${entries} entries instead of ${images} times ${originals.length}`);
}

const copying = `
for copy = ARGV[1], ARGV[2] do
  for _, key in ipairs(KEYS) do
    redis.call("COPY", key, string.match(key, "^fanal::%a+::") .. "sha256:" .. redis.sha1hex(key .. copy))
  end
end
return "copied"`;
