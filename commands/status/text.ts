/** Milliseconds. */
export const hour = 3_600_000;
export const day = 24 * hour;

/** Returns a time to the minute, such as `2026-11-26 08:20 UTC`. */
export const time = (date: Date): string => `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;

/** Returns how long ago a time is, such as `5 h`. */
export function age(now: Date, then: Date): string {
  const elapsed = now.getTime() - then.getTime();
  if (elapsed < hour) return `${Math.max(0, Math.round(elapsed / 60_000))} min`;
  return elapsed < 2 * day ? `${Math.round(elapsed / hour)} h` : `${Math.round(elapsed / day)} days`;
}

export const mebibytes = (size: number): string => `${size < 10 * 2 ** 20 ? (size / 2 ** 20).toFixed(1) : Math.round(size / 2 ** 20)} MiB`;

/** Wraps a text at a width; lines after the first begin with `indent` spaces. Words that are longer than a line are left as they are. */
export function wrap(text: string, width: number, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const space = lines.length > 0 ? width - indent : width;
    if (line !== "" && line.length + 1 + word.length > space) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}
