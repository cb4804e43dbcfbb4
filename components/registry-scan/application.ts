import * as pulumi from "@pulumi/pulumi";
import type { Disk, Mount, SecretKey } from "../shared/pod.ts";
import { bytes, quantity } from "../shared/quantity.ts";

/** What the pods of the scan job and of the reports server have in common. */
export interface Application {
  /** The programs, and certificate authorities if there are any. */
  readonly mounts: readonly Mount[];
  readonly environment: Readonly<Record<string, pulumi.Input<string> | undefined>>;
  /** The tokens by which the reports server recognises the scanning pods, newest first. Pods send the first. */
  readonly tokens: readonly [SecretKey, ...SecretKey[]];
}

/** Where the pods of the application have their files. */
export const paths = {
  programs: "/app",
  scan: "/etc/scan",
  reports: "/etc/reports",
  receivers: "/etc/receivers",
  authorities: "/etc/certificate-authorities",
  certificate: "/etc/reports-certificate",
  databaseAuthority: "/etc/database-authority",
  login: "/etc/registry-login",
  tools: "/tools",
  data: "/data",
  temporary: "/tmp",
} as const;

/** Key of tokens in Secrets. */
export const tokenKey = "token";

/** Returns a value as an indented JSON file. */
export const jsonFile = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

/** Returns the disk space for a volume of this size and the container's log. */
export const diskFor = (size: pulumi.Input<string>): Disk => ({
  request: size,
  limit: pulumi.output(size).apply((text) => quantity(bytes(text) + bytes("128Mi"))),
});
