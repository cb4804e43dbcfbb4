import { readFile, writeFile } from "node:fs/promises";
import { type Design, designs, events } from "./events.ts";

/** The result of one run of one event. */
export interface Measured {
  readonly event: string;
  readonly cell: string;
}

const titles = { gateway: "with gateway", servers: "without" } as const;
const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const head = ["event", ...designs.map((design) => titles[design]), "measured"];

/** Returns the page with the measured cells of its table replaced and the others unchanged. */
export function withRows(page: string, design: Design, measured: readonly Measured[], date: string, versions: string): string {
  const lines = page.split("\n");
  const [first, last] = [lines.findIndex((text) => text.startsWith("|")), lines.findLastIndex((text) => text.startsWith("|"))];
  if (first < 0) throw new Error("the page has no table");
  const before = new Map(
    lines.slice(first, last + 1).map((row) => {
      const [event = "", ...cells] = row.slice(2, -2).split(" | ");
      return [event, cells];
    }),
  );
  const rows = events.map(({ name, what, allowed }) => {
    const old = before.get(what) ?? [];
    const renewed = measured.find(({ event }) => event === name);
    const cells = designs.map((column, index) => {
      if (!(column in allowed)) return "-";
      return (column === design ? renewed?.cell : undefined) ?? old[index] ?? "";
    });
    return line([what, ...cells, renewed ? date : (old.at(-1) ?? "")]);
  });
  const table = [line(head), line(head.map(() => "---")), ...rows];
  return [...lines.slice(0, first), ...table, ...lines.slice(last + 1)]
    .join("\n")
    .replace(new RegExp(`^- ${titles[design]}:.*$`, "m"), `- ${titles[design]}: ${versions} (${date})`);
}

export async function writeRows(file: string, design: Design, measured: readonly Measured[], versions: string): Promise<void> {
  const date = new Date().toISOString().slice(0, 10);
  await writeFile(file, withRows(await readFile(file, "utf8"), design, measured, date, versions));
}
