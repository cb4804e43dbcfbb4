import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { explain, lockedMessage } from "../../../commands/up/explain.ts";
import { liveness, mendedState, parseLocks, pendingObjects, readLocks } from "../../../commands/up/recovery.ts";
import { landmark, parseState } from "../../../commands/up/state.ts";

const locked = `error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock file with \`pulumi cancel\`.
  s3://state/.pulumi/locks/organization/trivy-server/dev/1.json: created by ann@laptop (pid 12) at 2026-11-22T10:00:00Z
  s3://state/.pulumi/locks/organization/trivy-server/dev/2.json: created by runner@ci-7 (pid 345) at 2026-11-22T10:00:01+01:00`;
const backend = { local: undefined, url: "s3://state" };

describe("a run that met another", () => {
  it("reads the holders from the engine's refusal", () => {
    expect(parseLocks(locked)).to.deep.equal([
      { user: "ann", host: "laptop", pid: 12, since: "2026-11-22T10:00:00Z" },
      { user: "runner", host: "ci-7", pid: 345, since: "2026-11-22T10:00:01+01:00" },
    ]);
    expect(parseLocks("error: update failed")).to.deep.equal([]);
  });

  it("reads the holders from the files of a local state", () => {
    const state = mkdtempSync(join(tmpdir(), "state-"));
    const folder = join(state, ".pulumi/locks/organization/trivy-server/dev");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "a.json"), '{"pid":7,"username":"ann","hostname":"laptop","timestamp":"2026-11-22T10:00:00Z"}');
    writeFileSync(join(folder, "b.json"), "half a fi");
    expect(readLocks(`file://${state}`, "trivy-server", "dev")).to.deep.equal([
      { user: "ann", host: "laptop", pid: 7, since: "2026-11-22T10:00:00Z" },
    ]);
    expect(readLocks(`file://${state}`, "trivy-server", "prod")).to.deep.equal([]);
    expect(readLocks("s3://state", "trivy-server", "dev")).to.deep.equal([]);
    rmSync(state, { recursive: true });
  });

  it("takes a process for dead that has ended and whose parent takes no note", async function () {
    if (process.platform !== "linux") this.skip();
    const parent = spawn("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const [pid] = (await once(parent.stdout, "data")).map(Number);
      expect(pid).to.be.greaterThan(1);
      // The shell takes note of its children; what it becomes before the child ends does not.
      while (readFileSync(`/proc/${parent.pid}/comm`, "utf8") !== "sleep\n") await sleep(5);
      while (!/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await sleep(5);
      expect(liveness({ host: hostname(), pid: pid ?? 0 })).to.equal("gone");
    } finally {
      parent.kill();
    }
  });

  it("tells a live process from a dead one, but only on this machine", () => {
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    expect(liveness({ host: hostname(), pid: process.pid })).to.equal("running");
    expect(liveness({ host: hostname(), pid: dead })).to.equal("gone");
    expect(liveness({ host: `not-${hostname()}`, pid: dead })).to.equal("elsewhere");
  });

  it("advises to cancel only what nobody works on", () => {
    const holders = parseLocks(locked);
    const cancel = "npm run pulumi -- cancel --stack dev";
    expect(lockedMessage("dev", holders, () => "gone"))
      .to.contain(cancel)
      .and.contain("process 12 of ann on laptop, since 2026-11-22T10:00:00Z");
    expect(lockedMessage("dev", holders, () => "elsewhere"))
      .to.contain("surely dead")
      .and.contain(cancel);
    expect(lockedMessage("dev", holders, ({ pid }) => (pid === 12 ? "running" : "gone")))
      .to.contain("Wait")
      .and.not.contain(cancel);
  });
});

describe("the engine's last words", () => {
  it("become what is to be done", () => {
    expect(explain(locked, "dev", backend, {})).to.contain("ci-7");
    expect(explain("error: [409] Conflict: Another update is currently in progress.", "dev", backend, {})).to.contain("cancel --stack dev");
    expect(explain("error: could not find plugin: no resource plugin 'pulumi-resource-kubernetes' found", "dev", backend, {})).to.contain(
      "plugin install resource kubernetes",
    );
    expect(explain("error: cipher: message authentication failed", "dev", backend, {}))
      .to.contain("Pulumi.dev.yaml holds values")
      .and.contain("pulumi login");
  });

  it("about a passphrase name the place of the wrong one, never the passphrase", () => {
    const wrong = "error: getting stack configuration: get stack secrets manager: incorrect passphrase";
    const local = { local: "/p/.pulumi-local", url: "file:///p/.pulumi-local/state" };
    expect(explain(wrong, "dev", local, {})).to.contain("/p/.pulumi-local/passphrase is not the one");
    expect(explain(wrong, "dev", local, { PULUMI_CONFIG_PASSPHRASE: "hunter22" }))
      .to.contain("in PULUMI_CONFIG_PASSPHRASE is not the one")
      .and.contain("unset PULUMI_CONFIG_PASSPHRASE to use /p/.pulumi-local/passphrase")
      .and.not.contain("hunter22");
    expect(explain("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "dev", backend, {})).to.contain("and there is none");
  });

  it("stay as they are when there is nothing to add", () => {
    expect(explain("error: update failed", "dev", backend, {})).to.equal(undefined);
  });
});

describe("an interrupted run", () => {
  const pending = (type: string, token: string, inputs: object) => ({
    type,
    resource: { urn: `urn:pulumi:dev::p::${token}::n`, type: token, inputs },
  });
  const state = parseState(
    JSON.stringify({
      deployment: {
        pending_operations: [
          pending("creating", "kubernetes:core/v1:Namespace", { apiVersion: "v1", kind: "Namespace", metadata: { name: "trivy" } }),
          pending("creating", "kubernetes:apps/v1:Deployment", {
            apiVersion: "apps/v1",
            kind: "Deployment",
            metadata: { name: "d", namespace: "trivy" },
          }),
          pending("creating", "random:index/randomPassword:RandomPassword", { length: 32 }),
          pending("deleting", "kubernetes:core/v1:Service", {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name: "s", namespace: "trivy" },
          }),
          pending("creating", "kubernetes:core/v1:Secret", {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { "4dabf18193072939515e22adb298388d": "x", ciphertext: "v1:" },
          }),
        ],
      },
    }),
  );

  it("may have created what it had begun to create, under the provider's ids", () => {
    expect(pendingObjects(state).map(({ kind, id }) => [kind, id])).to.deep.equal([
      ["Namespace", "trivy"],
      ["Deployment", "trivy/d"],
    ]);
  });

  it("is mended by taking over what exists, to be applied again, and forgetting the rest", () => {
    const exported = {
      version: 3,
      deployment: {
        manifest: { magic: "m" },
        resources: [{ urn: "urn:stack", type: "pulumi:pulumi:Stack" }],
        pending_operations: [
          {
            type: "creating",
            resource: { urn: "urn:a", custom: true, parent: "urn:stack", inputs: { kind: "Secret", stringData: { ciphertext: "v1:" } } },
          },
          { type: "creating", resource: { urn: "urn:b", custom: true, inputs: { kind: "Service" } } },
        ],
      },
    };
    expect(JSON.parse(mendedState(JSON.stringify(exported), [{ urn: "urn:a", id: "trivy/a" }]))).to.deep.equal({
      version: 3,
      deployment: {
        manifest: { magic: "m" },
        resources: [
          { urn: "urn:stack", type: "pulumi:pulumi:Stack" },
          {
            ...{ urn: "urn:a", custom: true, parent: "urn:stack", id: "trivy/a" },
            inputs: { kind: "Secret", stringData: { ciphertext: "v1:" } },
            outputs: { kind: "Secret", stringData: { ciphertext: "v1:" } },
            initErrors: ["the run that created it was interrupted"],
          },
        ],
      },
    });
  });

  it("is not taken for the wrong cluster when what it deleted is gone", () => {
    const namespace = { urn: "urn:n", type: "kubernetes:core/v1:Namespace", outputs: { metadata: { name: "trivy", uid: "1" } } };
    const deployment = (pending_operations: object[]) =>
      parseState(JSON.stringify({ deployment: { resources: [namespace], pending_operations } }));
    expect(landmark(deployment([]))).to.include({ kind: "Namespace", name: "trivy", uid: "1" });
    expect(landmark(deployment([{ type: "deleting", resource: namespace }]))).to.equal(undefined);
  });

  it("leaves a stack alone that has no state yet", () => {
    expect(parseState('{"version": 3, "deployment": null}')).to.deep.equal({ resources: [], pending: [] });
  });
});
