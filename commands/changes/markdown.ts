import { visible } from "../../registry-scan/index.ts";

const longestRun = (text: string, character: string) =>
  Math.max(0, ...[...text.matchAll(new RegExp(`${character}+`, "g"))].map(([run]) => run.length));

/**
 * Returns an untrusted text as inline code, in which neither Markdown, HTML, mentions nor references to issues have an effect. Works in
 * cells of tables.
 */
export function code(text: string): string {
  const line = visible(text).replaceAll(/\s+/g, " ").trim() || " ";
  // A zero-width space after @ neutralises mentions even where a renderer looks into code.
  const safe = line.replaceAll("|", "\\|").replaceAll("@", "@\u200b");
  const fence = "`".repeat(longestRun(safe, "`") + 1);
  const padding = safe.startsWith("`") || safe.endsWith("`") ? " " : "";
  return `${fence}${padding}${safe}${padding}${fence}`;
}

/** Returns an untrusted text as a block of code that it cannot end. */
export function block(text: string, language = "text"): string {
  const safe = visible(text).replaceAll(/@(?=\w)/g, "@\u200b");
  const fence = "`".repeat(Math.max(3, longestRun(safe, "`") + 1));
  return `${fence}${language}\n${safe}\n${fence}`;
}
