import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { type CommandResult, run } from "../support/command.ts";
import { ForgeStub } from "../support/forge-stub.ts";

const root = join(import.meta.dirname, "../..");
const fixtures = join(import.meta.dirname, "changes/fixtures");

describe("npm run preview:comment and npm run drift", function () {
  this.timeout(120_000);
  let folder: string;
  let stub: ForgeStub;
  /** What the engine prints and its exit code, by stack. */
  const engine = async (answers: Readonly<Record<string, readonly [fixture: string, status: number]>>) => {
    const cases = Object.entries(answers).map(
      ([stack, [name, status]]) => `*"--stack ${stack} "*) cat '${fixtures}/${name}.json'; exit ${status} ;;`,
    );
    const script = `#!/bin/sh
echo "$*" >>'${folder}/calls'
case "$* " in version*) echo v3.256.0 ;; ${cases.join("\n")} *) echo "error: no stack named 'x' found" >&2; exit 255 ;; esac
`;
    await writeFile(join(folder, "bin/pulumi"), script, { mode: 0o755 });
  };

  const command = (name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandResult> =>
    run(process.execPath, [join(root, "commands", `${name}.ts`), ...args, "--output", join(folder, "complete.md")], {
      cwd: root,
      extendEnv: false,
      env: {
        PATH: [join(folder, "bin"), process.env["PATH"]].join(delimiter),
        HOME: folder,
        PULUMI_BACKEND_URL: `file://${folder}`,
        PULUMI_CONFIG_PASSPHRASE: "the-passphrase-of-the-test",
        GITHUB_REPOSITORY: "acme/scan",
        GITHUB_API_URL: stub.url,
        GITHUB_TOKEN: stub.token,
        GITHUB_EVENT_PATH: join(folder, "event.json"),
        GITHUB_STEP_SUMMARY: join(folder, "summary.md"),
        GITHUB_RUN_ID: "12",
        ...env,
      },
    });
  const text = (name: string) => readFile(join(folder, name), "utf8");

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "preview-comment-"));
    await mkdir(join(folder, "bin"));
    await writeFile(join(folder, "event.json"), JSON.stringify({ pull_request: { number: 7, head: { sha: "0123456789abcdef0123" } } }));
    stub = new ForgeStub();
    await stub.listen();
  });
  afterEach(async () => {
    await stub.close();
    await rm(folder, { recursive: true });
  });

  it("all stacks are in one comment, which the second run edits", async () => {
    await engine({ dev: ["no-change", 0], staging: ["replicas", 0], prod: ["create-prod", 0] });
    const first = await command("preview-comment", ["dev", "staging", "prod"]);
    expect(first.exitCode, first.stderr).to.equal(0);
    expect(stub.comments).to.have.length(1);
    const { body } = stub.comments[0] ?? { body: "" };
    expect(body.length).to.be.within(60_000, 65_536);
    for (const part of ["| `dev` | 0 | 0 | 0 | 0 | no changes |", "| `staging` | 0 | 1 | 0 | 0 |", "| `prod` | 46 | 0 | 0 | 0 |"])
      expect(body).to.contain(part);
    expect(body).to.contain("Commit 0123456789ab, [job](https://github.com/acme/scan/actions/runs/12)");
    expect((await text("complete.md")).length).to.be.above(body.length);
    expect(await text("summary.md")).to.contain("| `prod` | 46 |");

    await engine({ staging: ["no-change", 0] });
    const second = await command("preview-comment", ["staging"]);
    expect(second.stdout).to.contain("Comment: edited");
    expect(stub.comments).to.have.length(1);
    expect(stub.comments[0]?.body).to.contain("no changes");
    expect(await text("calls")).to.match(/^preview --json --stack staging --non-interactive$/m);
  });

  it("a failing preview is in the comment and in the exit code", async () => {
    await engine({ dev: ["settings-error", 255], staging: ["no-change", 0] });
    const { exitCode } = await command("preview-comment", ["dev", "staging"]);
    expect(exitCode).to.equal(1);
    expect(stub.comments[0]?.body)
      .to.contain('trivy-server:redis.ttl is "7d", which has no unit d; use 168h')
      .and.to.contain("| `staging` | 0 |");
  });

  it("a stack without a file, and one without a state, are reported by name", async () => {
    await engine({});
    const { exitCode } = await command("preview-comment", ["nowhere", "dev"]);
    expect(exitCode).to.equal(1);
    expect(stub.comments[0]?.body).to.contain("There is no stack nowhere: Pulumi.nowhere.yaml does not exist.");
    expect(stub.comments[0]?.body).to.match(/There is no stack dev in file:.*npm run pulumi -- stack init dev/);
  });

  it("without permission to comment, the job's summary has the preview and the message names the permission", async () => {
    await engine({ dev: ["no-change", 0] });
    stub.failures.push({ status: 403, body: '{"message":"Resource not accessible by integration"}' });
    const { exitCode, stderr } = await command("preview-comment", ["dev"]);
    expect(exitCode).to.equal(3);
    expect(stderr).to.contain("Resource not accessible by integration").and.to.contain("a pull request from a fork has a read-only token");
    expect(stderr).not.to.match(/^ +at /m);
    expect(await text("summary.md")).to.contain("| `dev` |");
  });

  it("outside a pull request, only the summary and the file are written", async () => {
    await engine({ dev: ["no-change", 0] });
    await writeFile(join(folder, "event.json"), "{}");
    const { exitCode, stderr } = await command("preview-comment", ["dev"]);
    expect(exitCode).to.equal(0);
    expect(stderr).to.contain("not a job of a pull request");
    expect(stub.requests).to.deep.equal([]);
  });

  it("a merge request on GitLab gets a note", async () => {
    await engine({ dev: ["no-change", 0] });
    const env = { GITLAB_CI: "true", CI_API_V4_URL: stub.url, CI_PROJECT_ID: "42", CI_MERGE_REQUEST_IID: "7", GITLAB_TOKEN: stub.token };
    expect((await command("preview-comment", ["dev"], env)).exitCode).to.equal(0);
    expect(stub.requests.at(-1)).to.equal("POST /projects/42/merge_requests/7/notes");
    const without = await command("preview-comment", ["dev"], { ...env, GITLAB_TOKEN: "" });
    expect(without.exitCode).to.equal(3);
    expect(without.stderr).to.contain("GITLAB_TOKEN is not set");
  });

  it("drift opens an issue, and its end closes the issue", async () => {
    await engine({ staging: ["drift", 7] });
    const found = await command("drift", ["staging"]);
    expect(found.exitCode, found.stderr).to.equal(1);
    expect(stub.issues).to.have.length(1);
    expect(stub.issues[0]?.body).to.contain("@@ - missing NetworkPolicy preview-staging/redis @@").and.to.contain("+ spec.replicas: 3");
    await engine({ staging: ["no-drift", 0] });
    const gone = await command("drift", ["staging"]);
    expect(gone.exitCode, gone.stderr).to.equal(0);
    expect(gone.stdout).to.contain("Issue: closed");
    expect(stub.issues[0]?.open).to.equal(false);
    expect(await text("calls")).to.match(/^refresh --preview-only --expect-no-changes --json --stack staging --non-interactive$/m);
  });

  it("a comparison that fails is an error without an issue", async () => {
    await engine({});
    const { exitCode, stdout } = await command("drift", ["staging"]);
    expect(exitCode).to.equal(1);
    expect(stdout).to.contain("There is no stack staging");
    expect(stub.issues).to.deep.equal([]);
  });

  it("preview-comment and drift exit with 2 and the help after wrong usage, and with 0 for --help", async () => {
    await engine({});
    for (const name of ["preview-comment", "drift"]) {
      const wrong = await command(name, ["--colour"]);
      expect(wrong.exitCode).to.equal(2);
      expect(wrong.stderr).to.contain("--colour").and.to.contain("Exit codes:");
      expect((await command(name, [])).exitCode).to.equal(2);
      const help = await command(name, ["--help"]);
      expect(help.exitCode).to.equal(0);
      expect(help.stdout).to.contain("Exit codes: 0 ");
    }
  });
});
