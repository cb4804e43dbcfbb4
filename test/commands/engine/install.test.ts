import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { archiveName, checksumOf, installPulumi, publicSources, type Sources } from "../../../commands/engine/install.ts";
import { must } from "../../support/command.ts";

const version = "3.999.0";

describe("the installation of Pulumi's CLI", () => {
  let folder: string;
  let server: Server;
  let sources: Sources;
  /** Files by path; a number is a status. */
  let files: Record<string, Buffer | string | number>;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "install-"));
    files = {};
    server = createServer((request, response) => {
      const file = files[request.url ?? ""] ?? 404;
      if (typeof file === "number") response.writeHead(file).end();
      else response.end(file);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    sources = { archives: `${address}/sdk`, checksums: (release) => `${address}/v${release}` };
  });
  afterEach(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  /** Publishes a release whose CLI prints a text. `within` is the folder of the archive in which it is. */
  async function publish(text: string, within = "pulumi"): Promise<void> {
    const source = join(folder, "source");
    mkdirSync(join(source, within), { recursive: true });
    writeFileSync(join(source, within, "pulumi"), `#!/bin/sh\necho ${text}\n`);
    chmodSync(join(source, within, "pulumi"), 0o755);
    await must("tar", ["-czf", join(folder, "archive"), "-C", source, "pulumi"]);
    const archive = readFileSync(join(folder, "archive"));
    const checksum = createHash("sha256").update(archive).digest("hex");
    files[`/sdk/${archiveName(version)}`] = archive;
    files[`/v${version}/pulumi-${version}-checksums.txt`] =
      `${"0".repeat(64)}  pulumi-v${version}-windows-x64.zip\n${checksum}  ${archiveName(version)}\n`;
  }
  const root = () => join(folder, "versions", version);
  const install = () => installPulumi(version, root(), sources);
  const refusal = () =>
    install().then(
      () => "installed",
      (error: Error) => error.message,
    );

  it("a release whose checksum is the published one is installed, and nothing else is left behind", async () => {
    await publish("installed");
    await install();
    expect((await must(join(root(), "bin/pulumi"), [])).stdout).to.equal("installed\n");
    expect(readdirSync(join(folder, "versions"))).to.deep.equal([version]);
  });

  it("a release with a folder bin is installed", async () => {
    await publish("in bin", "pulumi/bin");
    await install();
    expect((await must(join(root(), "bin/pulumi"), [])).stdout).to.equal("in bin\n");
  });

  it("an archive that was replaced is not installed", async () => {
    await publish("good");
    const list = files[`/v${version}/pulumi-${version}-checksums.txt`] ?? "";
    await publish("evil");
    files[`/v${version}/pulumi-${version}-checksums.txt`] = list;
    expect(await refusal()).to.match(/has the checksum [0-9a-f]{64}, but 127\.0\.0\.1:\d+ publishes [0-9a-f]{64}/);
    expect(existsSync(join(folder, "versions"))).to.equal(false);
  });

  it("without a checksum of the archive, or without the archive, nothing is installed", async () => {
    await publish("good");
    files[`/v${version}/pulumi-${version}-checksums.txt`] = `${"0".repeat(64)}  pulumi-v${version}-other.tar.gz\n`;
    expect(await refusal()).to.match(/has no checksum of pulumi-v/);
    files[`/v${version}/pulumi-${version}-checksums.txt`] = 503;
    expect(await refusal()).to.match(/answers 503/);
    await publish("good");
    files[`/sdk/${archiveName(version)}`] = 404;
    expect(await refusal()).to.match(/answers 404/);
    server.close();
    server.closeAllConnections();
    expect(await refusal()).to.match(/cannot be reached: .*ECONNREFUSED/);
    expect(existsSync(join(folder, "versions"))).to.equal(false);
  });

  it("an archive that tar cannot unpack leaves nothing that looks installed", async () => {
    files[`/sdk/${archiveName(version)}`] = "nonsense";
    const checksum = createHash("sha256").update("nonsense").digest("hex");
    files[`/v${version}/pulumi-${version}-checksums.txt`] = `${checksum}  ${archiveName(version)}\n`;
    expect(await refusal()).to.match(/tar cannot unpack the archive/);
    expect(existsSync(root())).to.equal(false);
    expect(readdirSync(join(folder, "versions"))).to.deep.equal([]);
  });

  it("archives are named by platform, and a platform without one is refused", () => {
    expect(archiveName("3.1.0", "linux", "x64")).to.equal("pulumi-v3.1.0-linux-x64.tar.gz");
    expect(archiveName("3.1.0", "darwin", "arm64")).to.equal("pulumi-v3.1.0-darwin-arm64.tar.gz");
    expect(() => archiveName("3.1.0", "win32", "x64")).to.throw("no archive to install for win32 on x64");
    expect(() => archiveName("3.1.0", "linux", "s390x")).to.throw("linux on s390x");
  });

  it("archive and checksums come from different hosts, with TLS", () => {
    const [archives, checksums] = [new URL(publicSources.archives), new URL(publicSources.checksums(version))];
    expect([archives.protocol, checksums.protocol]).to.deep.equal(["https:", "https:"]);
    expect(archives.host).to.not.equal(checksums.host);
    expect(checksumOf("b", `${"a".repeat(64)}  a\n${"b".repeat(64)} *b\n`)).to.equal("b".repeat(64));
  });
});
