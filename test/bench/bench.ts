/**
 * `npm run bench`: how long the commands take, medians of several rounds. What is compared is measured in turns in the same run: a machine's load changes.
 * Needs what the end-to-end tests need (test/e2e/support/environment.ts); BENCH_ROUNDS is 3 unless given.
 */
import { join } from "node:path";
import { deleteNamespaces, eventually, kubectl, serviceUrl } from "../e2e/support/cluster.ts";
import { checkEnvironment, environment } from "../e2e/support/environment.ts";
import { scan } from "../e2e/support/load.ts";
import { Project } from "../e2e/support/project.ts";

/** `pulumi up` may take so many times as long as `kubectl apply` to the first good scan. What `npm run up` does before and after is shown beside it. */
const bound = 1.5;
const rounds = Number(process.env["BENCH_ROUNDS"] || 3);
const stack = "e2e-bench";

const seconds = new Map<string, number[]>();

async function measured(what: string, action: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  await action();
  const took = (performance.now() - begun) / 1000;
  seconds.set(what, [...(seconds.get(what) ?? []), took]);
  console.error(`${what}: ${took.toFixed(1)} s`);
}

function median(what: string): number {
  const sorted = (seconds.get(what) ?? []).toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

/** Tries at once and again: a Service's address may lead nowhere for a moment after its pods are ready. */
async function firstGoodScan(): Promise<void> {
  const server = await serviceUrl(stack);
  await eventually("a good scan", async () => (await scan(environment.alpine, { server }).catch(() => [])).length > 0 || undefined);
}

await checkEnvironment();
const project = await Project.create();
try {
  await project.writeStack(stack, {}, "dev");
  for (let round = 0; round < rounds; round++) {
    await measured("npm start", () => project.must("npm", ["start", "--", stack]));
    await measured("npm run up, to the first good scan", async () => {
      await project.must("npm", ["run", "up", "--", stack, "--yes"]);
      await firstGoodScan();
    });
    await measured("npm run preview, no changes", () => project.must("npm", ["run", "preview", "--", stack, "--expect-no-changes"]));
    await measured("pulumi preview, no changes", () => project.pulumi(stack, "preview", "--expect-no-changes"));
    await measured("npm run up, no changes", () => project.must("npm", ["run", "up", "--", stack, "--yes", "--expect-no-changes"]));
    await measured("npm run destroy", () => project.must("npm", ["run", "destroy", "--", stack, "--yes"]));
    await measured("pulumi up, to the first good scan", async () => {
      await project.pulumi(stack, "up", "--yes", "--skip-preview");
      await firstGoodScan();
    });
    await project.pulumi(stack, "destroy", "--yes", "--skip-preview");
    await measured("kubectl apply, to the first good scan", async () => {
      await kubectl("apply", "--server-side", "-f", join(project.folder, "out", stack));
      await kubectl("rollout", "status", "statefulset/redis", "deployment/trivy-server", "-n", stack, "--timeout=600s");
      await firstGoodScan();
    });
    await deleteNamespaces(stack);
  }
} finally {
  await project.remove();
  await deleteNamespaces(stack);
}

const width = Math.max(...[...seconds.keys()].map((what) => what.length));
console.log(`${"".padEnd(width)}  median    best   worst   of ${rounds}, in seconds`);
for (const [what, all] of seconds) {
  const figures = [median(what), Math.min(...all), Math.max(...all)].map((figure) => figure.toFixed(1).padStart(8));
  console.log(`${what.padEnd(width)}${figures.join("")}`);
}
const beside = (what: string) => median(what) / median("kubectl apply, to the first good scan");
const ratio = beside("pulumi up, to the first good scan");
console.log(`\npulumi up beside kubectl apply: ${ratio.toFixed(2)} times as long (at most ${bound})`);
console.log(`npm run up beside kubectl apply: ${beside("npm run up, to the first good scan").toFixed(2)} times as long`);
process.exitCode = ratio <= bound ? 0 : 1;
