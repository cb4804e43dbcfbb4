import * as z from "zod/mini";
import type { ScanConfiguration } from "./configuration.ts";
import { platformProblem } from "./platforms.ts";
import { scanPolicySchema } from "./policy-schema.ts";
import { scannedImageProblem, scannedRepositoryProblem, tagOrders, versionRangeProblem } from "./targets.ts";
import { nonEmptyString, positiveInteger, stringWith, url } from "./validation.ts";

const seconds = z.number().check(z.positive());

const target = z.union([
  z.object({ image: stringWith(scannedImageProblem) }),
  z.object({
    repository: stringWith(scannedRepositoryProblem),
    tags: z.optional(z.array(nonEmptyString)),
    versions: z.optional(stringWith(versionRangeProblem)),
    exclude: z.optional(z.array(nonEmptyString)),
    newest: z.optional(positiveInteger),
    order: z.optional(z.enum(tagOrders)),
  }),
]);

export const scanConfigurationSchema: z.ZodMiniType<ScanConfiguration> = z.object({
  targets: z.array(target).check(z.minLength(1)),
  strict: z.boolean(),
  platforms: z.optional(z.array(stringWith(platformProblem)).check(z.minLength(1))),
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
