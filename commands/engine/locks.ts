import { existsSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** The run that holds a stack's lock. */
export interface LockHolder {
  readonly user: string;
  readonly host: string;
  readonly pid: number;
  /** RFC 3339. */
  readonly since: string;
}

const lockFile = z.object({ pid: z.number(), username: z.string(), hostname: z.string(), timestamp: z.string() });

/** Returns the holders of a stack's locks if the state is in a folder. Unreadable lock files are left to the engine. */
export function readLocks(backendUrl: string, project: string, stack: string): LockHolder[] {
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

/** Returns the holders that the engine names in its error, whatever the backend. */
export function parseLocks(error: string): LockHolder[] {
  return [...error.matchAll(/created by (.+)@(\S+) \(pid (\d+)\) at (\S+)/g)].map(([, user = "", host = "", pid = "", since = ""]) => ({
    user,
    host,
    pid: Number(pid),
    since,
  }));
}

/** `unknown`: the process belongs to another machine. */
export type Liveness = "running" | "ended" | "unknown";

export function liveness({ host, pid }: Pick<LockHolder, "host" | "pid">): Liveness {
  if (host !== hostname()) return "unknown";
  try {
    process.kill(pid, 0);
    return isZombie(pid) ? "ended" : "running";
  } catch (error) {
    // A process of another user cannot be signalled, but it exists.
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "running" : "ended";
  }
}

/** Zombies stay forever in a container whose first process does not reap them. Only Linux provides this information. */
function isZombie(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Names the holders of a stack's lock and what to do about it. */
export function lockedMessage(
  stack: string,
  holders: readonly LockHolder[],
  livenessOf: (holder: LockHolder) => Liveness = liveness,
): string {
  const states = { running: "is running on this machine", ended: "has ended", unknown: "is on another machine" };
  const lines = holders.map(
    (holder) => `  process ${holder.pid} of ${holder.user} on ${holder.host}, since ${holder.since}, ${states[livenessOf(holder)]}`,
  );
  const cancel = `npm run pulumi -- cancel --stack ${stack}`;
  const advice = holders.some((holder) => livenessOf(holder) === "running")
    ? "Wait until it has finished, or interrupt it where it runs (^C)."
    : holders.every((holder) => livenessOf(holder) === "ended")
      ? `Remove the lock:\n  ${cancel}`
      : `Wait, or ask its owner. Remove the lock only if that process has certainly ended:\n  ${cancel}`;
  return [`Another run holds the lock of the stack ${stack}:`, ...lines, advice].join("\n");
}
