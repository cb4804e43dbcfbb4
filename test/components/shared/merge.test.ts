import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { merge, withDefaults } from "../../../components/shared/merge.ts";
import { record, settled } from "../../../recorder/record.ts";

describe("defaults of arguments", () => {
  const defaults = { replicas: 2, resources: { requests: { cpu: "100m", memory: "64Mi" } }, names: ["a", "b"] } as const;

  it("a default holds for an argument that is missing or undefined, at any depth", () => {
    const given = { replicas: undefined, resources: { requests: { cpu: "1" } } } as {
      replicas?: number;
      resources?: { requests?: { cpu?: string; memory?: string } };
      names?: readonly string[];
    };
    expect(withDefaults(defaults, given)).to.deep.equal({
      replicas: 2,
      resources: { requests: { cpu: "1", memory: "64Mi" } },
      names: ["a", "b"],
    });
    expect(withDefaults(defaults, undefined)).to.deep.equal(defaults);
  });

  it("a list that is given replaces the default list", () => {
    expect(withDefaults(defaults, { names: [] as readonly string[] }).names).to.deep.equal([]);
  });

  it("outputs and promises replace defaults without being changed", () => {
    const [output, promise] = [pulumi.output(3), Promise.resolve("1")];
    const { replicas, resources } = withDefaults(defaults, { replicas: output, resources: { requests: { cpu: promise } } });
    expect(replicas).to.equal(output);
    expect(resources.requests.cpu).to.equal(promise);
  });

  it("changes to the result of a merge do not change what was merged", () => {
    const base = { labels: { a: "1" }, list: [{ b: 1 }] };
    const merged = merge(base, { name: "x" }) as typeof base;
    merged.labels.a = "2";
    expect(merged.list[0]).not.to.equal(base.list[0]);
    expect(base).to.deep.equal({ labels: { a: "1" }, list: [{ b: 1 }] });
  });

  it("changes are merged into the value of an output", async () => {
    const { result } = await record(() => merge({ spec: pulumi.output({ a: 1, b: { c: 2 } }) }, { spec: { b: { d: 3 } } }));
    expect(await settled(result)).to.deep.equal({ spec: { a: 1, b: { c: 2, d: 3 } } });
  });
});
