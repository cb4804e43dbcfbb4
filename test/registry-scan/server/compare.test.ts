import { expect } from "chai";
import fc from "fast-check";
import {
  type Finding,
  type ImageReport,
  type Problem,
  type RunReport,
  scanners,
  severities,
} from "../../../registry-scan/protocol/model.ts";
import { compare, identity, type LastGood, summarised, summary, type TargetOutcome } from "../../../registry-scan/server/compare.ts";
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

const arbitraryProblems: fc.Arbitrary<Problem[]> = fc.array(
  fc.record({
    kind: fc.constantFrom("warning" as const, "error" as const),
    about: fc.constantFrom("r.example/a", "r.example/b", "r.example/b:1"),
    message: fc.constant("401"),
  }),
  { maxLength: 2 },
);

const arbitraryKnown: fc.Arbitrary<Map<string, LastGood>> = fc
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

/** What the client leaves out by its policy never comes as a result. */
function obeyed(outcomes: readonly TargetOutcome[], { policy }: ReturnType<typeof start>): TargetOutcome[] {
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
  .map((run) => ({ ...run, outcomes: obeyed(run.outcomes, run.begin) }));

const image = (report: RunReport, name: string): ImageReport => {
  const found = report.images.find((image) => image.name === name);
  if (!found) throw new Error(`the report does not have ${name}`);
  return found;
};

const fresh = (report: RunReport, name: string) => image(report, name).findings.flatMap((it) => (it.fresh ? [it.id] : []));
const gone = (report: RunReport, name: string) => image(report, name).gone.map(({ id }) => id);

describe("any run compared with the one before", () => {
  const assert = (check: (run: (typeof arbitraryRun extends fc.Arbitrary<infer T> ? T : never) & ReturnType<typeof compare>) => void) =>
    fc.assert(
      fc.property(arbitraryRun, (run) => {
        const { begin, ended, outcomes, problems, before } = run;
        check({ ...run, ...compare("now", begin, "2026-01-02T00:00:00Z", ended, outcomes, problems, before) });
      }),
      { numRuns: 500 },
    );

  it("has nothing that is both fresh and gone", () =>
    assert(({ report }) => {
      for (const { findings, gone } of report.images) {
        const left = new Set(gone.map(identity));
        expect(findings.filter((it) => it.fresh && left.has(identity(it)))).to.be.empty;
      }
    }));

  it("has no fresh and no gone findings when its results come again", () =>
    assert(({ begin, outcomes, problems, after }) => {
      const { report, after: later } = compare("again", begin, "2026-01-03T00:00:00Z", "complete", outcomes, problems, after);
      expect(report.totals).to.include({ fresh: 0, gone: 0 });
      expect([...later.keys()]).to.have.members([...after.keys()].filter((name) => later.has(name)));
    }));

  it("keeps what is known of all that could not be scanned", () =>
    assert(({ report, before, after }) => {
      for (const { name, error, findings, gone } of report.images) {
        if (error === undefined) continue;
        expect(after.get(name)).to.equal(before.get(name));
        expect(gone).to.be.empty;
        expect(findings.filter((it) => it.fresh)).to.be.empty;
        const known = new Set(before.get(name)?.findings.map(identity));
        expect(findings.filter((it) => !known.has(identity(it)))).to.be.empty;
      }
    }));

  it("changes nothing but what it was asked for, if that was not all", () =>
    assert(({ begin, outcomes, report, before, after }) => {
      if (!begin.partial) return;
      const asked = new Set(outcomes.flatMap(({ target }) => target.names));
      expect(report.removed).to.be.empty;
      expect(report.images.map(({ name }) => name)).to.have.members([...asked]);
      for (const [name, known] of before) if (!asked.has(name)) expect(after.get(name)).to.equal(known);
    }));

  it("knows every image that it knew, or says that it was removed", () =>
    assert(({ report, before, after }) => {
      const removed = report.removed.map(({ name }) => name);
      expect([...before.keys()].filter((name) => !after.has(name))).to.have.members(removed);
    }));

  it("adds up, the worst first", () =>
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

describe("a run", () => {
  const old = finding();
  const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib" });

  it("tells what is new from what was known, and what is gone", () => {
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

  it("does not call an update new that does not mend it", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const report = runs.next([scanned("r/a:1", [finding({ installed: "2.10.6-r1", severity: "HIGH", title: "more is known" })])]);
    expect(report.totals).to.include({ fresh: 0, gone: 0 });
  });

  it("compares with the last good scan, not with the failed one between", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old], { endOfLife: true })]);
    const broken = runs.next([failed("r/a:1", "connection refused")]);
    expect(broken.verdict).to.equal("errors");
    expect(image(broken, "r/a:1")).to.deep.include({ error: "connection refused", os: "alpine 3.10.9", endOfLife: true });
    expect(image(broken, "r/a:1").findings).to.have.length(1);
    const mended = runs.next([scanned("r/a:1", [old, other])]);
    expect(fresh(mended, "r/a:1")).to.deep.equal(["CVE-2"]);
  });

  it("keeps the images of a repository that could not be listed", () => {
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
    expect(runs.known.has("r/a:1")).to.equal(true);
    expect(
      runs
        .next(all)
        .images.filter(({ firstScan }) => firstScan)
        .map(({ name }) => name),
    ).to.deep.equal(["r/a/b:1"]);
  });

  it("does not take a warning for a reason to keep what is no longer there", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const report = runs.next([], {}, [{ kind: "warning", about: "r/a", message: "no tag is like release-*" }]);
    expect(report.removed).to.deep.equal([{ name: "r/a:1", findings: [old] }]);
    expect(report.verdict).to.equal("clean");
  });

  it("that never came to its targets forgets nothing", () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [old])]);
    const { report, after } = compare("now", start(), "2026-02-01T00:00:00Z", "abandoned", [], [], runs.known);
    expect(report.removed).to.be.empty;
    expect(report.verdict).to.equal("errors");
    expect(image(report, "r/a:1").error).to.equal("the run ended before its targets were listed");
    expect(report.problems).to.have.length(1);
    expect(after).to.deep.equal(runs.known);
  });

  it("names each image that it did not come to, with the reason", () => {
    const target = { id: "0", reference: "r/a:1", names: ["r/a:1", "r/a:latest"] };
    const at = (ended: RunReport["ended"], attempts: number) =>
      compare("now", start(), "2026-02-01T00:00:00Z", ended, [{ target, attempts }], [], new Map()).report.images.map(({ error }) => error);
    expect(at("deadline", 0)).to.deep.equal(
      Array(2).fill("it was not scanned before the run's deadline: give the run more time, or more parallelism"),
    );
    expect(at("abandoned", 0)[0]).to.equal("it was not scanned: all pods of the run were gone");
    expect(at("complete", 3)[0]).to.equal("its pod was lost during each of 3 scans");
    expect(at("complete", 1)[0]).to.equal("its pod was lost during the scan");
  });

  it("says nothing of what it did not look for", () => {
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

  it("tells of an image by each of its names", () => {
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

describe("a run's summary", () => {
  it("says the verdict, the numbers, what is new and what went wrong", () => {
    const runs = new Runs();
    expect(summary(runs.next([scanned("r/a:1", [finding()])]))).to.equal(
      "run registry-scan-1: findings. 1 finding. It is the first run: there is nothing to compare with.\n" +
        "CRITICAL 1, HIGH 0, MEDIUM 0, LOW 0, UNKNOWN 0",
    );
    const report = runs.next(
      [scanned("r/a:1", [finding(), finding({ id: "CVE-2", severity: "HIGH" })]), failed("r/b:1", "no such\nimage")],
      { policy: { ...start().policy, severities: ["HIGH", "CRITICAL"] } },
      [{ kind: "warning", about: "r/c", message: "no tag is like release-*" }],
    );
    expect(summary(report)).to.equal(
      "run registry-scan-2: errors. 1 of 2 images could not be scanned. 2 findings: 1 new, 0 gone since the last good scans.\n" +
        "CRITICAL 1, HIGH 1\n" +
        "new: r/a:1: 1 finding\n" +
        "warning: r/c: no tag is like release-*\n" +
        "error: r/b:1: no such image",
    );
    expect(summarised(report)).to.include({ run: "registry-scan-2", verdict: "errors", fresh: 1, gone: 0, scanned: 1, failed: 1 });
  });

  it("stays short", () => {
    const many = Array.from({ length: 500 }, (_, index) => failed(`r/${index}:1`));
    expect(summary(new Runs().next(many)).split("\n")).to.have.length(23);
  });
});
