import { expect } from "chai";
import { runProgram } from "../../../registry-scan/tools/subprocess.ts";

describe("runProgram", () => {
  const { signal } = new AbortController();

  it("a subprocess sees the added variables", async () => {
    const options = { timeout: 60, signal, env: { ADDED: "$(id) 2" } };
    const { stdout, exitCode } = await runProgram("sh", ["-c", 'echo "$ADDED"; exit 3'], options);
    expect([stdout, exitCode]).to.deep.equal(["$(id) 2\n", 3]);
  });

  it("a subprocess ends at its timeout, and when the signal is aborted", async () => {
    const { timedOut, exitCode } = await runProgram("sleep", ["60"], { timeout: 0.05, signal });
    expect([timedOut, exitCode]).to.deep.equal([true, null]);
    const stop = new AbortController();
    const ended = runProgram("sleep", ["60"], { timeout: 60, signal: stop.signal });
    stop.abort();
    expect((await ended).timedOut).to.equal(false);
    const late = await runProgram("sleep", ["60"], { timeout: 60, signal: stop.signal }).catch((error: Error) => error.name);
    expect(late, "not started at all").to.equal("AbortError");
  });

  it("of a subprocess, only the end of a long stderr is stored, and all of stdout", async () => {
    const script = "text=$(head -c 100000 /dev/zero | tr '\\0' x); printf %s $text; echo $text >&2; echo end >&2";
    const { stdout, stderr } = await runProgram("sh", ["-c", script], { timeout: 60, signal });
    expect(stdout).to.have.length(100_000);
    expect(stderr)
      .to.have.length(65536)
      .and.match(/x\nend\n$/);
  });

  it("a program that does not exist is reported by name", async () => {
    const error = await runProgram("no-such-program", [], { timeout: 1, signal }).catch((error: Error) => error.message);
    expect(error).to.match(/^no-such-program cannot be started: .*ENOENT/);
  });
});
