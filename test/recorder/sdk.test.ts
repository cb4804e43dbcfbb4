import { createRequire } from "node:module";
import * as pulumi from "@pulumi/pulumi";
import resources from "@pulumi/pulumi/proto/resource_pb.js";
import { version } from "@pulumi/pulumi/version.js";
import { expect } from "chai";
import { record } from "../../recorder/record.ts";
import { missingInternals } from "../../recorder/sdk.ts";

const debuggable: Record<string, unknown> = createRequire(import.meta.url)("@pulumi/pulumi/runtime/debuggable.js");
const resourceClass = pulumi.Resource as unknown as Record<string, unknown>;

const program = () => new pulumi.ComponentResource("shop:index:Shop", "shop");

/** Replaces a member of an object while `work` runs. */
async function replacing<T>(object: object, key: string, value: unknown, work: () => Promise<T>): Promise<T> {
  const original = Object.getOwnPropertyDescriptor(object, key);
  Object.defineProperty(object, key, { value, configurable: true, writable: true });
  try {
    return await work();
  } finally {
    if (original) Object.defineProperty(object, key, original);
  }
}

describe("the installed Pulumi SDK", () => {
  it("the Pulumi SDK has every undocumented function and constant that the recorder uses", () => {
    expect(missingInternals()).to.deep.equal([]);
  });

  const internals: [string, object, string][] = [
    ["runtime/debuggable.js.debuggablePromise", debuggable, "debuggablePromise"],
    ["Resource.stackTrace", resourceClass, "stackTrace"],
    ["RegisterResourceRequest.getAliasesList", resources.RegisterResourceRequest.prototype, "getAliasesList"],
    ["RegisterResourceOutputsRequest.getOutputs", resources.RegisterResourceOutputsRequest.prototype, "getOutputs"],
    ["RegisterResourceResponse.setUrn", resources.RegisterResourceResponse.prototype, "setUrn"],
  ];
  for (const [name, object, key] of internals) {
    it(`a Pulumi SDK without ${name} is refused, and the error names it`, async () => {
      await replacing(object, key, undefined, async () => {
        expect(missingInternals()).to.deep.equal([name]);
        const failure = await record(program).catch((error: Error) => error.message);
        expect(failure).to.equal(`recorder/sdk.ts uses what @pulumi/pulumi ${version} does not have: ${name}`);
      });
      expect((await record(program)).resources).to.have.length(1);
    });
  }

  const traced: [string, object, string][] = [
    ["debuggablePromise", debuggable, "debuggablePromise"],
    ["Resource.stackTrace", resourceClass, "stackTrace"],
  ];
  for (const [name, object, key] of traced) {
    it(`the recorder replaces ${name} during a recording only`, async () => {
      const original = (object as Record<string, (...args: unknown[]) => unknown>)[key];
      let calls = 0;
      const counting = function (this: unknown, ...args: unknown[]) {
        calls++;
        return original?.apply(this, args);
      };
      await replacing(object, key, counting, async () => {
        await record(program);
        const during = calls;
        program();
        expect(calls, "a resource outside a recording").to.be.above(during);
        expect(during, "a resource in a recording").to.equal(0);
      });
    });
  }
});
