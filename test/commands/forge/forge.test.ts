import { expect } from "chai";
import { type Change, changesOf } from "../../../commands/changes/changes.ts";
import { Redactor } from "../../../commands/changes/redactor.ts";
import type { StackReport } from "../../../commands/changes/render.ts";
import { driftFrame, keepIssue } from "../../../commands/drift.ts";
import { type Forge, findPost, markerOf, writePost } from "../../../commands/forge/forge.ts";
import { gitHub } from "../../../commands/forge/github.ts";
import { gitLab } from "../../../commands/forge/gitlab.ts";
import { ForgeError } from "../../../commands/forge/http.ts";
import { ForgeStub } from "../../support/forge-stub.ts";

const marker = markerOf("preview");

const forges: Readonly<Record<string, (stub: ForgeStub) => Forge>> = {
  GitHub: ({ url, token }) => gitHub({ url, token, repository: "acme/scan", patience: 1 }),
  GitLab: ({ url, token }) => gitLab({ url, token, project: "42", patience: 1 }),
};

for (const [name, create] of Object.entries(forges))
  describe(`comments and issues on ${name}`, () => {
    let stub: ForgeStub;
    let forge: Forge;

    beforeEach(async () => {
      stub = new ForgeStub();
      await stub.listen();
      forge = create(stub);
    });
    afterEach(() => stub.close());

    const write = (text: string) => writePost(forge.comments(7), marker, text);
    const failure = async () => {
      const error = await write("text").then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(error).to.be.instanceOf(ForgeError);
      return (error as ForgeError).message;
    };

    it("the first run creates a comment that begins with the hidden marker", async () => {
      expect(await write("one")).to.equal("created");
      expect(stub.comments.map(({ body }) => body)).to.deep.equal(["<!-- trivy-server: preview -->\none"]);
    });

    it("a later run edits the comment instead of adding one", async () => {
      await write("one");
      expect(await write("two")).to.equal("edited");
      expect(stub.comments.map(({ body }) => body)).to.deep.equal([`${marker}\ntwo`]);
    });

    it("an equal text changes nothing, whatever the forge does to white space", async () => {
      stub.add(stub.comments, { body: `${marker}\r\none` });
      expect(await write("one\n")).to.equal("unchanged");
      expect(stub.requests.filter((line) => !line.startsWith("GET"))).to.deep.equal([]);
    });

    it("a deleted comment is created again", async () => {
      await write("one");
      stub.comments.length = 0;
      expect(await write("two")).to.equal("created");
      expect(stub.comments.map(({ body }) => body)).to.deep.equal([`${marker}\ntwo`]);
    });

    it("a comment that is deleted between the search and the edit is created again", async () => {
      await write("one");
      stub.before = (line) => {
        if (/^P(ATCH|UT)/.test(line)) stub.comments.length = 0;
      };
      expect(await write("two")).to.equal("created");
      expect(stub.comments.map(({ body }) => body)).to.deep.equal([`${marker}\ntwo`]);
    });

    it("the comment is found behind 250 others", async () => {
      for (let index = 0; index < 250; index++) stub.add(stub.comments, { body: `comment ${index}` });
      await write("one");
      expect(await write("two")).to.equal("edited");
      expect(stub.comments).to.have.length(251);
    });

    it("another user's comment with the marker is left alone", async () => {
      const foreign = stub.add(stub.comments, { body: `${marker}\nfake`, author: "mallory" });
      expect(await write("one")).to.equal("created");
      expect(foreign.body).to.equal(`${marker}\nfake`);
    });

    it("a comment that quotes the marker is not taken for the real one", async () => {
      stub.add(stub.comments, { body: `> ${marker}\n> one` });
      expect(await write("one")).to.equal("created");
    });

    it("a missing permission names the permission and is not retried", async () => {
      stub.failures.push({
        status: 403,
        headers: { "x-ratelimit-remaining": "4999" },
        body: '{"message":"Resource not accessible by integration"}',
      });
      expect(await failure()).to.match(/403 Resource not accessible by integration; .*(pull-requests: write|access token)/);
      expect(stub.requests).to.have.length(1);
    });

    it("a rate limit that ends soon is waited for", async () => {
      stub.failures.push({ status: 429, headers: { "retry-after": "0" } }, { status: 403, headers: { "retry-after": "0" } });
      expect(await write("one")).to.equal("created");
    });

    it("a rate limit that lasts is reported with its duration", async () => {
      stub.failures.push({
        status: 403,
        headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(Math.ceil(Date.now() / 1000) + 900) },
      });
      expect(await failure()).to.match(/rate limit is exhausted for (900|901|899) s/);
      stub.failures.push({ status: 429 });
      expect(await failure()).to.match(/for 60 s/);
    });

    it("errors of the server are retried", async () => {
      stub.failures.push({ status: 502, body: "<html>" }, { status: 503 });
      expect(await write("one")).to.equal("created");
    });

    it("a comment whose creation is not confirmed is not created twice", async () => {
      stub.before = (line) => {
        if (line.startsWith("POST")) stub.failures.push({ status: 502 });
      };
      expect(await failure()).to.contain("502");
      expect(stub.requests.filter((line) => line.startsWith("POST"))).to.have.length(1);
    });

    it("an unreachable forge and a response that is not JSON are reported without the token", async () => {
      stub.failures.push({ status: 200, body: "<html>" });
      expect(await failure()).to.match(/not JSON/);
      await stub.close();
      expect(await failure())
        .to.match(/does not answer: .*ECONNREFUSED/)
        .and.not.contain(stub.token);
    });

    it("a pull request that does not exist is reported", async () => {
      const error = await writePost(forge.comments(8), marker, "one").catch((error: unknown) => error);
      expect(error).to.be.instanceOf(ForgeError);
      expect(`${error}`).to.match(/does not exist, or the token may not read it/);
    });

    describe("the issue about drift", () => {
      const change = (state: object): Change[] =>
        changesOf(
          {
            steps: [
              {
                op: "update",
                urn: "a::b::c::d",
                oldState: { type: "t", custom: true, inputs: {}, outputs: {} },
                newState: { type: "t", custom: true, inputs: { ...state }, outputs: {} },
              },
            ],
          },
          new Redactor(),
        );
      const report = (changes: readonly Change[], error?: string): StackReport[] => [{ stack: "prod", changes, error }];
      const keep = (reports: readonly StackReport[]) => keepIssue(reports, driftFrame, { forge });

      it("an issue about drift is opened, updated and closed, and new drift opens a new issue", async () => {
        expect(await keep(report([]))).to.equal("not needed");
        expect(await keep(report(change({ a: 1 })))).to.equal("created");
        expect(stub.issues).to.have.length(1);
        expect(stub.issues[0]).to.include({ title: "Drift: prod", open: true });
        expect(stub.issues[0]?.body).to.contain("+ a: 1");
        expect(await keep(report(change({ a: 2 })))).to.equal("edited");
        expect(await keep(report(change({ a: 2 })))).to.equal("unchanged");
        expect(stub.issues[0]?.body).to.contain("+ a: 2");
        expect(await keep(report([]))).to.equal("closed");
        expect(stub.issues[0]?.open).to.equal(false);
        expect(await keep(report(change({ a: 3 })))).to.equal("created");
        expect(stub.issues.map(({ open }) => open)).to.deep.equal([false, true]);
      });

      it("a failed comparison neither opens nor closes an issue about drift", async () => {
        expect(await keep(report([], "no cluster"))).to.match(/left as it is/);
        expect(stub.issues).to.deep.equal([]);
        await keep(report(change({ a: 1 })));
        expect(await keep(report([], "no cluster"))).to.match(/left as it is/);
        expect(stub.issues[0]?.open).to.equal(true);
      });

      it("each set of stacks has its own issue about drift", async () => {
        await keep(report(change({ a: 1 })));
        await keepIssue([{ stack: "dev", changes: change({ a: 1 }), error: undefined }], driftFrame, { forge });
        expect(stub.issues.map(({ title }) => title)).to.deep.equal(["Drift: prod", "Drift: dev"]);
      });

      it("another user's issue with the marker is not taken for the issue about drift", async () => {
        const issueMarker = markerOf("drift", "prod");
        stub.add(stub.issues, { body: `${issueMarker}\nfake`, author: "mallory" });
        expect(await findPost(forge.issues(""), issueMarker)).to.equal(undefined);
      });
    });
  });

it("a pull request in GitHub's list of issues is not taken for an issue", async () => {
  const stub = new ForgeStub();
  await stub.listen();
  stub.add(stub.issues, { body: `${marker}\none`, pullRequest: true });
  expect(await findPost(gitHub({ url: stub.url, token: stub.token, repository: "acme/scan" }).issues(""), marker)).to.equal(undefined);
  await stub.close();
});
