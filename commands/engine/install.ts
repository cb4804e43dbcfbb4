/** Installs Pulumi's CLI without running a script from the network. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { dirname, join } from "node:path";

/** Where a release is downloaded from. The checksums come from another host than the archive, so one of them alone cannot replace it. */
export interface Sources {
  /** Folder of the archives, without a slash at the end. */
  readonly archives: string;
  /** Folder of a release's checksums, without a slash at the end. */
  readonly checksums: (version: string) => string;
}

export const publicSources: Sources = {
  archives: "https://get.pulumi.com/releases/sdk",
  checksums: (version) => `https://github.com/pulumi/pulumi/releases/download/v${version}`,
};

/** Milliseconds for one file. */
const timeout = 300_000;

/** Returns the name of a release's archive for a platform. @throws Error if there is none that `tar` can unpack */
export function archiveName(version: string, os: NodeJS.Platform = platform(), architecture: string = arch()): string {
  if (!["linux", "darwin"].includes(os) || !["x64", "arm64"].includes(architecture))
    throw new Error(`there is no archive to install for ${os} on ${architecture}`);
  return `pulumi-v${version}-${os}-${architecture}.tar.gz`;
}

/**
 * Downloads a release of Pulumi's CLI, compares it with the published checksum, and installs it as `<root>/bin`.
 *
 * @throws Error that says why; nothing is installed then
 */
export async function installPulumi(version: string, root: string, sources: Sources = publicSources): Promise<void> {
  const name = archiveName(version);
  const list = `${sources.checksums(version)}/pulumi-${version}-checksums.txt`;
  const [archive, checksums] = await Promise.all([download(`${sources.archives}/${name}`), download(list)]);
  const expected = checksumOf(name, checksums.toString());
  if (expected === undefined) throw new Error(`${list} has no checksum of ${name}`);
  const actual = createHash("sha256").update(archive).digest("hex");
  if (actual !== expected) throw new Error(`${name} has the checksum ${actual}, but ${new URL(list).host} publishes ${expected}`);
  await unpack(archive, root);
}

/** Returns the SHA-256 of a file in the format of `sha256sum`. */
export const checksumOf = (name: string, list: string): string | undefined =>
  list
    .split("\n")
    .map((line) => /^([0-9a-f]{64}) [ *](\S+)$/.exec(line.trim()))
    .find((match) => match?.[2] === name)?.[1];

async function download(url: string): Promise<Buffer> {
  const { host } = new URL(url);
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeout) });
    if (!response.ok) throw new Error(`${host} answers ${response.status} for ${url}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const { message, cause } = error as Error;
    throw cause instanceof Error ? new Error(`${host} cannot be reached: ${cause.message || String(cause)}`) : new Error(message);
  }
}

/** Unpacks next to the final place, so that an interrupted installation leaves nothing that looks complete. */
async function unpack(archive: Buffer, root: string): Promise<void> {
  mkdirSync(dirname(root), { recursive: true });
  const temporary = mkdtempSync(`${root}.`);
  try {
    const file = join(temporary, "archive.tar.gz");
    writeFileSync(file, archive);
    const content = join(temporary, "content");
    mkdirSync(content);
    await tar("-xzf", file, "-C", content, "--strip-components=1", "--no-same-owner");
    mkdirSync(root, { recursive: true });
    // Some releases have a folder `bin`.
    const bin = join(content, "bin");
    renameSync(existsSync(bin) ? bin : content, join(root, "bin"));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function tar(...args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("tar", args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`tar cannot unpack the archive: ${errors.trim()}`))));
  });
}
