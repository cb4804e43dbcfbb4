import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { UserError } from "../user-error.ts";
import { secretsFile } from "./manifests.ts";

/** The files that this command may overwrite and remove begin with it. */
const mark = "# Written by npm start";

/** Formats a path for messages. */
export const display = (path: string) => relative(process.cwd(), path) || ".";

/** The first line of a file. */
export const fileHead = (stack: string) => `${mark} -- ${stack}; the next run overwrites it.`;

/** The first lines of the file with the secrets. */
export const secretsHead = (stack: string) =>
  `${fileHead(stack)}
#
# SECRETS IN PLAIN TEXT. Do not commit or share this file.
# \`npm start -- ${stack} --secrets=omit\` leaves it out. The next run reads the generated values back from the lines below; without them it
# generates new ones.
#
`;

/**
 * Replaces the files that an earlier run wrote to a folder and returns the names of those that it removed.
 *
 * @throws UserError if a file would be overwritten that this command has not written.
 */
export function writeFiles(folder: string, files: ReadonlyMap<string, string>): string[] {
  const isOurs = (file: string) => readFileSync(join(folder, file), "utf8").startsWith(mark);
  const foreign = [...files.keys()].find((file) => existsSync(join(folder, file)) && !isOurs(file));
  if (foreign) throw new UserError(`${display(join(folder, foreign))} was not written by npm start and would be overwritten; move it.`);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of files) {
    const temporary = join(folder, `.${file}.new`);
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: file === secretsFile ? 0o600 : 0o644 });
    renameSync(temporary, join(folder, file));
  }
  const stale = readdirSync(folder).filter((file) => file.endsWith(".yaml") && !files.has(file) && isOurs(file));
  for (const file of stale) rmSync(join(folder, file));
  return stale;
}
