import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { MissingCommit, previousVersion } from "../e2e/support/history.ts";
import { must } from "../support/command.ts";

describe("the version that the upgrade test starts from", () => {
  let folder: string;
  let repository: string;
  let commits: string[];

  const git = async (cwd: string, ...args: string[]) =>
    (await must("git", ["-c", "user.name=test", "-c", "user.email=test@example.com", ...args], { cwd })).stdout.trim();
  /** A clone with the last commit only. */
  const shallowClone = async () => {
    const clone = join(folder, "shallow");
    await git(folder, "clone", "--quiet", "--depth", "1", pathToFileURL(repository).href, clone);
    return clone;
  };
  const refusal = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "history-"));
    repository = join(folder, "repository");
    await git(folder, "init", "--quiet", repository);
    commits = [];
    for (const message of ["first", "second", "third"]) {
      await git(repository, "commit", "--quiet", "--allow-empty", "--message", message);
      commits.push(await git(repository, "rev-parse", "HEAD"));
    }
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("the last release before the current commit is preferred, and a release of the current commit itself is not", async () => {
    await git(repository, "tag", "v0.1.0", commits[0] ?? "");
    expect(await previousVersion(repository, "")).to.deep.equal({ commit: commits[0], release: "0.1.0" });
    await git(repository, "tag", "v0.2.0", commits[1] ?? "");
    await git(repository, "tag", "v0.3.0", commits[2] ?? "");
    expect(await previousVersion(repository, "")).to.deep.equal({ commit: commits[1], release: "0.2.0" });
    expect(await previousVersion(repository, commits[0])).to.deep.equal({ commit: commits[0], release: undefined });
  });

  it("a shallow clone fetches the commit", async () => {
    const clone = await shallowClone();
    expect(await git(clone, "rev-list", "--count", "HEAD")).to.equal("1");
    expect(await previousVersion(clone, commits[0])).to.deep.equal({ commit: commits[0], release: undefined });
  });

  it("a commit that cannot be fetched is an error that says what to do, and whether the clone is shallow", async () => {
    const clone = await shallowClone();
    rmSync(repository, { recursive: true });
    const error = await refusal(previousVersion(clone, commits[0]));
    expect(error).to.be.instanceOf(MissingCommit).and.include({ shallow: true });
    expect((error as Error).message)
      .to.include(`needs the commit ${commits[0]}, which is not in this shallow clone`)
      .and.include("git fetch --unshallow");
    await git(folder, "init", "--quiet", repository);
    expect(await refusal(previousVersion(repository, "v9.9.9")))
      .to.be.instanceOf(MissingCommit)
      .and.include({ shallow: false });
  });

  it("the fixed commit is one of this repository, unless its clone is shallow", async () => {
    const root = join(import.meta.dirname, "../..");
    const found = await previousVersion(root, "").catch((error: unknown) => error);
    if (found instanceof MissingCommit) expect(found.shallow, found.message).to.equal(true);
    else
      expect(found)
        .to.have.property("commit")
        .match(/^[0-9a-f]{40}$/);
  });
});
