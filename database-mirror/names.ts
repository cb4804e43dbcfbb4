/** Name of the mirror's Service, StatefulSet and volume claim, and of the CronJob that copies to a registry. */
export const mirrorName = "trivy-database";

/** Ports of the mirror: `registry` for servers and clients, `metrics` for Prometheus, `admin` only on the pod's loopback interface. */
export const mirrorPorts = { registry: 8443, metrics: 8080, admin: 8082 } as const;

/** Paths of requests that are not part of the OCI distribution protocol. */
export const mirrorPaths = {
  /** A server that starts sends this first: 200 if the mirror has a database, otherwise 503. */
  starting: "/starting",
  /** On the port `admin`: GET lists the builds, PUT below it adds one. */
  builds: "/builds",
} as const;
