import type { V1ContainerStatus, V1Pod, V1PodStatus } from "@kubernetes/client-node";
import { expect } from "chai";
import { decisiveLine, podTrouble } from "../../../commands/cluster/pods.ts";

const container = (status: Partial<V1ContainerStatus>): V1ContainerStatus => ({
  name: "trivy",
  image: "",
  imageID: "",
  ready: false,
  restartCount: 0,
  ...status,
});
const pod = (status: V1PodStatus, metadata = {}): V1Pod => ({ metadata: { name: "trivy-server-1", ...metadata }, status });

describe("podTrouble", () => {
  it("a pod that cannot be scheduled is reported", () => {
    const conditions = [{ type: "PodScheduled", status: "False", message: "0/2 nodes are available: 2 Insufficient cpu." }];
    expect(podTrouble(pod({ conditions }))?.reason).to.equal("cannot be scheduled: 0/2 nodes are available: 2 Insufficient cpu.");
  });

  it("an image that cannot be pulled is reported", () => {
    const state = { waiting: { reason: "ErrImagePull", message: "not found" } };
    const trouble = podTrouble(pod({ containerStatuses: [container({ state })] }));
    expect(trouble).to.deep.equal({ name: "trivy-server-1", reason: "ErrImagePull: not found" });
  });

  it("the number of a container's restarts is reported, with the container that has the log", () => {
    const crashed = container({ restartCount: 4, state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 5m0s restarting" } } });
    const trouble = podTrouble(pod({ containerStatuses: [crashed] }));
    expect(trouble?.reason).to.equal("CrashLoopBackOff, restarted 4 times");
    expect(trouble?.started).to.equal(crashed);
  });

  it("neither a ready pod nor one that is being deleted is reported", () => {
    expect(podTrouble(pod({ containerStatuses: [container({ ready: true })] }))).to.equal(undefined);
    expect(podTrouble(pod({ containerStatuses: [container({})] }, { deletionTimestamp: new Date() }))).to.equal(undefined);
  });
});

describe("decisiveLine", () => {
  it("the decisive line of a log is its fatal error, otherwise its last error, otherwise its last line", () => {
    const fatal = "2026-11-22T11:10:52Z\tFATAL\tFatal error\trun error: failed to download vulnerability DB: dial tcp: i/o timeout";
    expect(decisiveLine(`a\n${fatal}\n\t* Get: no such host\n`)).to.equal(
      "run error: failed to download vulnerability DB: dial tcp: i/o timeout * Get: no such host",
    );
    expect(decisiveLine("one\nAn Error happened\nlast\n")).to.equal("An Error happened");
    expect(decisiveLine("one\nlast\n\n")).to.equal("last");
    expect(decisiveLine("")).to.equal(undefined);
  });
});
