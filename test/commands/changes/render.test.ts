import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parseDigest } from "../../../commands/changes/digest.ts";
import { Redactor } from "../../../commands/changes/redactor.ts";
import { previewFrame, render, type StackReport, stackReport } from "../../../commands/changes/render.ts";
import { driftFrame } from "../../../commands/drift.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const golden = join(import.meta.dirname, "golden");
const limit = 65_536;

const json = (name: string) => readFileSync(join(fixtures, `${name}.json`), "utf8");

/** The exit codes of the recorded commands that failed. */
const statuses: Readonly<Record<string, number>> = { "settings-error": 1, drift: 7 };

function report(name: string, stack = name.replace("create-", "")): StackReport {
  return stackReport(stack, { status: statuses[name] ?? 0, digest: parseDigest(json(name)), error: "" }, new Redactor());
}

/** Compares a text with the approved one; UPDATE_GOLDEN=1 approves it. */
function approve(name: string, text: string): void {
  const path = join(golden, `${name}.md`);
  if (process.env["UPDATE_GOLDEN"]) writeFileSync(path, text);
  expect(text).to.equal(readFileSync(path, "utf8"));
}

describe("rendering recorded previews", () => {
  const single = [
    "create-dev",
    "no-change",
    "replicas",
    "image",
    "password",
    "redis-claim",
    "namespace",
    "encrypted-setting",
    "settings-error",
  ];
  for (const name of single)
    it(`the comment for ${name} is the approved one`, () => {
      approve(name, render([report(name, name === "create-dev" ? "dev" : "staging")], previewFrame, limit));
    });

  it("the comment for three stacks at once is the approved one", () => {
    const reports = [report("settings-error", "dev"), report("replicas", "staging"), report("create-prod")];
    approve("three-stacks", render(reports, previewFrame, limit));
  });

  for (const name of ["drift", "no-drift"])
    it(`the issue for ${name} is the approved one`, () => approve(name, render([report(name, "staging")], driftFrame, limit)));

  it("every recorded preview has an approved comment or issue", () => {
    const names = readdirSync(fixtures).map((file) => file.replace(".json", ""));
    expect(names).to.have.members([...single, "create-staging", "create-prod", "drift", "no-drift"]);
  });
});

describe("the counts of changes in the table", () => {
  const counts = (name: string) => {
    const { changes } = report(name);
    const of = (operation: string) => changes.filter((change) => change.operation === operation).length;
    return { create: of("create"), update: of("update"), replace: of("replace"), delete: of("delete") };
  };

  it("a change of the replicas counts as one update, without the components", () => {
    expect(counts("replicas")).to.deep.equal({ create: 0, update: 1, replace: 0, delete: 0 });
  });

  it("the counts of changes are the engine's own, without the stack and the components", () => {
    for (const name of ["create-dev", "image", "password", "redis-claim", "namespace"]) {
      const { steps, changeSummary } = JSON.parse(json(name));
      const custom = (op: string) =>
        new Set(
          steps
            .filter(
              (step: { op: string; newState?: { custom: boolean }; oldState?: { custom: boolean } }) =>
                step.op === op && (step.newState ?? step.oldState)?.custom,
            )
            .map(({ urn }: { urn: string }) => urn),
        ).size;
      expect(counts(name), name).to.deep.include({ create: custom("create"), update: custom("update"), delete: custom("delete") });
      expect(counts(name).replace, name).to.equal(changeSummary.replace ?? 0);
    }
  });
});

describe("warnings and explanations of changes", () => {
  it("a replaced Redis claim is a warning that names the loss of the cache", () => {
    const text = render([report("redis-claim", "prod")], previewFrame, limit);
    expect(text).to.match(
      /^> \[!CAUTION\]\n> - `prod`: \*\*Replaces\*\* `PersistentVolumeClaim preview-staging\/redis`: the Redis cache is lost/m,
    );
    expect(text).to.contain("⚠️ stored data");
  });

  it("a renamed namespace is a warning that everything in it is deleted", () => {
    expect(render([report("namespace")], previewFrame, limit)).to.contain("everything in the namespace is deleted");
  });

  it("an image change does not warn of lost data", () => {
    expect(render([report("image")], previewFrame, limit)).not.to.contain("CAUTION");
  });

  it("changes that are not harmless updates are explained: replicas and images", () => {
    expect(render([report("replicas")], previewFrame, limit)).to.contain("2 → 4 replicas. 2 pods more");
    expect(render([report("image")], previewFrame, limit)).to.contain(
      "image `ghcr.io/aquasecurity/trivy:0.74.0` → `docker.io/aquasec/trivy:0.75.0`",
    );
  });
});
