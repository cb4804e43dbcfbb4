import * as z from "zod/mini";
import { type ScanPolicy, scanners, severities } from "./policy.ts";

export const scanPolicySchema: z.ZodMiniType<ScanPolicy> = z.object({
  severities: z.array(z.enum(severities)),
  ignoreUnfixed: z.boolean(),
  scanners: z.array(z.enum(scanners)),
});
