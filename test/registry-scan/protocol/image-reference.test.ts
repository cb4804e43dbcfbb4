import { expect } from "chai";
import {
  formatImageReference,
  type ImageReference,
  imageReferenceProblem,
  parseImageReference,
} from "../../../registry-scan/protocol/image-reference.ts";

const sha256 = `sha256:${"0123456789abcdef".repeat(4)}`;
const sha512 = `sha512:${"0123456789abcdef".repeat(8)}`;

describe("parseImageReference", () => {
  const valid: Readonly<Record<string, ImageReference>> = {
    alpine: { registry: "docker.io", repository: "library/alpine" },
    "alpine:3.20": { registry: "docker.io", repository: "library/alpine", tag: "3.20" },
    "team/app:v1": { registry: "docker.io", repository: "team/app", tag: "v1" },
    "docker.io/alpine": { registry: "docker.io", repository: "library/alpine" },
    "index.docker.io/library/alpine": { registry: "docker.io", repository: "library/alpine" },
    "registry.example:5000/team/app_x/y-z:1.0_b": { registry: "registry.example:5000", repository: "team/app_x/y-z", tag: "1.0_b" },
    "registry.example/alpine": { registry: "registry.example", repository: "alpine" },
    "Registry.Example/a:1": { registry: "Registry.Example", repository: "a", tag: "1" },
    "host:5000/app": { registry: "host:5000", repository: "app" },
    "host:5000": { registry: "docker.io", repository: "library/host", tag: "5000" },
    "localhost/x:1": { registry: "localhost", repository: "x", tag: "1" },
    "[::1]:5000/x:1": { registry: "[::1]:5000", repository: "x", tag: "1" },
    "[2001:db8::1]/x": { registry: "[2001:db8::1]", repository: "x" },
    "x/a.b_c__d---e": { registry: "docker.io", repository: "x/a.b_c__d---e" },
    [`ghcr.io/o/r@${sha256}`]: { registry: "ghcr.io", repository: "o/r", digest: sha256 },
    [`localhost/x:1@${sha512}`]: { registry: "localhost", repository: "x", tag: "1", digest: sha512 },
    [`a.example/x:${"t".repeat(128)}`]: { registry: "a.example", repository: "x", tag: "t".repeat(128) },
    [`a.example/${"r".repeat(255)}`]: { registry: "a.example", repository: "r".repeat(255) },
  };
  for (const [text, parts] of Object.entries(valid))
    it(`the image reference ${text.slice(0, 60)} is parsed`, () => {
      expect(parseImageReference(text)).to.deep.equal(parts);
      expect(imageReferenceProblem(text)).to.equal(undefined);
    });

  for (const [text, problem] of [
    ["", /^is empty/],
    [" ", /^contains white space/],
    ["team/app: 1", /^contains white space/],
    ["https://ghcr.io/o/r:1", /leave `https:\/\/` out$/],
    ["Team/App:1", /^has the invalid repository `Team\/App`.*such as `team\/app`$/],
    ["team//app:1", /^has the invalid repository `team\/\/app`/],
    ["/app:1", /^has the invalid repository `\/app`/],
    ["team/:1", /^has the invalid repository `team\/`/],
    ["registry.example/", /^has the invalid repository ``/],
    ["--config=x:1", /^has the invalid repository/],
    ["team/-app", /^has the invalid repository/],
    ["team/a..b", /^has the invalid repository/],
    ["team/a___b", /^has the invalid repository/],
    [`a.example/${"r".repeat(256)}`, /^has the invalid repository/],
    ["team/app:", /^has the invalid tag ``/],
    ["team/app:-1", /^has the invalid tag `-1`/],
    [`team/app:${"t".repeat(129)}`, /^has the invalid tag/],
    ["team/app:1@sha256:12", /^has an invalid digest/],
    ["team/app@", /^has an invalid digest/],
    [`team/app@${sha256}@${sha256}`, /^has an invalid digest/],
    [`team/app@${sha256.toUpperCase()}`, /^has an invalid digest/],
    [`team/app@sha512:${"0".repeat(64)}`, /^has an invalid digest/],
    [`user:secret@ghcr.io/o/r`, /^has an invalid digest/],
    ["bad_host.example/app:1", /^has the invalid registry `bad_host.example`/],
    ["a..example/app:1", /^has the invalid registry/],
    ["-a.example/app:1", /^has the invalid registry/],
    ["a.example:/app:1", /^has the invalid registry/],
    ["a.example:65536/app:1", /^has the invalid registry `a.example:65536`/],
    ["[::1/app:1", /^has the invalid registry/],
  ] as const)
    it(`${text.slice(0, 60) || "an empty text"} is refused as an image reference`, () => {
      expect(parseImageReference(text)).to.equal(undefined);
      expect(imageReferenceProblem(text)).to.match(problem);
    });
});

describe("formatImageReference", () => {
  for (const [text, full] of [
    ["alpine", "docker.io/library/alpine"],
    ["index.docker.io/team/app:1", "docker.io/team/app:1"],
    [`[::1]:5000/x:1@${sha256}`, `[::1]:5000/x:1@${sha256}`],
  ] as const)
    it(`the image reference ${text.slice(0, 60)} is written in full, and parsed back unchanged`, () => {
      const reference = parseImageReference(text);
      if (!reference) throw new Error(`${text} is not valid`);
      expect(formatImageReference(reference)).to.equal(full);
      expect(parseImageReference(full)).to.deep.equal(reference);
    });
});
