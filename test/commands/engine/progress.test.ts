import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { followEvents, Progress } from "../../../commands/engine/progress.ts";

describe("the engine's event log", () => {
  it("it is a named pipe, which the engine may open more than once, so that no secret is written to a file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "events-"));
    const path = join(folder, "events");
    const progress = new Progress();
    const close = followEvents(path, progress);
    try {
      expect(statSync(path).isFIFO()).to.equal(true);
      const event = (name: string, op: string, planning: boolean) => {
        const metadata = { op, urn: name, type: "kubernetes:core/v1:Service", new: {} };
        return JSON.stringify({ sequence: 1, resourcePreEvent: { metadata, planning } });
      };
      for (const line of [event("a", "create", true), event("b", "create", false), event("c", "same", false)])
        spawnSync("sh", ["-c", 'echo "$0" >"$1"', line, path]);
      await sleep(200);
      expect(progress.pending).to.deep.equal([{ type: "kubernetes:core/v1:Service", component: undefined, deletes: false }]);
      expect(progress.hasFailed).to.equal(false);
    } finally {
      close?.();
      rmSync(folder, { recursive: true });
    }
  });
});
