import { execFileSync } from "node:child_process";
import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { createInterface } from "node:readline";

/** A Kubernetes object that the engine is creating, updating or deleting. */
export interface Operation {
  /** Type token such as `kubernetes:apps/v1:Deployment`. */
  readonly type: string;
  /** The label `app.kubernetes.io/component` of the object. */
  readonly component: string | undefined;
  readonly deletes: boolean;
}

interface StepMetadata {
  readonly op: string;
  readonly urn: string;
  readonly type: string;
  readonly new?: { readonly inputs?: { readonly metadata?: { readonly labels?: Readonly<Record<string, unknown>> } } };
}

interface EngineEvent {
  readonly resourcePreEvent?: { readonly metadata: StepMetadata; readonly planning?: boolean };
  readonly resOutputsEvent?: { readonly metadata: StepMetadata; readonly planning?: boolean };
  readonly resOpFailedEvent?: { readonly metadata: StepMetadata };
}

const relevant = /^\{[^{]*"(resourcePreEvent|resOutputsEvent|resOpFailedEvent)"/;

/** What the engine is doing, according to its event log. */
export class Progress {
  private readonly begun = new Map<string, Operation>();
  private failed = false;

  /** The operations that the engine has begun and not ended, without those of a preview. */
  get pending(): readonly Operation[] {
    return [...this.begun.values()];
  }

  /** Whether an operation has failed. The engine begins no further ones then, and ends when those in progress have ended. */
  get hasFailed(): boolean {
    return this.failed;
  }

  /** Takes a line of the event log into account. */
  note(line: string): void {
    if (!relevant.test(line)) return;
    const { resourcePreEvent: begun, resOutputsEvent: ended, resOpFailedEvent: failed }: EngineEvent = JSON.parse(line);
    if (begun && !begun.planning && isChange(begun.metadata)) this.begun.set(stepId(begun.metadata), operation(begun.metadata));
    if (ended && !ended.planning) this.begun.delete(stepId(ended.metadata));
    if (failed) this.begun.delete(stepId(failed.metadata));
    this.failed ||= failed !== undefined;
  }
}

/**
 * Follows an event log (`--event-log`) at a path where nothing is yet. It is a named pipe, because the engine writes secrets to its event log.
 *
 * @returns a function that ends it; undefined where there are no named pipes
 */
export function followEvents(path: string, progress: Progress): (() => void) | undefined {
  try {
    execFileSync("mkfifo", ["-m", "600", path], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  // Also opened for writing: the engine closes its end after its preview, and opens it again.
  const pipe = new Socket({ fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), readable: true, writable: false });
  createInterface({ input: pipe }).on("line", (line) => progress.note(line));
  return () => pipe.destroy();
}

const isChange = ({ op, type }: StepMetadata) => type.startsWith("kubernetes:") && op !== "same" && op !== "read";

const stepId = ({ op, urn }: StepMetadata) => `${op} ${urn}`;

function operation({ op, type, new: added }: StepMetadata): Operation {
  const component = added?.inputs?.metadata?.labels?.["app.kubernetes.io/component"];
  return { type, component: typeof component === "string" ? component : undefined, deletes: op.startsWith("delete") };
}
