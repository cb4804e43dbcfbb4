import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const application = join(import.meta.dirname, "../../registry-scan");

let programs: Readonly<Record<string, string>> | undefined;

/** The programs of the registry scan's pods, each with the packages that it imports in one readable file. */
export function bundledPrograms(): Readonly<Record<string, string>> {
  programs ??= {
    "package.json": JSON.stringify({ type: "module" }),
    "page.css": readFileSync(join(application, "server/report/page.css"), "utf8"),
    ...Object.fromEntries(
      buildSync({
        absWorkingDir: application,
        entryPoints: { scan: "worker/main.ts", reports: "server/main.ts" },
        outdir: ".",
        bundle: true,
        platform: "node",
        target: "node24",
        format: "esm",
        legalComments: "inline",
        write: false,
      }).outputFiles.map(({ path, text }) => [path.slice(application.length + 1), text]),
    ),
  };
  return programs;
}
