/** `node planner.ts URL TARGETS`: plans and sends a run like a pod, with a registry that responds at once; prints the time and the peak memory. */
import { createHash } from "node:crypto";
import { plan } from "../../registry-scan/worker/plan.ts";
import { ReportsClient } from "../../registry-scan/worker/reports-client.ts";

const url = process.argv[2] ?? "";
const targets = Number(process.argv[3]);
const registry = {
  tags: async () => Array.from({ length: 100 }, (_, index) => `1.${index}.0`),
  digest: async (image: string) => `sha256:${createHash("sha256").update(image).digest("hex")}`,
  describe: async (image: string) => ({ digest: `sha256:${createHash("sha256").update(image).digest("hex")}`, isImage: true }),
  created: async () => new Date(0),
};
const repositories = Array.from({ length: targets / 100 }, (_, index) => ({
  repository: `registry.example.com/team/application-${index}`,
  versions: ">=1",
}));
const begun = performance.now();
const planned = await plan(repositories, registry, { strict: false });
const reports = new ReportsClient({ url, token: "token", run: "run", signal: new AbortController().signal, log: console.error });
await reports.plan(planned.lines);
console.log(JSON.stringify({ seconds: (performance.now() - begun) / 1000, bytes: process.resourceUsage().maxRSS * 1024 }));
process.exit();
