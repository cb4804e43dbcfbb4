import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { must, run } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");
/** The folder of the package renovate, which is too large to be a dependency. */
const renovate = process.env["RENOVATE"] ?? "";

const log = z.object({
  msg: z.string(),
  packageFiles: z.record(
    z.string(),
    z.array(
      z.object({
        packageFile: z.string(),
        deps: z.array(z.object({ depName: z.string(), currentValue: z.string(), currentDigest: z.string() }).partial().nullable()),
      }),
    ),
  ),
});

/** A version or digest that is written down in a file. */
interface Pin {
  readonly file: string;
  readonly pin: string;
}

/** Where versions are pinned outside of package.json: what to look for in which files. */
const shapes: readonly { readonly files: RegExp; readonly shape: RegExp }[] = [
  // Images of public registries with a version; databases have the version of their schema.
  {
    files: /^(components|commands|ci|\.ci|\.github|test\/e2e|policy)\//,
    shape: /\b(?:docker\.io|ghcr\.io|gcr\.io|quay\.io|registry\.k8s\.io)\/[\w./-]+:(v?\d+\.\d[\w.-]*)/g,
  },
  { files: /^components\/shared\/images\.ts$/, shape: /trivyVersion = "([^"]+)"/g },
  { files: /^components\/shared\/images\.ts$/, shape: /^ {2}\w+: .*@(sha256:[0-9a-f]{64})/gm },
  // Actions by commit.
  { files: /^(\.github|ci\/github)\/.*\.ya?ml$/, shape: /uses: [\w./-]+@([0-9a-f]{40})\b/g },
  { files: /^(\.github|ci\/github)\/.*\.ya?ml$/, shape: /uses: [\w./-]+@[0-9a-f]{40} # (v[\d.]+)/g },
  // Tools of pipelines.
  { files: /^\.ci\/run$|^\.github\/|^ci\//, shape: /[\w-]==(\d[\d.]*)/g },
  { files: /^\.ci\/run$|^\.github\/|^ci\//, shape: /[a-z]@(v?\d+\.\d+[\d.]*)/g },
  { files: /^ci\/gate\/client\.sh$/, shape: /^default_version=(\S+)/gm },
  { files: /^ci\/.*\.sh$/, shape: /\b([0-9a-f]{64})\b/g },
];

async function trackedFiles(): Promise<string[]> {
  const { stdout } = await must("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root });
  return stdout.split("\0").filter(Boolean);
}

/** Generated from images.ts, and images that must stay old because of their vulnerabilities. */
const exceptions = ["components/args.ts", "test/e2e/support/environment.ts"];

/** Returns every version that the project pins, found without Renovate. */
function pinsIn(files: readonly string[]): Pin[] {
  const written = files.flatMap((file) => {
    if (exceptions.includes(file)) return [];
    const matching = shapes.filter(({ files: pattern }) => pattern.test(file));
    if (matching.length === 0) return [];
    const text = readFileSync(join(root, file), "utf8");
    return matching.flatMap(({ shape }) => [...text.matchAll(shape)].map(([, pin = ""]) => ({ file, pin })));
  });
  const packages = files
    .filter((file) => /(^|\/)package\.json$/.test(file))
    .flatMap((file) => {
      const { dependencies = {}, devDependencies = {}, peerDependencies = {} } = JSON.parse(readFileSync(join(root, file), "utf8"));
      const versions: string[] = Object.values({ ...dependencies, ...devDependencies, ...peerDependencies });
      return versions.filter((version) => /\d/.test(version)).map((version) => ({ file, pin: version.replace(/^npm:.*@/, "") }));
    });
  return [...written, ...packages];
}

describe("renovate.json5", function () {
  this.timeout(180_000);
  let copy: string;
  before(async function () {
    if (renovate === "") {
      console.warn("      RENOVATE is not set to the folder of an installed renovate package: skipped");
      return this.skip();
    }
    // Renovate reads a Git repository, without what is ignored.
    copy = mkdtempSync(join(tmpdir(), "renovate-"));
    for (const file of await trackedFiles()) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      cpSync(join(root, file), join(copy, file), { force: true });
    }
    const git = (...args: string[]) => must("git", ["-c", "user.name=test", "-c", "user.email=test@example.com", ...args], { cwd: copy });
    await git("init", "--quiet");
    await git("add", "--all");
    await git("commit", "--quiet", "--message", "test");
  });
  after(() => copy && rmSync(copy, { recursive: true }));

  it("Renovate's own validator accepts the configuration", async () => {
    const { exitCode, stdout, stderr } = await run(
      "node",
      [join(renovate, "dist/config-validator.js"), "--strict", "--no-global", "renovate.json5"],
      { cwd: copy },
    );
    expect(exitCode, stdout + stderr).to.equal(0);
    expect(stdout).to.include("validated successfully against 1 file");
  });

  it("Renovate finds every version, digest and checksum that the project pins", async () => {
    const { exitCode, stdout } = await run("node", [join(renovate, "dist/renovate.js"), "--dry-run=extract"], {
      cwd: copy,
      env: { RENOVATE_PLATFORM: "local", LOG_LEVEL: "debug", LOG_FORMAT: "json" },
      timeout: 150_000,
    });
    expect(exitCode, stdout.slice(-2000)).to.equal(0);
    const extracted = stdout
      .split("\n")
      .flatMap((line) => (line.includes('"packageFiles"') ? [log.safeParse(JSON.parse(line)).data] : []))
      .findLast((entry) => entry !== undefined);
    const found = new Set(
      Object.values(extracted?.packageFiles ?? {})
        .flat()
        .flatMap(({ packageFile, deps }) =>
          deps.flatMap((dependency) => [dependency?.currentValue, dependency?.currentDigest].map((pin) => `${packageFile}: ${pin}`)),
        ),
    );
    const pins = pinsIn(await trackedFiles());
    expect(pins.length, "pinned versions").to.be.above(60);
    for (const file of ["components/shared/images.ts", "ci/gate/client.sh", ".ci/run", ".github/workflows/deploy.yml", "package.json"])
      expect(
        pins.some((pin) => pin.file === file),
        file,
      ).to.equal(true);
    expect(pins.map(({ file, pin }) => `${file}: ${pin}`).filter((pin) => !found.has(pin))).to.deep.equal([]);
  });
});
