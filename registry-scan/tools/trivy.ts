import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import type { ScanConfiguration } from "../protocol/configuration.ts";
import { resultLimit } from "../protocol/findings.ts";
import { formatImageReference, parseImageReference } from "../protocol/image-reference.ts";
import type { ScannedImage } from "../protocol/tools.ts";
import { InvalidData } from "../protocol/validation.ts";
import { queryRegistry } from "./crane.ts";
import { failureReason } from "./failure-reason.ts";
import { runProgram } from "./subprocess.ts";
import { readReport } from "./trivy-report.ts";

/**
 * Measured: a quarter of the CPU time of a client's start is garbage collection. With a larger heap none runs in a short scan; close to the
 * container's memory limit, which Go does not read itself, it runs as usual.
 */
const memoryLimit = process.constrainedMemory();
const goSettings = {
  GOGC: "400",
  ...(memoryLimit > 0 && memoryLimit < totalmem() && { GOMEMLIMIT: `${Math.floor(memoryLimit * 0.6)}` }),
};

/** Seconds beyond the client's own timeout, which ends it with a reason. */
const timeoutMargin = 5;

/** The client failed; the message is the reason. */
class ClientError extends Error {}

/**
 * Scans an image with Trivy's client.
 *
 * @param reference the image, with its digest if that is known
 * @param service URL of the scan service, which needs no token
 * @throws the signal's reason when it is aborted; a scan that fails is a result
 */
export async function scanImage(
  reference: string,
  configuration: ScanConfiguration,
  service: string,
  signal: AbortSignal,
): Promise<ScannedImage> {
  const started = performance.now();
  const seconds = () => Math.round(performance.now() - started) / 1000;
  // A folder for each scan: it takes what an ended client leaves behind with it, and contains no trivy.yaml to read.
  const folder = await mkdtemp(join(tmpdir(), "scan-"));
  const report = join(folder, "report.json");
  try {
    const scan = (image: string) => {
      const args = ["image", "--server", service, ...scanArguments(configuration), "--output", report, image];
      return runTrivy(args, configuration.timeout, folder, signal);
    };
    await scan(reference).catch(async (error: Error) => {
      if (!/no child with platform linux\/amd64/.test(error.message)) throw error;
      const other = await otherPlatform(reference, configuration.plainHttp, signal);
      if (other === undefined) throw error;
      await scan(other);
    });
    const scanned = readReport(await readFile(report, "utf8"));
    if (Buffer.byteLength(JSON.stringify(scanned)) > resultLimit)
      throw new ClientError(
        `it has ${scanned.findings.length} findings, more than fit into ${resultLimit >> 20} MiB, the limit for an image; report fewer severities, or exclude the image`,
      );
    const cycloneDx = configuration.cycloneDx ? await convert(report, configuration.timeout, folder, signal) : undefined;
    return { result: { outcome: "scanned", ...scanned, seconds: seconds() }, ...(cycloneDx !== undefined && { cycloneDx }) };
  } catch (error) {
    signal.throwIfAborted();
    const reason =
      error instanceof ClientError
        ? error.message
        : error instanceof InvalidData
          ? `the client's report cannot be read: ${error.message}`
          : undefined;
    if (reason === undefined) throw error;
    return { result: { outcome: "failed", reason, seconds: seconds() } };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns the image of an index without linux/amd64 that is scanned instead; planning does not ask for the indexes of images that are named. */
async function otherPlatform(reference: string, plainHttp: boolean, signal: AbortSignal): Promise<string | undefined> {
  const parsed = parseImageReference(reference);
  const answer = await queryRegistry({ command: "manifest", image: reference }, plainHttp, signal);
  const [digest = ""] = answer.outcome === "answered" ? answer.output.split("\n") : [];
  if (!parsed || digest === "" || digest === parsed.digest) return undefined;
  return formatImageReference({ registry: parsed.registry, repository: parsed.repository, digest });
}

async function convert(report: string, timeout: number, folder: string, signal: AbortSignal): Promise<string> {
  const document = join(folder, "cyclonedx.json");
  try {
    await runTrivy(["convert", "--quiet", "--format", "cyclonedx", "--output", document, report], timeout, folder, signal);
  } catch (error) {
    throw error instanceof ClientError ? new ClientError(`there is no CycloneDX document: ${error.message}`) : error;
  }
  return readFile(document, "utf8");
}

/** @throws {ClientError} when the client fails */
async function runTrivy(args: readonly string[], timeout: number, folder: string, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const { exitCode, stderr, timedOut } = await runProgram("trivy", args, {
    ...{ timeout: timeout + timeoutMargin, signal, cwd: folder },
    env: { ...goSettings, TMPDIR: folder },
  });
  if (exitCode === 0) return;
  const late = timedOut || (performance.now() - started >= timeout * 1000 && /context deadline exceeded/.test(stderr));
  if (late) throw new ClientError(`the scan took longer than ${timeout} s, the \`timeout\` of one image`);
  if (exitCode === null) throw new ClientError("the client was killed, probably because it exceeded its pod's memory limit");
  throw new ClientError(failureReason(stderr));
}

/**
 * Returns a digest of everything that determines an image's findings, except for the image and the scan service's answers: the client's
 * version, its options and their files, and the code that reads its report.
 *
 * @returns `undefined` when the findings also depend on the time, because entries of the ignore file expire, or the client cannot be run
 */
export async function clientDigest(configuration: ScanConfiguration, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { ignoreFile, vex } = configuration;
    const [ignored = "", ...documents] = await Promise.all([ignoreFile, ...vex].map((file) => (file ? readFile(file, "utf8") : "")));
    if (/\bexp(?:ired_at)?\b/i.test(ignored)) return undefined;
    const { stdout } = await runProgram("trivy", ["--version"], { timeout: 60, signal });
    const [, version] = /^Version: (.+)$/m.exec(stdout) ?? [];
    if (version === undefined) return undefined;
    // In a pod, where the program is one file, that is all of it.
    const code = await readFile(import.meta.filename, "utf8");
    return createHash("sha256")
      .update(JSON.stringify([version, scanArguments(configuration), ignored, documents, code]))
      .digest("base64");
  } catch {
    // The scan itself fails for the same reason, and reports it.
    signal.throwIfAborted();
    return undefined;
  }
}

function scanArguments(configuration: ScanConfiguration): string[] {
  const { policy, plainHttp, timeout, ignoreFile, vex, javaRepositories, cycloneDx } = configuration;
  return [
    ...["--image-src", "remote", "--format", "json", "--quiet"],
    ...["--scanners", policy.scanners.join(","), "--severity", policy.severities.join(","), "--timeout", `${timeout}s`],
    // Keeps the Java database from scan to scan.
    ...["--cache-dir", join(tmpdir(), "trivy")],
    // The pod can only connect to the service, the registries and the receivers. The client's built-in checks are as recent as itself.
    ...["--skip-version-check", "--disable-telemetry", "--skip-check-update"],
    // Only the CycloneDX document lists packages without findings.
    ...(cycloneDx ? [] : ["--list-all-pkgs=false"]),
    ...(policy.ignoreUnfixed ? ["--ignore-unfixed"] : []),
    ...(plainHttp ? ["--insecure"] : []),
    ...(ignoreFile === undefined ? [] : ["--ignorefile", ignoreFile]),
    ...vex.flatMap((file) => ["--vex", file]),
    ...(javaRepositories ? ["--java-db-repository", javaRepositories.join(",")] : []),
  ];
}
