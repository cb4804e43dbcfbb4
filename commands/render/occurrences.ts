import { createHash } from "node:crypto";
import { base64Forms } from "../../recorder/secret-leaks.ts";

/** A placeholder without the character that shows percent-encoding; other values unchanged. */
export const core = (value: string) => value.replace(/@$/, "");

export const sha256 = (value: string) => createHash("sha256").update(value).digest("hex");

/** Returns whether a text contains a value within base64-encoded data. */
export const containsEncoded = (text: string, value: string) => base64Forms(core(value)).some((form) => text.includes(form));

/** Returns whether a text contains a value: literally, percent-encoded, in base64, or as its SHA-256. */
export const contains = (text: string, value: string) =>
  [core(value), sha256(value)].some((form) => text.includes(form)) || containsEncoded(text, value);
