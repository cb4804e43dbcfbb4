import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { run } from "./command.ts";

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
  /** The server's token. @default none */
  readonly token?: string | undefined;
  /** A file with the certificate authority of a server that speaks TLS; it is verified then, and so is a registry's. @default none */
  readonly caCertificate?: string | undefined;
  /** Makes the scan miss the cache. @default false */
  readonly unique?: boolean;
}

/** One scan as a CI job does it: a client of its own with an empty cache. Fails with the client's reason. */
export async function scan(image: string, { server, token, caCertificate, unique }: ScanOptions): Promise<Finding[]> {
  const folder = await mkdtemp(join(tmpdir(), "scan-"));
  try {
    const args = ["--server", server];
    if (caCertificate !== undefined) args.push("--cacert", caCertificate);
    if (unique) args.push(...unseen());
    const results = await trivy(image, folder, args, {
      ...(token !== undefined && { TRIVY_TOKEN: token }),
      // It would switch off what the certificate authority is given for.
      ...(caCertificate !== undefined && { TRIVY_INSECURE: undefined }),
    });
    return findings(results);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What each image has, found without any server: what every scan must find. */
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

/** Options with which a scan misses the cache: what a client is told to skip goes into the keys, so every layer is analysed and uploaded anew. */
export const unseen = (): string[] => ["--skip-files", `/never/${randomUUID()}`];

/** What Trivy reports of an image, with a cache in `folder`. Fails with Trivy's reason. */
export async function trivy(image: string, folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Result[]> {
  const file = join(folder, "report");
  const always = ["--quiet", "--scanners", "vuln", "--image-src", "remote", "--skip-version-check", "--disable-telemetry"];
  const files = ["--cache-dir", join(folder, "cache"), "--format", "json", "--output", file];
  const { status, stderr } = await run("trivy", ["image", ...always, ...files, ...args, image], {
    env: { ...process.env, ...env },
    timeout: 180_000,
  });
  if (status !== 0) throw new Error(reason(stderr.replaceAll(image, "IMAGE")));
  return report.parse(JSON.parse(await readFile(file, "utf8"))).Results ?? [];
}

const findings = (results: readonly Result[]) => results.flatMap(({ Vulnerabilities }) => Vulnerabilities ?? []);

/** Findings in an order that does not depend on the scan. */
const asText = (found: readonly Finding[]) =>
  found
    .map((finding) => JSON.stringify(finding))
    .sort()
    .join("\n");

/** The FATAL line without what differs from scan to scan. */
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

export interface LoadOptions extends Omit<ScanOptions, "unique" | "token"> {
  /** The clients' token, or what gives their tokens before every scan: client i sends the i-th. @default none */
  readonly token?: string | (() => readonly string[]) | undefined;
  readonly images: readonly string[];
  /** `half`: every other scan misses the cache, each image's in turn. @default false */
  readonly unique?: boolean | "half";
  /** At least so many scans. */
  readonly scans: number;
  /** Clients at once. @default 4 */
  readonly clients?: number;
  /** How often a client runs before it gives up, as a CI job that repeats a failed step after two seconds. @default 1 */
  readonly attempts?: number;
  /** What is in each image, by `standaloneFindings`. @default what its first good scan finds */
  readonly expected?: ReadonlyMap<string, string>;
}

export interface LoadResult {
  readonly scans: number;
  readonly good: number;
  readonly failed: number;
  /** Scans that ended well and found nothing, or something else than is expected. */
  readonly wrong: number;
  /** Scans that were good at a further attempt. */
  readonly retried: number;
  /** Why, and how often. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly perSecond: number;
  /** Seconds of the longest scan, whatever its outcome. */
  readonly slowest: number;
  /** Seconds of each good scan, in the order of their ends. */
  readonly durations: readonly number[];
  /** Seconds of the longest time without a good scan. */
  readonly gap: number;
}

/** Scans from several clients at once; with `meanwhile`, at least until that is done. */
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
        return scan(image, { server, caCertificate, token: own, unique: missing });
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
