import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { queryRegistry } from "../../../registry-scan/tools/crane.ts";

const crane = `#!/bin/sh
echo "$*" >> "$CRANE_CALLS"
case "$*" in
  "ls "*) printf '1.0\\nlatest\\n' ;;
  *) echo "Error: GET https://r.example/v2/a/manifests/x: TOOMANYREQUESTS: slow down" >&2; exit 1 ;;
esac
`;

describe("queries to registries with crane", () => {
  const path = process.env["PATH"];
  const { signal } = new AbortController();
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crane-test-"));
    await writeFile(join(folder, "crane"), crane);
    await chmod(join(folder, "crane"), 0o755);
    process.env["CRANE_CALLS"] = join(folder, "calls");
    process.env["PATH"] = `${folder}:${path}`;
  });
  after(async () => {
    process.env["PATH"] = path;
    delete process.env["CRANE_CALLS"];
    await rm(folder, { recursive: true, force: true });
  });

  it("tags are listed without those of signatures, and an error has crane's own message", async () => {
    expect(await queryRegistry({ command: "ls", image: "r.example/a" }, false, signal)).to.deep.equal({
      outcome: "answered",
      output: "1.0\nlatest",
    });
    expect(await queryRegistry({ command: "digest", image: "r.example/a:x" }, true, signal)).to.deep.equal({
      outcome: "failed",
      reason: "TOOMANYREQUESTS: slow down",
    });
    expect(await readFile(join(folder, "calls"), "utf8")).to.equal("ls --omit-digest-tags r.example/a\ndigest --insecure r.example/a:x\n");
  });
});
