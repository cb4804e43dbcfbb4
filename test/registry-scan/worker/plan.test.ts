import { expect } from "chai";
import type { PlanLine, Target } from "../../../registry-scan/protocol/api.ts";
import type { TargetArgs } from "../../../registry-scan/protocol/targets.ts";
import { plan } from "../../../registry-scan/worker/plan.ts";
import type { Registry } from "../../../registry-scan/worker/registry.ts";

const digest = (seed: string | number) => `sha256:${`${seed}`.padStart(64, "0")}`;

describe("plan", () => {
  const registry = (answers: Partial<Registry> = {}): Registry => ({
    tags: async () => ["1.0", "1", "latest", "2.0"],
    digest: async (image) => digest(image.endsWith("2.0") ? 2 : 1),
    created: async () => new Date(0),
    ...answers,
  });
  const planned = async (targets: TargetArgs[], answers?: Partial<Registry>, strict = false) => {
    const made = await plan(targets, registry(answers), { strict });
    const lines = [...made.lines()];
    expect([...made.lines()], "a second plan").to.deep.equal(lines);
    const found: Target[] = lines.flatMap((line: PlanLine) => ("target" in line ? [line.target] : []));
    expect(found.length).to.equal(made.targets);
    return { targets: found, problems: lines.flatMap((line) => ("problem" in line ? [line.problem] : [])) };
  };

  it("tags with the same digest, and an image that is named twice, are one target of the plan", async () => {
    const { targets, problems } = await planned([
      { repository: "r.example/a" },
      { image: "r.example/a:2.0" },
      { image: "alpine:3" },
      { image: "docker.io/library/alpine:3" },
    ]);
    expect(targets).to.deep.equal([
      {
        id: "0",
        reference: `r.example/a@${digest(1)}`,
        names: ["r.example/a:1.0", "r.example/a:1", "r.example/a:latest", "docker.io/library/alpine:3"],
        digest: digest(1),
      },
      { id: "1", reference: `r.example/a@${digest(2)}`, names: ["r.example/a:2.0"], digest: digest(2) },
    ]);
    expect(problems).to.deep.equal([]);
  });
  it("an image whose digest is unknown is planned, and a digest in an image's name is not queried", async () => {
    const queried: string[] = [];
    const { targets } = await planned([{ image: "r.example/gone:1" }, { image: `r.example:5000/b:1@${digest(7)}` }], {
      digest: async (image) => {
        queried.push(image);
        throw new Error("MANIFEST_UNKNOWN");
      },
    });
    expect(targets).to.deep.equal([
      { id: "0", reference: "r.example/gone:1", names: ["r.example/gone:1"] },
      { id: "1", reference: `r.example:5000/b@${digest(7)}`, names: [`r.example:5000/b:1@${digest(7)}`], digest: digest(7) },
    ]);
    expect(queried).to.deep.equal(["r.example/gone:1"]);
  });
  it("a repository that cannot be listed is reported, and planning continues", async () => {
    const { targets, problems } = await planned([{ repository: "r.example/a" }, { image: "r.example/b:1" }], {
      tags: () => Promise.reject(new Error("UNAUTHORIZED: authentication required")),
    });
    expect(targets.map(({ names }) => names)).to.deep.equal([["r.example/b:1"]]);
    expect(problems).to.deep.equal([
      { kind: "error", about: "r.example/a", message: "its tags cannot be listed: UNAUTHORIZED: authentication required" },
    ]);
  });
  it("an unmatched glob is a warning, or an error if strict, and a plan without images is an error", async () => {
    const targets = [{ repository: "r.example/a", tags: ["x-*"] }];
    const warning = { about: "r.example/a", message: "no tag matches `x-*`" };
    const nothing = { kind: "error", about: "targets", message: "there is no image to scan" };
    expect((await planned(targets)).problems).to.deep.equal([{ kind: "warning", ...warning }, nothing]);
    expect((await planned([...targets, { image: "a:1" }])).problems).to.deep.equal([{ kind: "warning", ...warning }]);
    expect((await planned(targets, {}, true)).problems).to.deep.equal([{ kind: "error", ...warning }]);
  });
  it("planning sends as many queries at a time as the concurrency allows, and no more", async () => {
    let now = 0;
    let most = 0;
    const tags = Array.from({ length: 50 }, (_, index) => `t${index}`);
    await plan(
      [{ repository: "r.example/a" }],
      registry({
        tags: async () => tags,
        digest: async (image) => {
          most = Math.max(most, ++now);
          await new Promise(setImmediate);
          now--;
          return digest(image.length);
        },
      }),
      { strict: false, concurrency: 8 },
    );
    expect(most).to.equal(8);
  });
});
