/** The registry scan's public interface: everything that components/, stacks/ and commands/ may use of it. */
export { exitCodes, type Verdict, verdicts } from "./protocol/api.ts";
export type { ReceiverConfiguration, ReportsConfiguration, ScanConfiguration } from "./protocol/configuration.ts";
export {
  dockerHub,
  formatImageReference,
  type ImageReference,
  imageReferenceProblem,
  parseImageReference,
} from "./protocol/image-reference.ts";
export { reportsName, reportsPorts, runOf, scanContainer, scanName } from "./protocol/names.ts";
export { type Scanner, type ScanPolicy, type Severity, scanners, severities } from "./protocol/policy.ts";
export type { Counts, ImageReport, RunReport, RunSummary } from "./protocol/report.ts";
export { scannedImageProblem, scannedRepositoryProblem, type TargetArgs, versionRangeProblem } from "./protocol/targets.ts";
