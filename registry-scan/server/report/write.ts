import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pMap from "p-map";
import type { RunReport, RunSummary } from "../../protocol/report.ts";
import { imageFile } from "../files.ts";
import { jsonPieces, writeStream } from "../json-stream.ts";
import { imagePages } from "./image-page.ts";
import { runPage } from "./run-page.ts";
import { sarif } from "./sarif.ts";

/** Number of images' pages written at a time. */
const concurrency = 8;

/**
 * Writes the files of a run's report, and returns when they are on disk.
 *
 * @param trend - summaries of the kept runs and of this one, the oldest first
 */
export async function writeReport(folder: string, report: RunReport, trend: readonly RunSummary[]): Promise<void> {
  await mkdir(join(folder, "images"), { recursive: true });
  await writeStream(join(folder, "report.json"), jsonPieces(report));
  await writeStream(join(folder, "report.sarif"), jsonPieces(sarif(report)));
  const writePage = (path: string, page: string) => writeFile(join(folder, path), page, { flush: true });
  await pMap(imagePages(report), ([image, page]) => writePage(`images/${imageFile(image)}`, page), { concurrency });
  await writePage("index.html", runPage(report, trend));
}
