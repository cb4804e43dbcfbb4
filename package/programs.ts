import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Takes the place of components/registry-scan/bundle.ts in the package, whose users do not have esbuild: returns the programs of the registry scan's
 * pods as `build.ts` bundled them.
 */
export const bundledPrograms: typeof import("../components/registry-scan/bundle.ts").bundledPrograms = () => {
  const folder = join(import.meta.dirname, "programs");
  return Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), "utf8")]));
};
