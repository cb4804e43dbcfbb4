import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The repository's folder. */
export const root = join(import.meta.dirname, "../..");

/** A Markdown file of the repository. */
export interface Page {
  /** Relative to the repository's folder. */
  readonly path: string;
  readonly text: string;
  /** The text without the contents of fenced code blocks, in as many lines. */
  readonly prose: string;
  readonly blocks: readonly CodeBlock[];
}

export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

const fenced = /^( *)```(\S*)\n(.*?)^\1```$/gms;

/** Reads all Markdown files of the repository that are written by hand: not the approved outputs of tests. */
export function readPages(): Page[] {
  const exclude = (path: string) => /(?:^|\/)(?:node_modules|out|golden|\..+)(?:\/|$)/.test(path);
  return globSync("**/*.md", { cwd: root })
    .filter((path) => !exclude(path))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      const blocks = [...text.matchAll(fenced)].map(([, indent = "", language = "", code = ""]) => ({
        language,
        text: code.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      }));
      return { path, text, prose: text.replaceAll(fenced, (block) => block.replaceAll(/[^\n]/g, "")), blocks };
    });
}

/** Targets of links and images, in Markdown and HTML. */
export function linksOf({ prose }: Page): string[] {
  const text = prose.replaceAll(/`[^`\n]*`/g, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)"/g)].map(([, markdown, html]) => markdown ?? html ?? "");
}

/** Names that a link can end with, `#name`: those of headings as GitHub makes them, and those of HTML elements. */
export function anchorsOf({ prose }: Page): Set<string> {
  const anchors = new Set([...prose.matchAll(/<[a-z]+ (?:id|name)="([^"]+)"/g)].map(([, id = ""]) => id));
  for (const [, heading = ""] of prose.matchAll(/^#{1,6} (.+)$/gm)) {
    const text = heading.replaceAll(/<[^>]*>/g, "").replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const base = text
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-");
    let anchor = base;
    for (let copy = 1; anchors.has(anchor); copy++) anchor = `${base}-${copy}`;
    anchors.add(anchor);
  }
  return anchors;
}
