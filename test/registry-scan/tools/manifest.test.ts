import { createHash } from "node:crypto";
import { expect } from "chai";
import { describeManifest, manifestKind } from "../../../registry-scan/tools/manifest.ts";

const oci = "application/vnd.oci.image";
const docker = "application/vnd.docker";
const manifest = (config: string, layers: string[], more: object = {}) => ({
  ...{ schemaVersion: 2, config: { mediaType: config }, layers: layers.map((mediaType) => ({ mediaType })) },
  ...more,
});
const index = (...manifests: object[]) => ({ schemaVersion: 2, manifests });
const entry = (os: string, more: object = {}) => ({
  mediaType: `${oci}.manifest.v1+json`,
  platform: { os, architecture: "amd64" },
  ...more,
});

describe("the kind of a manifest", () => {
  const images: readonly [string, object][] = [
    ["an OCI image", manifest(`${oci}.config.v1+json`, [`${oci}.layer.v1.tar+gzip`, `${oci}.layer.v1.tar+zstd`])],
    ["a Docker image", manifest(`${docker}.container.image.v1+json`, [`${docker}.image.rootfs.diff.tar.gzip`])],
    ["a Windows image", manifest(`${docker}.container.image.v1+json`, [`${docker}.image.rootfs.foreign.diff.tar.gzip`])],
    ["an image without layers", manifest(`${oci}.config.v1+json`, [])],
    ["an index of images with attestations", index(entry("linux"), entry("unknown"))],
    ["an index for arm64 alone", index(entry("linux", { platform: { os: "linux", architecture: "arm64" } }))],
    ["an index as crane writes it", index(entry("linux", { artifactType: `${docker}.container.image.v1+json` }))],
    ["an image of the first schema", { schemaVersion: 1, fsLayers: [] }],
  ];
  for (const [what, content] of images) it(`${what} is an image`, () => expect(manifestKind(content)).to.equal("image"));

  const others: readonly [string, object][] = [
    ["a Helm chart", manifest("application/vnd.cncf.helm.config.v1+json", ["application/vnd.cncf.helm.chart.content.v1.tar+gzip"])],
    ["a signature of cosign", manifest(`${oci}.config.v1+json`, ["application/vnd.dev.cosign.simplesigning.v1+json"])],
    ["an attestation", manifest(`${oci}.config.v1+json`, ["application/vnd.in-toto+json"])],
    [
      "an SBOM of ORAS",
      manifest("application/vnd.oci.empty.v1+json", ["application/spdx+json"], { artifactType: "application/spdx+json" }),
    ],
    ["an artifact with an image's configuration", manifest(`${oci}.config.v1+json`, [], { artifactType: "application/vnd.example" })],
    ["a Wasm module", manifest("application/vnd.wasm.config.v0+json", ["application/wasm"])],
    [
      "a build cache of BuildKit",
      index({ mediaType: `${oci}.layer.v1.tar+gzip` }, { mediaType: "application/vnd.buildkit.cacheconfig.v0" }),
    ],
    ["a build cache as a manifest", manifest("application/vnd.buildkit.cacheconfig.v0", [`${oci}.layer.v1.tar+gzip`])],
    ["an index of attestations only", index(entry("unknown"))],
    ["an index of artifacts", index(entry("linux", { artifactType: "application/vnd.example" }))],
    ["Trivy's database", manifest("application/vnd.aquasec.trivy.config.v1+json", ["application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"])],
  ];
  for (const [what, content] of others) it(`${what} is no image`, () => expect(manifestKind(content)).to.equal("other"));

  it("of an index without linux/amd64, another image is scanned: the first one for Linux", () => {
    const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
    const of = (os: string, architecture: string, letter: string) => entry(os, { platform: { os, architecture }, digest: digest(letter) });
    const described = (...entries: object[]) => describeManifest(JSON.stringify(index(...entries)))?.digest;
    const attestation = of("unknown", "unknown", "0");
    expect(described(attestation, of("windows", "amd64", "a"), of("linux", "arm64", "b"), of("linux", "s390x", "c"))).to.equal(digest("b"));
    expect(described(of("windows", "amd64", "a"))).to.equal(digest("a"));
    const both = JSON.stringify(index(of("linux", "arm64", "b"), of("linux", "amd64", "c")));
    expect(describeManifest(both)?.digest).to.equal(`sha256:${createHash("sha256").update(both).digest("hex")}`);
  });

  it("the images of an index are listed by platform, each once, without attestations and what is no platform", () => {
    const of = (letter: string, platform: object) => entry("linux", { platform, digest: `sha256:${letter.repeat(64)}` });
    const linux = (architecture: string, variant?: string) => ({ os: "linux", architecture, ...(variant && { variant }) });
    const text = JSON.stringify(
      index(
        of("a", linux("arm64", "v8")),
        of("b", linux("arm", "v7")),
        of("c", linux("arm64")),
        of("d", { os: "unknown", architecture: "unknown" }),
        of("e", linux("amd64\n::add-mask::")),
        entry("linux", { digest: "sha256:short" }),
        of("f", linux("riscv64")),
      ),
    );
    expect(describeManifest(text)?.images.map(({ platform, digest }) => `${platform} ${digest.slice(7, 8)}`)).to.deep.equal([
      "linux/arm64 a",
      "linux/arm/v7 b",
      "linux/riscv64 f",
    ]);
  });

  it("the digest is that of the text, also with white space at its end, and unknown for the first schema", () => {
    const text = `${JSON.stringify(images[0]?.[1], undefined, 3)}\n`;
    expect(describeManifest(text)).to.deep.equal({
      digest: `sha256:${createHash("sha256").update(text).digest("hex")}`,
      kind: "image",
      images: [],
    });
    expect(describeManifest('{"schemaVersion":1}')).to.equal(undefined);
  });
});
