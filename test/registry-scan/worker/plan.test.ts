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
    describe: async (image) => ({ digest: digest(image.endsWith("2.0") ? 2 : 1), isImage: true }),
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
  it("tags that are no images are skipped and counted, and images that the settings name are not", async () => {
    const charts = { describe: async (image: string) => ({ digest: digest(image.length), isImage: /:(2\.0|chart)$/.test(image) }) };
    const { targets, problems } = await planned([{ repository: "r.example/a" }, { image: "r.example/b:chart-1" }], charts);
    expect(targets.map(({ names }) => names)).to.deep.equal([["r.example/a:2.0"], ["r.example/b:chart-1"]]);
    expect(problems).to.deep.equal([
      {
        kind: "warning",
        about: "r.example/a",
        message: "3 tags are no image, but a Helm chart, a build cache, a signature or the like, and skipped",
      },
    ]);
    const none = await planned([{ repository: "r.example/a" }], { describe: async () => ({ digest: digest(1), isImage: false }) });
    expect(none.problems.at(-1)).to.deep.equal({ kind: "error", about: "targets", message: "there is no image to scan" });
  });
  it("what is no image takes the place of no image among the newest, and each tag is described once", async () => {
    const described: string[] = [];
    const { targets } = await planned([{ repository: "r.example/a", newest: 2 }], {
      tags: async () => ["1.0", "1.1", "1.2", "1.3"],
      describe: async (image) => {
        described.push(image);
        return { digest: digest(image.slice(-1)), isImage: !image.endsWith("1.2") };
      },
    });
    expect(targets.flatMap(({ names }) => names)).to.deep.equal(["r.example/a:1.3", "r.example/a:1.1"]);
    expect(described.sort()).to.deep.equal(["r.example/a:1.1", "r.example/a:1.2", "r.example/a:1.3"]);
  });
  it("planning sends as many queries at a time as the concurrency allows, and no more", async () => {
    let now = 0;
    let most = 0;
    const tags = Array.from({ length: 50 }, (_, index) => `t${index}`);
    await plan(
      [{ repository: "r.example/a" }],
      registry({
        tags: async () => tags,
        describe: async (image) => {
          most = Math.max(most, ++now);
          await new Promise(setImmediate);
          now--;
          return { digest: digest(image.length), isImage: true };
        },
      }),
      { strict: false, concurrency: 8 },
    );
    expect(most).to.equal(8);
  });
});
