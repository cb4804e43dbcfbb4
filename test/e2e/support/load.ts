import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

const report = z.object({ Results: z.array(z.object({ Vulnerabilities: z.array(finding).nullish() })).nullish() });

export interface ScanOptions {
  readonly server: string;
  /** The server's token. @default none */
  readonly token?: string | undefined;
  /** Makes the scan miss the cache: what a client is told to skip goes into the keys, so every layer is analysed and uploaded anew. @default false */
  readonly unique?: boolean;
}

/** One scan as a CI job does it: a client of its own with an empty cache. Fails with the client's reason. */
export async function scan(image: string, { server, token, unique }: ScanOptions): Promise<Finding[]> {
  const folder = await mkdtemp(join(tmpdir(), "scan-"));
  try {
    const args = [
      "image",
      "--quiet",
      "--cache-dir",
      join(folder, "cache"),
      "--server",
      server,
      "--scanners",
      "vuln",
      "--image-src",
      "remote",
    ];
    args.push("--skip-version-check", "--disable-telemetry", "--format", "json", "--output", join(folder, "report"));
    if (unique) args.push("--skip-files", `/never/${randomUUID()}`);
    const env = { ...process.env, ...(token !== undefined && { TRIVY_TOKEN: token }) };
    const { status, stderr } = await run("trivy", [...args, image], { env, timeout: 180_000 });
    if (status !== 0) throw new Error(reason(stderr));
    const { Results } = report.parse(JSON.parse(await readFile(join(folder, "report"), "utf8")));
    return (Results ?? []).flatMap(({ Vulnerabilities }) => Vulnerabilities ?? []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

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

export interface LoadOptions extends ScanOptions {
  readonly images: readonly string[];
  /** At least so many scans. */
  readonly scans: number;
  /** Clients at once. @default 4 */
  readonly clients?: number;
}

export interface LoadResult {
  readonly scans: number;
  readonly good: number;
  readonly failed: number;
  /** Scans that ended well and found nothing, or something else than the first good one of that image. */
  readonly wrong: number;
  /** Why, and how often. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly perSecond: number;
  /** Seconds of the longest scan. */
  readonly slowest: number;
}

/** Scans from several clients at once; with `meanwhile`, at least until that is done. */
export async function load(options: LoadOptions, meanwhile?: () => Promise<unknown>): Promise<LoadResult> {
  const { images, scans, clients = 4 } = options;
  const count = { scans: 0, good: 0, failed: 0, wrong: 0 };
  const reasons: Record<string, number> = {};
  const expected = new Map<string, string>();
  let slowest = 0;
  const note = (outcome: "failed" | "wrong", why: string) => {
    count[outcome]++;
    reasons[why] = (reasons[why] ?? 0) + 1;
  };
  const once = async (image: string) => {
    try {
      const found = await scan(image, options);
      const text = found
        .map((finding) => JSON.stringify(finding))
        .sort()
        .join("\n");
      if (!expected.has(image) && text) expected.set(image, text);
      if (!text) note("wrong", "no findings");
      else if (text !== expected.get(image)) note("wrong", "other findings than before");
      else count.good++;
    } catch (error) {
      note("failed", error instanceof Error ? error.message : String(error));
    }
  };
  let busy = meanwhile !== undefined;
  const begun = performance.now();
  const client = async () => {
    while (busy || count.scans < scans) {
      const image = images[count.scans++ % images.length] ?? "";
      const start = performance.now();
      await once(image);
      slowest = Math.max(slowest, (performance.now() - start) / 1000);
    }
  };
  const change = Promise.resolve(meanwhile?.()).finally(() => {
    busy = false;
  });
  const [changed] = await Promise.allSettled([change, ...Array.from({ length: clients }, client)]);
  if (changed?.status === "rejected") throw changed.reason;
  return { ...count, reasons, perSecond: count.good / ((performance.now() - begun) / 1000), slowest };
}
