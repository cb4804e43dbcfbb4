import type { styleText } from "node:util";
import { isSecret, plain, type RecordedResource } from "../../recorder/record.ts";
import type { Manifest } from "./manifests.ts";

type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Formats components and resources as a tree: their names, the files of their manifests and the settings of each component. */
export function tree(resources: readonly RecordedResource[], manifests: readonly Manifest[], width: number, paint: Paint): string[] {
  const manifestOf = new Map(manifests.map((manifest) => [manifest.resource.urn, manifest]));
  const kindOf = ({ urn, type }: RecordedResource) => manifestOf.get(urn)?.object.kind ?? type.split(":").at(-1) ?? type;
  const nameOf = ({ urn, name }: RecordedResource) => manifestOf.get(urn)?.object.name ?? name;

  const rows: {
    readonly stem: string;
    readonly resource: RecordedResource;
    readonly settings: readonly string[];
    readonly below: string;
  }[] = [];
  const visit = (parent: RecordedResource | undefined, stem: string) => {
    const children = resources.filter((resource) => resource.parent === parent?.urn);
    // Resources come first, in the order in which they are applied, so that they follow directly after their component.
    const key = ({ urn, type, name }: RecordedResource) => `${manifestOf.get(urn)?.file ?? ""} ${type} ${name}`;
    const sorted = [
      ...children.filter(({ custom }) => custom).sort((a, b) => (key(a) < key(b) ? -1 : 1)),
      ...children.filter(({ custom }) => !custom),
    ];
    for (const [index, resource] of sorted.entries()) {
      const last = index === sorted.length - 1;
      const below = `${stem}${last ? "   " : "│  "}`;
      const hasChildren = resources.some((other) => other.parent === resource.urn);
      rows.push({
        stem: `${stem}${last ? "└─ " : "├─ "}`,
        resource,
        settings: resource.custom ? [] : settingsOf(resource, parent, resources),
        below: `${below}${hasChildren ? "│  " : "   "}`,
      });
      visit(resource, below);
    }
  };
  visit(undefined, "");

  const kinds = Math.max(
    ...rows.filter(({ resource }) => resource.custom).map(({ stem, resource }) => stem.length + kindOf(resource).length),
  );
  const names = Math.max(...rows.filter(({ resource }) => resource.custom).map(({ resource }) => nameOf(resource).length));
  return rows.flatMap(({ stem, resource, settings, below }) => {
    const kind = kindOf(resource);
    if (!resource.custom) {
      return [
        `${paint("dim", stem)}${paint("bold", kind)} ${resource.name}`,
        ...wrapped(settings, width - below.length).map((line) => `${paint("dim", below)}${paint("cyan", line)}`),
      ];
    }
    const name = nameOf(resource).padEnd(names);
    const file = manifestOf.get(resource.urn)?.file ?? "";
    return [`${paint("dim", stem)}${kind.padEnd(kinds - stem.length)}  ${name}  ${paint("dim", file)}`.trimEnd()];
  });
}

/**
 * Returns the inputs of a component, flattened. An input that a component passes unchanged to one child is shown at the child, one that it
 * passes to several children at the component, so that each is shown once.
 */
function settingsOf(component: RecordedResource, parent: RecordedResource | undefined, resources: readonly RecordedResource[]): string[] {
  const receivers = (of: RecordedResource, key: string) =>
    resources.filter(({ custom, parent: above, inputs }) => !custom && above === of.urn && same(inputs[key], of.inputs[key]));
  const shown = Object.entries(component.inputs).filter(([key, value]) => {
    const inherited = parent && same(parent.inputs[key], value);
    return receivers(component, key).length !== 1 && !(inherited && receivers(parent, key).length > 1);
  });
  return shown.flatMap(([key, value]) => flattened(key, value));
}

const same = (a: unknown, b: unknown) => a !== undefined && JSON.stringify(a) === JSON.stringify(b);

function flattened(path: string, value: unknown): string[] {
  if (isSecret(value)) return [`${path}=[secret]`];
  if (Array.isArray(value)) {
    if (value.some((item) => typeof item === "object")) return value.flatMap((item, index) => flattened(`${path}[${index}]`, item));
    return value.length > 0 ? [`${path}=${value.join(",")}`] : [];
  }
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([key, inner]) => flattened(/[./]/.test(key) ? `${path}[${key}]` : `${path}.${key}`, inner));
  const text = String(plain(value)).trim();
  return [`${path}=${text.includes("\n") ? `${text.split("\n")[0]}…` : text}`];
}

/** Wraps words into lines; a word that is too long gets a line of its own. */
function wrapped(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 2 + word.length <= width) lines[lines.length - 1] = `${line}  ${word}`;
    else lines.push(word);
  }
  return lines;
}
