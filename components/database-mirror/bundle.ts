import { join } from "node:path";
import { bundle } from "../registry-scan/bundle.ts";

const folder = join(import.meta.dirname, "../../database-mirror");

const bundled = new Map<string, Readonly<Record<string, string>>>();

/** Returns the content of the ConfigMap that the mirror's pods run, by file name. */
export const mirrorPrograms = () => programs({ mirror: "main.ts", copy: "copy.ts" });

/** Returns that of the servers' init containers. It is separate, so that a change of the mirror's programs does not replace the servers. */
export const waitPrograms = () => programs({ wait: "wait.ts" });

/** Bundles once per process. */
function programs(entryPoints: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const key = Object.keys(entryPoints).join();
  const files = bundled.get(key) ?? { "package.json": JSON.stringify({ type: "module" }), ...bundle(folder, entryPoints) };
  bundled.set(key, files);
  return files;
}
