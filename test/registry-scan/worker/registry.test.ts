import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { craneRegistry } from "../../../registry-scan/worker/registry.ts";

const crane = `#!/bin/sh
echo "$*" >> "$CRANE_CALLS"
case "$*" in
  "config "*:none) echo '{"architecture":"amd64"}' ;;
  "config "*) echo '{"created":"2026-02-03T04:05:06.7Z"}' ;;
  "ls "*) printf '1.0\\nlatest\\n' ;;
  *) echo "Error: GET https://r.example/v2/a/manifests/x: TOOMANYREQUESTS: slow down" >&2; exit 1 ;;
esac
`;

describe("craneRegistry", () => {
  const path = process.env["PATH"];
  let folder: string;
  const signal = new AbortController().signal;
  const reason = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);

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

  it("crane's output gives a repository's tags, without those of signatures, and an image's build time", async () => {
    const registry = craneRegistry({ plainHttp: false, signal });
    expect(await registry.tags("r.example/a")).to.deep.equal(["1.0", "latest"]);
    expect((await registry.created("r.example/a:1.0")).toISOString()).to.equal("2026-02-03T04:05:06.700Z");
    expect(await readFile(join(folder, "calls"), "utf8")).to.equal("ls --omit-digest-tags r.example/a\nconfig r.example/a:1.0\n");
  });

  it("an error of crane is thrown with crane's own message", async () => {
    const registry = craneRegistry({ plainHttp: true, signal });
    expect(await reason(registry.digest("r.example/a:x"))).to.equal("TOOMANYREQUESTS: slow down");
    expect(await readFile(join(folder, "calls"), "utf8")).to.match(/\ndigest --insecure r.example\/a:x\n$/);
    expect(await reason(registry.created("r.example/a:none"))).to.match(/does not say when it was created/);
  });
});
