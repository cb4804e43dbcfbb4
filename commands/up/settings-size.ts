import type { StackFile } from "../stack-file.ts";
import { UserError } from "../user-error.ts";

/** Bytes of an environment variable on Linux, by which the engine passes the settings to the program; a reserve for its name. */
const limit = 128 * 1024 - 256;

/**
 * Checks that the engine can pass the settings to the program. It would end with "argument list too long".
 *
 * @throws UserError that names the largest block
 */
export function checkSize({ path, config }: Pick<StackFile, "path" | "config">): void {
  const texts = Object.entries(config).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)] as const);
  const size = Buffer.byteLength(JSON.stringify(Object.fromEntries(texts)));
  if (size <= limit) return;
  const [largest, text] = texts.toSorted(([, a], [, b]) => b.length - a.length)[0] ?? ["", ""];
  const kibibytes = (bytes: number) => `${Math.ceil(bytes / 1024)} KiB`;
  throw new UserError(
    `The settings in ${path} take ${kibibytes(size)}, of which Pulumi can pass 128 KiB to the program. The largest is ${largest}, ${kibibytes(Buffer.byteLength(text))}.\n` +
      "Move targets, VEX documents and the ignore file into files of the project, and set their paths: registryScan.targetsFile, vex, ignoreFile.",
  );
}
