import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import * as pulumi from "@pulumi/pulumi";
import type {
  RegisterResourceOutputsRequest,
  RegisterResourceRequest,
  RegisterResourceResponse,
} from "@pulumi/pulumi/proto/resource_pb.js";
import { generatorOf } from "./generated-values.ts";

const { isRpcSecret, specialSecretSig, specialSigKey, unknownValue, unwrapRpcSecret } = pulumi.runtime;

/** A registration, as the program sent it to the engine, and what the engine would have known of it afterwards. */
export interface RecordedResource {
  readonly urn: string;
  readonly type: string;
  /** The logical name. */
  readonly name: string;
  /** True for resources of a provider, false for components. */
  readonly custom: boolean;
  /** The parent's URN; absent for children of the stack. */
  readonly parent: string | undefined;
  /** The explicit provider, as `urn::id`. */
  readonly provider: string | undefined;
  /** As they go over the wire: secrets wrapped, unknown values as Pulumi's placeholder. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** URNs of all that it waits for: `dependsOn` and the resources whose outputs stand in its inputs. */
  readonly dependsOn: readonly string[];
  /** The same by input. */
  readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
  readonly protect: boolean | undefined;
  readonly retainOnDelete: boolean | undefined;
  readonly deleteBeforeReplace: boolean | undefined;
  readonly deletedWith: string | undefined;
  readonly importId: string | undefined;
  readonly ignoreChanges: readonly string[];
  readonly replaceOnChanges: readonly string[];
  readonly additionalSecretOutputs: readonly string[];
  readonly customTimeouts: Readonly<Partial<Record<"create" | "update" | "delete", string>>>;
  /** The id that the provider answered; empty for components, and in a preview. */
  readonly id: string;
  /** The outputs that the provider answered: the inputs, completed. Secrets wrapped. */
  readonly state: Readonly<Record<string, unknown>>;
  /** What a component handed to `registerOutputs`, secrets wrapped; absent for other resources. */
  readonly outputs: Readonly<Record<string, unknown>> | undefined;
}

/** What a provider answers. Both are laid over what the recorder answers by itself. */
export interface Answer {
  readonly id?: string;
  readonly state?: Readonly<Record<string, unknown>>;
}

export interface RecordOptions {
  /** @default trivy-server */
  readonly project?: string;
  /** @default dev */
  readonly stack?: string;
  /** The stack's configuration. Keys without a prefix are the project's; whatever is no string is encoded as JSON, as Pulumi does. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The keys of `config` that hold secrets. */
  readonly secretKeys?: readonly string[];
  /** Ids and generated values are unknown, as in `pulumi preview`. */
  readonly preview?: boolean;
  /** Plays the providers, where the recorder's own answer will not do. */
  readonly answer?: (resource: RecordedResource) => Answer | undefined | Promise<Answer | undefined>;
}

export interface Recording<T> {
  /** In the order of registration. */
  readonly resources: readonly RecordedResource[];
  readonly result: T;
}

/** How long the program may wait for a value while nothing at all is registered. */
const patience = 500;
const defaults = { project: "trivy-server", stack: "dev" };
let recording = false;

/**
 * Runs a Pulumi program in this process, on Pulumi's own SDK, and returns what it registered. There is neither engine nor provider: every
 * registration succeeds, with the inputs as outputs, with Kubernetes' generated names, random passwords, keys and certificates where they belong.
 *
 * Throws the program's error; two resources with one URN are an error too, and so are two declarations of one Kubernetes object: the mocks of
 * Pulumi's SDK accept both.
 */
export async function record<T>(program: () => T | Promise<T>, options: RecordOptions = {}): Promise<Recording<T>> {
  // The SDK keeps its connection in global state.
  if (recording) throw new Error("one recording at a time: the one before has not ended (was it awaited?)");
  recording = true;
  const rejections: unknown[] = [];
  const restore = [divertRejections((reason) => rejections.push(reason)), spareStackTraces()];
  try {
    const monitor = new Recorder(options);
    await connect(monitor, options);
    const outcome = await attempt(program);
    const drained = await attempt(() => drain(monitor));
    const failure = [outcome, { failed: rejections.length > 0, reason: rejections[0] }, drained].find(({ failed }) => failed);
    if (failure) throw failure.reason;
    if (monitor.problems.length > 0) throw new Error(monitor.problems.join("\n"));
    return { resources: monitor.resources, result: (outcome as { value: T }).value };
  } finally {
    for (const back of restore) back();
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

/** A failed registration surfaces as unhandled rejections of the SDK's own promises, which no caller can reach. */
function divertRejections(to: (reason: unknown) => void): () => void {
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection").on("unhandledRejection", to);
  return () => {
    process.off("unhandledRejection", to);
    for (const listener of others) process.on("unhandledRejection", listener);
  };
}

const debugging = createRequire(import.meta.url)("@pulumi/pulumi/runtime/debuggable.js") as {
  debuggablePromise: <T>(promise: Promise<T>) => Promise<T>;
};

const { stackTrace } = pulumi.Resource as unknown as { stackTrace(skip: number): unknown[] };

/**
 * The SDK takes a stack trace of each of its many promises, for its report of promises that nobody awaited, which `drain` makes good for, and of
 * each resource, for the engine. They are two thirds of the time of a recording; the traces of the program's own errors stay.
 */
function spareStackTraces(): () => void {
  const { debuggablePromise } = debugging;
  const { stackTraceLimit } = Error;
  debugging.debuggablePromise = (promise) => promise;
  Object.assign(pulumi.Resource, { stackTrace: () => [] });
  Error.stackTraceLimit = Math.min(stackTraceLimit, 10);
  return () => {
    debugging.debuggablePromise = debuggablePromise;
    Object.assign(pulumi.Resource, { stackTrace });
    Error.stackTraceLimit = stackTraceLimit;
  };
}

async function connect(recorder: Recorder, options: RecordOptions): Promise<void> {
  const { project = defaults.project, stack = defaults.stack, preview = false, config = {}, secretKeys = [] } = options;
  const refuse = (what: string): never => {
    throw new Error(`${what} asks the provider or the cluster, and a recording has neither`);
  };
  const mocks: pulumi.runtime.Mocks = { call: ({ token }) => refuse(token), newResource: ({ type, name }) => refuse(`${type} ${name}`) };
  await pulumi.runtime.setMocks(mocks, project, stack, preview);
  const monitor = pulumi.runtime.getMonitor();
  if (!monitor) throw new Error("the Pulumi SDK offers no mock monitor");
  Object.assign(monitor, {
    registerResource: recorder.registerResource,
    registerResourceOutputs: recorder.registerResourceOutputs,
  });
  const qualified = (key: string) => (key.includes(":") ? key : `${project}:${key}`);
  pulumi.runtime.setAllConfig(
    Object.fromEntries(
      Object.entries(config).map(([key, value]) => [qualified(key), typeof value === "string" ? value : JSON.stringify(value)]),
    ),
    secretKeys.map(qualified),
  );
}

/** Waits until nothing is under way. What an `apply` starts comes after the registrations that were known before. */
async function drain(recorder: Recorder): Promise<void> {
  let stalled: NodeJS.Timeout | undefined;
  const stall = new Promise<never>((_, reject) => {
    let seen = recorder.activity;
    stalled = setInterval(() => {
      if (recorder.activity === seen && recorder.answering === 0)
        reject(new Error(`the program waits for a value that never comes; the last it registered was ${recorder.resources.at(-1)?.urn}`));
      seen = recorder.activity;
    }, patience);
  });
  const settle = async () => {
    let seen: number;
    do {
      seen = recorder.activity;
      await pulumi.runtime.disconnect();
      await new Promise(setImmediate);
    } while (recorder.activity !== seen);
  };
  try {
    await Promise.race([settle(), stall]);
  } finally {
    clearInterval(stalled);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Stands where the engine's resource monitor stands. */
class Recorder {
  readonly resources: Mutable<RecordedResource>[] = [];
  readonly problems: string[] = [];
  activity = 0;
  /** Registrations whose answer is being made. */
  answering = 0;
  private readonly byUrn = new Map<string, Mutable<RecordedResource>>();
  private readonly byObject = new Map<string, string>();
  private readonly options: RecordOptions;

  constructor(options: RecordOptions) {
    this.options = options;
  }

  readonly registerResource = async (
    request: RegisterResourceRequest,
    callback: (error: Error | null, response?: Partial<RegisterResourceResponse>) => void,
  ): Promise<void> => {
    this.activity++;
    const resource = this.received(request);
    const known = this.byUrn.has(resource.urn);
    if (known) this.problems.push(`two resources have the URN ${resource.urn}`);
    this.byUrn.set(resource.urn, resource);
    this.resources.push(resource);
    this.answering++;
    try {
      await this.complete(resource);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
      return;
    } finally {
      this.answering--;
      this.activity++;
    }
    if (!known) this.checkObject(resource);
    const { urn, id, state } = resource;
    callback(null, {
      getUrn: () => urn,
      getId: () => id,
      // Only this of a Struct is asked for; to build one would take longer than all the rest.
      getObject: () => ({ toJavaScript: () => state }) as unknown as ReturnType<RegisterResourceResponse["getObject"]>,
      getPropertydependenciesMap: () => new Map() as unknown as ReturnType<RegisterResourceResponse["getPropertydependenciesMap"]>,
      getResult: () => 0,
      getUnknown: () => false,
    });
  };

  readonly registerResourceOutputs = (request: RegisterResourceOutputsRequest, callback: (error: null, response: object) => void): void => {
    this.activity++;
    const resource = this.byUrn.get(request.getUrn());
    if (resource) resource.outputs = request.getOutputs()?.toJavaScript() ?? {};
    callback(null, {});
  };

  private received(request: RegisterResourceRequest): Mutable<RecordedResource> {
    const type = request.getType();
    const name = request.getName();
    const parent = request.getParent() || undefined;
    const timeouts = request.getCustomtimeouts()?.toObject();
    return {
      urn: this.urn(parent, type, name),
      type,
      name,
      custom: request.getCustom(),
      parent,
      provider: request.getProvider() || undefined,
      inputs: request.getObject()?.toJavaScript() ?? {},
      dependsOn: request.getDependenciesList(),
      propertyDependencies: Object.fromEntries(
        request
          .getPropertydependenciesMap()
          .toArray()
          .map(([key]) => [key, request.getPropertydependenciesMap().get(key)?.getUrnsList() ?? []]),
      ),
      protect: request.hasProtect() ? request.getProtect() : undefined,
      retainOnDelete: request.hasRetainondelete() ? request.getRetainondelete() : undefined,
      deleteBeforeReplace: request.getDeletebeforereplacedefined() ? request.getDeletebeforereplace() : undefined,
      deletedWith: request.getDeletedwith() || undefined,
      importId: request.getImportid() || undefined,
      ignoreChanges: request.getIgnorechangesList(),
      replaceOnChanges: request.getReplaceonchangesList(),
      additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
      customTimeouts: Object.fromEntries(Object.entries(timeouts ?? {}).filter(([, value]) => value)),
      id: "",
      state: {},
      outputs: undefined,
    };
  }

  /** As the engine builds it: the parents' types, the stack's left out, then the type and the name. */
  private urn(parent: string | undefined, type: string, name: string): string {
    const { project = defaults.project, stack = defaults.stack } = this.options;
    const parentType = parent?.split("::")[2];
    return [`urn:pulumi:${stack}`, project, parentType ? `${parentType}$${type}` : type, name].join("::");
  }

  private async complete(resource: Mutable<RecordedResource>): Promise<void> {
    resource.state = resource.inputs;
    if (!resource.custom) return;
    const { preview = false, answer } = this.options;
    const own = isKubernetes(resource) ? kubernetesAnswer(resource) : { id: resource.name, state: resource.inputs };
    Object.assign(resource, own);
    const given = await answer?.(resource);
    resource.id = preview ? "" : (given?.id ?? own.id);
    const state: Record<string, unknown> = { ...own.state, ...given?.state };
    const generator = generatorOf(resource.type);
    if (generator)
      state[generator.output] ??= preview ? unknownValue : await generator.generate(plain(resource.inputs) as RecordedResource["inputs"]);
    for (const key of resource.additionalSecretOutputs) {
      if (key in state && !isSecret(state[key])) state[key] = { [specialSigKey]: specialSecretSig, value: state[key] };
    }
    resource.state = state;
  }

  private checkObject(resource: RecordedResource): void {
    const object = kubernetesObject(resource);
    // A …Patch changes an object that is declared elsewhere.
    if (!object || resource.type.endsWith("Patch")) return;
    const { group, kind, namespace, name } = object;
    const key = [group, kind, namespace, name].join("/");
    const other = this.byObject.get(key);
    if (other !== undefined)
      this.problems.push(`${kind} ${namespace ? `${namespace}/` : ""}${name} is declared twice: ${other}, ${resource.urn}`);
    this.byObject.set(key, resource.urn);
  }
}

const isKubernetes = ({ type }: RecordedResource) => type.startsWith("kubernetes:");

export interface KubernetesObject {
  /** The API group; empty for the core. */
  readonly group: string;
  readonly kind: string;
  readonly namespace: string | undefined;
  /** The physical name, generated or not. */
  readonly name: string;
}

/** Which object of the cluster a resource stands for; undefined for a component and for other providers' resources. */
export function kubernetesObject({ type, state }: Pick<RecordedResource, "type" | "state">): KubernetesObject | undefined {
  const { apiVersion, kind, metadata } = plain(state) as { apiVersion?: string; kind?: string; metadata?: Metadata };
  if (!type.startsWith("kubernetes:") || apiVersion === undefined || kind === undefined) return undefined;
  const group = apiVersion.includes("/") ? apiVersion.replace(/\/.*/, "") : "";
  return { group, kind, namespace: metadata?.namespace, name: metadata?.name ?? "" };
}

interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
}

/**
 * The provider generates a name where there is none. It takes random digits; these here follow from the content, so that whoever uses the name can
 * be seen to change with it.
 */
function kubernetesAnswer({ name: logicalName, inputs }: RecordedResource): Required<Answer> {
  const metadata = (plain(inputs["metadata"]) ?? {}) as Metadata;
  const name = metadata.name ?? `${logicalName}-${contentHash(inputs)}`;
  return {
    id: metadata.namespace ? `${metadata.namespace}/${name}` : name,
    state: { ...inputs, metadata: { ...(inputs["metadata"] as object), name } },
  };
}

/** Eight digits that change when the value does. */
export function contentHash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 8);
}

/** Whether a recorded value is marked as a secret as a whole. */
export function isSecret(value: unknown): boolean {
  return typeof value === "object" && value !== null && isRpcSecret(value);
}

/** A recorded value without its marks, to any depth. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if (isSecret(value)) return plain(unwrapRpcSecret(value));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** Any value of a program, outputs and promises in it awaited, secrets wrapped as in a recording. For use after `record`, before the next one. */
export async function settled(value: unknown): Promise<unknown> {
  return pulumi.runtime.serializeProperty("value", value);
}

export interface PlainSecret {
  readonly urn: string;
  /** Where in the resource, such as `inputs.data.password`. */
  readonly path: string;
}

/**
 * Every place where one of the given strings can be read: in any part of a resource, as a part of a longer text, as a key, or in base64. That a
 * Secret's data are marked proves nothing: the SDK marks them whatever they were.
 */
export function plainSecrets(resources: readonly RecordedResource[], secrets: readonly string[]): PlainSecret[] {
  const forms = secrets.filter((secret) => secret !== "").flatMap((secret) => [secret, ...base64Forms(secret)]);
  const shows = (text: string) => forms.some((form) => text.includes(form));
  const places = function* (value: unknown, path: string): Generator<string> {
    if (typeof value === "string" && shows(value)) yield path;
    if (typeof value !== "object" || value === null || isSecret(value)) return;
    for (const [key, inner] of Object.entries(value)) {
      const at = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`;
      if (shows(key)) yield at;
      yield* places(inner, at);
    }
  };
  return resources.flatMap(({ urn, name, id, inputs, state, outputs }) =>
    Object.entries({ name, id, inputs, state, outputs }).flatMap(([part, value]) =>
      [...places(value, part)].map((path) => ({ urn, path })),
    ),
  );
}

/** What a text becomes inside of something that is encoded in base64, at each of the three offsets that it can have there. */
export function base64Forms(text: string): string[] {
  return [0, 1, 2].map((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]);
    return bytes.toString("base64").slice(Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6));
  });
}
