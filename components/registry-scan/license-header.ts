import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Returns a comment with the name, the version and the license of each package that a bundle contains, as their licenses demand.
 *
 * @param inputs paths of the bundle's source files
 * @throws {Error} when a package has no file with its license
 */
export function licenseHeader(inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path.replaceAll("\\", "/"))?.[0] ?? []));
  if (folders.size === 0) return "";
  const packages = [...folders].map(readPackage).sort((a, b) => a.title.localeCompare(b.title, "en"));
  const byText = Map.groupBy(packages, ({ text }) => text);
  const sections = [...byText].map(([text, group]) => `${group.map(({ title }) => title).join("\n")}\n\n${text}`);
  const content = ["This file contains the following packages.", ...sections].join("\n\n----\n\n");
  return `/*\n${content.replaceAll("*/", "* /")}\n*/\n`;
}

function readPackage(folder: string): { readonly title: string; readonly text: string } {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^licen[cs]e(?:\.\w+)?$/i.test(each));
  if (!file) throw new Error(`the package ${name} has no file with its license, which the programs that contain it have to show`);
  return { title: `${name} ${version} (${license})`, text: readFileSync(join(folder, file), "utf8").trim() };
}
