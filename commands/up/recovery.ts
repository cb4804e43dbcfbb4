import { existsSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { State } from "./state.ts";

/** Who holds the lock of a stack. */
export interface Holder {
  readonly user: string;
  readonly host: string;
  readonly pid: number;
  readonly since: string;
}

const lockFile = z.object({ pid: z.number(), username: z.string(), hostname: z.string(), timestamp: z.string() });

/** The locks of a stack whose state is in a folder. A file that cannot be read is none: the engine will say what it thinks of it. */
export function readLocks(backendUrl: string, project: string, stack: string): Holder[] {
  if (!backendUrl.startsWith("file:///")) return [];
  const folder = join(fileURLToPath(backendUrl), ".pulumi", "locks", "organization", project, stack);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => {
    try {
      const { username, hostname, pid, timestamp } = lockFile.parse(JSON.parse(readFileSync(join(folder, file), "utf8")));
      return { user: username, host: hostname, pid, since: timestamp };
    } catch {
      return [];
    }
  });
}

/** The locks that the engine names in its refusal, whatever the backend. */
export function parseLocks(error: string): Holder[] {
  return [...error.matchAll(/created by (.+)@(\S+) \(pid (\d+)\) at (\S+)/g)].map(([, user = "", host = "", pid = "", since = ""]) => ({
    user,
    host,
    pid: Number(pid),
    since,
  }));
}

export type Liveness = "running" | "gone" | "elsewhere";

export function liveness({ host, pid }: Pick<Holder, "host" | "pid">): Liveness {
  if (host !== hostname()) return "elsewhere";
  try {
    process.kill(pid, 0);
    return ended(pid) ? "gone" : "running";
  } catch (error) {
    // A process of another user exists as well, though it may not be signalled.
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "running" : "gone";
  }
}

/** Whether a process has ended and only waits for its parent to take note, as for ever in a container whose first process does not. Linux tells. */
function ended(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** The objects in the cluster that an interrupted run may have created. */
export function pendingObjects({
  pending,
}: State): { urn: string; id: string; apiVersion: string; kind: string; name: string; namespace: string | undefined }[] {
  return pending.flatMap(({ type, resource: { urn, type: token, inputs } }) => {
    const { apiVersion, kind, metadata: { name, namespace } = {} } = inputs;
    if (type !== "creating" || !token.startsWith("kubernetes:") || !apiVersion || !kind || !name) return [];
    return { urn, id: namespace ? `${namespace}/${name}` : name, apiVersion, kind, name, namespace };
  });
}

const initErrors = ["the run that created it was interrupted"];

const exportedState = z.looseObject({
  deployment: z.looseObject({
    resources: z.array(z.looseObject({})).nullish(),
    pending_operations: z.array(z.looseObject({ resource: z.looseObject({ urn: z.string() }) })).nullish(),
  }),
});

/**
 * The state of an interrupted run as `pulumi stack import` takes it: with the objects that came to be, and with nothing pending. (`pulumi refresh
 * --import-pending-creates` is made for that, but the engine drops what it is told to import.) Nobody knows whether these objects became ready, so
 * they are noted as not initialised: the next `up` applies them again and waits for them.
 */
export function mendedState(exported: string, adopted: readonly { readonly urn: string; readonly id: string }[]): string {
  const state = exportedState.parse(JSON.parse(exported));
  const { resources, pending_operations: pending, ...rest } = state.deployment;
  const found = adopted.flatMap(({ urn, id }) => {
    const resource = pending?.find(({ resource }) => resource.urn === urn)?.resource;
    return resource ? [{ ...resource, id, outputs: resource["inputs"], initErrors }] : [];
  });
  return JSON.stringify({ ...state, deployment: { ...rest, resources: [...(resources ?? []), ...found] } });
}
