import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { licenseHeader } from "./license-header.ts";

const application = join(import.meta.dirname, "../../registry-scan");

/** The programs of the pods, by the name of their file. */
const entryPoints = { scan: "worker/main.ts", tools: "tools/main.ts", reports: "server/main.ts" };

/** Maximum size of the files in the manifest, in KiB: a ConfigMap may have 1 MiB, of which some is left for its metadata. */
const limit = 900;

let files: Readonly<Record<string, string>> | undefined;

/**
 * Returns the content of the ConfigMap that the registry scan's pods run, by file name: each program with the packages that it imports in one
 * readable file. Bundling takes 0.1 s, once per process.
 *
 * @throws {Error} when the files are too large for a ConfigMap
 */
export function bundledPrograms(): Readonly<Record<string, string>> {
  files ??= checkedSize({
    "package.json": JSON.stringify({ type: "module" }),
    "page.css": readFileSync(join(application, "server/report/page.css"), "utf8"),
    ...bundle(application, entryPoints),
  });
  return files;
}

/** Returns each program of a folder with the packages that it imports in one readable file, by the file's name. */
export function bundle(folder: string, entryPoints: Readonly<Record<string, string>>): Record<string, string> {
  const { outputFiles, metafile } = buildSync({
    absWorkingDir: folder,
    entryPoints,
    outdir: ".",
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    // CommonJS packages require Node's modules.
    banner: { js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);' },
    charset: "utf8",
    legalComments: "inline",
    metafile: true,
    write: false,
  });
  return Object.fromEntries(
    outputFiles.map(({ path, text }) => {
      const name = path.slice(folder.length + 1);
      const inputs = Object.keys(metafile.outputs[name]?.inputs ?? {});
      return [name, licenseHeader(inputs.map((input) => join(folder, input))) + text];
    }),
  );
}

/** @throws {Error} naming each file's size, when they are too large for a ConfigMap */
export function checkedSize<Files extends Readonly<Record<string, string>>>(files: Files): Files {
  const total = sizeOf(files);
  if (total <= limit) return files;
  const sizes = Object.keys(files).map((name) => `${name} ${sizeOf({ [name]: files[name] })} KiB`);
  throw new Error(
    `the registry scan's programs take ${total} KiB of a ConfigMap, and the limit is ${limit} KiB (${sizes.join(", ")}); remove a package that they import`,
  );
}

/** KiB in the manifest, where quotes and line ends are escaped. */
const sizeOf = (files: object): number => Math.ceil(Buffer.byteLength(JSON.stringify(files)) / 1024);
