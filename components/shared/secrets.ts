import * as pulumi from "@pulumi/pulumi";
import { secretPaths } from "../args.ts";
import { isLiteral } from "./merge.ts";

/** Returns arguments in which every secret is marked as one, also if a program gave it as an ordinary string. */
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
