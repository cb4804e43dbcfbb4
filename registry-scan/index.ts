/**
 * The registry scan's public interface: everything that components/, stacks/ and commands/ may use of it.
 *
 * Its files do not import zod, whose types would become part of the package's declarations, and its code part of the package.
 */
export {
  type BucketConfiguration,
  type ReceiverConfiguration,
  type ReportsConfiguration,
  receiverTypes,
  type ScanConfiguration,
} from "./protocol/configuration.ts";
export {
  dockerHub,
  formatImageReference,
  type ImageReference,
  imageReferenceProblem,
  parseImageReference,
} from "./protocol/image-reference.ts";
export { reportsName, reportsPorts, runOf, scanContainer, scanName } from "./protocol/names.ts";
export { allPlatforms, platformProblem } from "./protocol/platforms.ts";
export { type Scanner, type ScanPolicy, type Severity, scanners, severities } from "./protocol/policy.ts";
export { scannedImageProblem, scannedRepositoryProblem, type TargetArgs, tagOrders, versionRangeProblem } from "./protocol/targets.ts";
export { singleLine, visible } from "./protocol/text.ts";
export { exitCodes, type Verdict, verdicts } from "./protocol/verdict.ts";
