import { expect } from "chai";
import type { CraneAnswer, CraneQuestion } from "../../../registry-scan/protocol/tools.ts";
import { craneRegistry } from "../../../registry-scan/worker/registry.ts";

describe("craneRegistry", () => {
  const { signal } = new AbortController();
  const reason = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);
  const registry = (answer: (question: CraneQuestion) => CraneAnswer, questions: CraneQuestion[] = []) =>
    craneRegistry(
      {
        async crane(question) {
          questions.push(question);
          return answer(question);
        },
      },
      signal,
    );

  it("crane's output gives a repository's tags, and an image's build time", async () => {
    const answers = { ls: "1.0\nlatest", config: '{"created":"2026-02-03T04:05:06.7Z"}', digest: "" };
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

  it("a failed query has crane's reason", async () => {
    const limited = registry(() => ({ outcome: "failed", reason: "TOOMANYREQUESTS: slow down" }));
    expect(await reason(limited.digest("r.example/a:x"))).to.equal("TOOMANYREQUESTS: slow down");
  });

  it("a registry that does not answer is asked for no more digests", async () => {
    const questions: CraneQuestion[] = [];
    const silent = registry(() => ({ outcome: "late", seconds: 60 }), questions);
    expect(await reason(silent.digest("r.example/a:x"))).to.equal("r.example did not answer within 60 s");
    expect(await reason(silent.digest("r.example/b:y"))).to.equal("r.example does not answer");
    expect(questions).to.have.length(1);
  });
});
