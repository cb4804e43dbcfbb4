/**
 * What the programs of the registry scan say to each other. They run in pods as they stand here but for their types, so nothing in this folder imports
 * anything but Node's own modules, the packages that `../registry-scan.ts` names, and its neighbours; no Pulumi.
 *
 * A run is one Job. Its pods (`scan.ts`) list the targets, take one after another and scan it through the service. The reports server (`reports.ts`) hands
 * the targets out, keeps what was found, compares it with the last good scan of each image, writes the report and sends the alerts.
 */

/** From the best to the worst, as Trivy names them. */
export const severities = ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;
export type Severity = (typeof severities)[number];

export const scanners = ["vuln", "secret", "misconfig", "license"] as const;
export type Scanner = (typeof scanners)[number];

/** What is to be scanned: one image, or some tags of a repository. */
export type TargetArgs =
  /** An image with its tag or digest. */
  | { readonly image: string }
  | {
      readonly repository: string;
      /** Names or globs, such as `release-*`; a tag that one of them matches is taken. @default all */
      readonly tags?: readonly string[];
      /** Range of semantic versions, such as `>=1.4 <3`; tags that are no version, or outside of it, are left out. @default any */
      readonly versions?: string;
      /** Only so many of them: the highest versions when all are versions, otherwise those created last. @default all */
      readonly newest?: number;
    };

/** The configuration of the scanning pods. Its secrets come by environment: TRIVY_TOKEN, REPORTS_TOKEN; registry logins in DOCKER_CONFIG. */
export interface ScanConfiguration {
  readonly targets: readonly TargetArgs[];
  /** A glob or range that matches nothing is an error, not a warning. */
  readonly strict: boolean;
  readonly severities: readonly Severity[];
  readonly ignoreUnfixed: boolean;
  readonly scanners: readonly Scanner[];
  /** Tries plain HTTP when HTTPS fails, and verifies no registry's certificate. */
  readonly plainHttp: boolean;
  /** Seconds for the scan of one image. */
  readonly timeout: number;
  /** Seconds from the start of the run until what is missing is given up. */
  readonly deadline: number;
  /** A CycloneDX document of each image besides. */
  readonly cycloneDx: boolean;
  /** Paths of files for `--ignorefile` and `--vex`. */
  readonly ignoreFile?: string;
  readonly vex: readonly string[];
  /** Where Java archives are looked up. @default Trivy's */
  readonly javaRepositories?: readonly string[];
  /** URL of the scan service, and of the reports server's API. */
  readonly service: string;
  readonly reports: string;
}

/** One image to scan, whatever the number of names that it has. */
export interface Target {
  /** Unique in the run, and the same when it is planned again: `0`, `1`, ... */
  readonly id: string;
  /** What the client is told to scan: with a digest, where that is known. */
  readonly reference: string;
  /** As people know it: `registry/repository:tag`. Never empty; several when tags share a digest. */
  readonly names: readonly string[];
  readonly digest?: string;
}

/** What went wrong while targets were listed. */
export interface Problem {
  readonly kind: "warning" | "error";
  /** The image or repository. What was known of its images stays known. */
  readonly about: string;
  readonly message: string;
}

/** What the planning pod sends, a line of JSON each. */
export type PlanLine = { readonly target: Target } | { readonly problem: Problem };

export interface Finding {
  /** CVE-2021-36159, AVD-DS-0002, aws-access-key-id, GPL-3.0 */
  readonly id: string;
  readonly scanner: Scanner;
  readonly severity: Severity;
  /** Package, or for other scanners than `vuln` the file. */
  readonly package: string;
  /** Where in the image: the file of a language's package. */
  readonly path?: string;
  readonly installed?: string;
  /** The version that it is fixed in. */
  readonly fixed?: string;
  readonly title?: string;
  readonly url?: string;
}

export interface Scanned {
  readonly outcome: "scanned";
  readonly findings: readonly Finding[];
  /** `alpine 3.10.9` */
  readonly os?: string;
  /** The distribution gives no more fixes for it: findings say little. */
  readonly endOfLife?: boolean;
  readonly seconds: number;
}

/** One try to scan a target. */
export type ScanResult = Scanned | { readonly outcome: "failed"; readonly reason: string; readonly seconds: number };

/** What a client asked the service of an image, and was told. Asked again and told the same, it would find the same. */
export interface Exchange {
  /** Digest of everything else on which a client's findings depend: its version, its options and their files. */
  readonly policy: string;
  /** The body of its request, Base64. */
  readonly question: string;
  /** Digest of the answer's body. */
  readonly answer: string;
}

/** What a pod sends of a try, with the exchange that a client's findings are from: it is kept for the next run where the image's digest is known. */
export type SentResult = ScanResult & { readonly exchange?: Exchange };

/** A scan by a client, of this run or an earlier one. */
export interface KnownScan extends Exchange {
  readonly result: Scanned;
}

/** A run's name: that of its Job, and a piece of its uid, because a Job may be called as one before it. At most 63 characters. */
export const runOf = (job: string, uid: string): string => `${job.slice(0, 54).replace(/-+$/, "")}-${uid.slice(0, 8)}`;

/** What a run says about itself when it is begun, and again while it is planned: a run of which nothing is heard is given up. */
export interface RunStart
  extends Pick<ScanConfiguration, "deadline" | "timeout" | "severities" | "ignoreUnfixed" | "scanners" | "cycloneDx"> {
  /** ISO 8601 */
  readonly startedAt: string;
  /** Only these images were asked for, by hand: what is known of others stays as it is. */
  readonly partial: boolean;
}

export const verdicts = ["clean", "findings", "errors"] as const;
/** Of a run: `errors` when an image could not be scanned or listed, whatever else was found. */
export type Verdict = (typeof verdicts)[number];
/** By which a pod's end tells it. */
export const exitCodes = { clean: 0, findings: 1, errors: 2 } as const satisfies Record<Verdict, number>;

export interface RunStatus {
  readonly run: string;
  readonly state: "planning" | "scanning" | "finished";
  readonly planned: number;
  readonly scanned: number;
  readonly failed: number;
  readonly verdict?: Verdict;
  /** A few lines for the log, once it is finished. */
  readonly summary?: string;
}

/**
 * The reports server's API, under `/api`, with `Authorization: Bearer $REPORTS_TOKEN`; bodies are JSON.
 *
 * | request | answer |
 * | --- | --- |
 * | PUT /runs/RUN with RunStart | RunStatus; 409 and `{"running": "OTHER"}` while another one is under way: a run never overlaps with another |
 * | PUT /runs/RUN/plan with PlanLine lines | RunStatus; a second plan of a run is taken no notice of |
 * | POST /runs/RUN/next with NextQuestion | NextAnswer. Another process of a pod than the one that had a target has lost its scan: that was one try. |
 * | PUT /runs/RUN/targets/ID/cyclonedx | 204 |
 * | PUT /runs/RUN/targets/ID?attempt=N with SentResult | RunStatus |
 * | GET /runs/RUN | RunStatus; 404 when it has not begun |
 */
export interface NextQuestion {
  /** The pod's index in the Job. */
  readonly pod: string;
  /** Another one whenever the pod is started again. The same process asks twice for one target when the first answer did not reach it. */
  readonly process: string;
}

export type NextAnswer =
  | { readonly next: "scan"; readonly target: Target; readonly attempt: number; readonly known?: KnownScan }
  /** Nothing now, but there may be something later: it is not planned yet, or another pod's scan may have to be repeated. */
  | { readonly next: "wait"; readonly seconds: number }
  | { readonly next: "end" };

/** How often a target is tried. The client itself repeats, for half a minute, what the service asks it to. */
export const attempts = 3;

export type Counts = Readonly<Record<Severity, number>>;

/** What a report says of one image, by one of its names. */
export interface ImageReport {
  readonly name: string;
  readonly digest?: string;
  readonly os?: string;
  readonly endOfLife?: boolean;
  /** It had no good scan before this one: all its findings are fresh because of that. */
  readonly firstScan: boolean;
  readonly counts: Counts;
  /** Those that its last good scan did not have are `fresh`. The worst first. */
  readonly findings: readonly (Finding & { readonly fresh: boolean })[];
  /** What its last good scan had, and this one has not. */
  readonly gone: readonly Finding[];
  /** Why it could not be scanned; the findings are those of its last good scan then. */
  readonly error?: string;
  readonly attempts: number;
  /** When it was last scanned well, ISO 8601. */
  readonly scannedAt?: string;
}

/** One run's report: what the page, the JSON and SARIF files, the metrics and the alerts are made from. */
export interface RunReport {
  readonly run: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** `deadline` and `abandoned` (all pods gone) leave images unscanned: each is named with its error. */
  readonly ended: "complete" | "deadline" | "abandoned";
  readonly verdict: Verdict;
  readonly policy: Pick<RunStart, "severities" | "ignoreUnfixed" | "scanners" | "partial" | "cycloneDx">;
  /** By name. */
  readonly images: readonly ImageReport[];
  readonly problems: readonly Problem[];
  /** Findings of images that are no longer among the targets. */
  readonly removed: readonly { readonly name: string; readonly findings: readonly Finding[] }[];
  readonly totals: {
    readonly counts: Counts;
    readonly fresh: number;
    readonly gone: number;
    readonly scanned: number;
    readonly failed: number;
  };
}

/** A line of the trend: one of the kept runs. The oldest first. */
export type RunSummary = Pick<RunReport, "run" | "startedAt" | "finishedAt" | "verdict" | "ended"> &
  Pick<RunReport["totals"], "counts" | "fresh" | "gone" | "scanned" | "failed">;

/** A receiver of alerts. Its address, and a token for it, may be secret: they are files in `/etc/receivers`. */
export interface ReceiverConfiguration {
  /** Unique; also the file's name: `NAME.url`, and `NAME.authorization` for the value of a header. */
  readonly name: string;
  readonly type: "alertmanager" | "slack" | "json";
  readonly authorized: boolean;
}

/** The configuration of the reports server. */
export interface ReportsConfiguration {
  /** Folder of everything it keeps. */
  readonly folder: string;
  /** Runs to keep. */
  readonly keep: number;
  readonly receivers: readonly ReceiverConfiguration[];
  /** Where people open reports, for links in alerts. Without one there are no links. */
  readonly url?: string;
  /** Copies of the reports go here too. Its keys come by environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. */
  readonly bucket?: { readonly endpoint: string; readonly region: string; readonly name: string; readonly prefix: string };
}

/** Names in the cluster: of the CronJob and its container, and of the reports server's Service. */
export const scanName = "trivy-registry-scan";
export const scanContainer = "scan";
export const reportsName = "trivy-reports";

/** The reports server's ports: what people and Prometheus may read, and what the scanning pods speak to. */
export const reportsPorts = { pages: 8080, api: 8081 } as const;
