import type { CoreV1Event, V1ContainerStatus, V1Deployment, V1Pod, V1PodStatus, V1ReplicaSet } from "@kubernetes/client-node";
import { expect } from "chai";
import { findings } from "../../../commands/health/findings.ts";
import { decisiveLine } from "../../../commands/health/reasons.ts";
import type { Snapshot } from "../../../commands/health/snapshot.ts";

const time = new Date("2026-11-26T10:00:00Z");
const labels = (component: string) => ({ "app.kubernetes.io/component": component });
const snapshot = (objects: Partial<Snapshot>): Snapshot => ({
  ...{ time, namespace: "trivy", pods: [], deployments: [], replicaSets: [], statefulSets: [], jobs: [], claims: [], events: [] },
  ...objects,
});
const container = (status: Partial<V1ContainerStatus>): V1ContainerStatus => ({
  ...{ name: "trivy", image: "", imageID: "", ready: false, restartCount: 0 },
  ...status,
});
const pod = (status: V1PodStatus, name = "trivy-server-1", component = "server"): V1Pod => ({
  metadata: { name, uid: name, labels: labels(component) },
  spec: { containers: [{ name: "trivy", image: "ghcr.io/aquasecurity/trivy:0.74.0" }] },
  status,
});
const event = (kind: string, name: string, reason: string, message: string, minute = 0): CoreV1Event => ({
  metadata: {},
  involvedObject: { kind, name },
  ...{ reason, message, type: "Warning", lastTimestamp: new Date(time.getTime() + minute * 60_000) },
});
const lines = (objects: Partial<Snapshot>) => findings(snapshot(objects)).map(({ problem, advice }) => `${problem}; ${advice}`);
const waiting = (reason: string, message = "") => container({ state: { waiting: { reason, message } } });
const ago = (seconds: number) => new Date(time.getTime() - seconds * 1000);

describe("what keeps a stack from working", () => {
  it("a stack whose pods are ready, ended or being deleted has no findings", () => {
    const pods = [
      pod({ phase: "Running", containerStatuses: [container({ ready: true })] }),
      { ...pod({ containerStatuses: [waiting("CrashLoopBackOff")] }), metadata: { deletionTimestamp: time } },
      pod({ phase: "Succeeded", containerStatuses: [container({ state: { terminated: { exitCode: 0 } } })] }),
    ];
    expect(findings(snapshot({ pods }))).to.deep.equal([]);
  });

  it("a pod that cannot be scheduled is reported with the setting for each of the scheduler's reasons", () => {
    const message =
      "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s). preemption: 0/3 nodes are available";
    const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message }];
    const [finding] = findings(snapshot({ pods: [pod({ phase: "Pending", conditions })] }));
    expect(finding?.problem).to.equal(
      "trivy-server-1: cannot be scheduled: 0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s)",
    );
    expect(finding?.advice).to.match(
      /^add nodes or lower server\.resources; check scheduling\.nodeSelector.*; set scheduling\.tolerations/,
    );
    expect(finding?.patience, "waiting does not help").to.be.a("number");
  });

  it("it is worth waiting for a node while an autoscaler adds one, or pods make room", () => {
    const unscheduled = pod({ phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", message: "Insufficient cpu" }] });
    const scaling = { pods: [unscheduled], events: [event("Pod", "trivy-server-1", "TriggeredScaleUp", "pod triggered scale-up")] };
    const leaving = { ...pod({ phase: "Running" }, "old"), metadata: { name: "old", deletionTimestamp: time } };
    expect(findings(snapshot(scaling))[0]?.patience).to.equal(undefined);
    expect(findings(snapshot({ pods: [unscheduled, leaving] }))[0]?.patience).to.equal(undefined);
  });

  it("pods of a workload with the same problem are one finding", () => {
    const status = { containerStatuses: [waiting("ErrImagePull", "not found")] };
    const pods = [pod(status, "a"), pod(status, "b"), pod(status, "c")];
    expect(lines({ pods })).to.deep.equal([
      "a and 2 more: the image ghcr.io/aquasecurity/trivy:0.74.0 cannot be pulled: not found; check images.trivy and images.registry, or push the image there",
    ]);
  });

  it("an image that cannot be pulled is reported with the registry's answer", () => {
    const full =
      'Back-off pulling image "x": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/redis:0": ' +
      'failed to resolve reference "docker.io/library/redis:0": docker.io/library/redis:0: not found';
    const of = (message: string) => findings(snapshot({ pods: [pod({ containerStatuses: [waiting("ImagePullBackOff", message)] })] }))[0];
    expect(of(full)?.problem).to.match(/cannot be pulled: docker\.io\/library\/redis:0: not found$/);
    expect(of(full)?.patience).to.be.a("number");
    expect(of("pull access denied, repository does not exist or may require authorization")?.advice).to.contain("images.pullSecrets");
    expect(of("dial tcp 10.0.0.1:443: i/o timeout")?.advice).to.match(/^let the nodes reach the registry/);
    expect(of("dial tcp 10.0.0.1:443: i/o timeout")?.patience, "the registry may come back").to.be.above(of(full)?.patience ?? 0);
  });

  it("without a reason in the container's status, the failed pull's event has it", () => {
    const pods = [pod({ containerStatuses: [waiting("ImagePullBackOff", 'Back-off pulling image "x"')] })];
    const events = [event("Pod", "trivy-server-1", "Failed", 'Failed to pull image "x": manifest unknown')];
    expect(lines({ pods, events })[0]).to.contain("cannot be pulled: manifest unknown;");
  });

  it("a container that ends again and again is reported with its log, and is final at its second restart", () => {
    const crashed = (restartCount: number) =>
      findings(
        snapshot({
          pods: [
            pod({
              containerStatuses: [
                container({
                  restartCount,
                  state: { waiting: { reason: "CrashLoopBackOff" } },
                  lastState: { terminated: { exitCode: 1 } },
                }),
              ],
            }),
          ],
        }),
      )[0];
    expect(crashed(1)?.problem).to.equal("trivy-server-1: container trivy ended with exit code 1, restarted 1 times");
    expect(crashed(1)?.log).to.deep.equal({ pod: "trivy-server-1", container: "trivy", previous: false });
    expect(crashed(1)?.patience).to.equal(undefined);
    expect(crashed(2)?.patience).to.be.a("number");
  });

  it("a container that exceeds its memory limit is reported with the setting of the limit", () => {
    const terminated = { exitCode: 137, reason: "OOMKilled" };
    const pods = [pod({ containerStatuses: [container({ state: { terminated } })] }, "redis-0", "cache")];
    expect(lines({ pods })).to.deep.equal(["redis-0: container trivy exceeded its memory limit; raise redis.maxMemory and redis.cpu"]);
  });

  it("an init container that cannot start is reported", () => {
    const init = { ...waiting("CreateContainerConfigError", 'secret "own" not found'), name: "copy-trivy" };
    const pods = [pod({ initContainerStatuses: [init], containerStatuses: [waiting("PodInitializing")] })];
    expect(lines({ pods })[0]).to.match(
      /container copy-trivy cannot be created: secret "own" not found; create it, or change the setting existingSecret/,
    );
  });

  it("a volume that cannot be mounted is reported", () => {
    const pods = [pod({ containerStatuses: [waiting("ContainerCreating")] })];
    const events = [event("Pod", "trivy-server-1", "FailedMount", 'MountVolume.SetUp failed for volume "acl" : secret "users" not found')];
    expect(lines({ pods, events })[0]).to.match(/cannot start: MountVolume.SetUp failed.*; create it/);
    expect(lines({ pods }), "a pod that has just been created").to.deep.equal([]);
  });

  it("a container that is not ready for long is reported with its failed probe", () => {
    const status = (seconds: number, started: boolean): V1PodStatus => ({
      phase: "Running",
      conditions: [{ type: "Ready", status: "False", lastTransitionTime: ago(seconds) }],
      containerStatuses: [container({ started, state: { running: { startedAt: ago(9999) } } })],
    });
    const events = [event("Pod", "trivy-server-1", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")];
    const of = (seconds: number, started: boolean) => lines({ pods: [pod(status(seconds, started))], events });
    expect(of(40, true)[0]).to.match(/has not been ready for 40 s: Readiness probe failed: .* 500;/);
    expect(of(10, true)).to.deep.equal([]);
    expect(of(40, false), "while it starts").to.deep.equal([]);
    expect(of(130, false)).to.have.length(1);
  });

  it("pods that a quota or a policy refuses are reported by their workload", () => {
    const condition = (message: string) => ({ type: "ReplicaFailure", status: "True", message });
    const deployment = (message: string) => ({
      metadata: { name: "trivy-server", labels: labels("server") },
      status: { conditions: [condition(message)] },
    });
    const refused = (message: string) => findings(snapshot({ deployments: [deployment(message)] }))[0];
    expect(refused('pods "x" is forbidden: failed quota: q: must specify limits.cpu for: trivy')).to.include({
      problem: "trivy-server: the cluster refuses its pods: failed quota: q: must specify limits.cpu for: trivy",
      patience: 0,
    });
    expect(refused('pods "x" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=9, limited: cpu=9')?.advice).to.equal(
      "raise the ResourceQuota q in the namespace trivy, or lower server.resources",
    );
    expect(refused("pods \"x\" is forbidden: ValidatingAdmissionPolicy 'ids' with binding 'b' denied request: no")?.advice).to.match(
      /ValidatingAdmissionPolicy ids/,
    );
    const broken = refused('Internal error occurred: failed calling webhook "w.example.com": no endpoints');
    expect(broken?.patience, "a webhook may come back").to.equal(undefined);
  });

  it("a refusal of the past does not count once the pod exists", () => {
    const statefulSets = (replicas: number) => [
      {
        metadata: { name: "redis", labels: labels("cache") },
        spec: { replicas: 1, selector: {}, template: {} },
        status: { replicas },
      },
    ];
    const failed = event("StatefulSet", "redis", "FailedCreate", "create Pod redis-0 in StatefulSet redis failed error: no", 1);
    const created = event("StatefulSet", "redis", "SuccessfulCreate", "create Pod redis-0", 2);
    expect(lines({ statefulSets: statefulSets(0), events: [failed] })).to.have.length(1);
    expect(lines({ statefulSets: statefulSets(1), events: [failed] })).to.deep.equal([]);
    expect(lines({ statefulSets: statefulSets(0), events: [failed, created] })).to.deep.equal([]);
  });

  it("refusals from before a change do not count after it", () => {
    const failed = { conditions: [{ type: "ReplicaFailure", status: "True", message: "exceeded quota: q, requested: cpu=1" }] };
    const revision = (name: string, number: number) => ({
      name,
      labels: labels("server"),
      annotations: { "deployment.kubernetes.io/revision": String(number) },
    });
    const replicaSet = (number: number, status: object) => ({
      metadata: { ...revision(`trivy-server-${number}`, number), ownerReferences: [{ kind: "Deployment", name: "trivy-server" }] },
      status,
    });
    const deployment = { metadata: revision("trivy-server", 2), status: failed } as unknown as V1Deployment;
    const of = (replicaSets: object[], deployments: V1Deployment[] = [deployment]) =>
      lines({ deployments, replicaSets: replicaSets as V1ReplicaSet[] });
    expect(of([replicaSet(1, failed), replicaSet(2, {})]), "the old ReplicaSet's").to.deep.equal([]);
    expect(of([replicaSet(1, {}), replicaSet(2, failed)]), "the new ReplicaSet's").to.have.length(1);
    const unobserved = { ...deployment, metadata: { ...deployment.metadata, generation: 3 }, status: { ...failed, observedGeneration: 2 } };
    expect(of([], [unobserved]), "before the controller has seen the change").to.deep.equal([]);

    const statefulSet = (changed: Date) => ({
      metadata: { name: "redis", labels: labels("cache"), managedFields: [{ time: changed }, { time, subresource: "status" }] },
      spec: { replicas: 1, selector: {}, template: {} },
      status: { replicas: 0 },
    });
    const events = [event("StatefulSet", "redis", "FailedCreate", "create Pod redis-0 in StatefulSet redis failed error: no", -1)];
    expect(lines({ statefulSets: [statefulSet(ago(30))], events }), "changed after the event").to.deep.equal([]);
    expect(lines({ statefulSets: [statefulSet(ago(90))], events }), "changed before the event").to.have.length(1);
  });

  it("a claim without a volume is reported, and not a second time by the pod that waits for it", () => {
    const claim = {
      metadata: { name: "redis", labels: labels("cache") },
      spec: { storageClassName: "nowhere" },
      status: { phase: "Pending" },
    };
    const events = [event("PersistentVolumeClaim", "redis", "ProvisioningFailed", 'storageclass.storage.k8s.io "nowhere" not found')];
    const message = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims";
    const pods = [pod({ conditions: [{ type: "PodScheduled", status: "False", message }] }, "redis-0", "cache")];
    expect(lines({ claims: [claim], events, pods })).to.deep.equal([
      'Volume claim redis: no volume is bound to it: storageclass.storage.k8s.io "nowhere" not found; ' +
        "change redis.persistence.storageClass to a class that exists (`kubectl get storageclass`), or create nowhere",
    ]);
    const first = event("PersistentVolumeClaim", "redis", "WaitForFirstConsumer", "waiting for first consumer");
    expect(lines({ claims: [claim], events: [first] }), "until a pod uses it").to.deep.equal([]);
  });

  it("pods of an earlier revision are not reported: they are about to be replaced", () => {
    const owned = (kind: string, name: string) => [{ apiVersion: "apps/v1", kind, name, uid: "1", controller: true }];
    const crashing = (ownerReferences: object[], more: object = {}) => ({
      ...pod({ containerStatuses: [container({ state: { terminated: { exitCode: 1 } } })] }),
      metadata: { name: "p", labels: { ...labels("server"), ...more }, ownerReferences: ownerReferences as never },
    });
    const revision = (value: string) => ({ "deployment.kubernetes.io/revision": value });
    const deployments = [{ metadata: { name: "d", annotations: revision("2") } }];
    const replicaSets = ["1", "2"].map((number) => ({
      metadata: { name: `d-${number}`, annotations: revision(number), ownerReferences: owned("Deployment", "d") },
    }));
    expect(lines({ deployments, replicaSets, pods: [crashing(owned("ReplicaSet", "d-1"))] })).to.deep.equal([]);
    expect(lines({ deployments, replicaSets, pods: [crashing(owned("ReplicaSet", "d-2"))] })).to.have.length(1);
    const statefulSets = [{ metadata: { name: "s" }, status: { replicas: 1, updateRevision: "new" } }];
    const stateful = (hash: string) => crashing(owned("StatefulSet", "s"), { "controller-revision-hash": hash });
    expect(lines({ statefulSets, pods: [stateful("old")] })).to.deep.equal([]);
    expect(lines({ statefulSets, pods: [stateful("new")] })).to.have.length(1);
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
