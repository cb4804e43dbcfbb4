import { isMap, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { SettingProblem } from "./errors.ts";
import { project } from "./errors.ts";
import { parsePath } from "./paths.ts";

/**
 * Returns a function that finds the line of a problem in a stack's file: that of the setting, or of the block in which it is missing.
 *
 * @param text content of the file; nothing is found in one that is not YAML, which is reported where it is read.
 */
export function linesOf(text: string): (problem: Pick<SettingProblem, "namespace" | "path">) => number | undefined {
  const lineCounter = new LineCounter();
  const { contents } = parseDocument(text, { lineCounter, logLevel: "silent" });
  const lineAt = (node: unknown): number | undefined => {
    const offset = (node as Partial<Node> | null)?.range?.[0];
    return offset === undefined ? undefined : lineCounter.linePos(offset).line;
  };
  const config = pairOf(contents, "config")?.value;
  return ({ namespace = project, path }) => {
    const [block = "", ...rest] = parsePath(path);
    // Pulumi adds the project's name to keys without one.
    const found = pairOf(config, `${namespace}:${block}`) ?? (namespace === project ? pairOf(config, block) : undefined);
    if (!found) return undefined;
    let [line, node] = [lineAt(found.key), found.value];
    for (const step of rest) {
      const pair = pairOf(node, step);
      const item: unknown = isSeq(node) ? node.items[Number(step)] : undefined;
      if (!pair && item === undefined) break;
      line = lineAt(pair?.key ?? item) ?? line;
      node = pair ? pair.value : item;
    }
    return line;
  };
}

const pairOf = (node: unknown, key: string) => (isMap(node) ? node.items.find((pair) => String(pair.key) === key) : undefined);
