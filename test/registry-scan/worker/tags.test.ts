import { expect } from "chai";
import { selectTags, type TagQueries, type TagSelection } from "../../../registry-scan/worker/tags.ts";

const never = () => Promise.reject(new Error("the build time is not needed"));

const queries = (created: (tag: string) => Promise<Date> = never, isImage: (tag: string) => boolean = () => true): TagQueries => ({
  created,
  isImage: async (tag) => isImage(tag),
});
const select = async (tags: string[], selection: TagSelection, created?: (tag: string) => Promise<Date>) =>
  (await selectTags(tags, selection, queries(created))).selected;

describe("selectTags", () => {
  it("tags are selected by name and glob, each once and in the registry's order", async () => {
    const selected = await select(["a", "b", "release-1", "release-2"], { tags: ["release-*", "release-1", "a"] });
    expect(selected).to.deep.equal(["a", "release-1", "release-2"]);
  });

  it("versions in a range are selected, including short ones and those with a leading v or zero", async () => {
    const tags = ["latest", "v1.3.9", "v1.4", "1.4.1", "2", "3.0.0", "24.04", "2.0.0-rc.1", "1.4.1-alpine"];
    expect(await select(tags, { versions: ">=1.4 <3" })).to.deep.equal(["v1.4", "1.4.1", "2"]);
    expect(await select(tags, { versions: ">=24" })).to.deep.equal(["24.04"]);
  });

  it("pre-releases are selected only when the range names one", async () => {
    expect(await select(["2.0.0-rc.1", "2.0.0-rc.2", "1.9.0"], { versions: ">=2.0.0-rc.2" })).to.deep.equal(["2.0.0-rc.2"]);
  });

  it("the newest tags are the highest versions, compared as versions, when all tags are versions", async () => {
    expect(await select(["1.9.0", "1.10.0", "1.10.0-rc.1", "v1.2"], { newest: 2 })).to.deep.equal(["1.10.0", "1.10.0-rc.1"]);
  });

  it("otherwise, the newest tags are the most recently built ones, and one whose build time is unknown takes the place of no other", async () => {
    const created = async (tag: string) => {
      if (tag === "odd") throw new Error("no time");
      return new Date({ main: "2026-03-01", old: "2026-01-01", "1.0": "2026-02-01" }[tag] ?? 0);
    };
    expect(await select(["1.0", "main", "odd", "old"], { newest: 3 }, created)).to.deep.equal(["main", "1.0", "old"]);
  });

  it("of several tags for the same version or build time, the longest is selected", async () => {
    expect(await select(["1", "1.0.0", "1.0"], { newest: 1 })).to.deep.equal(["1.0.0"]);
    expect(await select(["b", "main", "a"], { newest: 2 }, async () => new Date(0))).to.deep.equal(["main", "a"]);
  });

  it("tags, globs and ranges that match no tag are reported", async () => {
    expect((await selectTags(["a"], { tags: ["a", "b-*"] }, queries())).unmatched).to.deep.equal(["no tag matches `b-*`"]);
    expect((await selectTags(["a"], { versions: "1.x" }, queries())).unmatched).to.deep.equal(["no tag is a version in `1.x`"]);
    expect((await selectTags([], {}, queries())).unmatched).to.deep.equal(["the repository has no tags"]);
  });

  it("excluded tags and globs are left out, and an exclusion that leaves nothing is reported", async () => {
    expect(await select(["1.0", "1.0-cache", "latest", "dev"], { exclude: ["*-cache", "latest"] })).to.deep.equal(["1.0", "dev"]);
    expect((await selectTags(["a", "b"], { exclude: ["*"] }, queries())).unmatched).to.deep.equal(["`exclude` leaves no tag"]);
  });

  it("by name, the newest tags are the last ones, compared as numbers where they are", async () => {
    const tags = ["nightly-9", "nightly-10", "main", "nightly-2"];
    expect(await select(tags, { tags: ["nightly-*"], newest: 2, order: "name" })).to.deep.equal(["nightly-10", "nightly-9"]);
    const built = async (tag: string) => new Date(tag === "1.0" ? "2026-02-01" : "2026-01-01");
    expect(await select(["1.0", "2.0"], { newest: 1, order: "built" }, built)).to.deep.equal(["1.0"]);
  });

  it("build times that do not say which tags are the newest are reported", async () => {
    const doubts = async (times: Record<string, string | undefined>, newest = 1) => {
      const created = async (tag: string) => {
        const time = times[tag];
        if (time === undefined) throw new Error("no time");
        return new Date(time);
      };
      return (await selectTags(Object.keys(times), { newest }, queries(created))).unmatched;
    };
    expect(await doubts({ a: "2026-01-01", b: "2026-01-02" })).to.deep.equal([]);
    expect(await doubts({ a: "2026-01-01", b: "2026-01-01" })).to.deep.equal([
      "`a` and `b` were built at the same time; name tags or versions, or set `order`",
    ]);
    expect(await doubts({ a: "1970-01-01", b: "1970-01-01", c: "2026-01-01" }))
      .to.have.nested.property("[0]")
      .match(/2 of 3 tags is missing or before 1990/);
    expect(await doubts({ a: undefined, b: "2026-01-01" }))
      .to.have.nested.property("[0]")
      .match(/1 of 2 tags is missing/);
    expect(await doubts({ a: "2026-01-01", b: "2026-01-01" }, 2), "all are selected").to.deep.equal([]);
  });

  it("what is no image has no build time that counts, and takes the place of no image", async () => {
    const created = async (tag: string) => {
      if (tag === "chart") throw new Error("no time");
      return new Date({ cache: "2026-03-01", main: "2026-02-01", old: "2026-01-01" }[tag] ?? 0);
    };
    const images = (tag: string) => tag === "main" || tag === "old";
    const found = await selectTags(["chart", "cache", "main", "old"], { newest: 1 }, queries(created, images));
    expect(found).to.deep.equal({ selected: ["main"], unmatched: [] });
  });
});
