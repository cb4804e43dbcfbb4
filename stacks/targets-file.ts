import { existsSync, readFileSync, statSync } from "node:fs";
import { isSeq, LineCounter, parseDocument } from "yaml";
import type { SettingProblem } from "./errors.ts";
import { yamlPath } from "./kinds/document.ts";
import { lineOf } from "./locations.ts";
import { isRaw, parsePath, type Raw } from "./paths.ts";

const path = "registryScan.targetsFile";
const advice = "use the path of a YAML file in the project's folder with a list of targets";
/** The targets of a file, in the place of `registryScan.targets`. */
export interface TargetsFile {
  readonly settings: Raw;
  /** What is wrong with the file itself. */
  readonly problem?: SettingProblem;
  /** Returns a problem of a target with its place in the file; every other problem as it is. */
  readonly located: (problem: SettingProblem) => SettingProblem;
}

/**
 * Replaces `registryScan.targetsFile` in settings by the targets in that file: Pulumi passes at most 128 KiB of settings to a program, and
 * thousands of targets may be generated.
 */
export function readTargetsFile(settings: Raw): TargetsFile {
  const located = (problem: SettingProblem) => problem;
  const { registryScan: scan } = settings;
  if (!isRaw(scan) || typeof scan["targetsFile"] !== "string" || scan["targets"] !== undefined) return { settings, located };
  const { targetsFile: name, ...others } = scan;
  // Another text is refused with all other settings.
  if (!yamlPath.test(name)) return { settings, located };
  const withTargets = (targets: unknown): Raw => ({ ...settings, registryScan: { ...others, targets } });
  const failed = (message: string): TargetsFile => ({
    settings: withTargets([]),
    problem: { path, message: `is ${name}, ${message}; ${advice}` },
    located,
  });
  if (!existsSync(name) || !statSync(name).isFile()) return failed("a file that does not exist");
  const lineCounter = new LineCounter();
  const { contents, errors } = parseDocument(readFileSync(name, "utf8"), { lineCounter, prettyErrors: false, logLevel: "silent" });
  if (errors[0]) return failed(`whose line ${lineCounter.linePos(errors[0].pos[0]).line} is not valid YAML`);
  if (!isSeq(contents)) return failed("which has no list");
  return {
    settings: withTargets(contents.toJSON()),
    located(problem) {
      const [block, key, index, ...rest] = parsePath(problem.path);
      if (block !== "registryScan" || key !== "targets") return problem;
      const steps = index === undefined ? [] : [index, ...rest.slice(0, 1)];
      const subject = index === undefined ? "the list" : [`target ${Number(index) + 1}`, ...rest.slice(0, 1)].join(", ");
      return { path, message: `is ${name}, where on line ${lineOf(contents, steps, lineCounter) ?? 1} ${subject} ${problem.message}` };
    },
  };
}
