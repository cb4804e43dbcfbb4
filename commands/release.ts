/**
 * `npm run release -- <version>`: builds the files of a release: the npm package of the components, the source, an SBOM and checksums. Two runs on the
 * same commit write the same bytes, so that a release can be checked by building it again.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { projectFolder } from "./stack-file.ts";
import { main, UserError } from "./user-error.ts";

const usage = `Usage: npm run release -- <version> [--output FOLDER]

Writes the files of a release into FOLDER (default: release), which is emptied first:
  - trivy-server-<version>.tgz, the npm package of the components
  - trivy-server-<version>-source.tar.gz, the files of the current commit
  - sbom.cdx.json, the npm packages that the program uses, in CycloneDX's format
  - SHA256SUMS

Exit codes: 0 written, 1 not written, 2 wrong usage`;

/** The files that have the version of a release. */
const manifests = ["package.json", "package/package.json", "provider/package.json", "provider/schema.json", "registry-scan/package.json"];

async function release(args: readonly string[]): Promise<number> {
  const { version, output } = parse(args);
  const wrong = manifests.flatMap((path) => {
    const found = JSON.parse(readFileSync(join(projectFolder, path), "utf8")).version;
    return found === version ? [] : [`  ${path} has version ${found}`];
  });
  if (wrong.length > 0)
    throw new UserError(`The release is ${version}, but\n${wrong.join("\n")}\nSet the version there, or tag another one.`);
  const changed = command("git", "status", "--porcelain").trim();
  if (changed !== "") throw new UserError(`A release consists of committed files only. Commit or remove these first:\n${changed}`);

  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  command("npm", "pack", "--workspace=trivy-server", `--pack-destination=${output}`, "--silent");
  const name = `trivy-server-${version}`;
  command("git", "archive", "--format=tar.gz", `--prefix=${name}/`, `--output=${join(output, `${name}-source.tar.gz`)}`, "HEAD");
  writeFileSync(join(output, "sbom.cdx.json"), sbom());
  const files = readdirSync(output).sort();
  const sums = files.map(
    (file) =>
      `${createHash("sha256")
        .update(readFileSync(join(output, file)))
        .digest("hex")}  ${file}\n`,
  );
  writeFileSync(join(output, "SHA256SUMS"), sums.join(""));
  console.log(sums.join("").trimEnd());
  return 0;
}

function parse(args: readonly string[]): { version: string; output: string } {
  try {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: "string", default: "release" } },
    });
    const [version = "", ...others] = positionals;
    if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version) || others.length > 0) throw new Error("Name one version, such as 1.2.3");
    return { version, output: resolve(values.output) };
  } catch (error) {
    throw new UserError(`${(error as Error).message}\n\n${usage}`, 2);
  }
}

/** Returns the SBOM without what differs from run to run. */
function sbom(): string {
  const { serialNumber, ...document } = JSON.parse(command("npm", "sbom", "--package-lock-only", "--sbom-format=cyclonedx", "--omit=dev"));
  document.metadata.timestamp = command("git", "show", "--no-patch", "--format=%cI", "HEAD").trim();
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

const command = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { cwd: projectFolder, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 64 * 1024 * 1024 });

if (import.meta.main) await main(release, { usage: () => usage });
