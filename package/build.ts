/** Builds `dist/`, which is what the package consists of. `npm pack` and `npm publish` run this first. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, join } from "node:path";
import { type BuildOptions, build, type Metafile } from "esbuild";
import { mirrorPrograms, waitPrograms } from "../components/database-mirror/bundle.ts";
import { monitoringPrograms } from "../components/monitoring/bundle.ts";
import { bundledPrograms } from "../components/registry-scan/bundle.ts";

const folder = import.meta.dirname;
const root = join(folder, "..");
const dist = join(folder, "dist");

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await bundleComponents("index.js", { format: "esm" });
await bundleComponents("index.cjs", { format: "cjs", define: { "import.meta.dirname": "__dirname" } });
writeRuntimeFiles();
writeDeclarations();
cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));

/** Bundles the components to one file of `dist/`. */
async function bundleComponents(file: string, options: BuildOptions): Promise<void> {
  const { warnings, metafile } = await build({
    ...options,
    absWorkingDir: root,
    entryPoints: [join(folder, "index.ts")],
    outfile: join(dist, file),
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node22",
    sourcemap: true,
    metafile: true,
    plugins: [
      {
        name: "programs",
        setup: ({ onResolve }) => onResolve({ filter: /\/bundle\.ts$/ }, () => ({ path: join(folder, "programs.ts") })),
      },
    ],
  });
  if (warnings.length > 0) throw new Error(`esbuild warned about ${file}, see above`);
  checkDependencies(metafile);
}

/** @throws Error unless package.json declares exactly the packages that the bundle imports */
function checkDependencies({ outputs }: Metafile): void {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const declared = new Set(Object.keys({ ...dependencies, ...peerDependencies }));
  const imported = new Set(Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => packageName(path))));
  const problems = [
    ...[...imported].filter((name) => !isBuiltin(name) && !declared.has(name)).map((name) => `${name} is imported but not declared`),
    ...[...declared].filter((name) => !imported.has(name)).map((name) => `${name} is declared but not imported`),
  ];
  if (problems.length > 0) throw new Error(`package/package.json: ${problems.join("; ")}`);
}

/** Returns the package of an import such as `zod/mini` or `@pulumi/pulumi/runtime`. */
function packageName(path: string): string {
  return path.split("/", path.startsWith("@") ? 2 : 1).join("/");
}

/** Writes the files that components read at run time to where the bundled components expect them: next to themselves. */
function writeRuntimeFiles(): void {
  for (const script of ["gateway/run.sh", "cache/start-redis.sh"]) cpSync(join(root, "components", script), join(dist, basename(script)));
  const applications = {
    "registry-scan": bundledPrograms(),
    "database-mirror": mirrorPrograms(),
    "database-wait": waitPrograms(),
    monitoring: monitoringPrograms(),
  };
  for (const [application, files] of Object.entries(applications)) {
    const folder = join(dist, "programs", application);
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  }
}

/**
 * Writes the declarations. They are marked as CommonJS, which both kinds of module may import. Only the entry points differ: TypeScript takes
 * their kind from their extension.
 */
function writeDeclarations(): void {
  execFileSync("tsc", ["-p", folder], { stdio: "inherit" });
  // No declaration of the components refers to those of the settings' checks.
  rmSync(join(dist, "types/stacks"), { recursive: true });
  writeFileSync(join(dist, "types/package.json"), '{ "type": "commonjs" }\n');
  for (const entry of ["index.d.ts", "index.d.cts"]) writeFileSync(join(dist, entry), 'export * from "./types/package/index.js";\n');
}
