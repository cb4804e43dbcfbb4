import { expect } from "chai";
import fc from "fast-check";
import type { PlanProblem } from "../../../registry-scan/protocol/api.ts";
import type { Finding } from "../../../registry-scan/protocol/findings.ts";
import { scanners, severities } from "../../../registry-scan/protocol/policy.ts";
import type { ImageReport, RunReport } from "../../../registry-scan/protocol/report.ts";
import { compare, type EndedRun, type LastScan, type TargetOutcome } from "../../../registry-scan/server/compare.ts";
import { findingIdentity } from "../../../registry-scan/server/findings.ts";
import { failed, finding, Runs, scanned, start } from "../../support/registry-reports.ts";

const names = ["r.example/a:1", "r.example/a:2", "r.example/b:1", "r.example/b/c:1", "r.example/bb:1"];

const arbitraryFinding: fc.Arbitrary<Finding> = fc.record(
  {
    id: fc.constantFrom("CVE-1", "CVE-2", "CVE-3"),
    scanner: fc.constantFrom(...scanners),
    severity: fc.constantFrom(...severities),
    package: fc.constantFrom("openssl", "zlib"),
    installed: fc.constantFrom("1", "2"),
    path: fc.constantFrom("/a.jar", "/b.jar"),
    fixed: fc.constantFrom("2", "3"),
  },
  { requiredKeys: ["id", "scanner", "severity", "package"] },
);

const arbitraryFindings = fc.array(arbitraryFinding, { maxLength: 8 });

const arbitraryOutcomes: fc.Arbitrary<TargetOutcome[]> = fc.uniqueArray(
  fc.record(
    {
      target: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 2 }).map((given) => ({
        id: given.join(),
        reference: given.join(),
        names: given,
      })),
      attempts: fc.integer({ min: 0, max: 3 }),
      result: fc.oneof(
        fc.record({ outcome: fc.constant("scanned" as const), findings: arbitraryFindings, seconds: fc.constant(1) }),
        fc.record({ outcome: fc.constant("failed" as const), reason: fc.constant("unreachable"), seconds: fc.constant(1) }),
      ),
    },
    { requiredKeys: ["target", "attempts"] },
  ),
  { selector: ({ target }) => target.id },
);

const arbitraryProblems: fc.Arbitrary<PlanProblem[]> = fc.array(
  fc.record({
    kind: fc.constantFrom("warning" as const, "error" as const),
    about: fc.constantFrom("r.example/a", "r.example/b", "r.example/b:1"),
    message: fc.constant("401"),
  }),
  { maxLength: 2 },
);

const arbitraryKnown: fc.Arbitrary<Map<string, LastScan>> = fc
  .dictionary(fc.constantFrom(...names), arbitraryFindings)
  .map((known) => new Map(Object.entries(known).map(([name, findings]) => [name, { name, findings, scannedAt: "2026-01-01T00:00:00Z" }])));

const arbitraryStart = fc
  .record({
    severities: fc.subarray([...severities], { minLength: 1 }),
    scanners: fc.subarray([...scanners], { minLength: 1 }),
    ignoreUnfixed: fc.boolean(),
    partial: fc.boolean(),
    cycloneDx: fc.boolean(),
  })
  .map(start);

const arbitraryEnd = fc.constantFrom<RunReport["ended"]>("complete", "deadline", "abandoned");

/** Removes findings that the client leaves out because of the policy. */
function withinPolicy(outcomes: readonly TargetOutcome[], { policy }: ReturnType<typeof start>): TargetOutcome[] {
  return outcomes.map((outcome) =>
    outcome.result?.outcome === "scanned"
      ? {
          ...outcome,
          result: {
            ...outcome.result,
            findings: outcome.result.findings.filter(
              ({ severity, scanner, fixed }) =>
                policy.severities.includes(severity) &&
                policy.scanners.includes(scanner) &&
                !(policy.ignoreUnfixed && scanner === "vuln" && fixed === undefined),
            ),
          },
        }
      : outcome,
  );
}

const arbitraryRun = fc
  .record({
    begin: arbitraryStart,
    ended: arbitraryEnd,
    outcomes: arbitraryOutcomes,
    problems: arbitraryProblems,
    before: arbitraryKnown,
  })
  .map((run) => ({ ...run, outcomes: withinPolicy(run.outcomes, run.begin) }));

/** A run without targets, unless given. */
const ended = (given: Partial<EndedRun>): EndedRun => ({
  run: "now",
  start: start(),
  finishedAt: "2026-02-01T00:00:00Z",
  ended: "complete",
  outcomes: [],
  problems: [],
  before: new Map(),
  ...given,
});

const image = (report: RunReport, name: string): ImageReport => {
  const found = report.images.find((image) => image.name === name);
  if (!found) throw new Error(`the report does not contain ${name}`);
  return found;
};

const fresh = (report: RunReport, name: string) => image(report, name).findings.flatMap((it) => (it.fresh ? [it.id] : []));
const gone = (report: RunReport, name: string) => image(report, name).gone.map(({ id }) => id);

describe("comparing any run with the one before", () => {
  const assert = (check: (run: (typeof arbitraryRun extends fc.Arbitrary<infer T> ? T : never) & ReturnType<typeof compare>) => void) =>
    fc.assert(
      fc.property(arbitraryRun, (run) => {
        const { begin, ...rest } = run;
        check({ ...run, ...compare({ ...rest, run: "now", start: begin, finishedAt: "2026-01-02T00:00:00Z" }) });
      }),
      { numRuns: 500 },
    );

  it("a comparison has no finding that is both fresh and gone", () =>
    assert(({ report }) => {
      for (const { findings, gone } of report.images) {
        const left = new Set(gone.map(findingIdentity));
        expect(findings.filter((it) => it.fresh && left.has(findingIdentity(it)))).to.be.empty;
      }
    }));

  it("the same results in the next run are neither fresh nor gone", () =>
    assert(({ begin, outcomes, problems, after }) => {
      const { report, after: later } = compare({
        run: "again",
        start: begin,
        finishedAt: "2026-01-03T00:00:00Z",
        ended: "complete",
        outcomes,
        problems,
        before: after,
      });
      expect(report.totals).to.include({ fresh: 0, gone: 0 });
      expect([...later.keys()]).to.have.members([...after.keys()].filter((name) => later.has(name)));
    }));

  it("images that could not be scanned keep their last successful scan", () =>
    assert(({ report, before, after }) => {
      for (const { name, error, findings, gone } of report.images) {
        if (error === undefined) continue;
        expect(after.get(name)).to.equal(before.get(name));
        expect(gone).to.be.empty;
        expect(findings.filter((it) => it.fresh)).to.be.empty;
        const known = new Set(before.get(name)?.findings.map(findingIdentity));
        expect(findings.filter((it) => !known.has(findingIdentity(it)))).to.be.empty;
      }
    }));

  it("a partial run changes only the requested images", () =>
    assert(({ begin, outcomes, report, before, after }) => {
      if (!begin.partial) return;
      const asked = new Set(outcomes.flatMap(({ target }) => target.names));
      expect(report.removed).to.be.empty;
      expect(report.images.map(({ name }) => name)).to.have.members([...asked]);
      for (const [name, known] of before) if (!asked.has(name)) expect(after.get(name)).to.equal(known);
    }));

  it("every earlier image is kept or reported as removed", () =>
    assert(({ report, before, after }) => {
      const removed = report.removed.map(({ name }) => name);
      expect([...before.keys()].filter((name) => !after.has(name))).to.have.members(removed);
    }));

  it("a comparison's totals add up, and the most severe findings are first", () =>
    assert(({ report }) => {
      expect(report.totals.scanned + report.totals.failed).to.equal(report.images.length);
      for (const severity of severities) {
        expect(report.images.reduce((sum, { counts }) => sum + counts[severity], 0)).to.equal(report.totals.counts[severity]);
      }
      for (const { findings, counts } of report.images) {
        expect(severities.reduce((sum, severity) => sum + counts[severity], 0)).to.equal(findings.length);
        const ranks = findings.map(({ severity }) => severities.indexOf(severity));
        expect(ranks).to.deep.equal(ranks.toSorted((a, b) => b - a));
      }
      const { verdict, images } = report;
      if (images.some(({ error }) => error !== undefined)) expect(verdict).to.equal("errors");
      if (verdict === "clean") expect(images.flatMap(({ findings }) => findings)).to.be.empty;
    }));
});

describe("comparing a run with the one before", () => {
  const old = finding();
  const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib" });

  it("fresh, unchanged and gone findings are distinguished", () => {
    const runs = new Runs();
    const first = runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [])]);
    expect(first.images.map(({ firstScan }) => firstScan)).to.deep.equal([true, true]);
    expect(fresh(first, "r/a:1")).to.deep.equal([old.id]);
    const second = runs.next([scanned("r/a:1", [other, old]), scanned("r/b:1", [])]);
    expect(fresh(second, "r/a:1")).to.deep.equal(["CVE-2"]);
    const third = runs.next([scanned("r/a:1", [other]), scanned("r/b:1", [])]);
    expect(gone(third, "r/a:1")).to.deep.equal([old.id]);
    expect(third.totals).to.include({ fresh: 0, gone: 1, scanned: 2, failed: 0 });
    expect(third.verdict).to.equal("findings");
    expect(image(third, "r/a:1").firstScan).to.equal(false);
  });

  it("an update that does not fix a finding is not a fresh finding", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const report = runs.next([scanned("r/a:1", [finding({ installed: "2.10.6-r1", severity: "HIGH", title: "more is known" })])]);
    expect(report.totals).to.include({ fresh: 0, gone: 0 });
  });

  it("a run is compared with the last successful scan, not with a failed one in between", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old], { endOfLife: true })]);
    const broken = runs.next([failed("r/a:1", "connection refused")]);
    expect(broken.verdict).to.equal("errors");
    expect(image(broken, "r/a:1")).to.deep.include({ error: "connection refused", os: "alpine 3.10.9", endOfLife: true });
    expect(image(broken, "r/a:1").findings).to.have.length(1);
    const repaired = runs.next([scanned("r/a:1", [old, other])]);
    expect(fresh(repaired, "r/a:1")).to.deep.equal(["CVE-2"]);
  });

  it("images of a repository that could not be listed are kept", () => {
    const runs = new Runs();
    const all = ["r/a:1", "r/a@sha256:0", "r/ab:1", "r/a/b:1"].map((name) => scanned(name, [old]));
    runs.next(all);
    const report = runs.next([scanned("r/ab:1", [old])], {}, [{ kind: "error", about: "r/a", message: "401 Unauthorized" }]);
    expect(report.images.map(({ name, error }) => [name, error])).to.deep.equal([
      ["r/a:1", "it could not be listed: 401 Unauthorized"],
      ["r/a@sha256:0", "it could not be listed: 401 Unauthorized"],
      ["r/ab:1", undefined],
    ]);
    expect(report.removed.map(({ name }) => name)).to.deep.equal(["r/a/b:1"]);
    expect(runs.lastScans.has("r/a:1")).to.equal(true);
    expect(
      runs
        .next(all)
        .images.filter(({ firstScan }) => firstScan)
        .map(({ name }) => name),
    ).to.deep.equal(["r/a/b:1"]);
  });

  it("a finding keeps the day on which it was first seen, also across failed scans, and one that comes back is new", () => {
    const runs = new Runs();
    const since = (...outcomes: TargetOutcome[]) => runs.next(outcomes).images.flatMap(({ findings }) => findings.map((one) => one.since));
    expect(since(scanned("r/a:1", [old]))).to.deep.equal(["2026-01-02"]);
    expect(since(scanned("r/a:1", [{ ...old, installed: "another" }]))).to.deep.equal(["2026-01-02"]);
    expect(since(failed("r/a:1"))).to.deep.equal(["2026-01-02"]);
    expect(since(scanned("r/a:1", []))).to.deep.equal([]);
    expect(since(scanned("r/a:1", [old]))).to.deep.equal(["2026-01-06"]);
  });

  it("a warning does not keep images that are no longer targets", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const report = runs.next([], {}, [{ kind: "warning", about: "r/a", message: "no tag matches release-*" }]);
    expect(report.removed).to.deep.equal([{ name: "r/a:1", findings: [{ ...old, since: "2026-01-02" }] }]);
    expect(report.verdict).to.equal("clean");
  });

  it("a run that ended before it was planned removes no image", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const { report, after } = compare(ended({ ended: "abandoned", before: runs.lastScans }));
    expect(report.removed).to.be.empty;
    expect(report.verdict).to.equal("errors");
    expect(image(report, "r/a:1").error).to.equal("the run ended before its targets were listed");
    expect(report.problems).to.have.length(1);
    expect(after).to.deep.equal(runs.lastScans);
  });

  it("each unscanned image has the reason as its error", () => {
    const target = { id: "0", reference: "r/a:1", names: ["r/a:1", "r/a:latest"] };
    const errors = (reason: RunReport["ended"], attempts: number) =>
      compare(ended({ ended: reason, outcomes: [{ target, attempts }] })).report.images.map(({ error }) => error);
    expect(errors("deadline", 0)).to.deep.equal(
      Array(2).fill("it was not scanned before the run's deadline; allow the run more time or more parallelism"),
    );
    expect(errors("abandoned", 0)[0]).to.equal("it was not scanned: none of the run's pods was left");
    expect(errors("complete", 3)[0]).to.equal("its pod was lost during each of 3 scans");
    expect(errors("complete", 1)[0]).to.equal("its pod was lost during the scan");
  });

  it("findings outside of the policy are not reported as gone", () => {
    const runs = new Runs();
    const unfixed = finding({ id: "CVE-3", fixed: undefined });
    const secret = finding({ id: "aws-access-key-id", scanner: "secret", fixed: undefined });
    const low = finding({ id: "CVE-4", severity: "LOW" });
    runs.next([scanned("r/a:1", [unfixed, secret, low, old])]);
    const report = runs.next([scanned("r/a:1", [])], {
      policy: { ignoreUnfixed: true, severities: ["CRITICAL"], scanners: ["vuln", "secret"] },
    });
    expect(gone(report, "r/a:1")).to.have.members([old.id, secret.id]);
  });

  it("an image is reported under each of its names", () => {
    const runs = new Runs();
    const { target, ...rest } = scanned("r/a:1", [old]);
    const both = { ...rest, target: { ...target, digest: "sha256:0", names: ["r/a:1", "r/a:latest"] } };
    const report = runs.next([both, failed("r/a:latest")]);
    expect(report.images.map(({ name, digest, error }) => [name, digest, error])).to.deep.equal([
      ["r/a:1", "sha256:0", undefined],
      ["r/a:latest", "sha256:0", undefined],
    ]);
  });
});
