import type {
  CoreV1Event,
  V1ContainerStatus,
  V1Deployment,
  V1ObjectMeta,
  V1PersistentVolumeClaim,
  V1Pod,
  V1ReplicaSet,
  V1StatefulSet,
} from "@kubernetes/client-node";
import { type Advice, adviceOn, claimTrouble, imageTrouble, refusal, schedulingTrouble } from "./advice.ts";
import type { Snapshot } from "./snapshot.ts";

/** A container whose log shows why something fails. */
export interface LogSource {
  readonly pod: string;
  readonly container: string;
  /** Whether the log is that of the container before its last restart. */
  readonly previous: boolean;
}

/** Something that keeps a stack from working. */
export interface Finding {
  /** By which it is recognised in another snapshot. */
  readonly key: string;
  /** The label `app.kubernetes.io/component` of what it is about. */
  readonly component: string;
  /** Whether it is about a Job or its pods, on which nothing of the service depends. */
  readonly ofJob: boolean;
  /** Name of the object, and what is wrong with it. */
  readonly problem: string;
  /** What to do about it, in the imperative. */
  readonly advice: string;
  /** Seconds after which waiting does not help; undefined if it may pass. */
  readonly patience: number | undefined;
  /** Where the reason is. */
  readonly log?: LogSource;
}

/** What is wrong with one object. */
interface Trouble extends Advice {
  /** The kind of problem: pods of one workload with the same one are reported together. */
  readonly kind: string;
  readonly text: string;
  readonly log?: LogSource;
}

/** Returns what keeps a stack from working, each problem once. */
export function findings(snapshot: Snapshot): Finding[] {
  const found = [...workloadFindings(snapshot), ...claimFindings(snapshot)];
  const waitsForClaim = (text: string) => /PersistentVolumeClaim/.test(text) && found.some(({ key }) => key.startsWith("claim "));
  const pods = podFindings(snapshot).filter(({ problem }) => !waitsForClaim(problem));
  return [...found, ...pods];
}

const componentOf = (metadata: V1ObjectMeta | undefined) => metadata?.labels?.["app.kubernetes.io/component"] ?? "";

/** Returns the events about an object, newest first. */
function eventsOf({ events }: Snapshot, kind: string, metadata: V1ObjectMeta | undefined): CoreV1Event[] {
  return events
    .filter(({ involvedObject: object }) => object.kind === kind && object.name === metadata?.name)
    .filter(({ involvedObject: { uid } }) => uid === undefined || uid === metadata?.uid)
    .sort((a, b) => eventTime(b) - eventTime(a));
}

const eventTime = ({ lastTimestamp, eventTime, metadata }: CoreV1Event) =>
  new Date(lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? 0).getTime();

/** Returns the workloads whose pods the cluster refuses to create. */
function workloadFindings(snapshot: Snapshot): Finding[] {
  const refused = (kind: string, metadata: V1ObjectMeta | undefined, message: string | undefined): Finding[] => {
    if (message === undefined) return [];
    const component = componentOf(metadata);
    const { text, ...advice } = refusal(message, component, snapshot.namespace);
    const problem = `${metadata?.name}: the cluster refuses its pods: ${text}`;
    return [{ key: `refused ${kind} ${metadata?.name}`, component, ofJob: kind === "Job", problem, ...advice }];
  };
  // Events of the past stay for an hour. They count only while a pod is missing, no later one says that it was created, and the workload has
  // not been changed since.
  const failedCreation = (kind: string, metadata: V1ObjectMeta | undefined) => {
    const [last] = eventsOf(snapshot, kind, metadata).filter(({ reason }) => reason === "FailedCreate" || reason === "SuccessfulCreate");
    return last?.reason === "FailedCreate" && eventTime(last) >= lastChange(metadata) ? last.message : undefined;
  };
  return [
    ...snapshot.deployments.filter(isObserved).flatMap((deployment) => {
      // A Deployment also has the failures of earlier revisions, whose pods are no longer wanted.
      const { status } = currentReplicaSet(snapshot, deployment) ?? deployment;
      const failure = status?.conditions?.find(({ type, status }) => type === "ReplicaFailure" && status === "True");
      return refused("Deployment", deployment.metadata, failure?.message);
    }),
    ...snapshot.statefulSets
      .filter(isObserved)
      .flatMap(({ metadata, spec, status }) =>
        (status?.replicas ?? 0) < (spec?.replicas ?? 1) ? refused("StatefulSet", metadata, failedCreation("StatefulSet", metadata)) : [],
      ),
    ...snapshot.jobs.flatMap(({ metadata, status }) => {
      const ended = status?.conditions?.some(({ type, status }) => /^(Complete|Failed)$/.test(type) && status === "True");
      return ended || status?.active ? [] : refused("Job", metadata, failedCreation("Job", metadata));
    }),
  ];
}

/** Whether the status of a workload is that of its present specification. */
const isObserved = ({ metadata, status }: V1Deployment | V1StatefulSet) => (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);

/** Returns when the specification of an object was last written, in milliseconds; 0 if the object does not say. */
const lastChange = (metadata: V1ObjectMeta | undefined) =>
  Math.max(0, ...(metadata?.managedFields ?? []).filter(({ subresource }) => !subresource).map(({ time }) => since(time)));

/** Returns the volume claims that no volume is bound to, although something waits for it. */
function claimFindings(snapshot: Snapshot): Finding[] {
  return snapshot.claims.flatMap((claim) => {
    const { metadata } = claim;
    const trouble = unboundClaim(snapshot, claim);
    if (!trouble) return [];
    const { text, ...advice } = trouble;
    const problem = `Volume claim ${metadata?.name}: ${text}`;
    return [{ key: `claim ${metadata?.name}`, component: componentOf(metadata), ofJob: false, problem, ...advice }];
  });
}

function unboundClaim(snapshot: Snapshot, { metadata, status, spec }: V1PersistentVolumeClaim) {
  if (status?.phase === "Lost") return { text: "its volume is lost", ...adviceOn.lostVolume(metadata?.name ?? "", snapshot.namespace) };
  if (status?.phase !== "Pending") return undefined;
  const [last] = eventsOf(snapshot, "PersistentVolumeClaim", metadata);
  if (last?.reason !== "FailedBinding" && last?.reason !== "ProvisioningFailed") return undefined;
  return claimTrouble(last.message ?? last.reason, componentOf(metadata), spec?.storageClassName);
}

/** Returns what is wrong with pods, one finding for those of a workload with the same problem. */
function podFindings(snapshot: Snapshot): Finding[] {
  const found = new Map<string, { finding: Finding; names: string[]; text: string }>();
  for (const pod of snapshot.pods.filter((pod) => isCurrent(snapshot, pod))) {
    const trouble = podTrouble(snapshot, pod);
    if (!trouble) continue;
    const { kind, text, ...rest } = trouble;
    const { metadata } = pod;
    const component = componentOf(metadata);
    const key = `${kind} ${component}`;
    const known = found.get(key);
    if (known) {
      known.names.push(metadata?.name ?? "");
      continue;
    }
    const finding = { key, component, ofJob: ownerOf(pod)?.kind === "Job", problem: "", ...rest };
    found.set(key, { finding, names: [metadata?.name ?? ""], text });
  }
  return [...found.values()].map(({ finding, names: [first, ...more], text }) => ({
    ...finding,
    problem: `${first}${more.length > 0 ? ` and ${more.length} more` : ""}: ${text}`,
  }));
}

const ownerOf = ({ metadata }: V1Pod) => metadata?.ownerReferences?.find(({ controller }) => controller);

/** Returns whether a pod is of its workload's newest revision. Others are about to be replaced. */
export function isCurrent({ deployments, replicaSets, statefulSets }: Snapshot, pod: V1Pod): boolean {
  const owner = ownerOf(pod);
  if (owner?.kind === "StatefulSet") {
    const update = statefulSets.find(({ metadata }) => metadata?.name === owner.name)?.status?.updateRevision;
    return update === undefined || pod.metadata?.labels?.["controller-revision-hash"] === update;
  }
  if (owner?.kind !== "ReplicaSet") return true;
  const replicaSet = replicaSets.find(({ metadata }) => metadata?.name === owner.name);
  const deployment = deployments.find(({ metadata }) => metadata?.name === replicaSet?.metadata?.ownerReferences?.[0]?.name);
  return !replicaSet || !deployment || revisionOf(replicaSet) === revisionOf(deployment);
}

const revisionOf = ({ metadata }: V1Deployment | V1ReplicaSet) => metadata?.annotations?.["deployment.kubernetes.io/revision"];

/** Returns the ReplicaSet with the pods of a Deployment's newest revision, if it can be read. */
const currentReplicaSet = ({ replicaSets }: Snapshot, deployment: V1Deployment) =>
  replicaSets.find(
    (replicaSet) =>
      replicaSet.metadata?.ownerReferences?.some(({ kind, name }) => kind === "Deployment" && name === deployment.metadata?.name) &&
      revisionOf(replicaSet) === revisionOf(deployment),
  );

function podTrouble(snapshot: Snapshot, pod: V1Pod): Trouble | undefined {
  const { metadata, spec, status } = pod;
  if (metadata?.deletionTimestamp || status?.phase === "Succeeded") return undefined;
  const component = componentOf(metadata);
  // Its workload has replaced it; a pod of a Job ends with the verdict of its run.
  if (status?.phase === "Failed") return undefined;
  const unscheduled = status?.conditions?.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (unscheduled?.reason === "SchedulingGated") return undefined;
  if (unscheduled) {
    const scalesUp = eventsOf(snapshot, "Pod", metadata).some(({ reason }) => /^(TriggeredScaleUp|Nominated)$/.test(reason ?? ""));
    const makesRoom = snapshot.pods.some(({ metadata }) => metadata?.deletionTimestamp);
    return schedulingTrouble(unscheduled.message ?? unscheduled.reason ?? "", component, scalesUp || makesRoom);
  }
  const containers = [
    ...(status?.initContainerStatuses ?? []).filter(({ state, ready }) => !ready && state?.terminated?.exitCode !== 0),
    ...(status?.containerStatuses ?? []).filter(({ ready }) => !ready),
  ];
  for (const container of containers) {
    const image = spec?.containers.concat(spec.initContainers ?? []).find(({ name }) => name === container.name)?.image ?? "";
    const trouble = containerTrouble(snapshot, pod, container, image);
    if (trouble) return trouble;
  }
  return undefined;
}

/** Seconds for which a container may start without being ready: a server first downloads its database. */
const startSeconds = 120;

/** Seconds for which a started container may be unready. */
const blinkSeconds = 30;

function containerTrouble(snapshot: Snapshot, pod: V1Pod, container: V1ContainerStatus, image: string): Trouble | undefined {
  const { metadata } = pod;
  const component = componentOf(metadata);
  const { name, restartCount, state, lastState } = container;
  const { waiting, running, terminated = lastState?.terminated } = state ?? {};
  const log = (previous: boolean): LogSource => ({ pod: metadata?.name ?? "", container: name, previous });
  if (waiting && /Image|ErrPull|Registry/.test(waiting.reason ?? "")) {
    const pulls = eventsOf(snapshot, "Pod", metadata).find(({ message }) => /^Failed to pull image/.test(message ?? ""));
    const detailed = [waiting.message, pulls?.message].find((message) => message && !/^Back-off pulling image \S+$/.test(message));
    return { kind: `image ${image}`, ...imageTrouble(image, detailed ?? waiting.reason ?? "", component) };
  }
  if (waiting && /^(CreateContainer|RunContainer|CreateContainerConfig)Error$/.test(waiting.reason ?? ""))
    return {
      kind: "container",
      text: `container ${name} cannot be created: ${waiting.message ?? waiting.reason}`,
      ...adviceOn.container(waiting.message ?? ""),
    };
  if (
    terminated &&
    (terminated.exitCode !== 0 || restartCount > 0) &&
    (!running || snapshot.time.getTime() - since(running.startedAt) < 600_000)
  ) {
    const memory = terminated.reason === "OOMKilled";
    const times = restartCount > 0 ? `, restarted ${restartCount} times` : "";
    const how = memory ? "exceeded its memory limit" : `ended with exit code ${terminated.exitCode}`;
    return {
      kind: "crash",
      text: `container ${name} ${how}${times}`,
      ...adviceOn.crash(component, memory, restartCount),
      // The log of a container that has not been started again is its current one.
      log: log(running !== undefined && restartCount > 0),
    };
  }
  const reason = eventsOf(snapshot, "Pod", metadata).find(({ type }) => type === "Warning");
  if (waiting) {
    // ContainerCreating or PodInitializing: the events have the reason if it takes long.
    if (!/^Failed(Mount|AttachVolume|CreatePodSandBox|Scheduling)$/.test(reason?.reason ?? "") || reason?.reason === "FailedScheduling")
      return undefined;
    return { kind: "start", text: `cannot start: ${reason?.message}`, ...adviceOn.mount(reason?.message ?? "") };
  }
  const { lastTransitionTime } = pod.status?.conditions?.find(({ type }) => type === "Ready") ?? {};
  const seconds = Math.round((snapshot.time.getTime() - Math.max(since(running?.startedAt), since(lastTransitionTime))) / 1000);
  if (!running || seconds < (container.started ? blinkSeconds : startSeconds)) return undefined;
  const probe = reason?.reason === "Unhealthy" ? `: ${reason.message?.trim()}` : "";
  return { kind: "unready", text: `has not been ready for ${seconds} s${probe}`, ...adviceOn.unready(component), log: log(false) };
}

const since = (time: Date | undefined) => new Date(time ?? 0).getTime();
