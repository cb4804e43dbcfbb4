import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The folder of the template for `pulumi new`. */
export const template = join(import.meta.dirname, "../../template");

/** The options of `pulumi new`. */
export const project = { name: "our-scans", description: "Scans of our images" } as const;

/**
 * Does what `pulumi new` does: copies the template and fills in the project's name and description. test/e2e/template.test.ts compares the
 * two.
 */
export function fillTemplate(folder: string): void {
  const values: Readonly<Record<string, string>> = { PROJECT: project.name, DESCRIPTION: project.description };
  for (const file of readdirSync(template)) {
    const text = readFileSync(join(template, file), "utf8");
    writeFileSync(
      join(folder, file),
      text.replaceAll(/\$\{(PROJECT|DESCRIPTION)\}/g, (_, key) => values[key] ?? ""),
    );
  }
}
