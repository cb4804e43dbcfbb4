/** Topic `up`: the duration of the commands from an empty cluster to the first good scan, compared with `kubectl apply` of the same objects. */
import { join } from "node:path";
import { deleteNamespaces, kubectl, serviceUrl } from "../e2e/support/cluster.ts";
import type { Project } from "../e2e/support/project.ts";
import { firstGoodScan } from "./services.ts";
import { atMost, markdownTable, median, type Report, ratio, rounds, showRatio } from "./statistics.ts";

const stack = "e2e-bench-up";

/** Maximum ratio of `pulumi up` to `kubectl apply`, to the first good scan. `npm run up`, which does more, is reported without a bound. */
const bound = 1.5;

export async function up(project: Project): Promise<Report> {
  const seconds = new Map<string, number[]>();
  const measured = async (what: string, action: () => Promise<unknown>) => {
    const begun = performance.now();
    await action();
    const took = (performance.now() - begun) / 1000;
    seconds.set(what, [...(seconds.get(what) ?? []), took]);
    console.error(`${what}: ${took.toFixed(1)} s`);
  };
  const firstScan = async () => firstGoodScan({ server: await serviceUrl(stack) });

  await project.writeStack(stack, {}, "dev");
  for (let round = 0; round < rounds(3); round++) {
    await measured("npm start", () => project.must("npm", ["start", "--", stack]));
    await measured("npm run up, to the first good scan", async () => {
      await project.must("npm", ["run", "up", "--", stack, "--yes"]);
      await firstScan();
    });
    await measured("npm run preview, no changes", () => project.must("npm", ["run", "preview", "--", stack, "--expect-no-changes"]));
    await measured("pulumi preview, no changes", () => project.pulumi(stack, "preview", "--expect-no-changes"));
    await measured("npm run up, no changes", () => project.must("npm", ["run", "up", "--", stack, "--yes", "--expect-no-changes"]));
    await measured("npm run destroy", () => project.must("npm", ["run", "destroy", "--", stack, "--yes"]));
    await measured("pulumi up, to the first good scan", async () => {
      await project.pulumi(stack, "up", "--yes", "--skip-preview");
      await firstScan();
    });
    await project.pulumi(stack, "destroy", "--yes", "--skip-preview");
    await measured("kubectl apply, to the first good scan", async () => {
      await kubectl("apply", "--server-side", "-f", join(project.folder, "out", stack));
      await kubectl("rollout", "status", "statefulset/redis", "deployment/trivy-server", "-n", stack, "--timeout=600s");
      await firstScan();
    });
    await deleteNamespaces(stack);
  }

  const compared = (what: string) => ratio(seconds.get(what) ?? [], seconds.get("kubectl apply, to the first good scan") ?? []);
  const rows = [...seconds].map(([what, all]) => [
    what,
    ...[median(all), Math.min(...all), Math.max(...all)].map((value) => value.toFixed(1)),
  ]);
  const npmUp = showRatio(compared("npm run up, to the first good scan"));
  return {
    sections: {
      up: `${markdownTable(["seconds", "median", "best", "worst"], rows)}\n\n\`npm run up\` takes ${npmUp} times as long as \`kubectl apply\`.`,
    },
    verdicts: [atMost(bound, "pulumi up / kubectl apply", compared("pulumi up, to the first good scan"))],
  };
}
