import { randomUUID } from "node:crypto";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { attempts } from "../../../registry-scan/protocol/api.ts";
import type { ScanResult } from "../../../registry-scan/protocol/findings.ts";
import { Run } from "../../../registry-scan/server/run.ts";
import { StringPool } from "../../../registry-scan/server/string-pool.ts";
import { failed, finding, scanned, start, target } from "../../support/reports-server.ts";

const t0 = Date.parse("2026-03-01T02:00:00.000Z");
const begun = start({ startedAt: new Date(t0).toISOString(), timeout: 300, deadline: 7200 });
const leaseEnds = 360_000;

describe("Run", () => {
  let folder: string;
  let now: number;
  let run: Run;

  const restart = () => {
    run.dispose();
    run = Run.resume("nightly", folder, now);
  };
  const next = (pod: string) => run.next({ pod, process: randomUUID() }, now);
  const scan = (pod: string) => {
    const answer = next(pod);
    if (answer.next !== "scan") throw new Error(`pod ${pod} was answered ${answer.next}`);
    return { id: answer.target.id, attempt: answer.attempt };
  };
  const outcome = async (id: string) => (await run.outcomes(new StringPool())).find((one) => one.target.id === id);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "run-"));
    now = t0;
    run = Run.begin("nightly", folder, begun, now);
  });
  afterEach(() => {
    run.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const plan = (count: number) => run.plan(Array.from({ length: count }, (_, id) => ({ target: target(id) })));

  it("a process whose answer was lost gets the same target again, also after a restart", () => {
    plan(2);
    const ask = (process: string) => run.next({ pod: "0", process }, now);
    const answer = ask("one");
    expect(answer).to.deep.include({ next: "scan", attempt: 1 });
    expect(ask("one")).to.deep.equal(answer);
    restart();
    expect(ask("one")).to.deep.equal(answer);
    // A new process of the pod has lost the scan.
    expect(ask("two")).to.not.deep.equal(answer);
  });

  it("results that do not fit into the memory are refused, also after a restart; a result that replaces another one counts once", () => {
    const limited = mkdtempSync(join(tmpdir(), "run-"));
    const result = scanned([finding("CVE-1")]);
    const size = Buffer.byteLength(JSON.stringify(result));
    let other = Run.begin("nightly", limited, begun, now, 3 * size);
    try {
      other.plan([0, 1, 2].map((id) => ({ target: target(id) })));
      const send = (id: string) => {
        other.next({ pod: id, process: "p" }, now);
        return other.result(id, undefined, result, now);
      };
      expect([send("0"), send("0")]).to.deep.equal([true, true]);
      expect(send("1")).to.equal(true);
      expect(() => send("2")).to.throw(/more than the \d+ bytes that fit .* raise registryScan\.reports\.resources\.limits\.memory/);
      other.dispose();
      other = Run.resume("nightly", limited, now, 3 * size);
      expect(() => send("2")).to.throw(/more than/);
      expect(other.result("2", undefined, { outcome: "failed", reason: "too many findings", seconds: 1 }, now)).to.equal(true);
    } finally {
      other.dispose();
      rmSync(limited, { recursive: true });
    }
  });

  it("pods wait for the plan, a second plan has no effect, and each target goes to one pod", () => {
    expect(next("0")).to.deep.include({ next: "wait" });
    plan(2);
    run.plan([{ target: target("another") }]);
    expect([scan("0"), scan("1")]).to.deep.equal([
      { id: "0", attempt: 1 },
      { id: "1", attempt: 1 },
    ]);
    expect(next("2")).to.deep.include({ next: "wait" });
    expect(run.counts).to.deep.equal({ planned: 2, scanned: 0, failed: 0 });
  });

  it("a plan with a repeated target id is refused, and the next plan is accepted", () => {
    expect(() => run.plan([{ target: target(1) }, { target: target(1) }])).to.throw('two targets have the id "1"');
    plan(1);
    expect(run.counts.planned).to.equal(1);
  });

  it("a failed target is retried at the end of the queue, after a growing delay, up to three attempts", async () => {
    plan(2);
    scan("0");
    run.result("0", 1, failed("first"), now);
    expect(scan("0")).to.deep.equal({ id: "1", attempt: 1 });
    run.result("1", 1, scanned(), now);
    expect(next("0")).to.deep.include({ next: "wait" });
    now += 4_999;
    expect(next("0"), "the delay is not over").to.deep.include({ next: "wait" });
    now += 1;
    expect(scan("0")).to.deep.equal({ id: "0", attempt: 2 });
    run.result("0", 2, failed("second"), now);
    now += 5_000;
    expect(next("0")).to.deep.include({ next: "wait" });
    now += 10_000;
    expect(scan("0")).to.deep.equal({ id: "0", attempt: 3 });
    expect(run.endReason(now)).to.equal(undefined);
    run.result("0", 3, failed("third"), now);
    expect(run.endReason(now)).to.equal("complete");
    expect(run.counts).to.deep.equal({ planned: 2, scanned: 1, failed: 1 });
    expect(await outcome("0")).to.deep.include({ attempts: 3, result: failed("third") });
  });

  it("a pod that asks for a target without a result for the last one has failed an attempt", async () => {
    plan(1);
    scan("0");
    next("0");
    expect((await outcome("0"))?.result).to.deep.include({
      outcome: "failed",
      reason: "pod 0 ended while it scanned this image (out of memory, evicted or deleted)",
    });
    now += 5_000;
    expect(scan("1")).to.deep.equal({ id: "0", attempt: 2 });
  });

  it("a scan is failed when its time is over, and not before", () => {
    plan(1);
    scan("0");
    now += leaseEnds - 1;
    expect(next("1")).to.deep.include({ next: "wait" });
    now += 1;
    next("1");
    now += 5_000;
    expect(scan("1")).to.deep.equal({ id: "0", attempt: 2 });
  });

  it("a late successful result counts, a late failure of an earlier attempt does not", () => {
    plan(2);
    scan("0");
    now += leaseEnds;
    scan("1");
    now += 5_000;
    expect(scan("2")).to.deep.equal({ id: "0", attempt: 2 });
    run.result("0", 1, failed("late"), now);
    expect(next("3"), "the second attempt is still in progress").to.deep.include({ next: "wait" });
    run.result("0", 1, scanned(), now);
    run.result("0", 2, failed("too late"), now);
    expect(run.counts).to.include({ scanned: 1, failed: 0 });
    next("2");
    expect(run.counts, "a pod whose attempt became unnecessary has not failed").to.include({ scanned: 1, failed: 0 });
  });

  it("a run ends at its deadline, and unscanned targets count as failed", async () => {
    plan(2);
    scan("0");
    run.result("0", 1, failed("once"), now);
    scan("1");
    now = t0 + 7_200_000 - 1;
    run.touch(now);
    expect(run.endReason(now)).to.equal(undefined);
    now += 1;
    expect(run.endReason(now)).to.equal("deadline");
    run.close("deadline", now);
    expect(run.counts).to.deep.equal({ planned: 2, scanned: 0, failed: 2 });
    expect(next("0")).to.deep.include({ next: "wait" });
    run.result("1", 1, scanned(), now);
    expect((await outcome("1"))?.result).to.deep.include({
      outcome: "failed",
      reason: "the run ended during its scan: the deadline was reached",
    });
  });

  it("a run is abandoned after five minutes without a request, unless a scan may be in progress", () => {
    plan(1);
    now += 299_999;
    expect(run.endReason(now)).to.equal(undefined);
    scan("0");
    now += leaseEnds - 1;
    expect(run.endReason(now)).to.equal(undefined);
    now += 1;
    run.expire(now);
    expect(run.endReason(now)).to.equal("abandoned");
  });

  it("pods have time to send their results after a restart of the server", () => {
    plan(1);
    scan("0");
    now += 3_600_000;
    restart();
    run.expire(now);
    now += 30_000;
    expect(next("1"), "the target is not handed out again").to.deep.include({ next: "wait" });
    expect(run.endReason(now)).to.equal(undefined);
    run.result("0", 1, scanned(), now);
    expect(run.endReason(now)).to.equal("complete");
  });

  it("a partially written line of the journal is removed on restart", () => {
    plan(3);
    scan("0");
    run.result("0", 1, scanned([finding("CVE-2026-1", { title: "so ein Käse €" })]), now);
    scan("0");
    const journal = join(folder, "queue/results.ndjson");
    const whole = readFileSync(journal, "utf8");
    appendFileSync(journal, '{"id":"1","at":"2026-03-01T02:00:00.000Z","result":{"outcome":"scan');
    restart();
    expect(readFileSync(journal, "utf8")).to.equal(whole);
    run.result("1", 1, scanned(), now);
    expect(scan("0")).to.deep.equal({ id: "2", attempt: 1 });
    restart();
    expect(run.counts).to.deep.equal({ planned: 3, scanned: 2, failed: 0 });
  });

  it("a restart continues a run that has ended without a report", () => {
    plan(1);
    run.close("abandoned", now);
    restart();
    expect(run.end).to.deep.equal({ ended: "abandoned", at: new Date(now).toISOString() });
  });

  it("lines of any length and text are read as they were written", async () => {
    plan(3);
    const titles = ["", "ü".repeat(1_500_000), '€\u2028\n\t"\\'];
    for (const [id, title] of titles.entries()) {
      scan("0");
      run.result(String(id), 1, scanned([finding("CVE-2026-1", { title })]), now);
    }
    restart();
    const outcomes = await run.outcomes(new StringPool());
    expect(outcomes.map(({ result }) => result?.outcome === "scanned" && result.findings[0]?.title)).to.deep.equal(titles);
  });

  it("a write to a full volume fails the request and changes nothing", () => {
    const full = mkdtempSync(join(tmpdir(), "run-"));
    mkdirSync(join(full, "queue"));
    symlinkSync("/dev/full", join(full, "queue/results.ndjson"));
    let other = Run.begin("nightly", full, begun, now);
    other.plan([{ target: target(0) }]);
    for (let i = 0; i < 2; i++) expect(() => other.next({ pod: "0", process: "p" }, now)).to.throw("ENOSPC");
    expect(other.counts).to.deep.equal({ planned: 1, scanned: 0, failed: 0 });
    other.dispose();
    rmSync(join(full, "queue/results.ndjson"));
    other = Run.resume("nightly", full, now);
    expect(other.next({ pod: "0", process: "p" }, now)).to.deep.include({ next: "scan", attempt: 1 });
    other.dispose();
    rmSync(full, { recursive: true });
  });
});

describe("any order of events in a run", () => {
  type Step =
    | { do: "next"; pod: number }
    | { do: "send"; pod: number; good: boolean; twice: boolean }
    | { do: "die"; pod: number; good: boolean }
    | { do: "late" }
    | { do: "wait"; seconds: number }
    | { do: "restart"; torn: number };
  const pod = fc.nat(2);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("next" as const), pod }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), pod, good: fc.boolean(), twice: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("die" as const), pod, good: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("late" as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), seconds: fc.constantFrom(1, 5, 15, 60, 200, 360) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("restart" as const), torn: fc.nat(40) }) },
  );

  it("each target has one final outcome, at most three attempts, and one pod at a time unless a scan has expired", async () => {
    const seen = { retried: 0, late: 0, failed: 0 };
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 80 }), async (count, steps) => {
        const folder = mkdtempSync(join(tmpdir(), "run-"));
        let now = t0;
        let run = Run.begin("nightly", folder, { ...begun, deadline: 1e9 }, now);
        run.plan(Array.from({ length: count }, (_, id) => ({ target: target(id) })));
        /** The targets that pods hold, and the results of lost pods that may still arrive. */
        const holds: ({ id: string; attempt: number } | undefined)[] = [];
        const late: { id: string; attempt: number; good: boolean }[] = [];
        /** The expected state of each target. */
        const tries = new Map<string, number>();
        const leases = new Map<string, { pod: number; attempt: number; since: number }>();
        const ended = new Map<string, ScanResult["outcome"]>();
        let opened = now;

        const release = (id: string, good: boolean) => {
          leases.delete(id);
          if (good) ended.set(id, "scanned");
          else if (tries.get(id) === attempts) ended.set(id, "failed");
        };
        const next = (pod: number) => {
          const answer = run.next({ pod: String(pod), process: randomUUID() }, now);
          for (const [id, lease] of [...leases]) {
            const old = now >= Math.max(lease.since + leaseEnds, opened + 60_000);
            if (lease.pod === pod || (old && answer.next !== "end")) release(id, false);
          }
          holds[pod] = undefined;
          if (answer.next !== "scan") return;
          const { id } = answer.target;
          expect(ended.has(id), `${id} has ended`).to.equal(false);
          expect(leases.has(id), `${id} is scanned by another pod`).to.equal(false);
          expect(answer.attempt)
            .to.equal((tries.get(id) ?? 0) + 1)
            .and.most(attempts);
          if (answer.attempt > 1) seen.retried++;
          tries.set(id, answer.attempt);
          leases.set(id, { pod, attempt: answer.attempt, since: now });
          holds[pod] = { id, attempt: answer.attempt };
        };
        const send = ({ id, attempt, good }: { id: string; attempt: number; good: boolean }) => {
          expect(run.result(id, attempt, good ? scanned() : failed(), now)).to.equal(true);
          if (ended.has(id)) return;
          if (good || leases.get(id)?.attempt === attempt) release(id, good);
          else seen.late++;
        };
        const restart = (torn: number) => {
          run.dispose();
          const line = JSON.stringify({ id: "0", at: new Date(now).toISOString(), result: failed() });
          appendFileSync(join(folder, "queue/results.ndjson"), line.slice(0, torn));
          run = Run.resume("nightly", folder, now);
          opened = now;
        };

        for (const one of steps) {
          if (one.do === "next") next(one.pod);
          if (one.do === "wait") now += one.seconds * 1000;
          if (one.do === "restart") restart(one.torn);
          if (one.do === "late") {
            const old = late.shift();
            if (old) send(old);
          }
          if (one.do === "die" || one.do === "send") {
            const held = holds[one.pod];
            if (!held) continue;
            const message = { ...held, good: one.good };
            holds[one.pod] = undefined;
            if (one.do === "die" || one.twice) late.push(message);
            if (one.do === "send") send(message);
          }
          expect(run.counts).to.deep.equal({
            planned: count,
            scanned: [...ended.values()].filter((outcome) => outcome === "scanned").length,
            failed: [...ended.values()].filter((outcome) => outcome === "failed").length,
          });
        }
        // With a working pod the run completes, whatever happened before.
        for (let i = 0; run.endReason(now) !== "complete"; i++) {
          expect(i, "rounds until completion").to.be.below(200);
          next(7);
          const held = holds[7];
          if (held) send({ ...held, good: i % 3 > 0 });
          else now += 30_000;
        }
        restart(0);
        expect(run.endReason(now)).to.equal("complete");
        const outcomes = await run.outcomes(new StringPool());
        expect(outcomes.map(({ target: { id }, result, attempts }) => [id, result?.outcome, attempts])).to.deep.equal(
          Array.from({ length: count }, (_, id) => [String(id), ended.get(String(id)), tries.get(String(id))]),
        );
        seen.failed += [...ended.values()].filter((outcome) => outcome === "failed").length;
        run.dispose();
        rmSync(folder, { recursive: true });
      }),
      // Of 200 runs, three have a late failure on average, and one time in 25 none has.
      { numRuns: 800 },
    );
    // Otherwise these cases were not tested.
    for (const [what, often] of Object.entries(seen)) expect(often, what).to.be.above(0);
  }).timeout(120_000);
});
