/**
 * Topic `resources`: the memory and CPU of each pod, idle and under load, as measured by the kubelets; and the sizes of uploaded layers.
 *
 * BENCH_SOAK_SECONDS is how long 32 clients upload the image with the largest layer, 60 by default. E2E_BIG_IMAGES are images with large layers,
 * separated by spaces; by default the largest of the other images is used.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { get, type KubernetesObject, kubectl, restarts } from "../e2e/support/cluster.ts";
import { environment } from "../e2e/support/environment.ts";
import { load } from "../e2e/support/load.ts";
import { measureUpload } from "./bodies.ts";
import { goodLoad, type Services } from "./services.ts";
import { markdownTable, mebibytes, type Report, type Verdict } from "./statistics.ts";

/** Memory of one gateway with 32 clients in bytes, without the bodies of pending requests. */
const gatewayBytes = 64 * 2 ** 20;
const mostClients = 32;

const { env } = process;
const soakSeconds = Number(env["BENCH_SOAK_SECONDS"] || 60);
const bigImages = env["E2E_BIG_IMAGES"]?.split(/\s+/).filter(Boolean) ?? [];

export async function resources(services: Services): Promise<Report> {
  const service = await services.gateway();
  const { images } = environment;
  const uploads = [];
  for (const image of [...images, ...bigImages]) uploads.push(await measureUpload(service, image));
  const bySize = uploads.toSorted((one, other) => one.packages - other.packages || one.largest - other.largest);
  const biggest = uploads.reduce((one, other) => (other.largest > one.largest ? other : one));
  const usual = Math.max(...uploads.filter(({ image }) => images.includes(image)).map(({ largest }) => largest));

  const before = await pods(service.namespace);
  const states: { what: string; usage: Map<string, Usage> }[] = [];
  const observed = async <T>(what: string, action: () => Promise<T>) => {
    const seen = await observe(service.namespace, action);
    states.push({ what, usage: seen.usage });
    console.error(`${what}: ${[...seen.usage].map(([component, used]) => `${component} ${show(used)}`).join(", ")}`);
    return seen;
  };
  const loaded = (clients: number) => goodLoad(service, { images, scans: clients, clients, unique: true }, () => sleep(20_000));
  await observed("idle", () => sleep(30_000));
  for (const clients of [4, 16]) await observed(`${clients} clients`, () => loaded(clients));
  const many = await observed(`${mostClients} clients`, () => loaded(mostClients));
  const { server, token } = service;
  const large = { server, token, images: [biggest.image], scans: mostClients, clients: mostClients, unique: true };
  const soak = await observed(`${mostClients} clients, large layers`, () => load(large, () => sleep(soakSeconds * 1000)));
  const after = await pods(service.namespace);

  const { scans, good, reasons } = soak.result;
  // A replaced pod counts as restarted.
  const restarted = after.filter(({ name, restarts }) => before.find((pod) => pod.name === name)?.restarts !== restarts);
  const within = (what: string, usage: Map<string, Usage>, body: number): Verdict => {
    const bytes = usage.get("gateway")?.bytes ?? Number.NaN;
    const most = gatewayBytes + mostClients * body;
    const bound = `at most ${mebibytes(most)}, ${mostClients} request bodies of ${mebibytes(body)} included`;
    return { what: `memory of a gateway, ${what}`, value: mebibytes(bytes), bound, outcome: bytes <= most ? "met" : "missed" };
  };
  const components = [...(states[0]?.usage.keys() ?? [])];
  const uploadRows = bySize.map(({ image, packages, largest }) => [
    nameOf(image),
    packages.toLocaleString("en"),
    `${Math.ceil(largest / 1024).toLocaleString("en")} KiB`,
  ]);
  return {
    sections: {
      resources: markdownTable(
        ["largest of each kind", ...states.map(({ what }) => what)],
        components.map((component) => [component, ...states.map(({ usage }) => show(usage.get(component)))]),
      ),
      uploads: markdownTable(["image", "packages", "largest layer's request"], uploadRows),
    },
    verdicts: [
      within(`${mostClients} clients`, many.usage, usual),
      within(`${mostClients} clients, large layers`, soak.usage, biggest.largest),
      {
        what: `pods that restarted, ${soakSeconds} s of ${mostClients} clients with layers of ${mebibytes(biggest.largest)}`,
        value: restarted.length === 0 ? "0" : restarted.map(({ name }) => name).join(", "),
        bound: "none",
        outcome: restarted.length === 0 ? "met" : "missed",
      },
      {
        what: "scans that failed meanwhile",
        value: `${scans - good} of ${scans} ${JSON.stringify(reasons)}`,
        bound: "none",
        outcome: good === scans ? "met" : "missed",
      },
    ],
  };
}

interface Usage {
  /** Largest working set of any pod, in bytes. */
  readonly bytes: number;
  /** Largest average CPU of any pod, in cores. */
  readonly cores: number;
}

const show = (usage: Usage | undefined) => (usage ? `${mebibytes(usage.bytes)}, ${Math.round(usage.cores * 1000)}m` : "");

/** Returns an image's name without registry and path, which are of no interest to readers. */
const nameOf = (image: string) => image.slice(image.lastIndexOf("/") + 1);

interface Pod {
  readonly name: string;
  readonly component: string;
  readonly node: string;
  readonly restarts: number;
}

async function pods(namespace: string): Promise<Pod[]> {
  const { items } = await get("pods", "-n", namespace);
  return items.map((pod: KubernetesObject) => ({
    name: pod.metadata.name,
    component: pod.metadata.labels["app.kubernetes.io/component"],
    node: pod.spec.nodeName,
    restarts: restarts(pod),
  }));
}

/** The kubelet's stats summary, which is more recent than the metrics server's data. */
const summary = z.object({
  pods: z.array(
    z.object({
      podRef: z.object({ name: z.string(), namespace: z.string() }),
      containers: z.array(
        z.object({
          cpu: z.object({ time: z.string(), usageCoreNanoSeconds: z.number() }),
          memory: z.object({ workingSetBytes: z.number() }),
        }),
      ),
    }),
  ),
});

interface Sample {
  readonly milliseconds: number;
  readonly cpuNanoseconds: number;
  readonly bytes: number;
}

async function sample(namespace: string, nodes: readonly string[]): Promise<Map<string, Sample>> {
  const answers = await Promise.all(
    nodes.map((node) => kubectl("get", "--raw", `/api/v1/nodes/${node}/proxy/stats/summary?only_cpu_and_memory=true`)),
  );
  const listed = answers.flatMap((answer) => summary.parse(JSON.parse(answer)).pods).filter(({ podRef }) => podRef.namespace === namespace);
  return new Map(
    listed.map(({ podRef, containers }) => [
      podRef.name,
      {
        milliseconds: Math.max(...containers.map(({ cpu }) => Date.parse(cpu.time))),
        cpuNanoseconds: containers.reduce((sum, { cpu }) => sum + cpu.usageCoreNanoSeconds, 0),
        bytes: containers.reduce((sum, { memory }) => sum + memory.workingSetBytes, 0),
      },
    ]),
  );
}

/** Measures each component's pods during `action`: the highest memory of samples taken every two seconds, and the average CPU. */
async function observe<T>(namespace: string, action: () => Promise<T>): Promise<{ usage: Map<string, Usage>; result: T }> {
  const known = await pods(namespace);
  const nodes = [...new Set(known.map(({ node }) => node))];
  const samples = [await sample(namespace, nodes)];
  let done = false;
  const sampling = (async () => {
    while (!done) {
      await sleep(2000);
      samples.push(await sample(namespace, nodes));
    }
  })();
  const result = await action().finally(() => {
    done = true;
  });
  await sampling;
  const usage = new Map<string, Usage>();
  for (const { name, component } of known) {
    const own = samples.flatMap((each) => each.get(name) ?? []);
    const [first, last] = [own[0], own.at(-1)];
    if (!first || !last) continue;
    const bytes = Math.max(...own.map((each) => each.bytes));
    const cores = (last.cpuNanoseconds - first.cpuNanoseconds) / 1e6 / (last.milliseconds - first.milliseconds);
    const others = usage.get(component);
    usage.set(component, { bytes: Math.max(bytes, others?.bytes ?? 0), cores: Math.max(cores, others?.cores ?? 0) });
  }
  return { usage, result };
}
