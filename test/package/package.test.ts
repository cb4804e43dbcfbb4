import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");
const program = join(import.meta.dirname, "program.ts");
const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const { dependencies: tested } = readJson(join(root, "package.json"));

/** What a user's project has in its package.json and tsconfig.json. */
const projects = {
  "an ES module": { type: "module", module: "nodenext" },
  "CommonJS, resolved through exports": { type: "commonjs", module: "nodenext" },
  "CommonJS, as in Pulumi's TypeScript templates": { type: "commonjs", module: "commonjs", moduleResolution: "node10" },
} as const;
const typescripts = { "5.9.3": {}, "6.0.3": { ignoreDeprecations: "6.0" } } as const;

const output = async (cwd: string, command: string, ...args: string[]) => (await must(command, args, { cwd })).stdout;

describe("the package", () => {
  let scratch: string;
  let files: string[];
  let registeredBySource: unknown;
  const installed = (...path: string[]) => join(scratch, "node_modules", ...path);

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "package-"));
    const [packed] = JSON.parse(
      await output(root, "npm", "pack", "--workspace=trivy-server", `--pack-destination=${scratch}`, "--json", "--silent"),
    );
    files = packed.files.map(({ path }: { path: string }) => path);
    const versions = ["@pulumi/kubernetes", "@pulumi/pulumi", "@pulumi/random", "@pulumi/tls"].map((name) => [name, tested[name]]);
    const compilers = Object.keys(typescripts).map((version) => [`typescript-${version}`, `npm:typescript@${version}`]);
    writeFileSync(
      join(scratch, "package.json"),
      JSON.stringify({
        private: true,
        dependencies: { "trivy-server": `file:${packed.filename}`, ...Object.fromEntries([...versions, ...compilers]) },
      }),
    );
    await output(scratch, "npm", "install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--silent");
    registeredBySource = JSON.parse(await output(root, process.execPath, "--conditions=@trivy-server/source", program));
  });
  after(() => rmSync(scratch, { recursive: true }));

  it("the tarball contains the compiled package and no sources", () => {
    expect(files).to.include.members([
      "LICENSE",
      "README.md",
      "package.json",
      "dist/index.js",
      "dist/index.cjs",
      "dist/run.sh",
      "dist/start-redis.sh",
      "dist/programs/registry-scan/scan.js",
      "dist/programs/registry-scan/tools.js",
      "dist/programs/database-mirror/mirror.js",
      "dist/programs/database-wait/wait.js",
    ]);
    expect(
      files.filter((file) => !/^(LICENSE|README\.md|package\.json|dist\/.+\.(js|cjs|map|d\.c?ts|css|json|sh))$/.test(file)),
    ).to.deep.equal([]);
  });

  it("the source maps contain the components' sources", () => {
    for (const file of ["index.js.map", "index.cjs.map"]) {
      const { sources, sourcesContent } = readJson(installed("trivy-server/dist", file));
      expect(sources).to.include("../../components/scan-service.ts");
      expect(sourcesContent).to.have.length(sources.length).and.not.include(null);
    }
  });

  it("arguments that cannot be used are refused, all at once and before any resource is registered", () => {
    const { resources, refusal } = registeredBySource as {
      resources: { name: string }[];
      refusal: { message: string; hasNoStackTrace: boolean };
    };
    for (const setting of [
      /namespace\.name is "?Bad Name/,
      /server\.replicas is 0/,
      /images\.trivy .*malware/,
      /redis\.maxMemory is "?2GB.*2Gi/,
    ])
      expect(refusal.message).to.match(setting);
    expect(refusal.hasNoStackTrace).to.equal(true);
    expect(resources.filter(({ name }) => name.startsWith("unusable"))).to.deep.equal([]);
  });

  it("the package works without esbuild, which bundled the programs of the registry scan", () => {
    expect(existsSync(installed("esbuild"))).to.equal(false);
  });

  /** Creates a project that shares the installed packages, and compiles the program in it. */
  async function compiled(version: string, type: string, compilerOptions: object): Promise<string> {
    const project = mkdtempSync(join(scratch, "project-"));
    copyFileSync(program, join(project, "program.ts"));
    writeFileSync(join(project, "package.json"), JSON.stringify({ type }));
    const common = { target: "es2022", strict: true, types: [] };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: { ...common, ...compilerOptions } }));
    await output(project, process.execPath, installed(`typescript-${version}/bin/tsc`), "-p", project);
    return project;
  }

  for (const [kind, { type, ...options }] of Object.entries(projects))
    for (const [version, more] of Object.entries(typescripts))
      it(`${kind}, compiled by TypeScript ${version}, registers what the source tree registers`, async () => {
        const project = await compiled(version, type, { ...options, ...more, skipLibCheck: true });
        expect(JSON.parse(await output(project, process.execPath, "program.js"))).to.deep.equal(registeredBySource);
      });

  it("the declarations have no errors, also for users who do not skip them", async () => {
    // Takes ten times as long, because of the Kubernetes types; with the oldest settings, which are the strictest about imports.
    const { type, ...options } = projects["CommonJS, as in Pulumi's TypeScript templates"];
    await compiled("5.9.3", type, options);
  });
});
