import type { CraneAnswer, CraneQuestion } from "../protocol/tools.ts";
import { failureReason } from "./failure-reason.ts";
import { runProgram } from "./subprocess.ts";

/** Seconds for one query. crane itself retries temporary failures. */
const timeout = 60;

/** Queries a registry with crane, whose logins are in the folder DOCKER_CONFIG. */
export async function queryRegistry({ command, image }: CraneQuestion, plainHttp: boolean, signal: AbortSignal): Promise<CraneAnswer> {
  // Tags that are digests hold signatures and attestations, not images.
  const args = [command, ...(command === "ls" ? ["--omit-digest-tags"] : []), ...(plainHttp ? ["--insecure"] : []), image];
  const { exitCode, stdout, stderr, timedOut } = await runProgram("crane", args, { timeout, signal });
  if (timedOut) return { outcome: "late", seconds: timeout };
  return exitCode === 0 ? { outcome: "answered", output: stdout.trim() } : { outcome: "failed", reason: failureReason(stderr) };
}
