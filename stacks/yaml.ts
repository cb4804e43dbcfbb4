import { parse } from "yaml";

/** Returns the content of a YAML document; undefined if it is not one, which is reported where it is used. */
export function parseYaml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}
