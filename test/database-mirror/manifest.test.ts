import { expect } from "chai";
import { artifacts } from "../../database-mirror/artifacts.ts";
import { manifestOf, parseManifest, sha256 } from "../../database-mirror/manifest.ts";
import { Refusal } from "../../database-mirror/refusal.ts";

const artifact = artifacts.vulnerabilities;
const layer = { digest: sha256("layer"), size: 5 };
const good = JSON.parse(manifestOf(artifact, layer));

/** Returns why a manifest is refused. */
function refusal(manifest: unknown, digest?: string): string {
  const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
  try {
    parseManifest(text, digest ?? sha256(text), artifact);
  } catch (error) {
    if (error instanceof Refusal) return `${error.reason}: ${error.message}`;
    throw error;
  }
  throw new Error("the manifest was accepted");
}

describe("the manifest of a database", () => {
  it("a manifest in the form of Trivy's own is accepted, with the artifact type in either place", () => {
    const text = JSON.stringify(good);
    expect(parseManifest(text, sha256(text), artifact).layer).to.deep.include({ ...layer, mediaType: artifact.layerType });
    const { artifactType, ...older } = good;
    const inConfig = JSON.stringify({ ...older, config: { ...good.config, mediaType: artifactType } });
    expect(parseManifest(inConfig, sha256(inConfig), artifact).layer.digest).to.equal(layer.digest);
  });

  it("a manifest that is not the one of its digest is refused", () => {
    expect(refusal(good, sha256("another"))).to.match(/^digest: /);
  });

  for (const [what, manifest, reason] of [
    ["a page of HTML", "<html>sign in</html>", /^manifest: the manifest is not a JSON object/],
    ["null", "null", /^manifest: /],
    ["an index of several platforms", { mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] }, /^manifest: .*media type/],
    ["an image", { ...good, artifactType: undefined, config: { ...good.config, mediaType: "image" } }, /^manifest: .*has the type image/],
    ["another artifact", { ...good, artifactType: "application/vnd.example" }, /^manifest: .*has the type application\/vnd\.example/],
    ["two layers", { ...good, layers: [...good.layers, ...good.layers] }, /^manifest: the artifact has 2 layers, not one/],
    ["no layer", { ...good, layers: [] }, /^manifest: the artifact has 0 layers/],
    [
      "the layer of the Java database",
      { ...good, layers: [{ ...good.layers[0], mediaType: artifacts.java.layerType }] },
      /^manifest: the layer has/,
    ],
    ["a digest that leads out of the folder", { ...good, layers: [{ ...good.layers[0], digest: "sha256:../../x" }] }, /^manifest: /],
    ["a size that is not a number", { ...good, layers: [{ ...good.layers[0], size: "5" }] }, /^manifest: /],
    ["an empty layer", { ...good, layers: [{ ...good.layers[0], size: 0 }] }, /^size: the layer is empty/],
    ["a large configuration", { ...good, config: { ...good.config, size: 2 ** 30 } }, /^size: the configuration/],
  ] as const)
    it(`${what} is refused`, () => {
      expect(refusal(manifest)).to.match(reason);
    });
});
