import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { run } from "../../support/command.ts";

const finding = z.object({
  VulnerabilityID: z.string(),
  PkgName: z.string(),
  InstalledVersion: z.string(),
  FixedVersion: z.string().optional(),
  Severity: z.string(),
});

export type Finding = z.infer<typeof finding>;

const result = z.object({ Vulnerabilities: z.array(finding).nullish(), Packages: z.array(z.unknown()).nullish() });
type Result = z.infer<typeof result>;
const report = z.object({ Results: z.array(result).nullish() });

export interface ScanOptions {
  readonly server: string;
  /** Token that the client sends. @default none */
  readonly token?: string | undefined;
  /** File with the certificate authority of a server with TLS; certificates of servers and registries are verified then. @default none */
  readonly caCertificate?: string | undefined;
  /** Makes the scan miss the cache. @default false */
  readonly unique?: boolean;
}

/** Runs one scan like a CI job: with a new client whose cache is empty. @throws with the client's error message */
export async function scan(image: string, { server, token, caCertificate, unique }: ScanOptions): Promise<Finding[]> {
  const folder = await mkdtemp(join(tmpdir(), "scan-"));
  try {
    const args = ["--server", server];
    if (caCertificate !== undefined) args.push("--cacert", caCertificate);
    if (unique) args.push(...unseen());
    const results = await trivy(image, folder, args, {
      ...(token !== undefined && { TRIVY_TOKEN: token }),
      // TRIVY_INSECURE would turn off the verification.
      ...(caCertificate !== undefined && { TRIVY_INSECURE: undefined }),
    });
    return findings(results);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns each image's findings of a scan without a server, as the text to which `load` compares every scan. */
export async function standaloneFindings(images: readonly string[], database?: string): Promise<ReadonlyMap<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), "standalone-"));
  try {
    const args = database === undefined ? [] : ["--db-repository", database];
    const found = new Map<string, string>();
    for (const image of images) found.set(image, asText(findings(await trivy(image, folder, args))));
    return found;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns client options that miss the cache: skipped paths are part of the cache keys, so every layer is analysed and uploaded again. */
export const unseen = (): string[] => ["--skip-files", `/never/${randomUUID()}`];

/** Returns Trivy's results for an image, scanned with a cache in `folder`. @throws with Trivy's error message */
export async function trivy(image: string, folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Result[]> {
  const file = join(folder, "report");
  const always = ["--quiet", "--scanners", "vuln", "--image-src", "remote", "--skip-version-check", "--disable-telemetry"];
  const files = ["--cache-dir", join(folder, "cache"), "--format", "json", "--output", file];
  const { exitCode, stderr } = await run("trivy", ["image", ...always, ...files, ...args, image], {
    env,
    timeout: 180_000,
  });
  if (exitCode !== 0) throw new Error(reason(stderr.replaceAll(image, "IMAGE")));
  return report.parse(JSON.parse(await readFile(file, "utf8"))).Results ?? [];
}

const findings = (results: readonly Result[]) => results.flatMap(({ Vulnerabilities }) => Vulnerabilities ?? []);

/** Returns findings as text, in an order that does not depend on the scan. */
const asText = (found: readonly Finding[]) =>
  found
    .map((finding) => JSON.stringify(finding))
    .sort()
    .join("\n");

/** Returns the FATAL line without the parts that differ between scans. */
function reason(stderr: string): string {
  const lines = stderr.trim().split("\n");
  const line = lines.find((text) => text.includes("FATAL")) ?? lines.at(-1) ?? "";
  return line
    .replace(/^\S+\s+FATAL\s+(Fatal error\s+)?/, "")
    .replace("run error: image scan error: scan error: ", "")
    .replaceAll(/sha256:[0-9a-f]{8,}/g, "sha256:…")
    .replaceAll(/\b\d+\.\d+\.\d+\.\d+(:\d+)?\b/g, "ADDRESS")
    .slice(-300);
}

export interface LoadOptions extends Pick<ScanOptions, "server"> {
  /** The clients' token, or a function called before every scan that returns their tokens, of which client i uses the i-th. @default none */
  readonly token?: string | (() => readonly string[]) | undefined;
  /** Returns the file with the certificate authority that clients trust; called before every scan. @default none */
  readonly caCertificate?: () => string | undefined;
  readonly images: readonly string[];
  /** Whether scans miss the cache; `half`: every other scan of each image does. @default false */
  readonly unique?: boolean | "half";
  /** Minimum number of scans. */
  readonly scans: number;
  /** Number of concurrent clients. @default 4 */
  readonly clients?: number;
  /** Attempts per scan, two seconds apart, like a CI job that retries a failed step. @default 1 */
  readonly attempts?: number;
  /** Expected findings of each image, from `standaloneFindings`. @default the findings of its first scan */
  readonly expected?: ReadonlyMap<string, string>;
}

export interface LoadResult {
  readonly scans: number;
  readonly good: number;
  readonly failed: number;
  /** Scans that succeeded with no findings or with other findings than expected. */
  readonly wrong: number;
  /** Scans that succeeded at a later attempt. */
  readonly retried: number;
  /** Number of failed and wrong scans by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly perSecond: number;
  /** Duration of the longest scan, successful or not, in seconds. */
  readonly slowest: number;
  /** Durations of the good scans in seconds, in order of completion. */
  readonly durations: readonly number[];
  /** Longest time without a good scan, in seconds. */
  readonly gap: number;
}

/** Scans with several concurrent clients, at least until `meanwhile` has ended. @throws if `meanwhile` fails */
export async function load(options: LoadOptions, meanwhile?: () => Promise<unknown>): Promise<LoadResult> {
  const { server, caCertificate, images, scans, clients = 4, attempts = 1, unique = false, token } = options;
  const count = { scans: 0, good: 0, failed: 0, wrong: 0, retried: 0 };
  const reasons: Record<string, number> = {};
  const expected = new Map(options.expected);
  const durations: number[] = [];
  const note = (outcome: "failed" | "wrong", why: string) => {
    count[outcome]++;
    reasons[why] = (reasons[why] ?? 0) + 1;
  };
  const begun = performance.now();
  const since = (start: number) => (performance.now() - start) / 1000;
  let [busy, slowest, gap, lastGood] = [meanwhile !== undefined, 0, 0, begun];
  const noteGap = () => {
    gap = Math.max(gap, since(lastGood));
    lastGood = performance.now();
  };
  const attempt = async (once: () => Promise<Finding[]>): Promise<string> => {
    for (let left = attempts; ; await sleep(2000)) {
      try {
        const found = asText(await once());
        if (left < attempts) count.retried++;
        return found;
      } catch (error) {
        if (--left === 0) throw error;
      }
    }
  };
  const once = async (client: number, number: number) => {
    const image = images[number % images.length] ?? "";
    const missing = unique === "half" ? (number + Math.floor(number / images.length)) % 2 === 0 : unique;
    const start = performance.now();
    try {
      const found = await attempt(() => {
        const tokens = typeof token === "function" ? token() : [token];
        const own = tokens[client % tokens.length];
        return scan(image, { server, caCertificate: caCertificate?.(), token: own, unique: missing });
      });
      if (!expected.has(image) && found) expected.set(image, found);
      if (!found) note("wrong", "no findings");
      else if (found !== expected.get(image)) note("wrong", "other findings than expected");
      else {
        count.good++;
        durations.push(since(start));
        noteGap();
      }
    } catch (error) {
      note("failed", error instanceof Error ? error.message : String(error));
    }
    slowest = Math.max(slowest, since(start));
  };
  const client = async (_: unknown, index: number) => {
    while (busy || count.scans < scans) await once(index, count.scans++);
  };
  const change = Promise.resolve(meanwhile?.()).finally(() => {
    busy = false;
  });
  const [changed] = await Promise.allSettled([change, ...Array.from({ length: clients }, client)]);
  if (changed?.status === "rejected") throw changed.reason;
  noteGap();
  return { ...count, reasons, perSecond: count.good / since(begun), slowest, durations, gap };
}
