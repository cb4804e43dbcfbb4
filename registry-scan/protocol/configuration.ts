import type { ScanPolicy } from "./policy.ts";
import type { TargetArgs } from "./targets.ts";

/**
 * The configuration of the scanning pods, `scan.json`. Secrets are in the environment: TRIVY_TOKEN and REPORTS_TOKEN; registry logins are in
 * the folder DOCKER_CONFIG.
 */
export interface ScanConfiguration {
  /** At least one. */
  readonly targets: readonly TargetArgs[];
  /** A glob or range that matches no tag is an error instead of a warning. */
  readonly strict: boolean;
  /** Platforms whose images are scanned. @default linux/amd64 if there is one, otherwise another one */
  readonly platforms?: readonly string[];
  readonly policy: ScanPolicy;
  /** Tries plain HTTP when HTTPS fails, and does not verify registries' certificates. */
  readonly plainHttp: boolean;
  /** Seconds for the scan of one image. */
  readonly timeout: number;
  /** Seconds from the start of the run until unscanned targets are reported as such. */
  readonly deadline: number;
  /** Creates a CycloneDX document of each image too. */
  readonly cycloneDx: boolean;
  /** Path of the file for `--ignorefile`. @default none */
  readonly ignoreFile?: string;
  /** Paths of the files for `--vex`. */
  readonly vex: readonly string[];
  /** Repositories of Trivy's Java database. @default Trivy's */
  readonly javaRepositories?: readonly string[];
  /** URL of the scan service. */
  readonly service: string;
  /** URL of the reports server's API, without `/api`. */
  readonly reports: string;
}

/** What receivers of alerts understand. */
export const receiverTypes = ["alertmanager", "slack", "json", "defectdojo"] as const;

/** A receiver of alerts. Its URL and its token may be secret: they are files in `/etc/receivers`. */
export interface ReceiverConfiguration {
  /** Unique; `/etc/receivers/NAME.url` holds the URL, `NAME.authorization` the value of the Authorization header. */
  readonly name: string;
  readonly type: (typeof receiverTypes)[number];
  /** Requests have an Authorization header. */
  readonly authorized: boolean;
  /** Where DefectDojo imports findings. */
  readonly defectDojo?: {
    readonly product: string;
    /** @default the product must exist */
    readonly productType?: string;
    readonly engagement: string;
  };
}

/** An S3-compatible bucket. */
export interface BucketConfiguration {
  /** URL of the service. */
  readonly endpoint: string;
  readonly region: string;
  readonly name: string;
  /** What the objects' names begin with; may be empty. */
  readonly prefix: string;
}

/** The configuration of the reports server, `reports.json`. */
export interface ReportsConfiguration {
  /** Folder of all the server's files. */
  readonly folder: string;
  /** Number of runs to keep. */
  readonly keep: number;
  /** Each image has metrics, in addition to each repository. */
  readonly imageMetrics: boolean;
  readonly receivers: readonly ReceiverConfiguration[];
  /** Names by which clients in the cluster reach the pages. */
  readonly hosts: readonly string[];
  /** URL under which users open reports, for links in alerts; its name is accepted too. @default no links */
  readonly url?: string;
  /** Bucket for copies of the reports. Its keys are in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. @default none */
  readonly bucket?: BucketConfiguration;
}
