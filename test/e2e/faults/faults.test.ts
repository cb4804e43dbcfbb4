/**
 * The service under load during faults and operations: one test per event, for the service with a gateway and without.
 *
 * | variable | description | default |
 * | --- | --- | --- |
 * | FAULTS | names of events, comma-separated | all |
 * | FAULTS_DESIGN | `gateway` or `servers` | both |
 * | FAULTS_SHORT | any value: a few events, each once and with 100 scans | none |
 * | FAULTS_SCANS | minimum number of scans per event; with fewer than the default, docs/reference/faults.md is not written | 300 |
 * | E2E_NODE, E2E_NODE_CUT, E2E_NODE_RECONNECT | a node that may be cut off, and the commands that cut and reconnect it, called with its name | its events are skipped |
 * | E2E_SCRATCH_DATABASE | a repository to which the tests may push databases | its events are skipped |
 * | E2E_PUSH_DATABASE, E2E_PUSH_BROKEN_DATABASE | commands that push a valid and an invalid database, called with the repository | its events are skipped |
 * | E2E_OTHER_TRIVY_IMAGE | another name of the servers' image | docker.io/aquasec/trivy |
 *
 * And the variables of `../support/environment.ts`.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { imageReference } from "../../../components/shared/images.ts";
import { checkEnvironment, environment, environmentSettings } from "../support/environment.ts";
import { type LoadResult, load, standaloneFindings } from "../support/load.ts";
import { type Allowed, type Design, designs, events, type FaultEvent } from "./events.ts";
import { Service } from "./service.ts";
import { type Measured, writeRows } from "./table.ts";

const { FAULTS, FAULTS_DESIGN, FAULTS_SHORT, FAULTS_SCANS, E2E_DATABASE } = process.env;
const wanted = FAULTS?.split(",").filter(Boolean);
const fullScans = 300;
const scans = Number(FAULTS_SCANS || (FAULTS_SHORT ? 100 : fullScans));
const clients = 8;
const page = join(import.meta.dirname, "../../../docs/reference/faults.md");

const unknown = wanted?.filter((name) => !events.some((event) => event.name === name)) ?? [];
if (unknown.length > 0)
  throw new Error(`FAULTS has unknown events: ${unknown.join(", ")}; use ${events.map(({ name }) => name).join(", ")}`);
if (FAULTS_DESIGN && !(designs as readonly string[]).includes(FAULTS_DESIGN))
  throw new Error(`FAULTS_DESIGN is "${FAULTS_DESIGN}"; use ${designs.join(" or ")}`);

const selected = (design: Design, { name, allowed, short }: FaultEvent): boolean =>
  design in allowed && (wanted?.includes(name) ?? (!FAULTS_SHORT || (short?.includes(design) ?? false)));

const settings = {
  gateway: { gateway: { enabled: true, clients: [{ name: "one" }, { name: "two" }] } },
  servers: {},
} as const;

const bound = (allowed: Allowed, times: number, result: LoadResult): number =>
  ({ none: 0, "in flight": clients * times, few: result.scans / 10, any: result.scans })[allowed];

const row = ({ scans, failed, wrong, gap, slowest, retried, reasons }: LoadResult): string =>
  [
    `${failed}/${scans} failed, ${wrong} wrong, longest gap ${gap.toFixed(1)} s, slowest scan ${slowest.toFixed(1)} s, ${retried} retried`,
    ...Object.entries(reasons).map(([reason, count]) => `  ${count} × ${reason}`),
  ]
    .map((text) => `      ${text}`)
    .join("\n");

for (const design of designs.filter((name) => !FAULTS_DESIGN || name === FAULTS_DESIGN)) {
  const chosen = events.filter((event) => selected(design, event));
  if (chosen.length > 0)
    describe(design === "gateway" ? "the service with a gateway" : "the service without a gateway", () => {
      const measured: Measured[] = [];
      let common: Service;
      const own = new Map<FaultEvent, Service>();
      let expected: ReadonlyMap<string, string>;

      before(async () => {
        await checkEnvironment();
        expected = await standaloneFindings(environment.images, E2E_DATABASE);
        const create = (stack: string) => Service.create(stack, settings[design], imageReference("redis", environmentSettings()["images"]));
        common = await create(`e2e-faults-${design}`);
        for (const event of chosen.filter(({ ahead, missing }) => ahead && missing === undefined)) {
          const service = await create(`e2e-faults-${design}-${event.name}`);
          own.set(event, service);
          if (event.settings) await service.up(await event.settings(service));
          await event.ahead?.(service);
        }
      });
      after(async () => {
        if (measured.length > 0) await writeRows(page, design, measured, await common.versions());
        for (const service of [...own.values(), common]) await service?.remove();
      });

      const loaded = (service: Service, least: number, attempts = 1, meanwhile?: () => Promise<void>) =>
        load(
          {
            server: service.server,
            token: () => service.tokens,
            caCertificate: () => service.caCertificate,
            images: environment.images,
            unique: "half",
            clients,
            scans: least,
            attempts,
            expected,
          },
          meanwhile,
        );

      for (const event of chosen) {
        const { attempts, times: most = 3 } = event;
        const times = FAULTS_SHORT ? 1 : most;
        it(`${design === "gateway" ? "with" : "without"} a gateway, ${event.name}: ${event.what}`, async function () {
          // Some events take an hour and have timeouts of their own.
          this.timeout(0);
          if (event.missing !== undefined) {
            console.log(`      skipped: ${event.missing}`);
            return this.skip();
          }
          const service = own.get(event) ?? common;
          await service.whole();
          await service.forgetRestarts();
          const before = service.settings;
          try {
            if (event.settings && service === common) await service.up(await event.settings(service));
            await event.prepare?.(service);
            await service.whole();
            const usual = await loaded(service, 2 * clients);
            expect(usual, `before the event: ${JSON.stringify(usual.reasons)}`).to.include({ failed: 0, wrong: 0 });
            const result = await loaded(service, scans, attempts, async () => {
              for (let time = 0; time < times; time++) {
                await sleep(3000);
                await event.run(service, time);
                await service.whole();
              }
              // Scans shortly after the event count as well.
              await sleep(5000);
            });
            console.log(row(result));
            const wrong = result.wrong > 0 ? `, ${result.wrong} wrong` : "";
            if (scans >= fullScans && times === most)
              measured.push({ event: event.name, cell: `${result.failed}/${result.scans}${wrong}, ${result.gap.toFixed(1)} s` });
            expect(result.wrong, "wrong results").to.equal(0);
            expect(result.failed, "failed scans").to.be.at.most(bound(event.allowed[design] ?? "none", times, result));
            event.check?.(result, design, usual.slowest);
          } finally {
            if (event.settings && service === common) await service.replaceSettings(before);
          }
        });
      }
    });
}
