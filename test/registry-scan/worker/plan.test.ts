import { expect } from "chai";
import type { PlanLine, Target, TargetArgs } from "../../../registry-scan/protocol/model.ts";
import { chooseTags, plan, type Registry } from "../../../registry-scan/worker/plan.ts";

const digest = (seed: string | number) => `sha256:${`${seed}`.padStart(64, "0")}`;

describe("targets of a registry scan", () => {
  describe("tags", () => {
    const none = () => Promise.reject(new Error("not asked for"));
    const choose = async (tags: string[], choice: Parameters<typeof chooseTags>[1], created: (tag: string) => Promise<Date> = none) =>
      (await chooseTags(tags, choice, created)).chosen;

    it("by name and glob, each once and in the registry's order", async () => {
      expect(await choose(["a", "b", "release-1", "release-2"], { tags: ["release-*", "release-1", "a"] })).to.deep.equal([
        "a",
        "release-1",
        "release-2",
      ]);
    });
    it("by a range, with short versions, a leading v, and zeros before; what is no version is left out", async () => {
      const tags = ["latest", "v1.3.9", "v1.4", "1.4.1", "2", "3.0.0", "24.04", "2.0.0-rc.1", "1.4.1-alpine"];
      expect(await choose(tags, { versions: ">=1.4 <3" })).to.deep.equal(["v1.4", "1.4.1", "2"]);
      expect(await choose(tags, { versions: ">=24" })).to.deep.equal(["24.04"]);
    });
    it("pre-releases only when the range names one", async () => {
      expect(await choose(["2.0.0-rc.1", "2.0.0-rc.2", "1.9.0"], { versions: ">=2.0.0-rc.2" })).to.deep.equal(["2.0.0-rc.2"]);
    });
    it("the newest by version, not by text, when all are versions", async () => {
      expect(await choose(["1.9.0", "1.10.0", "1.10.0-rc.1", "v1.2"], { newest: 2 })).to.deep.equal(["1.10.0", "1.10.0-rc.1"]);
    });
    it("the newest by their time otherwise, and one whose time is unknown is not lost", async () => {
      const created = async (tag: string) => {
        if (tag === "odd") throw new Error("no time");
        return new Date({ main: "2026-03-01", old: "2026-01-01", "1.0": "2026-02-01" }[tag] ?? 0);
      };
      expect(await choose(["1.0", "main", "odd", "old"], { newest: 3 }, created)).to.deep.equal(["odd", "main", "1.0"]);
    });
    it("says what matched nothing", async () => {
      expect((await chooseTags(["a"], { tags: ["a", "b-*"] }, none)).unmatched).to.deep.equal(["no tag matches `b-*`"]);
      expect((await chooseTags(["a"], { versions: "1.x" }, none)).unmatched).to.deep.equal(["no tag is a version in `1.x`"]);
      expect((await chooseTags([], {}, none)).unmatched).to.deep.equal(["there is no tag"]);
    });
  });

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
      expect([...made.lines()], "the same again").to.deep.equal(lines);
      const found: Target[] = lines.flatMap((line: PlanLine) => ("target" in line ? [line.target] : []));
      expect(found.length).to.equal(made.targets);
      return { targets: found, problems: lines.flatMap((line) => ("problem" in line ? [line.problem] : [])) };
    };

    it("takes tags with the same digest, and an image named twice, as one", async () => {
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
    it("keeps an image without digest, and asks nothing of one that is named by its digest", async () => {
      const asked: string[] = [];
      const { targets } = await planned([{ image: "r.example/gone:1" }, { image: `r.example:5000/b:1@${digest(7)}` }], {
        digest: async (image) => {
          asked.push(image);
          throw new Error("MANIFEST_UNKNOWN");
        },
      });
      expect(targets).to.deep.equal([
        { id: "0", reference: "r.example/gone:1", names: ["r.example/gone:1"] },
        { id: "1", reference: `r.example:5000/b@${digest(7)}`, names: [`r.example:5000/b:1@${digest(7)}`], digest: digest(7) },
      ]);
      expect(asked).to.deep.equal(["r.example/gone:1"]);
    });
    it("goes on when a repository cannot be listed, and says so", async () => {
      const { targets, problems } = await planned([{ repository: "r.example/a" }, { image: "r.example/b:1" }], {
        tags: () => Promise.reject(new Error("UNAUTHORIZED: authentication required")),
      });
      expect(targets.map(({ names }) => names)).to.deep.equal([["r.example/b:1"]]);
      expect(problems).to.deep.equal([
        { kind: "error", about: "r.example/a", message: "its tags cannot be listed: UNAUTHORIZED: authentication required" },
      ]);
    });
    it("warns of what matches nothing, or errs when it is strict; a run without any image is an error", async () => {
      const targets = [{ repository: "r.example/a", tags: ["x-*"] }];
      const warning = { about: "r.example/a", message: "no tag matches `x-*`" };
      const nothing = { kind: "error", about: "targets", message: "there is no image to scan" };
      expect((await planned(targets)).problems).to.deep.equal([{ kind: "warning", ...warning }, nothing]);
      expect((await planned([...targets, { image: "a:1" }])).problems).to.deep.equal([{ kind: "warning", ...warning }]);
      expect((await planned(targets, {}, true)).problems).to.deep.equal([{ kind: "error", ...warning }]);
    });
    it("asks of so many at a time as it may, and no more", async () => {
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
        { strict: false, parallel: 8 },
      );
      expect(most).to.equal(8);
    });
  });
});
