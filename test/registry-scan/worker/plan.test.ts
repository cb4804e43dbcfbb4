import { expect } from "chai";
import type { PlanLine, Target } from "../../../registry-scan/protocol/api.ts";
import type { TargetArgs } from "../../../registry-scan/protocol/targets.ts";
import { type PlanOptions, plan } from "../../../registry-scan/worker/plan.ts";
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
  const planned = async (targets: TargetArgs[], answers?: Partial<Registry>, options: Partial<PlanOptions> = {}) => {
    const made = await plan(targets, registry(answers), { strict: false, ...options });
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
    expect((await planned(targets, {}, { strict: true })).problems).to.deep.equal([{ kind: "error", ...warning }]);
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
  describe("of several platforms", () => {
    const [amd64, arm64, v6, v7] = [1, 2, 3, 4].map(digest) as [string, string, string, string];
    const index = {
      isImage: true,
      digest: digest(9),
      images: [
        { platform: "linux/arm/v6", digest: v6 },
        { platform: "linux/arm/v7", digest: v7 },
        { platform: "linux/arm64", digest: arm64 },
        { platform: "linux/amd64", digest: amd64 },
        { platform: "windows/amd64", digest: digest(5) },
      ],
    };
    const image = "r.example/a:1.0";
    const platformsOf = async (platforms: string[], answers: Partial<Registry> = { describe: async () => index }) => {
      const { targets, problems } = await planned([{ image }], answers, { platforms });
      return { found: targets.map(({ names, platform, reference }) => [names, platform, reference.split("@")[1]]), problems };
    };

    it("each platform has a result of its own, and that for linux/amd64 the image's name", async () => {
      expect(await platformsOf(["linux/arm64", "linux/amd64"])).to.deep.equal({
        found: [
          [[`${image} (linux/arm64)`], "linux/arm64", arm64],
          [[image], "linux/amd64", amd64],
        ],
        problems: [],
      });
      expect((await platformsOf(["linux/arm64"])).found).to.deep.equal([[[image], "linux/arm64", arm64]]);
    });

    it("a platform without a variant stands for all of its variants, and all for everything but Windows", async () => {
      expect((await platformsOf(["linux/arm"])).found).to.deep.equal([
        [[image], "linux/arm/v6", v6],
        [[`${image} (linux/arm/v7)`], "linux/arm/v7", v7],
      ]);
      expect((await platformsOf(["linux/arm/v7"])).found).to.deep.equal([[[image], "linux/arm/v7", v7]]);
      expect((await platformsOf(["all"])).found.map(([, platform]) => platform)).to.deep.equal([
        "linux/arm/v6",
        "linux/arm/v7",
        "linux/arm64",
        "linux/amd64",
      ]);
    });

    it("an image for none of the platforms is reported; what is no index is scanned, and a digest may stand for an index", async () => {
      expect((await platformsOf(["linux/s390x"])).problems[0]).to.deep.equal({
        kind: "warning",
        about: image,
        message:
          "it has no image for linux/s390x, but for linux/arm/v6, linux/arm/v7, linux/arm64, linux/amd64, windows/amd64, and is not scanned",
      });
      expect((await platformsOf(["linux/arm64"], {})).found).to.deep.equal([[[image], undefined, digest(1)]]);
      const pinned = `r.example/a@${digest(9)}`;
      const { targets } = await planned([{ image: pinned }], { describe: async () => index }, { platforms: ["linux/arm64"] });
      expect(targets[0]).to.deep.include({ names: [pinned], reference: `r.example/a@${arm64}`, platform: "linux/arm64" });
    });

    it("an image whose platforms cannot be listed is an error, so that the results of its platforms stay", async () => {
      const silent = { describe: () => Promise.reject(new Error("r.example did not answer within 60 s")) };
      const { targets, problems } = await planned([{ image }, { repository: "r.example/b", tags: ["1"] }], silent, { platforms: ["all"] });
      expect(targets).to.deep.equal([]);
      expect(problems).to.deep.equal(
        [image, "r.example/b:1"].map((about) => ({
          ...{ kind: "error", about },
          message: "its platforms cannot be listed: r.example did not answer within 60 s",
        })),
      );
    });

    it("tags with the same digest are one target for each platform", async () => {
      const describe = { describe: async () => index };
      const { targets } = await planned([{ repository: "r.example/a", tags: ["1*"] }], describe, { platforms: ["all"] });
      expect(targets.find(({ platform }) => platform === "linux/arm64")?.names).to.deep.equal([
        "r.example/a:1.0 (linux/arm64)",
        "r.example/a:1 (linux/arm64)",
      ]);
      expect(targets).to.have.length(4);
    });
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
