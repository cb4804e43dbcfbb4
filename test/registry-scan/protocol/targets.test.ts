import { expect } from "chai";
import { scannedImageProblem, scannedRepositoryProblem, versionRangeProblem } from "../../../registry-scan/protocol/targets.ts";

const digest = (seed: number) => `sha256:${`${seed}`.padStart(64, "0")}`;

describe("scannedImageProblem", () => {
  for (const image of [
    "alpine:3.20",
    "team/app:v1",
    "registry.example:5000/team/app_x/y-z:1.0_b",
    `ghcr.io/o/r@${digest(1)}`,
    `localhost/x:1@${digest(2)}`,
    "[::1]:5000/x:1",
  ])
    it(`${image} is accepted as the image of a target`, () => expect(scannedImageProblem(image)).to.equal(undefined));
  for (const [image, problem] of [
    ["", /empty/],
    ["alpine", /neither a tag nor a digest; use `alpine:latest`/],
    ["registry.example:5000/alpine", /neither a tag/],
    ["https://ghcr.io/o/r:1", /leave `https:\/\/` out/],
    ["Team/App:1", /such as `team\/app`$/],
    ["team//app:1", /repository/],
    ["team/app:-1", /tag `-1`/],
    ["team/app:1@sha256:12", /digest/],
    ["team/app: 1", /white space/],
    ["bad_host.example/app:1", /registry `bad_host.example`/],
    ["--config=x:1", /repository/],
  ] as const)
    it(`${image || "an empty text"} is refused as the image of a target`, () => expect(scannedImageProblem(image)).to.match(problem));
});

describe("scannedRepositoryProblem", () => {
  it("a repository is accepted as the repository of a target, and an image is refused", () => {
    expect(scannedRepositoryProblem("ghcr.io/o/r")).to.equal(undefined);
    expect(scannedRepositoryProblem("ghcr.io/o/r:1")).to.match(/remove its tag or digest/);
  });
});

describe("versionRangeProblem", () => {
  it("a range of versions is accepted, and another text is refused", () => {
    expect(versionRangeProblem(">=1.4 <3 || 5.x")).to.equal(undefined);
    expect(versionRangeProblem("newest")).to.match(/not a valid range/);
  });
});
