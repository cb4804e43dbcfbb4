import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Progress } from "../../../commands/engine/progress.ts";
import { checkHealth, runWatched } from "../../../commands/up/health.ts";
import type { Request } from "../../../commands/up/operation.ts";
import { watch } from "../../../commands/up/watch.ts";
import { ApiServer, type Behaviour } from "../../support/api-server.ts";

const labels = { "app.kubernetes.io/component": "cache" };
const step = (kind: string, op = "create", component = "cache") => ({
  metadata: {
    ...{ op, urn: `urn:pulumi:dev::p::kubernetes:apps/v1:${kind}::x`, type: `kubernetes:apps/v1:${kind}` },
    new: { inputs: { metadata: { labels: { "app.kubernetes.io/component": component } } } },
  },
});
const service = { metadata: { ...step("Service").metadata, type: "kubernetes:core/v1:Service", urn: "service" } };

describe("watching the namespace while the engine waits", () => {
  let api: ApiServer;
  let progress: Progress;
  let reports: string[];
  let engine: AbortController;
  beforeEach(async () => {
    api = await ApiServer.start();
    progress = new Progress();
    reports = [];
    engine = new AbortController();
  });
  afterEach(() => {
    engine.abort();
    api.close();
  });

  const log = (...events: object[]) => {
    for (const event of events) progress.note(JSON.stringify(event));
  };
  const refuse = (message: string) =>
    api.list("/apis/apps/v1/namespaces/trivy/deployments", {
      metadata: { name: "redis", labels },
      status: { conditions: [{ type: "ReplicaFailure", status: "True", message }] },
    });
  const start = (patient = false) =>
    watch(
      {
        ...{ cluster: api.cluster, namespace: "trivy", clusterDomain: "cluster.local" },
        ...{ progress, patient, interval: 20 },
        report: (line) => void reports.push(line),
      },
      engine.signal,
    );
  const missingLimit = 'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: redis';

  it("what the engine waits for and cannot succeed is reported, and ends the wait", async () => {
    refuse(missingLimit);
    log({ resourcePreEvent: step("StatefulSet") });
    const reasons = await start();
    expect(reasons).to.have.length(1);
    expect(reasons?.[0]).to.match(/^redis: the cluster refuses its pods: failed quota: q: .*; give the containers a default/);
    expect(reports).to.deep.equal([`! ${reasons?.[0]}`]);
  });

  it("the engine's preview, other components and ended operations are not waited for", async () => {
    refuse(missingLimit);
    log({ resourcePreEvent: { ...step("StatefulSet"), planning: true } }, { resourcePreEvent: step("Deployment", "create", "server") });
    log({ resourcePreEvent: step("StatefulSet") }, { resOutputsEvent: step("StatefulSet") });
    log({ resourcePreEvent: step("StatefulSet", "delete") });
    const watching = start();
    await sleep(300);
    engine.abort();
    expect(await watching).to.equal(undefined);
    expect(reports).to.deep.equal([]);
  });

  it("with --keep-waiting problems are reported, but do not end the wait", async () => {
    refuse(missingLimit);
    log({ resourcePreEvent: step("StatefulSet") });
    const watching = start(true);
    await sleep(300);
    engine.abort();
    expect(await watching).to.equal(undefined);
    expect(reports).to.have.length(1);
  });

  it("what may pass is reported, but does not end the wait", async () => {
    refuse('Internal error occurred: failed calling webhook "w.example.com": no endpoints');
    log({ resourcePreEvent: step("StatefulSet") });
    const watching = start();
    await sleep(300);
    engine.abort();
    expect(await watching).to.equal(undefined);
    expect(reports.join()).to.contain("make the admission webhook w.example.com respond");
  });

  it("a pod of an earlier revision that is not ready is deleted, so that its StatefulSet can replace it", async () => {
    const statefulSet = { metadata: { name: "redis", labels }, spec: { replicas: 1 }, status: { replicas: 1, updateRevision: "new" } };
    api.list("/apis/apps/v1/namespaces/trivy/statefulsets", statefulSet);
    const ownerReferences = [{ kind: "StatefulSet", name: "redis", controller: true }];
    const metadata = { name: "redis-0", uid: "7", labels: { ...labels, "controller-revision-hash": "old" }, ownerReferences };
    api.list("/api/v1/namespaces/trivy/pods", { metadata, status: { conditions: [{ type: "Ready", status: "False" }] } });
    api.answers["/api/v1/namespaces/trivy/pods/redis-0"] = { metadata };
    log({ resourcePreEvent: step("StatefulSet", "update") });
    const watching = start();
    await sleep(300);
    engine.abort();
    await watching;
    expect(api.requests.filter((request) => request.startsWith("DELETE"))).to.deep.equal(["DELETE /api/v1/namespaces/trivy/pods/redis-0"]);
    expect(reports.join()).to.contain("redis-0 is not ready and of an earlier revision");
  });

  it("when an operation has failed, Services that wait for pods of what was not created end the wait after 20 s", async () => {
    log({ resourcePreEvent: service }, { resourcePreEvent: step("StatefulSet") }, { resOpFailedEvent: step("StatefulSet") });
    const began = performance.now();
    const reasons = await start();
    expect(reasons?.join()).to.contain("wait for what failed");
    expect(performance.now() - began).to.be.within(19_000, 40_000);
  }).timeout(60_000);

  for (const behaviour of ["cut", "silent", "slow"] as readonly Behaviour[])
    it(`a connection that is ${behaviour} for a while neither ends the wait nor hides the problem`, async () => {
      api.behaviour = behaviour;
      refuse(missingLimit);
      log({ resourcePreEvent: step("StatefulSet") });
      const watching = start();
      await sleep(2000);
      expect(reports).to.deep.equal([]);
      api.behaviour = "good";
      expect(await watching).to.have.length(1);
    }).timeout(60_000);

  describe("as part of npm run up", () => {
    const request: Request = { operation: "up", stack: "dev", flags: [], approved: true, patient: false };
    const place = () => ({ cluster: api.cluster, namespace: "trivy", clusterDomain: "cluster.local" });
    const outcome = (status: number) => ({ status, error: "", interrupted: false });
    let printed: string[];
    const { error } = console;
    beforeEach(() => {
      printed = [];
      console.error = (text: string) => void printed.push(text);
    });
    afterEach(() => {
      console.error = error;
    });

    it("an engine that waits in vain is interrupted once and ends by itself, and the reason and the next step are printed", async () => {
      refuse(missingLimit);
      const folder = mkdtempSync(join(tmpdir(), "engine-"));
      try {
        const script = `#!/bin/sh
          trap 'echo interrupted >>${folder}/signals; exit 255' INT
          for last; do :; done
          echo '${JSON.stringify({ resourcePreEvent: step("StatefulSet") })}' >"$last"
          while :; do sleep 0.1; done`;
        writeFileSync(join(folder, "pulumi"), script);
        chmodSync(join(folder, "pulumi"), 0o755);
        const engine = {
          project: folder,
          command: join(folder, "pulumi"),
          env: process.env,
          backend: { env: {}, local: undefined, url: "" },
        };
        const ended = await runWatched(engine, ["up"], place(), request);
        expect(ended).to.include({ status: 1, stopped: true });
        expect(readFileSync(join(folder, "signals"), "utf8")).to.equal("interrupted\n");
        expect(printed.join("\n"))
          .to.match(/The stack dev is not complete:\n! redis: the cluster refuses its pods: failed quota: q/)
          .and.contain("npm run up -- dev");
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it("after up without changes, what does not work is reported", async () => {
      refuse(missingLimit);
      expect(await checkHealth(place(), outcome(0), request)).to.equal(false);
      expect(printed.join("\n")).to.match(/The stack dev is up to date, but it does not work:\n! redis: the cluster refuses its pods/);
    });

    it("after up, a stack that works is not reported, and one whose cluster does not answer is", async () => {
      expect(await checkHealth(place(), outcome(0), request)).to.equal(true);
      expect(printed).to.deep.equal([]);
      api.behaviour = "cut";
      expect(await checkHealth(place(), outcome(0), request)).to.equal(true);
      expect(printed.join("\n")).to.match(/^The health of the stack dev is unknown: The cluster of context c cannot be reached/);
    });
  });
});
