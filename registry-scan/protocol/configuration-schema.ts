import * as z from "zod/mini";
import type { ReportsConfiguration, ScanConfiguration } from "./configuration.ts";
import { type ScanPolicy, scanners, severities } from "./policy.ts";
import { scannedImageProblem, scannedRepositoryProblem, versionRangeProblem } from "./targets.ts";
import { nonEmptyString, stringWith } from "./validation.ts";

const url = stringWith((value) => (URL.canParse(value) ? undefined : "is not a valid URL"));
const seconds = z.number().check(z.positive());
const count = z.int().check(z.positive());

export const scanPolicySchema: z.ZodMiniType<ScanPolicy> = z.object({
  severities: z.array(z.enum(severities)),
  ignoreUnfixed: z.boolean(),
  scanners: z.array(z.enum(scanners)),
});

const target = z.union([
  z.object({ image: stringWith(scannedImageProblem) }),
  z.object({
    repository: stringWith(scannedRepositoryProblem),
    tags: z.optional(z.array(nonEmptyString)),
    versions: z.optional(stringWith(versionRangeProblem)),
    newest: z.optional(count),
  }),
]);

export const scanConfigurationSchema: z.ZodMiniType<ScanConfiguration> = z.object({
  targets: z.array(target).check(z.minLength(1)),
  strict: z.boolean(),
  policy: scanPolicySchema,
  plainHttp: z.boolean(),
  timeout: seconds,
  deadline: seconds,
  cycloneDx: z.boolean(),
  ignoreFile: z.optional(nonEmptyString),
  vex: z.array(nonEmptyString),
  javaRepositories: z.optional(z.array(nonEmptyString)),
  service: url,
  reports: url,
});

export const reportsConfigurationSchema: z.ZodMiniType<ReportsConfiguration> = z.object({
  folder: nonEmptyString,
  keep: count,
  receivers: z.array(z.object({ name: nonEmptyString, type: z.enum(["alertmanager", "slack", "json"]), authorized: z.boolean() })),
  url: z.optional(url),
  bucket: z.optional(z.object({ endpoint: url, region: nonEmptyString, name: nonEmptyString, prefix: z.string() })),
});
