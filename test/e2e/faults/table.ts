import { readFile, writeFile } from "node:fs/promises";
import { type Design, designs, events } from "./events.ts";

/** What one run of one event gave. */
export interface Measured {
  readonly event: string;
  readonly design: Design;
  readonly cell: string;
}

/** The lines of the table that begin with these words stand for the events in their order. */
const titles = { gateway: "with gateway", servers: "without" } as const;
const head = ["event", ...designs.map((design) => titles[design]), "measured"];
const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;

/** A page with its table's rows renewed that were measured; the others stay. */
export function withRows(page: string, measured: readonly Measured[], date: string, versions: string): string {
  const lines = page.split("\n");
  const isRow = (text: string) => text.startsWith("|");
  const first = lines.findIndex(isRow);
  const last = lines.findLastIndex(isRow);
  if (first < 0) throw new Error("the page has no table");
  const before = new Map(
    lines.slice(first, last + 1).map((row) => [row.split(" | ")[0]?.replace("| ", ""), row.slice(2, -2).split(" | ")]),
  );
  const rows = events.map(({ name, what, allowed }) => {
    const old = before.get(what);
    const cells = designs.map((design, index) => {
      if (!(design in allowed)) return "-";
      return measured.find((one) => one.event === name && one.design === design)?.cell ?? old?.[index + 1] ?? "";
    });
    const renewed = measured.some(({ event }) => event === name);
    return line([what, ...cells, renewed ? date : (old?.at(-1) ?? "")]);
  });
  const table = [line(head), line(head.map(() => "---")), ...rows];
  const text = [...lines.slice(0, first), ...table, ...lines.slice(last + 1)].join("\n");
  return text.replace(/^Versions of the last run.*$/m, `Versions of the last run (${date}): ${versions}.`);
}

export async function writeRows(file: string, measured: readonly Measured[], versions: string): Promise<void> {
  const date = new Date().toISOString().slice(0, 10);
  await writeFile(file, withRows(await readFile(file, "utf8"), measured, date, versions));
}
