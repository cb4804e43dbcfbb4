/**
 * Topic `gate`: wall time of the scan gate on an unchanged image, compared with the bare client, and with a baseline compared with the gate without.
 *
 * The gate adds a constant time: it checks settings, decides and writes reports. On the loopback interface, where the client itself takes a tenth
 * of a second, that is most of the time. The bounds apply at the distance of a registry and a service in another data centre.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment } from "../e2e/support/environment.ts";
import { run } from "../support/command.ts";
import type { Service, Services } from "./services.ts";
import { atMost, markdownTable, median, type Report, ratio, rounds, showRatio, type Verdict } from "./statistics.ts";

const gate = join(import.meta.dirname, "../../ci/scan-gate.sh");

/** Milliseconds that data takes from the client to the registry and to the service, and back. */
const distances = [0, 25, 50] as const;
const bounds = { gate: 1.15, baseline: 1.3 } as const;

export interface Scanned {
  readonly service: Pick<Service, "server" | "token">;
  readonly image: string;
  readonly baseline: string;
}

export async function scanGate(services: Services): Promise<Report> {
  const [, image, baseline] = environment.images;
  if (image === undefined || baseline === undefined) throw new Error("E2E_IMAGES needs two images");
  return measureGate({ service: await services.servers(), image, baseline });
}

export async function measureGate({ service, image, baseline }: Scanned): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "gate-bench-"));
  const rows: string[][] = [];
  const verdicts: Verdict[] = [];
  try {
    for (const distance of distances) {
      const links = await Promise.all([addressOf(service.server), addressOf(`http://${image}`)].map((to) => link(to, distance)));
      const [server, registry] = links.map(({ address }) => address) as [string, string];
      const near = (reference: string) => reference.replace(/^[^/]*/, registry);
      const env = {
        TRIVY_SERVER: `http://${server}`,
        TRIVY_TOKEN: service.token,
        TRIVY_CACHE_DIR: join(folder, "cache"),
        TRIVY_INSECURE: "true",
      };
      const filters = ["--scanners", "vuln", "--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--exit-code", "10"];
      const timed = {
        client: () => run("trivy", ["image", ...filters, "--skip-version-check", near(image)], { cwd: folder, env }),
        gate: () => run("sh", [gate, near(image)], { cwd: folder, env }),
        baseline: () => run("sh", [gate, near(image)], { cwd: folder, env: { ...env, SCAN_GATE_BASELINE: near(baseline) } }),
      };
      const seconds: Record<keyof typeof timed, number[]> = { client: [], gate: [], baseline: [] };
      for (let round = -1; round < rounds(12); round++) {
        const names = Object.keys(timed) as (keyof typeof timed)[];
        for (const name of round % 2 === 0 ? names : names.toReversed()) {
          const begun = performance.now();
          const { exitCode, stdout, stderr } = await timed[name]();
          if (exitCode !== 0 && exitCode !== 1 && exitCode !== 10) throw new Error(`${name}: ${stdout}${stderr}`);
          // The first round fills caches.
          if (round >= 0) seconds[name].push((performance.now() - begun) / 1000);
        }
      }
      const [gateRatio, baselineRatio] = [ratio(seconds.gate, seconds.client), ratio(seconds.baseline, seconds.gate)];
      const cells = [seconds.client, seconds.gate, seconds.baseline].map((all) => median(all).toFixed(2));
      rows.push([`${distance} ms`, ...cells, showRatio(gateRatio), showRatio(baselineRatio)]);
      if (distance > 0)
        verdicts.push(
          atMost(bounds.gate, `scan gate / bare client, ${distance} ms away`, gateRatio),
          atMost(bounds.baseline, `scan gate with an unchanged baseline / without, ${distance} ms away`, baselineRatio),
        );
      for (const { close } of links) close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const header = ["distance", "client, s", "gate, s", "with a baseline, s", "gate / client", "with / without a baseline"];
  return { sections: { gate: markdownTable(header, rows) }, verdicts };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function addressOf(url: string): Address {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: Number(port || (protocol === "https:" ? 443 : 80)) };
}

/** Forwards connections to an address and delays everything, in both directions, by some milliseconds. */
async function link(to: Address, milliseconds: number): Promise<{ readonly address: string; readonly close: () => void }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(to);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (data) => setTimeout(() => into.write(data), milliseconds));
      from.on("end", () => setTimeout(() => into.end(), milliseconds));
      from.on("error", () => into.destroy()).on("close", () => sockets.delete(from));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  return {
    address: `127.0.0.1:${address.port}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
