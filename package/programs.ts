import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The programs of the pods as `build.ts` bundled them. In the package this module takes the place of every bundle.ts of the components,
 * because the package's users do not have esbuild.
 */
export const bundledPrograms: typeof import("../components/registry-scan/bundle.ts").bundledPrograms = () => filesOf("registry-scan");
export const mirrorPrograms: typeof import("../components/database-mirror/bundle.ts").mirrorPrograms = () => filesOf("database-mirror");
export const waitPrograms: typeof import("../components/database-mirror/bundle.ts").waitPrograms = () => filesOf("database-wait");
export const monitoringPrograms: typeof import("../components/monitoring/bundle.ts").monitoringPrograms = () => filesOf("monitoring");

function filesOf(application: string): Readonly<Record<string, string>> {
  const folder = join(import.meta.dirname, "programs", application);
  return Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}
