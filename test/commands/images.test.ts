import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { listImages } from "../../commands/images.ts";
import { RegistryClient } from "../../commands/registry/registry.ts";
import { type Verification, verifyImage } from "../../commands/registry/verify.ts";
import { UserError } from "../../commands/user-error.ts";
import { imageReference, images } from "../../components/shared/images.ts";
import { parseImageReference } from "../../registry-scan/index.ts";

const digestOf = (content: string) => `sha256:${createHash("sha256").update(content).digest("hex")}`;
const index = (...architectures: string[]) =>
  JSON.stringify({
    schemaVersion: 2,
    manifests: [...architectures, "unknown"].map((architecture) => ({
      digest: digestOf(architecture),
      platform: { os: architecture === "unknown" ? "unknown" : "linux", architecture },
    })),
  });

/** A registry that gives anyone a token, as public ones do. */
class Registry {
  /** Contents by tag or digest. */
  readonly manifests = new Map<string, string>();
  readonly requests: string[] = [];
  /** Answers every request for a manifest in place of the real answer. */
  status: number | undefined;
  /** Whether answers to HEAD name the digest. */
  namesDigest = true;
  host = "";
  #server: Server | undefined;

  async open(): Promise<void> {
    const server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? "", `http://${this.host}`);
      this.requests.push(`${request.method} ${pathname}`);
      if (pathname === "/token") {
        response.end(JSON.stringify({ token: `for ${searchParams.get("scope")} at ${searchParams.get("service")}` }));
        return;
      }
      if (request.headers.authorization !== "Bearer for repository:team/app:pull at registry") {
        const challenge = `Bearer realm="http://${this.host}/token",service="registry",scope="repository:team/app:pull"`;
        response.writeHead(401, { "www-authenticate": challenge }).end();
        return;
      }
      const content = this.manifests.get(pathname.split("/").at(-1) ?? "");
      if (this.status !== undefined || content === undefined) response.writeHead(this.status ?? 404).end();
      else response.writeHead(200, this.namesDigest ? { "docker-content-digest": digestOf(content) } : {}).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#server = server;
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  /** Stores a manifest under its digest and some tags, and returns the digest. */
  put(content: string, ...tags: string[]): string {
    for (const name of [digestOf(content), ...tags]) this.manifests.set(name, content);
    return digestOf(content);
  }

  verify(reference: string): Promise<Verification> {
    const image = parseImageReference(`${this.host}/team/app${reference}`);
    if (!image) throw new Error(reference);
    return verifyImage(new RegistryClient({ plainHttp: true }), image);
  }
}

describe("npm run images", () => {
  let registry: Registry;
  beforeEach(async () => {
    registry = new Registry();
    await registry.open();
  });
  afterEach(() => registry.close());

  it("a digest that the tag names is correct, with an anonymous token that is requested once", async () => {
    const digest = registry.put(index("amd64", "arm64"), "1.0");
    expect(await registry.verify(`:1.0@${digest}`)).to.deep.equal({
      status: "correct",
      message: "is what the tag 1.0 names, for linux/amd64 and linux/arm64",
    });
    expect(registry.requests).to.deep.equal([
      ...["HEAD /v2/team/app/manifests/1.0", "GET /token", "HEAD /v2/team/app/manifests/1.0"],
      `GET /v2/team/app/manifests/${digest}`,
    ]);
    expect(await registry.verify(`@${digest}`)).to.include({ status: "correct" });
    registry.namesDigest = false;
    expect(await registry.verify(`:1.0@${digest}`)).to.include({ status: "correct" });
  });

  it("a tag that moved is distinguished from one that was removed, and both from a missing image", async () => {
    const digest = registry.put(index("amd64", "arm64"), "1.0");
    const other = registry.put(index("amd64", "arm64", "s390x"), "1.0");
    expect(await registry.verify(`:1.0@${digest}`)).to.deep.equal({
      ...{ status: "moved", message: `has a tag that moved: 1.0 is now ${other}; the digest is still there` },
    });
    registry.manifests.delete("1.0");
    expect(await registry.verify(`:1.0@${digest}`))
      .to.include({ status: "moved" })
      .and.property("message")
      .match(/there is no 1\.0/);
    registry.manifests.delete(digest);
    expect(await registry.verify(`:1.0@${digest}`)).to.deep.equal({ status: "missing", message: `does not exist: there is no ${digest}` });
    registry.put(index("amd64", "arm64", "s390x"), "1.0");
    expect((await registry.verify(`:1.0@${digest}`)).message).to.equal(`does not exist: there is no ${digest}; the tag 1.0 is ${other}`);
    expect(await registry.verify(":2.0")).to.deep.equal({ status: "missing", message: "does not exist: there is no tag 2.0" });
  });

  it("an image without a digest is reported with the digest to pin", async () => {
    const digest = registry.put(index("amd64", "arm64"), "1.0");
    expect(await registry.verify(":1.0")).to.deep.equal({ status: "unpinned", message: `has no digest; to pin it, append @${digest}` });
  });

  it("the digest of one architecture, or of an index without one of both, is incomplete", async () => {
    const single = registry.put('{"schemaVersion":2,"config":{}}', "1.0");
    expect(await registry.verify(`:1.0@${single}`))
      .to.include({ status: "incomplete" })
      .and.property("message")
      .match(/of one architecture/);
    const lacking = registry.put(index("amd64"), "1.1");
    expect((await registry.verify(`:1.1@${lacking}`)).message).to.equal("is an index without linux/arm64; use a digest that has both");
  });

  it("a registry that fails, limits, refuses, forges content or cannot be reached says nothing about the image", async () => {
    const digest = registry.put(index("amd64", "arm64"), "1.0");
    for (const [status, message] of [
      [500, /answers 500/],
      [429, /limit for pulls/],
      [403, /not public/],
    ] as const) {
      registry.status = status;
      const found = await registry.verify(`:1.0@${digest}`);
      expect(found.status).to.equal("unknown");
      expect(found.message).to.match(message);
    }
    registry.status = undefined;
    registry.manifests.set(digest, "{}");
    expect((await registry.verify(`:1.0@${digest}`)).message).to.match(/with content of the digest/);
    registry.close();
    expect((await registry.verify(`:1.0@${digest}`)).message).to.match(/could not be checked: .* cannot be reached: .*ECONNREFUSED/);
  });

  it("a challenge that names a place for tokens without TLS is not followed", async () => {
    const image = parseImageReference(`${registry.host}/team/app:1.0`);
    if (!image) throw new Error();
    // TLS to a server without it fails before any challenge.
    expect(await verifyImage(new RegistryClient(), image)).to.include({ status: "unknown" });
    expect(registry.requests).to.deep.equal([]);
  });

  it("the command lists the default or a stack's images, and its exit code says whether all are as expected", async () => {
    const run = async (...args: string[]) => {
      const lines: string[] = [];
      const { log } = console;
      console.log = (line: string) => lines.push(line);
      try {
        return { status: await listImages(args), lines };
      } finally {
        console.log = log;
      }
    };
    expect(await run()).to.deep.equal({ status: 0, lines: Object.values(images) });
    expect((await run("--stack", "prod")).lines).to.include(imageReference("trivy"));
    const digest = registry.put(index("amd64", "arm64"), "1.0");
    const image = `${registry.host}/team/app:1.0`;
    const good = await run("--verify", "--plain-http", `${image}@${digest}`, image);
    expect(good.status).to.equal(0);
    expect(good.lines.map((line) => line.split(/\s+/)[0])).to.deep.equal(["correct", "unpinned"]);
    expect(await run("--verify", "--plain-http", `${image}@${digestOf("other")}`)).to.include({ status: 1 });
    for (const args of [["--check"], ["--stack", "prod", image], ["--verify", "Not An Image"]]) {
      const error = await run(...args).catch((reason: unknown) => reason);
      expect(error, args.join(" ")).to.be.instanceOf(UserError).with.property("status", 2);
    }
  });
});
