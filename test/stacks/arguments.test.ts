import * as pulumi from "@pulumi/pulumi";
import { unknown } from "@pulumi/pulumi/output.js";
import { expect } from "chai";
import fc from "fast-check";
import { plain, settled } from "../../recorder/record.ts";
import { checkArguments } from "../../stacks/arguments.ts";
import { checkSettings } from "../../stacks/index.ts";
import { fieldOf, modelOf, type Node, variantOf } from "../../stacks/model.ts";
import type { Raw } from "../../stacks/paths.ts";
import { schema } from "../../stacks/schema.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { propertyRuns } from "../support/property-runs.ts";

const isUsable = (settings: Record<string, unknown>) => {
  try {
    checkSettings(structuredClone(settings));
    return true;
  } catch {
    return false;
  }
};

/** Returns a copy of settings in which `replacement` takes the place of each value that the components take as an output. */
function replaceValues(node: Node | undefined, value: unknown, replacement: (value: unknown) => unknown): unknown {
  const selected = node?.type === "union" ? variantOf(node, value) : node;
  if (selected?.type === "list") return (value as unknown[]).map((item) => replaceValues(selected.item, item, replacement));
  if (selected?.type === "block" || selected?.type === "table")
    return Object.fromEntries(
      Object.entries(value as object).map(([key, inner]) => [
        key,
        replaceValues(selected.type === "table" ? selected.value : fieldOf(selected, key)?.node, inner, replacement),
      ]),
    );
  return selected && !selected.plain ? replacement(value) : value;
}

/** Checks arguments of a program in another language, whose outputs have arrived. */
const checkInputs = async (inputs: pulumi.Inputs) => checkArguments(inputs, plain(await settled(inputs)) as Raw);

describe("the arguments of components", () => {
  before(() => pulumi.runtime.setMocks({ call: () => ({}), newResource: () => ({ id: "", state: {} }) }));

  const usable = arbitrarySettings({ mistakes: false }).filter(isUsable);

  it("arguments that are outputs are checked as their values are, and stay outputs", async () => {
    const check = fc.asyncProperty(usable, async (settings) => {
      const outputs: pulumi.Output<unknown>[] = [];
      const inputs = replaceValues(modelOf(schema), settings, (value) => {
        outputs.push(pulumi.secret(value));
        return outputs.at(-1);
      });
      const found = await checkInputs(inputs as pulumi.Inputs);
      let secrets = 0;
      replaceValues(modelOf(schema), found, (value) => {
        if (pulumi.Output.isInstance(value)) secrets++;
      });
      expect(secrets).to.equal(outputs.length);
    });
    await fc.assert(check, { numRuns: propertyRuns });
  });

  it("arguments that are not known in a preview are accepted wherever the components take an output", async () => {
    const check = fc.asyncProperty(usable, async (settings) => {
      const inputs = replaceValues(modelOf(schema), settings, () => pulumi.output(unknown));
      expect(await settled(await checkInputs(inputs as pulumi.Inputs))).to.be.an("object");
    });
    await fc.assert(check, { numRuns: propertyRuns });
  });

  it("outputs and promises are accepted wherever the components take an output, and are passed on", () => {
    const check = fc.property(usable, fc.boolean(), (settings, promises) => {
      const given: unknown[] = [];
      const inputs = replaceValues(modelOf(schema), settings, (value) => {
        given.push(promises ? Promise.resolve(value) : pulumi.output(value));
        return given.at(-1);
      });
      let passed = 0;
      replaceValues(modelOf(schema), checkArguments(inputs as pulumi.Inputs), (value) => {
        if (pulumi.Output.isInstance(value)) passed++;
      });
      expect(passed).to.be.at.least(given.length);
    });
    fc.assert(check, { numRuns: propertyRuns });
  });

  it("an output that decides which resources there are is refused, together with every other mistake of its kind", () => {
    const inputs = { gateway: { enabled: pulumi.output(true) }, server: { replicas: 0 }, exposure: { type: pulumi.output("ingress") } };
    expect(() => checkArguments(inputs))
      .to.throw(/gateway\.enabled is not known before resources are created; use a plain value/)
      .with.property("message")
      .that.matches(/exposure\.type is not known/);
  });
});
