/** What the process is given: its configuration, its secrets, and its environment. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ReportsConfiguration } from "../protocol/configuration.ts";
import { reportsPorts } from "../protocol/names.ts";
import { reportsConfigurationSchema } from "../protocol/reports-configuration-schema.ts";
import { parseJson } from "../protocol/validation.ts";
import type { Receiver } from "./alerts/delivery.ts";
import type { BucketKeys } from "./bucket.ts";

/** A mistake in what the process is given. It is logged without a stack trace. */
export class ConfigurationError extends Error {}

/** Everything that the process is given. */
export interface ServerSettings extends Omit<ReportsConfiguration, "hosts"> {
  /** Names under which the pages are served. */
  readonly hosts: ReadonlySet<string>;
  readonly receivers: readonly Receiver[];
  readonly bucketKeys: BucketKeys | undefined;
  /** The tokens of which scanning pods send one. */
  readonly tokens: string[];
  /** Key and certificate of the API, PEM. @default the API is served over plain HTTP */
  readonly certificate: { readonly key: string; readonly cert: string } | undefined;
  readonly ports: Readonly<Record<keyof typeof reportsPorts, number>>;
}

/** @throws {ConfigurationError} */
export function readSettings(environment: NodeJS.ProcessEnv): ServerSettings {
  const {
    REPORTS_TOKEN: token,
    REPORTS_PREVIOUS_TOKEN: previousToken,
    REPORTS_CONFIGURATION: path = "/etc/reports/reports.json",
    REPORTS_RECEIVERS: receivers = "/etc/receivers",
    API_CERTIFICATE: certificate,
    PAGES_PORT: pages = reportsPorts.pages,
    API_PORT: api = reportsPorts.api,
    METRICS_PORT: metrics = reportsPorts.metrics,
  } = environment;
  if (!token) throw new ConfigurationError("REPORTS_TOKEN is missing in the environment; without it any client could write reports");
  const configuration = readConfiguration(path);
  return {
    ...configuration,
    receivers: readReceivers(configuration, receivers),
    hosts: new Set([...configuration.hosts, ...(configuration.url === undefined ? [] : [new URL(configuration.url).hostname])]),
    bucketKeys: configuration.bucket && readBucketKeys(configuration.bucket.name, environment),
    tokens: [token, ...(previousToken ? [previousToken] : [])],
    certificate: certificate ? { key: readPem(certificate, "tls.key"), cert: readPem(certificate, "tls.crt") } : undefined,
    ports: { pages: Number(pages), api: Number(api), metrics: Number(metrics) },
  };
}

function readPem(folder: string, name: string): string {
  try {
    return readFileSync(join(folder, name), "utf8");
  } catch (error) {
    throw new ConfigurationError(`the certificate of the API cannot be used: ${(error as Error).message}`);
  }
}

function readConfiguration(path: string): ReportsConfiguration {
  try {
    return parseJson(reportsConfigurationSchema, readFileSync(path, "utf8"));
  } catch (error) {
    throw new ConfigurationError(`the configuration ${path} cannot be used: ${(error as Error).message}`);
  }
}

/** Adds the URLs and headers of the receivers, which are files of a Secret. */
function readReceivers({ receivers, url }: ReportsConfiguration, folder: string): Receiver[] {
  const readSecret = (receiver: string, field: string): string => {
    const path = join(folder, `${receiver}.${field}`);
    const value = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
    if (value === "") throw new ConfigurationError(`receiver ${receiver}: ${path} is missing or empty; set it in the receiver's Secret`);
    return value;
  };
  return receivers.map((receiver) => ({
    ...receiver,
    url: readSecret(receiver.name, "url"),
    ...(receiver.authorized && { authorization: readSecret(receiver.name, "authorization") }),
    ...(url !== undefined && { link: url }),
  }));
}

function readBucketKeys(bucket: string, environment: NodeJS.ProcessEnv): BucketKeys {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = environment;
  if (!accessKeyId || !secretAccessKey) {
    throw new ConfigurationError(`bucket ${bucket}: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is missing in the environment`);
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}
