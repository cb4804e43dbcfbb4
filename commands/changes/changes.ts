import { stringify } from "yaml";
import { lineDifference, type Value, valueDifference } from "./difference.ts";
import type { Digest, ResourceState, Step } from "./digest.ts";
import type { Redactor } from "./redactor.ts";

export const operations = ["create", "update", "replace", "delete"] as const;
export type Operation = (typeof operations)[number];

/** What happens to one resource. All texts are free of secrets, but not escaped. */
export interface Change {
  readonly operation: Operation;
  /** Pulumi's type, such as `kubernetes:apps/v1:Deployment`. */
  readonly type: string;
  /** For the reader: `Deployment trivy/trivy-server`. */
  readonly label: string;
  /** The part of the service that the object belongs to: the label `app.kubernetes.io/component`. */
  readonly component: string | undefined;
  /** The properties that cause a replacement. */
  readonly reasons: readonly string[];
  /** Undefined before a creation. */
  readonly before: Value | undefined;
  /** Undefined after a deletion. */
  readonly after: Value | undefined;
  /** The lines of the difference, each with `+`, `-` or a space in front. */
  readonly lines: readonly string[];
}

/** The engine's operations that are changes. A replacement is up to three steps: the first one counts. */
const kinds: Readonly<Record<string, Operation>> = {
  create: "create",
  import: "create",
  update: "update",
  replace: "replace",
  "create-replacement": "replace",
  "import-replacement": "replace",
  "delete-replaced": "replace",
  delete: "delete",
};
const unchanged = ["same", "read", "read-replacement", "read-discard", "refresh", "discard", "discard-replaced", "remove-pending-replace"];

/**
 * Returns the changes of resources, in the engine's order. Components and the stack itself are left out: their changes repeat the settings
 * that cause the changes of resources, and the stack's outputs.
 */
export function changesOf(digest: Digest, redactor: Redactor): Change[] {
  redactor.learn(digest);
  const changes = new Map<string, Change>();
  for (const step of digest.steps ?? []) {
    if (unchanged.includes(step.op)) continue;
    // An operation of a newer engine is shown as an update.
    const operation = kinds[step.op] ?? "update";
    const state = step.newState ?? step.oldState;
    if (!state?.custom || changes.has(step.urn)) continue;
    changes.set(step.urn, changeOf(step, state, operation, redactor));
  }
  return [...changes.values()];
}

function changeOf({ urn, oldState, newState, ...step }: Step, state: ResourceState, operation: Operation, redactor: Redactor): Change {
  const shown = (side: ResourceState | null | undefined) => side && redactor.value({ state: side, path: [] }, side.inputs);
  const before = operation === "create" ? undefined : (shown(oldState) ?? {});
  const after = operation === "delete" ? undefined : (shown(newState) ?? {});
  const [type = "", name = ""] = urn.split("::").slice(-2);
  // A replacement deletes the old object.
  const { kind, metadata } = ((operation === "replace" ? before : after) ?? before) as {
    kind?: unknown;
    metadata?: { name?: unknown; namespace?: unknown; labels?: unknown };
  };
  const full = [metadata?.namespace, metadata?.name].filter((part) => typeof part === "string").join("/");
  const label =
    typeof kind === "string" && full ? `${kind} ${full}` : redactor.text(`${type.split("$").at(-1)?.split(":").at(-1)} ${name}`);
  const labels = metadata?.labels as Readonly<Record<string, unknown>> | undefined;
  const component = labels?.["app.kubernetes.io/component"];
  return {
    ...{ operation, type: state.type, label, before, after },
    component: typeof component === "string" ? component : undefined,
    reasons: (step.replaceReasons ?? []).map((reason) => redactor.text(reason)),
    lines: linesOf(
      before,
      after,
      Object.keys(step.detailedDiff ?? {}).map((path) => redactor.text(path)),
    ),
  };
}

/** @param paths what the engine says has changed, which includes secrets, whose shown values are equal. */
function linesOf(before: Value | undefined, after: Value | undefined, paths: readonly string[]): string[] {
  if (before === undefined || after === undefined) {
    const sign = before === undefined ? "+" : "-";
    return yamlLines(before ?? after).map((line) => `${sign} ${line}`);
  }
  const differences = valueDifference(before, after);
  const hidden = paths.filter((path) => !differences.some(({ path: shown }) => isPart(shown, path) || isPart(path, shown)));
  return [
    ...differences.flatMap(({ path, from, to }) => {
      const heading = path || "(all)";
      if (typeof from === "string" && typeof to === "string" && (from.includes("\n") || to.includes("\n")))
        return [`  ${heading}:`, ...lineDifference(from, to).map((line) => `${line.slice(0, 2)}  ${line.slice(2)}`)];
      return [...side("-", heading, from), ...side("+", heading, to)];
    }),
    ...hidden.map((path) => `  ${path}: [changed, not shown]`),
  ];
}

const isPart = (path: string, whole: string) => path === whole || path.startsWith(`${whole}.`) || path.startsWith(`${whole}[`);

function side(sign: "+" | "-", path: string, value: Value | undefined): string[] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) {
    const [first = "", ...rest] = yamlLines(value);
    return [`${sign} ${path}: ${first}`, ...rest.map((line) => `${sign}   ${line}`)];
  }
  return [`${sign} ${path}:`, ...yamlLines(value).map((line) => `${sign}   ${line}`)];
}

const yamlLines = (value: Value | undefined) => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd().split("\n");
