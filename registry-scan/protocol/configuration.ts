import * as z from "zod/mini";
import { scanPolicySchema } from "./policy.ts";
import { targetArgsSchema } from "./targets.ts";
import { nonEmptyString, type Parsed, stringWith } from "./validation.ts";

const url = stringWith((value) => (URL.canParse(value) ? undefined : "is not a valid URL"));
const seconds = z.number().check(z.positive());

export const scanConfigurationSchema = z.object({
  targets: z.array(targetArgsSchema).check(z.minLength(1)),
  /** A glob or range that matches no tag is an error instead of a warning. */
  strict: z.boolean(),
  policy: scanPolicySchema,
  /** Tries plain HTTP when HTTPS fails, and does not verify registries' certificates. */
  plainHttp: z.boolean(),
  /** Seconds for the scan of one image. */
  timeout: seconds,
  /** Seconds from the start of the run until unscanned targets are reported as such. */
  deadline: seconds,
  /** Creates a CycloneDX document of each image too. */
  cycloneDx: z.boolean(),
  /** Paths of the files for `--ignorefile` and `--vex`. */
  ignoreFile: z.optional(nonEmptyString),
  vex: z.array(nonEmptyString),
  /** Repositories of Trivy's Java database. @default Trivy's */
  javaRepositories: z.optional(z.array(nonEmptyString)),
  /** URL of the scan service. */
  service: url,
  /** URL of the reports server's API, without `/api`. */
  reports: url,
});
/**
 * The configuration of the scanning pods, `scan.json`. Secrets are in the environment: TRIVY_TOKEN and REPORTS_TOKEN; registry logins are in
 * the folder DOCKER_CONFIG.
 */
export interface ScanConfiguration extends Parsed<typeof scanConfigurationSchema> {}

export const receiverConfigurationSchema = z.object({
  /** Unique; `/etc/receivers/NAME.url` holds the URL, `NAME.authorization` the value of the Authorization header. */
  name: nonEmptyString,
  type: z.enum(["alertmanager", "slack", "json"]),
  /** Requests have an Authorization header. */
  authorized: z.boolean(),
});
/** A receiver of alerts. Its URL and its token may be secret: they are files in `/etc/receivers`. */
export interface ReceiverConfiguration extends Parsed<typeof receiverConfigurationSchema> {}

export const reportsConfigurationSchema = z.object({
  /** Folder of all the server's files. */
  folder: nonEmptyString,
  /** Number of runs to keep. */
  keep: z.int().check(z.positive()),
  receivers: z.array(receiverConfigurationSchema),
  /** URL under which users open reports, for links in alerts. @default no links */
  url: z.optional(url),
  /** Bucket for copies of the reports. Its keys are in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. */
  bucket: z.optional(z.object({ endpoint: url, region: nonEmptyString, name: nonEmptyString, prefix: z.string() })),
});
/** The configuration of the reports server, `reports.json`. */
export interface ReportsConfiguration extends Parsed<typeof reportsConfigurationSchema> {}
