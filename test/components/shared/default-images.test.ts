import { expect } from "chai";
import { imageReference, images, pinnedImageProblem } from "../../../components/shared/images.ts";
import { parseImageReference } from "../../../registry-scan/index.ts";

/** Images whose index's digest is not known yet. `npm run images -- --verify` prints it. */
const unpinned = ["redisExporter", "haproxy", "crane"];

describe("the default images", () => {
  for (const [name, reference] of Object.entries(images)) {
    it(`${name} has an exact tag${unpinned.includes(name) ? "" : " and a digest"}`, () => {
      const { tag, digest } = parseImageReference(reference) ?? {};
      expect(pinnedImageProblem(reference, name as keyof typeof images)).to.equal(undefined);
      expect(tag).to.match(/\d+\.\d+/);
      if (unpinned.includes(name)) expect(digest, "remove it from `unpinned`").to.equal(undefined);
      else expect(digest).to.match(/^sha256:[0-9a-f]{64}$/);
    });
  }

  it("a mirror keeps tag and digest", () => {
    expect(imageReference("trivy", { registry: "mirror.example.com/hub/" })).to.equal(
      images.trivy.replace("ghcr.io", "mirror.example.com/hub"),
    );
  });

  it("an image called Trivy, or said to be Trivy, is refused if its tag is that of a release with malware", () => {
    for (const reference of ["aquasec/trivy:0.69.4", "mirror.gcr.io/aquasec/trivy:v0.69.6-amd64"])
      expect(pinnedImageProblem(reference)).to.match(/malware/);
    expect(pinnedImageProblem("example.com/other:0.69.4")).to.equal(undefined);
    expect(pinnedImageProblem("example.com/other:0.69.4", "trivy")).to.match(/malware/);
    expect(pinnedImageProblem("example.com/other:0.69.3", "trivy")).to.equal(undefined);
  });
});
