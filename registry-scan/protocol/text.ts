import { stripVTControlCharacters } from "node:util";

/*
 * Texts from images, registries and the cluster may have been written to do harm: to move the cursor of a terminal, to hide a part of a line, or
 * to begin a new one. Every output shows them through one of these functions, and then escapes what has a meaning in its own format.
 */

/** Control characters, and characters that change the direction of a text or hide parts of it. */
const invisible = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Returns a text whose every character is visible, with `\n` as the only line break. Others are shown as `\u202e`. */
export function visible(text: string): string {
  return stripVTControlCharacters(text.replaceAll("\r\n", "\n"))
    .toWellFormed()
    .replaceAll(invisible, (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, "0")}`);
}

/** Returns a text on one line whose every character is visible. */
export const singleLine = (text: string): string => visible(text.replaceAll(/[\s\u2028\u2029]+/g, " ")).trim();
