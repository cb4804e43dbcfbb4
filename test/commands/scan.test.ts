import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { V1CronJob } from "@kubernetes/client-node";
import { expect } from "chai";
import { jobOf } from "../../commands/scan.ts";

const cronJob: V1CronJob = {
  metadata: { name: "trivy-registry-scan", uid: "0f0f" },
  spec: {
    schedule: "@daily",
    jobTemplate: {
      metadata: { labels: { team: "security" } },
      spec: {
        parallelism: 4,
        completions: 4,
        completionMode: "Indexed",
        template: { spec: { containers: [{ name: "scan", env: [{ name: "RUN", value: "x" }] }] } },
      },
    },
  },
};
describe("the Job of `npm run scan`", () => {
  it("the Job of npm run scan is created from the CronJob, which owns it", () => {
    const job = jobOf(cronJob, []);
    expect(job.metadata).to.deep.include({ generateName: "trivy-registry-scan-", labels: { team: "security" } });
    expect(job.metadata?.ownerReferences?.[0]).to.deep.equal({
      apiVersion: "batch/v1",
      kind: "CronJob",
      name: "trivy-registry-scan",
      uid: "0f0f",
    });
    expect(job.spec).to.deep.equal(cronJob.spec?.jobTemplate.spec);
  });

  it("a Job for given images scans only those, with at most one pod for each", () => {
    const { spec } = jobOf(cronJob, ["alpine:3.10", "nginx:1.18"]);
    expect(spec).to.include({ parallelism: 2, completions: 2 });
    expect(spec?.template.spec?.containers[0]?.env).to.deep.include({ name: "IMAGES", value: "alpine:3.10 nginx:1.18" });
    expect(JSON.stringify(cronJob)).to.not.include("IMAGES");
  });
});

describe("`npm run scan`", () => {
  it("npm run scan exits with 2, never with the 1 of findings, when the run could not be started", () => {
    const command = join(import.meta.dirname, "../../commands/scan.ts");
    const args = ["dev"];
    const { status, stderr } = spawnSync(process.execPath, [command, ...args], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], KUBECONFIG: "/nonexistent" },
    });
    expect(status, `${args.join(" ")}: ${stderr}`).to.equal(2);
    expect(stderr, args.join(" ")).to.not.match(/^ +at /m);
  }).timeout(60_000);
});
