/** `npm run docs`: writes what the settings' schema says into README.md and Pulumi.yaml. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { configSection, settingsTable } from "../stacks/documentation.ts";

const root = join(import.meta.dirname, "..");
const marks = { begin: "<!-- settings: npm run docs -->", end: "<!-- /settings -->" };

/** The files that the schema has a part in: as they are, and as they should be. */
export function documents(): { readonly path: string; readonly is: string; readonly shouldBe: string }[] {
  const read = (name: string) => ({ path: join(root, name), is: readFileSync(join(root, name), "utf8") });
  const readme = read("README.md");
  const before = readme.is.split(marks.begin)[0] ?? "";
  const after = readme.is.split(marks.end)[1] ?? "";
  const project = read("Pulumi.yaml");
  const yaml = parseDocument(project.is);
  yaml.set("config", configSection());
  return [
    { ...readme, shouldBe: `${before}${marks.begin}\n${settingsTable()}\n${marks.end}${after}` },
    { ...project, shouldBe: yaml.toString({ lineWidth: 0 }) },
  ];
}

if (import.meta.main) for (const { path, shouldBe } of documents()) writeFileSync(path, shouldBe);
