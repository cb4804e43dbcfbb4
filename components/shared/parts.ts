import { mirrorName } from "../../database-mirror/index.ts";
import { reportsName, scanName } from "../../registry-scan/index.ts";

/** Name of the Pulumi project and of the application in the labels. */
export const project = "trivy-server";

/** Name and port of the Service that clients use, the same in every environment. */
export const serviceName = "trivy";
export const servicePort = 80;

/** Name by which the registry scan is a client of the gateway. */
export const registryScanClient = "registry-scan";

/** Name by which the synthetic scan is a client of the gateway. */
export const probeClient = "probe";

/** A part of the service that has pods of its own. */
export interface Part {
  /** Value of the label `app.kubernetes.io/component`. */
  readonly component: string;
  /** Name of the part's objects. */
  readonly objectName: string;
  /** User and group of the pods. Above 10000, where security scanners expect no account of a host. */
  readonly userId: number;
}

export const parts = {
  server: { component: "server", objectName: "trivy-server", userId: 10001 },
  cache: { component: "cache", objectName: "redis", userId: 10002 },
  gateway: { component: "gateway", objectName: "trivy-gateway", userId: 10003 },
  reports: { component: "reports", objectName: reportsName, userId: 10004 },
  registryScan: { component: "registry-scan", objectName: scanName, userId: 10005 },
  database: { component: "database", objectName: mirrorName, userId: 10007 },
  redisExporter: { component: "redis-exporter", objectName: "redis-exporter", userId: 10006 },
  exporter: { component: "exporter", objectName: "trivy-exporter", userId: 10008 },
  probe: { component: "probe", objectName: "trivy-probe", userId: 10009 },
} as const satisfies Readonly<Record<string, Part>>;

/**
 * Returns the name of a part's objects. In a namespace that the service shares with others, every name says that it is the service's: others
 * may have a Redis too.
 */
export const objectsName = ({ objectName }: Pick<Part, "objectName">, sharedNamespace = false): string =>
  sharedNamespace && !objectName.startsWith(`${serviceName}-`) ? `${serviceName}-${objectName}` : objectName;

/** Returns the servers of a trust domain; without its name, those of the clients that are in none. */
export const serverPart = (domain?: string): Part =>
  domain === undefined
    ? parts.server
    : { ...parts.server, component: `${parts.server.component}-${domain}`, objectName: `${parts.server.objectName}-${domain}` };

/** Whether the value of the label `app.kubernetes.io/component` is that of servers, of a trust domain or not. */
export const isServer = (component: string): boolean =>
  component === parts.server.component || component.startsWith(`${parts.server.component}-`);
