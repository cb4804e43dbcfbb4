import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { V1CronJob } from "@kubernetes/client-node";
import { expect } from "chai";
import { follow, jobOf } from "../../commands/scan.ts";
import { ApiServer, type Behaviour } from "../support/api-server.ts";

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

describe("following a run", () => {
  const namespace = "/api/v1/namespaces/trivy";
  const labels = { "app.kubernetes.io/component": "registry-scan", "batch.kubernetes.io/job-name": "run" };
  const ownerReferences = [{ kind: "Job", name: "run", controller: true }];
  const line = (second: number, text: string) => `2026-11-26T10:00:${String(second).padStart(2, "0")}.000000000Z ${text}\n`;
  let api: ApiServer;
  let log: string;
  let notes: string[];
  const print = {
    log: (text: string) => {
      log += text;
    },
    note: (text: string) => void notes.push(text),
  };
  const pod = (phase: string, status: object) =>
    api.list(`${namespace}/pods`, { metadata: { name: "run-0-x", labels, ownerReferences }, status: { phase, ...status } });
  const running = () => pod("Running", { containerStatuses: [{ name: "scan", ready: true, state: { running: {} } }] });
  const ended = (exitCode: number) =>
    pod("Succeeded", { containerStatuses: [{ name: "scan", ready: false, state: { terminated: { exitCode } } }] });

  beforeEach(async () => {
    api = await ApiServer.start();
    api.answers["/apis/batch/v1/namespaces/trivy/jobs/run"] = { metadata: { name: "run" }, status: { active: 1 } };
    [log, notes] = ["", []];
  });
  afterEach(() => api.close());

  it("a run is followed to its end, and each line of its log is printed once", async () => {
    running();
    const logPath = `${namespace}/pods/run-0-x/log`;
    api.answers[logPath] = line(1, "one");
    const followed = follow(api.cluster, "trivy", "run", print);
    await sleep(2500);
    api.answers[logPath] = line(1, "one") + line(2, "two") + line(2, "two again");
    await sleep(1500);
    api.answers[logPath] += line(3, "three");
    ended(1);
    expect(await followed).to.equal(1);
    expect(log).to.equal("one\ntwo\ntwo again\nthree\n");
    expect(notes).to.deep.equal([]);
  });

  for (const [behaviour, seconds] of [
    ["cut", 4],
    ["silent", 12],
    ["slow", 6],
  ] as readonly [Behaviour, number][])
    it(`a run is followed to its end over a connection that is ${behaviour} for a while`, async () => {
      running();
      const logPath = `${namespace}/pods/run-0-x/log`;
      api.answers[logPath] = line(1, "one");
      const followed = follow(api.cluster, "trivy", "run", print);
      await sleep(1500);
      api.behaviour = behaviour;
      await sleep(seconds * 1000);
      api.answers[logPath] += line(9, "two");
      ended(0);
      api.behaviour = "good";
      expect(await followed).to.equal(0);
      expect(log).to.equal("one\ntwo\n");
      if (behaviour !== "slow") {
        expect(notes).to.have.length(2);
        expect(notes[0]).to.match(/cannot be reached at http:.*: .*\nThe run continues without this connection; retrying/s);
        expect(notes[1]).to.equal("The cluster answers again.");
      }
    }).timeout(60_000);

  it("a pod that cannot start is reported with the reason", async () => {
    const conditions = [{ type: "PodScheduled", status: "False", message: "0/2 nodes are available: 2 Insufficient memory." }];
    pod("Pending", { conditions });
    const followed = follow(api.cluster, "trivy", "run", print);
    await sleep(4000);
    expect(notes.join("\n")).to.match(
      /^Waiting: run-0-x: cannot be scheduled: .*2 Insufficient memory; add nodes or lower registryScan\.resources$/,
    );
    ended(2);
    expect(await followed).to.equal(2);
  });

  it("a quota that refuses the pods of the run is reported", async () => {
    api.list("/apis/batch/v1/namespaces/trivy/jobs", { metadata: { name: "run", uid: "1", labels }, status: {} });
    api.list(`${namespace}/events`, {
      metadata: {},
      involvedObject: { kind: "Job", name: "run", uid: "1" },
      reason: "FailedCreate",
      message:
        'Error creating: pods "run-0-x" is forbidden: exceeded quota: compute, requested: limits.cpu=1, used: limits.cpu=9, limited: limits.cpu=9',
      lastTimestamp: "2026-11-26T10:00:00Z",
    });
    const followed = follow(api.cluster, "trivy", "run", print);
    await sleep(4000);
    expect(notes.join("\n")).to.match(/run: the cluster refuses its pods: exceeded quota: compute.*; raise the ResourceQuota compute/);
    ended(0);
    await followed;
  });

  it("a Job that was deleted ends the command with the exit code of errors", async () => {
    delete api.answers["/apis/batch/v1/namespaces/trivy/jobs/run"];
    expect(await follow(api.cluster, "trivy", "run", print)).to.equal(2);
    expect(notes).to.deep.equal(["The Job run was deleted."]);
  });
});
