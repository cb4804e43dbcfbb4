import { type MonitorOptions, type RecordedResource, RecordingMonitor } from "./monitor.ts";
import { callsFinished, catchRejections, connect, withoutStackTraces } from "./sdk.ts";

export { contentHash, type DeclaredObject, type KubernetesObject, kubernetesObject } from "./kubernetes.ts";
export type { Answer, RecordedResource } from "./monitor.ts";
export { isSecret, markSecret, plain, settled, unknownValue } from "./sdk.ts";

export interface RecordOptions extends Partial<MonitorOptions> {
  /** @default trivy-server */
  readonly project?: string;
  /** @default dev */
  readonly stack?: string;
  /** @default false */
  readonly preview?: boolean;
  /**
   * The stack's configuration. Keys without a prefix are the project's. Values that are not strings are encoded as JSON, as Pulumi does.
   */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The keys of `config` that hold secrets. */
  readonly secretKeys?: readonly string[];
}

export interface Recording<T> {
  /** In the order of registration. */
  readonly resources: readonly RecordedResource[];
  /** What the program returned. */
  readonly result: T;
}

/** Milliseconds that the program may wait for a value while it registers nothing. */
const patience = 500;
let recording = false;

/**
 * Runs a Pulumi program in this process on Pulumi's own SDK and returns what it registered. There is no engine and there are no providers:
 * every registration succeeds with its inputs as outputs, completed by Kubernetes' generated names and by random passwords, keys and
 * certificates.
 *
 * @throws the program's error; Error if two resources have one URN or declare one Kubernetes object, both of which the mocks of Pulumi's
 * SDK accept; Error if a value of the program never resolves.
 */
export async function record<T>(program: () => T | Promise<T>, options: RecordOptions = {}): Promise<Recording<T>> {
  // The SDK keeps its connection in global state.
  if (recording) throw new Error("one recording at a time: the previous one has not ended (was it awaited?)");
  recording = true;
  const { project = "trivy-server", stack = "dev", preview = false, config = {}, secretKeys = [], answer } = options;
  const qualified = (key: string) => (key.includes(":") ? key : `${project}:${key}`);
  const encoded = Object.entries(config).map(([key, value]) => [qualified(key), typeof value === "string" ? value : JSON.stringify(value)]);
  const rejections: unknown[] = [];
  const restore = [catchRejections((reason) => rejections.push(reason))];
  try {
    const monitor = new RecordingMonitor({ project, stack, preview, answer });
    await connect(monitor, { project, stack, preview, config: Object.fromEntries(encoded), secretKeys: secretKeys.map(qualified) });
    restore.push(withoutStackTraces());
    const outcome = await attempt(program);
    const drained = await attempt(() => drain(monitor));
    const failure = [outcome, { failed: rejections.length > 0, reason: rejections[0] }, drained].find(({ failed }) => failed);
    if (failure) throw failure.reason;
    if (monitor.problems.length > 0) throw new Error(monitor.problems.join("\n"));
    return { resources: monitor.resources, result: (outcome as { value: T }).value };
  } finally {
    for (const undo of restore) undo();
    recording = false;
  }
}

type Attempt<T> = { failed: false; value: T; reason?: undefined } | { failed: true; reason: unknown };

async function attempt<T>(work: () => T | Promise<T>): Promise<Attempt<T>> {
  try {
    return { failed: false, value: await work() };
  } catch (reason) {
    return { failed: true, reason };
  }
}

/** Waits until no call is under way. What an `apply` starts comes after the registrations that were known before. */
async function drain(monitor: RecordingMonitor): Promise<void> {
  let stalled: NodeJS.Timeout | undefined;
  const stall = new Promise<never>((_, reject) => {
    let seen = monitor.activity;
    stalled = setInterval(() => {
      if (monitor.activity === seen && monitor.answering === 0)
        reject(new Error(`the program waits for a value that never resolves; its last registration was ${monitor.resources.at(-1)?.urn}`));
      seen = monitor.activity;
    }, patience);
  });
  const settle = async () => {
    let seen: number;
    do {
      seen = monitor.activity;
      await callsFinished();
      await new Promise(setImmediate);
    } while (monitor.activity !== seen);
  };
  try {
    await Promise.race([settle(), stall]);
  } finally {
    clearInterval(stalled);
  }
}
