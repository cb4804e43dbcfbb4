import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Build } from "../../database-mirror/build-store.ts";
import { blobPath } from "../../database-mirror/layout.ts";
import { manifestType, sha256 } from "../../database-mirror/manifest.ts";
import { metrics } from "../../database-mirror/metrics.ts";
import { MirroredDatabase } from "../../database-mirror/mirrored-database.ts";
import { RegistryServer } from "../../database-mirror/registry-server.ts";
import { addBuild } from "../support/mirror-builds.ts";

describe("the mirror as a registry", () => {
  let folder: string;
  let server: Server;
  let url: string;
  let registry: RegistryServer;

  const open = (options: { readonly pin?: string; readonly keep?: number } = {}) =>
    new MirroredDatabase({
      source: { artifact: "vulnerabilities", repositories: [] },
      plainHttp: false,
      keep: options.keep ?? 3,
      pin: options.pin,
      folder,
      scratch: folder,
    });

  async function serve(database: MirroredDatabase, pause?: number): Promise<void> {
    registry = new RegistryServer([database], pause);
    server = createServer(registry.listener);
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const get = (path: string, method = "GET") => fetch(url + path, { method });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mirror-"));
  });
  afterEach(() => {
    server?.close().closeAllConnections();
    rmSync(folder, { recursive: true });
  });

  it("without a build, the manifest is answered with 503, after which Trivy tries the next repository", async () => {
    await serve(open());
    expect((await get("/v2/")).status).to.equal(200);
    expect((await get("/v2/trivy-db/manifests/2")).status).to.equal(503);
    expect((await get("/starting")).status).to.equal(503);
  });

  it("the newest build is served by its tag and its digests, to GET and HEAD", async () => {
    const database = open();
    const newer = await addBuild(database, "newer", "2026-01-02T00:00:00Z");
    const older = await addBuild(database, "older", "2026-01-01T00:00:00Z");
    await serve(database);
    const manifest = await get("/v2/trivy-db/manifests/2");
    expect(manifest.headers.get("content-type")).to.equal(manifestType);
    expect(manifest.headers.get("docker-content-digest")).to.equal(newer.digest);
    expect(sha256(await manifest.text())).to.equal(newer.digest);
    const head = await get("/v2/trivy-db/manifests/2", "HEAD");
    expect([head.status, head.headers.get("docker-content-digest"), await head.text()]).to.deep.equal([200, newer.digest, ""]);
    // A server that has read the manifest of a build can still download it after another one is served.
    expect(sha256(await (await get(`/v2/trivy-db/manifests/${older.digest}`)).text())).to.equal(older.digest);
    expect(await (await get(`/v2/trivy-db/blobs/${older.layer.digest}`)).text()).to.equal("older");
    expect(await (await get("/v2/trivy-db/tags/list")).json()).to.deep.equal({ name: "trivy-db", tags: ["2"] });
  });

  it("unknown repositories, tags and blobs are answered with 404, changes with 405", async () => {
    const database = open();
    await addBuild(database, "content", "2026-01-01T00:00:00Z");
    await serve(database);
    const paths = [
      "/v2/other/manifests/2",
      "/v2/trivy-db/manifests/3",
      `/v2/trivy-db/blobs/${sha256("x")}`,
      "/v2/trivy-db/blobs/..%2f..",
      "/etc",
    ];
    for (const path of paths) expect((await get(path)).status, path).to.equal(404);
    for (const method of ["PUT", "POST", "DELETE", "PATCH"])
      expect((await get("/v2/trivy-db/manifests/2", method)).status, method).to.equal(405);
  });

  it("a pinned build is served, also when it is older; one that is not kept is reported", async () => {
    const database = open();
    await addBuild(database, "newer", "2026-01-02T00:00:00Z");
    const older = await addBuild(database, "older", "2026-01-01T00:00:00Z");
    expect(open({ pin: older.digest }).served?.digest).to.equal(older.digest);
    const missing = open({ pin: sha256("other") });
    expect([missing.isPinMissing, missing.served?.updatedAt]).to.deep.equal([true, "2026-01-02T00:00:00Z"]);
    await serve(missing);
    expect(metrics(registry.served)).to.match(/^trivy_mirror_pin_missing\{repository="trivy-db"\} 1$/m);
  });

  it("the time of the last success outlives a restart, and is absent without one", async () => {
    await serve(open());
    expect(metrics(registry.served)).not.to.include("last_success");
    server.close();
    writeFileSync(join(folder, "last-success"), "2026-01-01T00:00:00.000Z");
    await serve(open());
    expect(metrics(registry.served)).to.match(/^trivy_mirror_last_success_timestamp_seconds\{repository="trivy-db"\} 1767225600$/m);
  });

  it("old builds are removed, but not one that is pinned", async () => {
    const database = open();
    const builds: Build[] = [];
    for (const day of [1, 2, 3, 4]) builds.push(await addBuild(database, `day ${day}`, `2026-01-0${day}T00:00:00Z`));
    database.store.prune(2, [builds[0]?.digest]);
    expect(open().store.builds.map(({ updatedAt }) => updatedAt.slice(0, 10))).to.deep.equal(["2026-01-04", "2026-01-03", "2026-01-01"]);
  });

  it("a build whose file is incomplete, as after a loss of the node, is not served", async () => {
    const database = open();
    const build = await addBuild(database, "content", "2026-01-01T00:00:00Z");
    writeFileSync(blobPath(join(folder, "builds", build.digest.slice(7)), build.layer.digest), "cont");
    expect(open().served).to.equal(undefined);
  });

  it("running servers download one after the other, with a pause", async () => {
    const database = open();
    const { layer } = await addBuild(database, "content", "2026-01-01T00:00:00Z");
    await serve(database, 0.3);
    const start = Date.now();
    const ends = await Promise.all(
      [1, 2, 3].map(async () => [await (await get(`/v2/trivy-db/blobs/${layer.digest}`)).text(), Date.now() - start] as const),
    );
    expect(ends.map(([text]) => text)).to.deep.equal(["content", "content", "content"]);
    const [first = 0, second = 0, third = 0] = ends.map(([, time]) => time).sort((a, b) => a - b);
    expect(second, `${first}, ${second}, ${third}`).to.be.above(290);
    expect(third, `${first}, ${second}, ${third}`).to.be.above(590);
  });

  it("a server that starts need not wait for its turn, and one that goes away leaves the queue", async () => {
    const database = open();
    const { layer } = await addBuild(database, "content", "2026-01-01T00:00:00Z");
    await serve(database, 3600);
    const path = `/v2/trivy-db/blobs/${layer.digest}`;
    await (await get(path)).text();
    const gone = new AbortController();
    const waiting = fetch(url + path, { signal: gone.signal }).catch((error: Error) => error.name);
    await until(/^trivy_mirror_waiting_downloads\{repository="trivy-db"\} 1$/m);
    expect((await get("/starting")).status).to.equal(200);
    expect(await (await get(path)).text()).to.equal("content");
    gone.abort();
    expect(await waiting).to.equal("AbortError");
    await until(/^trivy_mirror_waiting_downloads\{repository="trivy-db"\} 0$/m);
    await until(/^trivy_mirror_served_downloads_total\{repository="trivy-db"\} 2$/m);
  });

  /** Waits for a line of the metrics; mocha's timeout limits it. */
  async function until(line: RegExp): Promise<void> {
    while (!line.test(metrics(registry.served))) await sleep(5);
  }
});
