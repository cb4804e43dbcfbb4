import { bytes, quantity } from "../shared/quantity.ts";

/** Space for one build of each database: 80 MB and 700 MB in 2026, growing. */
const buildSize = { vulnerabilities: "192Mi", java: "1Gi" } as const;

/** Returns the least space for a number of builds, and a new one that is not verified yet. */
export const minimumVolume = (keep: number, withJava: boolean): string =>
  quantity((keep + 1) * (bytes(buildSize.vulnerabilities) + (withJava ? bytes(buildSize.java) : 0)));

/** Returns the size of the claim if none is given. */
export const defaultVolume = (keep: number, withJava: boolean): string => {
  const minimum = minimumVolume(keep, withJava);
  const usual = withJava ? "8Gi" : "2Gi";
  return bytes(minimum) > bytes(usual) ? minimum : usual;
};
