import { expect } from "chai";
import type { CraneAnswer, CraneQuestion } from "../../../registry-scan/protocol/tools.ts";
import { craneRegistry } from "../../../registry-scan/worker/registry.ts";

describe("craneRegistry", () => {
  const { signal } = new AbortController();
  const reason = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);
  const registry = (answer: (question: CraneQuestion) => CraneAnswer, questions: CraneQuestion[] = [], platforms = false) =>
    craneRegistry(
      {
        async crane(question) {
          questions.push(question);
          return answer(question);
        },
      },
      signal,
      { platforms },
    );

  it("crane's output gives a repository's tags, and an image's build time", async () => {
    const answers = { ls: "1.0\nlatest", config: '{"created":"2026-02-03T04:05:06.7Z"}', digest: "", manifest: "" };
    const questions: CraneQuestion[] = [];
    const known = registry(({ command }) => ({ outcome: "answered", output: answers[command] }), questions);
    expect(await known.tags("r.example/a")).to.deep.equal(["1.0", "latest"]);
    expect((await known.created("r.example/a:1.0")).toISOString()).to.equal("2026-02-03T04:05:06.700Z");
    expect(questions).to.deep.equal([
      { command: "ls", image: "r.example/a" },
      { command: "config", image: "r.example/a:1.0" },
    ]);
    const undated = registry(() => ({ outcome: "answered", output: '{"architecture":"amd64"}' }));
    expect(await reason(undated.created("r.example/a:none"))).to.match(/does not say when it was created/);
  });

  it("an image is described by its manifest, on Docker Hub, which would count that as a pull, only by its digest", async () => {
    const questions: CraneQuestion[] = [];
    const answers = { ls: "", config: "", digest: "sha256:1", manifest: "sha256:2\nother" };
    const known = registry(({ command }) => ({ outcome: "answered", output: answers[command] }), questions);
    expect(await known.describe("r.example/a:1.0")).to.deep.equal({ digest: "sha256:2", isImage: false });
    expect(await known.describe("docker.io/library/alpine:3")).to.deep.equal({ digest: "sha256:1", isImage: true });
    expect(questions.map(({ command }) => command)).to.deep.equal(["manifest", "digest"]);
  });

  it("to tell platforms apart, Docker Hub is asked for manifests too", async () => {
    const output = `sha256:1\nimage\nlinux/amd64 sha256:2\nlinux/arm/v7 sha256:3`;
    const known = registry(() => ({ outcome: "answered", output }), [], true);
    expect(await known.describe("docker.io/library/alpine:3")).to.deep.equal({
      digest: "sha256:1",
      isImage: true,
      images: [
        { platform: "linux/amd64", digest: "sha256:2" },
        { platform: "linux/arm/v7", digest: "sha256:3" },
      ],
    });
  });

  it("the build time of an image without linux/amd64 is that of the image to scan", async () => {
    const questions: CraneQuestion[] = [];
    const digest = `sha256:${"b".repeat(64)}`;
    const edge = registry(({ command, image }) => {
      if (command === "manifest") return { outcome: "answered", output: `${digest}\nimage` };
      if (image.endsWith(digest)) return { outcome: "answered", output: '{"created":"2026-02-03T04:05:06Z"}' };
      return { outcome: "failed", reason: "no child with platform linux/amd64" };
    }, questions);
    expect((await edge.created("r.example:5000/edge:1.0")).toISOString()).to.equal("2026-02-03T04:05:06.000Z");
    expect(questions.at(-1)).to.deep.equal({ command: "config", image: `r.example:5000/edge@${digest}` });
    const chart = registry(({ command }) =>
      command === "manifest" ? { outcome: "answered", output: `${digest}\nother` } : { outcome: "failed", reason: "no configuration" },
    );
    expect(await reason(chart.created("r.example/chart:1.0"))).to.equal("no configuration");
  });

  it("a failed query has crane's reason", async () => {
    const limited = registry(() => ({ outcome: "failed", reason: "TOOMANYREQUESTS: slow down" }));
    expect(await reason(limited.describe("r.example/a:x"))).to.equal("TOOMANYREQUESTS: slow down");
  });

  it("a registry that does not answer is asked for no more digests", async () => {
    const questions: CraneQuestion[] = [];
    const silent = registry(() => ({ outcome: "late", seconds: 60 }), questions);
    expect(await reason(silent.describe("r.example/a:x"))).to.equal("r.example did not answer within 60 s");
    expect(await reason(silent.describe("r.example/b:y"))).to.equal("r.example does not answer");
    expect(questions).to.have.length(1);
  });
});
