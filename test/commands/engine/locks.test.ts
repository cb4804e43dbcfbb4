import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { liveness, lockedMessage, parseLocks, readLocks } from "../../../commands/engine/locks.ts";
import { locked } from "./errors.ts";

describe("the locks of a stack", () => {
  it("the holders of a stack's locks are read from the engine's error", () => {
    expect(parseLocks(locked)).to.deep.equal([
      { user: "ann", host: "laptop", pid: 12, since: "2026-11-22T10:00:00Z" },
      { user: "runner", host: "ci-7", pid: 345, since: "2026-11-22T10:00:01+01:00" },
    ]);
    expect(parseLocks("error: update failed")).to.deep.equal([]);
  });

  it("the holders of a stack's locks are read from the files of a local state", () => {
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

  it("the holder of a lock has ended even if its parent process has not reaped it", async function () {
    if (process.platform !== "linux") this.skip();
    const parent = spawn("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const [pid] = (await once(parent.stdout, "data")).map(Number);
      expect(pid).to.be.greaterThan(1);
      // The shell reaps its children; the program that replaces it before the child ends does not.
      while (readFileSync(`/proc/${parent.pid}/comm`, "utf8") !== "sleep\n") await sleep(5);
      while (!/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await sleep(5);
      expect(liveness({ host: hostname(), pid: pid ?? 0 })).to.equal("ended");
    } finally {
      parent.kill();
    }
  });

  it("a lock's holder is running or ended on this machine, and unknown on another", () => {
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    expect(liveness({ host: hostname(), pid: process.pid })).to.equal("running");
    expect(liveness({ host: hostname(), pid: dead })).to.equal("ended");
    expect(liveness({ host: `not-${hostname()}`, pid: dead })).to.equal("unknown");
  });

  it("the removal of a lock is suggested only when no run is in progress", () => {
    const holders = parseLocks(locked);
    const cancel = "npm run pulumi -- cancel --stack dev";
    expect(lockedMessage("dev", holders, () => "ended"))
      .to.contain(cancel)
      .and.contain("process 12 of ann on laptop, since 2026-11-22T10:00:00Z");
    expect(lockedMessage("dev", holders, () => "unknown"))
      .to.contain("certainly ended")
      .and.contain(cancel);
    expect(lockedMessage("dev", holders, ({ pid }) => (pid === 12 ? "running" : "ended")))
      .to.contain("Wait")
      .and.not.contain(cancel);
  });
});
