import { join } from "node:path";
import { bundle } from "../registry-scan/bundle.ts";

const folder = join(import.meta.dirname, "../../monitoring/programs");

let files: Readonly<Record<string, string>> | undefined;

/** Returns the content of the ConfigMap that the monitoring's pods run, by file name. Bundled once per process. */
export function monitoringPrograms(): Readonly<Record<string, string>> {
  files ??= {
    "package.json": JSON.stringify({ type: "module" }),
    ...bundle(folder, { exporter: "exporter.ts", probe: "probe.ts" }),
  };
  return files;
}
