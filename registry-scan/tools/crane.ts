import type { CraneAnswer, CraneQuestion } from "../protocol/tools.ts";
import { failureReason } from "./failure-reason.ts";
import { describeManifest } from "./manifest.ts";
import { runProgram } from "./subprocess.ts";

/** Seconds for one query. crane itself retries temporary failures. */
const timeout = 60;

/** Queries a registry with crane, whose logins are in the folder DOCKER_CONFIG. */
export async function queryRegistry({ command, image }: CraneQuestion, plainHttp: boolean, signal: AbortSignal): Promise<CraneAnswer> {
  // Tags that are digests hold signatures and attestations, not images.
  const args = [command, ...(command === "ls" ? ["--omit-digest-tags"] : []), ...(plainHttp ? ["--insecure"] : []), image];
  const { exitCode, stdout, stderr, timedOut } = await runProgram("crane", args, { timeout, signal });
  if (timedOut) return { outcome: "late", seconds: timeout };
  if (exitCode !== 0) return { outcome: "failed", reason: failureReason(stderr) };
  if (command !== "manifest") return { outcome: "answered", output: stdout.trim() };
  const described = describe(stdout);
  if (described) {
    const { digest, kind, images } = described;
    const lines = [digest, kind, ...images.map((one) => `${one.platform} ${one.digest}`)];
    return { outcome: "answered", output: lines.join("\n") };
  }
  return queryRegistry({ command: "digest", image }, plainHttp, signal);
}

function describe(manifest: string): ReturnType<typeof describeManifest> {
  try {
    return describeManifest(manifest);
  } catch {
    // What is wrong with it, the scan will say.
    return undefined;
  }
}
