/** Files that are complete whenever the process or the node ends. */
import { closeSync, fsyncSync, openSync, readSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface WriteOptions {
  /**
   * Waits until the file is on disk. Without it, a crash of the node may leave the file empty.
   * @default true
   */
  readonly flush?: boolean;
}

/**
 * Replaces a small file. A reader, or the next process after a crash, finds either the old content or the new one.
 *
 * @throws {NodeJS.ErrnoException} when the volume refuses the write; the old file is unchanged then
 */
export function writeAtomically(path: string, content: string, { flush = true }: WriteOptions = {}): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, "w");
  try {
    writeFully(file, Buffer.from(content));
    if (flush) fsyncSync(file);
  } finally {
    closeSync(file);
  }
  if (flush) renameDurably(temporary, path);
  else renameSync(temporary, path);
}

/** Renames a file whose content is on disk, and returns once the new name is on disk too. */
export function renameDurably(from: string, to: string): void {
  renameSync(from, to);
  const folder = openSync(dirname(to), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Returns the value of a text, or undefined if it is not a JSON object: files of a faulty or restored volume may hold anything. */
export function parseObject<T extends object>(text: string): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}

/** Writes all of the data: a single call of `write` may write less. */
export function writeFully(file: number, data: Buffer): void {
  for (let written = 0; written < data.length; ) written += writeSync(file, data, written);
}

/** Position of a line in its file, in bytes. `length` excludes the newline. */
export interface LinePosition {
  readonly offset: number;
  readonly length: number;
}

/** Reads the complete lines of a file. The last line is left out if a killed process wrote only part of it. */
export function* completeLines(path: string): Generator<LinePosition & { readonly text: string }> {
  const file = openSync(path, "r");
  try {
    const chunk = Buffer.alloc(1 << 20);
    let partial: Buffer[] = [];
    let offset = 0;
    for (;;) {
      const read = readSync(file, chunk);
      if (read === 0) return;
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0 && end < read; end = chunk.indexOf(10, start)) {
        partial.push(chunk.subarray(start, end));
        const line = Buffer.concat(partial);
        yield { text: line.toString(), offset, length: line.length };
        offset += line.length + 1;
        partial = [];
        start = end + 1;
      }
      if (start < read) partial.push(Buffer.from(chunk.subarray(start, read)));
    }
  } finally {
    closeSync(file);
  }
}
