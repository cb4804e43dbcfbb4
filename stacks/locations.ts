import { isMap, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { SettingProblem } from "./errors.ts";
import { project } from "./errors.ts";
import { type Path, parsePath } from "./paths.ts";

/**
 * Returns a function that finds the line of a problem in a stack's file: that of the setting, or of the block in which it is missing.
 *
 * @param text content of the file; nothing is found in one that is not YAML, which is reported where it is read.
 */
export function linesOf(text: string): (problem: Pick<SettingProblem, "namespace" | "path">) => number | undefined {
  const lineCounter = new LineCounter();
  const { contents } = parseDocument(text, { lineCounter, logLevel: "silent" });
  const config = pairOf(contents, "config")?.value;
  return ({ namespace = project, path }) => {
    const [block = "", ...rest] = parsePath(path);
    // Pulumi adds the project's name to keys without one.
    const found = pairOf(config, `${namespace}:${block}`) ?? (namespace === project ? pairOf(config, block) : undefined);
    if (!found) return undefined;
    return lineOf(found.value, rest, lineCounter) ?? lineAt(found.key, lineCounter);
  };
}

/** Returns the line of what a path leads to in a node of a document, as far as it leads; undefined if not even the first step is there. */
export function lineOf(start: unknown, path: Path, lines: LineCounter): number | undefined {
  let line: number | undefined;
  let node = start;
  for (const step of path) {
    const pair = pairOf(node, step);
    const item: unknown = isSeq(node) ? node.items[Number(step)] : undefined;
    if (!pair && item === undefined) break;
    line = lineAt(pair?.key ?? item, lines) ?? line;
    node = pair ? pair.value : item;
  }
  return line;
}

function lineAt(node: unknown, lines: LineCounter): number | undefined {
  const offset = (node as Partial<Node> | null)?.range?.[0];
  return offset === undefined ? undefined : lines.linePos(offset).line;
}

const pairOf = (node: unknown, key: PropertyKey) => (isMap(node) ? node.items.find((pair) => String(pair.key) === String(key)) : undefined);
