import { expect } from "chai";
import { pendingObjects, recoveredState } from "../../../commands/up/recovery.ts";
import { parseState } from "../../../commands/up/state.ts";

describe("an interrupted run", () => {
  const pending = (type: string, token: string, inputs: object) => ({
    type,
    resource: { urn: `urn:pulumi:dev::p::${token}::n`, type: token, inputs },
  });
  const state = parseState(
    JSON.stringify({
      deployment: {
        pending_operations: [
          pending("creating", "kubernetes:core/v1:Namespace", { apiVersion: "v1", kind: "Namespace", metadata: { name: "trivy" } }),
          pending("creating", "kubernetes:apps/v1:Deployment", {
            apiVersion: "apps/v1",
            kind: "Deployment",
            metadata: { name: "d", namespace: "trivy" },
          }),
          pending("creating", "random:index/randomPassword:RandomPassword", { length: 32 }),
          pending("deleting", "kubernetes:core/v1:Service", {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name: "s", namespace: "trivy" },
          }),
          pending("creating", "kubernetes:core/v1:Secret", {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { "4dabf18193072939515e22adb298388d": "x", ciphertext: "v1:" },
          }),
        ],
      },
    }),
  );

  it("an interrupted run may have created the objects of its pending operations, under the provider's ids", () => {
    expect(pendingObjects(state).map(({ kind, id }) => [kind, id])).to.deep.equal([
      ["Namespace", "trivy"],
      ["Deployment", "trivy/d"],
    ]);
  });

  it("after an interrupted run, existing objects are adopted and applied again, and the others are forgotten", () => {
    const exported = {
      version: 3,
      deployment: {
        manifest: { magic: "m" },
        resources: [{ urn: "urn:stack", type: "pulumi:pulumi:Stack" }],
        pending_operations: [
          {
            type: "creating",
            resource: { urn: "urn:a", custom: true, parent: "urn:stack", inputs: { kind: "Secret", stringData: { ciphertext: "v1:" } } },
          },
          { type: "creating", resource: { urn: "urn:b", custom: true, inputs: { kind: "Service" } } },
        ],
      },
    };
    expect(JSON.parse(recoveredState(JSON.stringify(exported), [{ urn: "urn:a", id: "trivy/a" }]))).to.deep.equal({
      version: 3,
      deployment: {
        manifest: { magic: "m" },
        resources: [
          { urn: "urn:stack", type: "pulumi:pulumi:Stack" },
          {
            ...{ urn: "urn:a", custom: true, parent: "urn:stack", id: "trivy/a" },
            inputs: { kind: "Secret", stringData: { ciphertext: "v1:" } },
            outputs: { kind: "Secret", stringData: { ciphertext: "v1:" } },
            initErrors: ["the run that created it was interrupted"],
          },
        ],
      },
    });
  });

  it("a stack without a state has no pending operations", () => {
    expect(parseState('{"version": 3, "deployment": null}')).to.deep.equal({ resources: [], pending: [] });
  });
});
