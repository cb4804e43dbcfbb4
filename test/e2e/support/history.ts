import { must, run } from "../../support/command.ts";

/** Where upgrades start from before the first release. */
const unreleased = "fc52471d0ceba25b154cc7e68f1ab207c5d84566";

export interface PreviousVersion {
  readonly commit: string;
  /** Without `v`; undefined if the commit is not a release. */
  readonly release: string | undefined;
}

/**
 * Returns what users upgrade from: `UPGRADE_FROM`, the last release before the current commit, or a fixed commit. A shallow clone fetches it.
 *
 * @throws MissingCommit that says how to get the commit
 */
export async function previousVersion(repository: string, from = process.env["UPGRADE_FROM"]): Promise<PreviousVersion> {
  const git = (...args: string[]) => run("git", args, { cwd: repository });
  const described = await git("describe", "--tags", "--match", "v[0-9]*", "--abbrev=0", "HEAD^");
  const name = from || (described.exitCode === 0 ? described.stdout.trim() : unreleased);
  const resolve = () => git("rev-parse", "--verify", "--quiet", `${name}^{commit}`);
  if ((await resolve()).exitCode !== 0) await git("fetch", "--quiet", "--depth", "1", "origin", name);
  const { exitCode, stdout } = await resolve();
  if (exitCode === 0) return { commit: stdout.trim(), release: /^v(\d+\.\d+\.\d+)$/.exec(name)?.[1] };
  const { stdout: shallow } = await must("git", ["rev-parse", "--is-shallow-repository"], { cwd: repository });
  throw new MissingCommit(
    `The upgrade test needs the commit ${name}, which is not in this ${shallow.trim() === "true" ? "shallow clone" : "repository"} and cannot be ` +
      "fetched from origin. Clone without --depth, run `git fetch --unshallow`, or set UPGRADE_FROM to a commit that exists.",
    shallow.trim() === "true",
  );
}

export class MissingCommit extends Error {
  /** Whether the history of the clone was cut off. */
  readonly shallow: boolean;

  constructor(message: string, shallow: boolean) {
    super(message);
    this.shallow = shallow;
  }
}
