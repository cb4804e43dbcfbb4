import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { ask, type Engine, exportStack, PulumiError } from "../../../commands/engine/engine.ts";
import { UserError } from "../../../commands/user-error.ts";
import { locked } from "./errors.ts";

describe("Pulumi's CLI", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "engine-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** An engine whose CLI is a shell script. */
  const engine = (script: string): Engine => {
    const command = join(folder, "pulumi");
    writeFileSync(command, `#!/bin/sh\n${script}\n`);
    chmodSync(command, 0o755);
    return { project: folder, command, env: process.env, backend: { env: {}, local: undefined, url: "s3://state" } };
  };
  const failure = (text: string) => `cat >&2 <<'END'\n${text}\nEND\nexit 255`;
  const refusal = async (promise: Promise<unknown>): Promise<Error> => {
    const error = await promise.then(
      () => new Error("no error was thrown"),
      (error) => error,
    );
    return error;
  };

  it("Pulumi in the background gets the stack and the command's input", async () => {
    expect(await ask(engine('echo "$*"; cat'), ["stack", "import"], { stack: "dev", input: "{}" })).to.equal(
      "stack import --stack dev --non-interactive\n{}",
    );
    expect(await ask(engine('echo "$*"'), ["stack", "--show-name"])).to.equal("stack --show-name --non-interactive\n");
  });

  it("a failure of Pulumi in the background is an explained error of the Automation API's type", async () => {
    const error = await refusal(ask(engine(failure(locked)), ["cancel"], { stack: "dev" }));
    expect(error).to.be.instanceOf(PulumiError).and.instanceOf(UserError);
    expect((error.cause as Error).name).to.equal("ConcurrentUpdateError");
    expect(error.message).to.contain("process 345 of runner on ci-7");
    const { message } = await refusal(ask({ ...engine(""), command: join(folder, "missing") }, ["version"]));
    expect(message).to.contain("ENOENT");
  });

  it("a stack that does not exist has no state to export; any other error of the export is thrown", async () => {
    expect(await exportStack(engine("echo '{}'"), "dev")).to.equal("{}\n");
    expect(await exportStack(engine(failure("error: no stack named 'dev' found")), "dev")).to.equal(undefined);
    const { message } = await refusal(exportStack(engine(failure("error: read: permission denied")), "dev"));
    expect(message).to.equal("Pulumi cannot read the stack dev from s3://state:\nerror: read: permission denied");
  });

  /** Runs a command in the foreground of a process of its own, as `npm run up` does. */
  const foreground = (script: string) => {
    const program = `
      import { run } from ${JSON.stringify(join(import.meta.dirname, "../../../commands/engine/engine.ts"))};
      console.log(JSON.stringify(await run(${JSON.stringify(engine(script))}, ["up", "--yes"])));
    `;
    return ["--input-type=module", "--eval", program];
  };
  const outcomeOf = (stdout: string) => JSON.parse(stdout.trim().split("\n").at(-1) ?? "");

  it("Pulumi in the foreground prints everything except its final error, which is returned", () => {
    const script = "echo \"$*\"; echo progress >&2; printf '\\033[31merror: \\033[0mit failed\\n  because\\n' >&2; exit 3";
    const { stdout, stderr } = spawnSync(process.execPath, foreground(script), { encoding: "utf8" });
    expect(stdout).to.match(/^up --yes\n/);
    expect(stderr).to.equal("progress\n");
    expect(outcomeOf(stdout)).to.deep.equal({
      status: 3,
      error: "\u001b[31merror: \u001b[0mit failed\n  because",
      interrupted: false,
    });
  });

  it("when a signal ends Pulumi, its exit code is that of a shell", () => {
    const { stdout } = spawnSync(process.execPath, foreground("kill -9 $$"), { encoding: "utf8" });
    expect(outcomeOf(stdout)).to.include({ status: 137, interrupted: false });
  });

  it("Pulumi receives a repeated signal once, and the command waits for it to end", async () => {
    const signals = join(folder, "signals");
    const script = `trap 'echo INT >>${signals}' INT; echo started >&2; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.1; done; exit 1`;
    const child = spawn(process.execPath, foreground(script), { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    await once(child.stderr, "data");
    child.kill("SIGINT");
    await sleep(200);
    child.kill("SIGINT");
    await once(child, "close");
    expect(readFileSync(signals, "utf8")).to.equal("INT\n");
    expect(outcomeOf(stdout)).to.deep.equal({ status: 1, error: "", interrupted: true });
  });
});
