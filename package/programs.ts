import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Returns the programs of the registry scan's pods as `build.ts` bundled them. In the package this takes the place of
 * components/registry-scan/bundle.ts, because the package's users do not have esbuild.
 */
export const bundledPrograms: typeof import("../components/registry-scan/bundle.ts").bundledPrograms = () => {
  const folder = join(import.meta.dirname, "programs");
  return Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "utf8")]));
};
