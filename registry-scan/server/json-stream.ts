/** JSON files that are larger than a process should hold in memory as one text. */
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Depth below which values are serialised at once: an image's findings in a report, a result in a SARIF log. */
const wholeDepth = 4;
/** UTF-16 code units that are written at once. */
const chunkLength = 1 << 18;

/** Serialises a value as `JSON.stringify` does, in pieces, with a line break between the elements of its outer lists and objects. */
export function* jsonPieces(value: unknown, depth = 0): Generator<string> {
  if (depth === wholeDepth || typeof value !== "object" || value === null) {
    yield JSON.stringify(value);
    return;
  }
  const isArray = Array.isArray(value);
  const [open, close] = isArray ? ["[", "]"] : ["{", "}"];
  let separator = open;
  for (const [key, item] of isArray ? value.entries() : Object.entries(value)) {
    if (item === undefined) continue;
    yield isArray ? separator : `${separator}${JSON.stringify(key)}:`;
    yield* jsonPieces(item, depth + 1);
    separator = ",\n";
  }
  yield separator === open ? `${open}${close}` : close;
}

/** Writes a file from pieces of text, and returns when it is on disk. */
export async function writeStream(path: string, pieces: Iterable<string>): Promise<void> {
  await pipeline(Readable.from(chunks(pieces)), createWriteStream(path, { flush: true }));
}

function* chunks(pieces: Iterable<string>): Generator<string> {
  let chunk = "";
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < chunkLength) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}
