/** The file with the last successful scan of each image: what the next run is compared with. */
import { existsSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { LastScan } from "./compare.ts";
import { completeLines, parseObject, renameDurably } from "./durable.ts";
import { writeStream } from "./json-stream.ts";
import type { StringPool } from "./string-pool.ts";

/** Returns the run after which the file was written, as given to {@link writeLastScans}; undefined if it does not say. */
export function lastScansRun(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  for (const { text } of completeLines(path)) return parseObject<{ run: string }>(text)?.run;
  return undefined;
}

/** Returns the last successful scans by image name. Lines that are damaged are left out and counted in the log. */
export async function readLastScans(path: string, strings: StringPool, log: (line: string) => void): Promise<Map<string, LastScan>> {
  const images = new Map<string, LastScan>();
  if (!existsSync(path)) return images;
  let damaged = 0;
  for (const { text, offset } of completeLines(path)) {
    if (offset === 0) continue;
    const image = parseObject<LastScan>(text);
    if (typeof image?.name !== "string" || !Array.isArray(image.findings)) {
      damaged++;
      continue;
    }
    strings.intern(image.findings);
    images.set(image.name, image);
    if (images.size % 100 === 0) await setImmediate();
  }
  if (damaged > 0) log(`error: ${path} has ${damaged} damaged lines; all findings of those images count as new`);
  return images;
}

/** Replaces the file in one step. */
export async function writeLastScans(path: string, run: string, images: Iterable<LastScan>): Promise<void> {
  await writeStream(`${path}.tmp`, lines(run, images));
  renameDurably(`${path}.tmp`, path);
}

function* lines(run: string, images: Iterable<LastScan>): Generator<string> {
  yield `${JSON.stringify({ run })}\n`;
  for (const image of images) yield `${JSON.stringify(image)}\n`;
}
