/** Builds `dist/`, which is what the package consists of. `npm pack` and `npm publish` run this first. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { bundledPrograms } from "../components/registry-scan/bundle.ts";

const folder = import.meta.dirname;
const dist = join(folder, "dist");
rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, "programs"), { recursive: true });

const formats: Readonly<Record<string, BuildOptions>> = {
  "index.js": { format: "esm" },
  "index.cjs": { format: "cjs", define: { "import.meta.dirname": "__dirname" } },
};
for (const [file, options] of Object.entries(formats)) {
  const { warnings, metafile } = await build({
    ...options,
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
  if (warnings.length > 0) throw new Error(`esbuild warns of ${file}; see above`);
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const declared = Object.keys({ ...dependencies, ...peerDependencies });
  const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => packageName(path)));
  const undeclared = imported.filter((name) => !isBuiltin(name) && !declared.includes(name));
  const unused = declared.filter((name) => !imported.includes(name));
  if (undeclared.length + unused.length > 0)
    throw new Error(
      `dependencies in package/package.json: ${undeclared.join(", ") || "none"} missing, ${unused.join(", ") || "none"} unused`,
    );
}

// What the components read at run time, from the folder of their own file.
cpSync(join(folder, "../components/gateway/run.sh"), join(dist, "run.sh"));
for (const [file, text] of Object.entries(bundledPrograms())) writeFileSync(join(dist, "programs", file), text);

// The declarations are marked as CommonJS, which both kinds of module may import; the entry points say which kind they are by their extension.
execFileSync("tsc", ["-p", folder], { stdio: "inherit" });
writeFileSync(join(dist, "types/package.json"), '{ "type": "commonjs" }\n');
for (const entry of ["index.d.ts", "index.d.cts"]) writeFileSync(join(dist, entry), 'export * from "./types/package/index.js";\n');

cpSync(join(folder, "../LICENSE"), join(folder, "LICENSE"));

/** Returns the package of an import such as `zod/mini` or `@pulumi/pulumi/x`. */
function packageName(path: string): string {
  return path.split("/", path.startsWith("@") ? 2 : 1).join("/");
}
