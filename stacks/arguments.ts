import * as pulumi from "@pulumi/pulumi";
import { isUnknown } from "@pulumi/pulumi/output.js";
import type { SettingsArgs } from "../components/args.ts";
import { checkSettings } from "./check.ts";
import { type SettingProblem, SettingsError } from "./errors.ts";
import { warn } from "./index.ts";
import { exampleOf, fieldOf, modelOf, type Node, variantOf } from "./model.ts";
import { formatPath, isRaw, type Path, type Raw } from "./paths.ts";
import { schema } from "./schema.ts";

const { unknownValue } = pulumi.runtime;
const model = modelOf(schema);

/**
 * Checks the arguments of a component as the settings of a stack are checked, fills in the defaults, and warns of those that work, but hardly
 * as intended. Outputs stay outputs.
 *
 * @param values what is known of the arguments, with Pulumi's marker of unknown values in the place of the rest. @default all but outputs
 * @throws {SettingsError} with every problem
 */
export function checkArguments(inputs: pulumi.Inputs, values = withoutOutputs(inputs) as Raw): SettingsArgs {
  const unknown = new Map<string, boolean>();
  const assumed = assumeUnknown(model, values, [], unknown) as Raw;
  const problems: SettingProblem[] = [...unknown].flatMap(([path, isUsable]) =>
    isUsable ? [] : [{ path, message: "is not known before resources are created; use a plain value that no resource determines" }],
  );
  if (problems.length > 0) throw new SettingsError(problems);
  const settings = checkSettings(assumed, { assumed: [...unknown.keys()] });
  warn(settings);
  return withOutputs(model, settings, assumed, inputs) as SettingsArgs;
}

/** Returns a copy of arguments with Pulumi's marker of unknown values in the place of outputs and promises. */
function withoutOutputs(value: unknown): unknown {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) return unknownValue;
  if (Array.isArray(value)) return value.map(withoutOutputs);
  if (!isRaw(value)) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : [[key, withoutOutputs(inner)]])));
}

/**
 * Returns values in which examples take the place of what is not known before a resource is created. `unknown` receives the path of each, and whether
 * the components can use a value that is not known: not if it decides which resources there are.
 */
function assumeUnknown(node: Node | undefined, value: unknown, path: Path, unknown: Map<string, boolean>): unknown {
  if (value === unknownValue) {
    const isUsable = node !== undefined && "plain" in node && !node.plain;
    unknown.set(formatPath(path), isUsable);
    return isUsable ? exampleOf(node) : undefined;
  }
  if (Array.isArray(value)) return value.map((item, index) => assumeUnknown(childOf(node, value, index), item, [...path, index], unknown));
  if (!isRaw(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, assumeUnknown(childOf(node, value, key), inner, [...path, key], unknown)]),
  );
}

/** Returns checked settings with the program's outputs in the places where the components accept them. */
function withOutputs(node: Node | undefined, settings: unknown, values: unknown, inputs: unknown): unknown {
  if (values === undefined || inputs === undefined) return settings;
  const inner = (key: string | number, value: unknown) =>
    withOutputs(childOf(node, values, key), value, (values as Raw)[key], inputAt(inputs, key));
  if (Array.isArray(settings)) return settings.map((item, index) => inner(index, item));
  // An example that the check could not use is missing in the settings.
  if (isRaw(settings) && isRaw(values))
    return Object.fromEntries(Object.keys({ ...settings, ...values }).map((key) => [key, inner(key, settings[key])]));
  if (!(node && "plain" in node) || node.plain) return settings;
  if (isUnknown(inputs) || inputs instanceof Promise) return pulumi.output(inputs);
  if (!pulumi.Output.isInstance(inputs)) return settings;
  // Some texts may be given as numbers.
  return typeof settings === "string" ? inputs.apply(String) : inputs;
}

const inputAt = (inputs: unknown, key: string | number): unknown =>
  pulumi.Output.isInstance(inputs) ? inputs.apply((value) => (value as Raw)[key]) : (inputs as Raw)[key];

function childOf(node: Node | undefined, value: unknown, key: string | number): Node | undefined {
  const selected = node?.type === "union" ? variantOf(node, value) : node;
  switch (selected?.type) {
    case "block":
      return fieldOf(selected, key)?.node;
    case "list":
      return selected.item;
    case "table":
      return selected.value;
    default:
      return undefined;
  }
}
