import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must, run } from "../support/command.ts";
import { environment } from "./support/environment.ts";

const root = join(import.meta.dirname, "../..");
const repository = `${process.env["E2E_SCRATCH_REPOSITORY"]}/images`;

/** Needs `crane` and a repository to write to, E2E_SCRATCH_REPOSITORY, in a registry without TLS. */
describe("npm run images -- --verify with a real registry", () => {
  let folder: string;
  before(async function () {
    if (!process.env["E2E_SCRATCH_REPOSITORY"]) return this.skip();
    folder = await mkdtemp(join(tmpdir(), "images-"));
  });
  after(() => folder && rm(folder, { recursive: true }));

  const crane = async (...args: string[]) => (await must("crane", [...args, "--insecure"])).stdout.trim();
  const verify = async (...images: string[]) => {
    const { exitCode, stdout, stderr } = await run("npm", ["run", "--silent", "images", "--", "--verify", "--plain-http", ...images], {
      cwd: root,
    });
    return { exitCode, lines: stdout.trim().split("\n"), stderr };
  };

  /** Pushes an index for both architectures and returns its digest. */
  async function pushIndex(tag: string, label: string): Promise<string> {
    for (const architecture of ["amd64", "arm64"])
      await crane(
        "mutate",
        environment.alpine,
        "--set-platform",
        `linux/${architecture}`,
        "-l",
        `test=${label}`,
        "-t",
        `${repository}:${architecture}`,
      );
    await crane("index", "append", "-m", `${repository}:amd64`, "-m", `${repository}:arm64`, "-t", `${repository}:${tag}`);
    return crane("digest", `${repository}:${tag}`);
  }

  it("a correct digest, a moved tag, a missing image, one architecture and no digest are distinguished", async () => {
    const old = await pushIndex("1.0", "old");
    expect(await verify(`${repository}:1.0@${old}`)).to.deep.include({ exitCode: 0, stderr: "" });

    const current = await pushIndex("1.0", "new");
    expect(current).to.not.equal(old);
    const single = await crane("digest", `${repository}:amd64`);
    const absent = `sha256:${"0".repeat(64)}`;
    const { exitCode, lines } = await verify(
      ...[`${repository}:1.0@${old}`, `${repository}:1.0@${current}`, `${repository}:1.0@${absent}`, `${repository}:amd64@${single}`],
      ...[`${repository}:1.0`, `${repository}:2.0`],
    );
    expect(exitCode).to.equal(1);
    expect(lines.map((line) => line.split(/\s+/)[0])).to.deep.equal(["moved", "correct", "missing", "incomplete", "unpinned", "missing"]);
    expect(lines[0]).to.include(`1.0 is now ${current}`);
    expect(lines[4]).to.include(`append @${current}`);
  });
});
