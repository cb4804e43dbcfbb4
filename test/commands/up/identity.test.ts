import { expect } from "chai";
import { landmark } from "../../../commands/up/identity.ts";
import { parseState } from "../../../commands/up/state.ts";

describe("the landmark that identifies a stack's cluster", () => {
  const namespace = { urn: "urn:n", type: "kubernetes:core/v1:Namespace", outputs: { metadata: { name: "trivy", uid: "1" } } };
  const service = {
    urn: "urn:s",
    type: "kubernetes:core/v1:Service",
    outputs: { metadata: { name: "trivy", namespace: "shared", uid: "2" } },
  };
  const state = (resources: object[], pending_operations: object[] = []) =>
    parseState(JSON.stringify({ deployment: { resources, pending_operations } }));

  it("a stack's landmark is its namespace, or its Service where the stack does not own the namespace", () => {
    expect(landmark(state([service, namespace]))).to.deep.equal({ kind: "Namespace", name: "trivy", namespace: "trivy", uid: "1" });
    expect(landmark(state([service]))).to.deep.equal({ kind: "Service", name: "trivy", namespace: "shared", uid: "2" });
    expect(landmark(state([]))).to.equal(undefined);
  });

  it("a namespace whose deletion is pending is not a stack's landmark", () => {
    expect(landmark(state([namespace], [{ type: "deleting", resource: namespace }]))).to.equal(undefined);
  });
});
