import * as z from "zod/mini";
import { type ReportsConfiguration, receiverTypes } from "./configuration.ts";
import { nonEmptyString, positiveInteger, url } from "./validation.ts";

export const reportsConfigurationSchema: z.ZodMiniType<ReportsConfiguration> = z.object({
  folder: nonEmptyString,
  keep: positiveInteger,
  imageMetrics: z.boolean(),
  receivers: z.array(
    z.object({
      name: nonEmptyString,
      type: z.enum(receiverTypes),
      authorized: z.boolean(),
      defectDojo: z.optional(z.object({ product: nonEmptyString, productType: z.optional(nonEmptyString), engagement: nonEmptyString })),
    }),
  ),
  hosts: z.array(nonEmptyString),
  url: z.optional(url),
  bucket: z.optional(z.object({ endpoint: url, region: nonEmptyString, name: nonEmptyString, prefix: z.string() })),
});
