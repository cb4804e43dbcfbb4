/** Name of the CronJob, and of the container in its pods. */
export const scanName = "trivy-registry-scan";
export const scanContainer = "scan";

/** Name of the reports server's Service. */
export const reportsName = "trivy-reports";

/** Ports of the reports server: `pages` for users, `api` for the scanning pods, `metrics` for Prometheus. */
export const reportsPorts = { pages: 8080, api: 8081, metrics: 8083 } as const;

/** Port of the container that runs trivy and crane, on the loopback interface of a scanning pod. */
export const toolsPort = 8082;

/** Returns a run's name, at most 63 characters: its Job's, and part of the Job's uid, because an earlier Job may have had the same name. */
export const runOf = (job: string, uid: string): string => `${job.slice(0, 54).replace(/-+$/, "")}-${uid.slice(0, 8)}`;
