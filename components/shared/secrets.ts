import * as pulumi from "@pulumi/pulumi";
import { isLiteral } from "./merge.ts";

/** Paths of the arguments that hold secrets, in the arguments of every component; lists have no segment of their own. */
export const secretPaths = [
  "server.token.value",
  "gateway.clients.token",
  "gateway.clients.previousToken",
  "gateway.tls.key",
  "database.credentials.password",
  "redis.password",
  "redis.tls.clientKey",
  "registryScan.credentials.password",
  "registryScan.alerts.url",
  "registryScan.alerts.authorization",
] as const;

/** Returns arguments in which every secret is marked as one, also where a program gave it as an ordinary string. */
export function markSecrets<Args>(args: Args): Args {
  return secretPaths.reduce<unknown>((marked, path) => mark(marked, path.split(".")), args) as Args;
}

function mark(value: unknown, path: readonly string[]): unknown {
  if (value === undefined) return undefined;
  if (Array.isArray(value)) return value.map((item) => mark(item, path));
  const [key, ...deeper] = path;
  if (key === undefined) return pulumi.secret(value);
  return isLiteral(value) && key in value ? { ...value, [key]: mark(value[key], deeper) } : value;
}
