/**
 * Everything that the recorder uses of Pulumi's SDK beyond its documented API. An update of the SDK may change any of it:
 * `test/recorder/sdk.test.ts` then names what is missing.
 */
import { createRequire } from "node:module";
import * as pulumi from "@pulumi/pulumi";
import resources, {
  type RegisterResourceOutputsRequest,
  type RegisterResourceRequest,
  type RegisterResourceResponse,
} from "@pulumi/pulumi/proto/resource_pb.js";
import { version } from "@pulumi/pulumi/version.js";

export type Properties = Readonly<Record<string, unknown>>;

/** A resource as the program registers it. */
export interface Registration {
  readonly type: string;
  /** The logical name. */
  readonly name: string;
  /** True for a provider's resource, false for a component. */
  readonly custom: boolean;
  /** The parent's URN; absent for children of the stack. */
  readonly parent: string | undefined;
  /** The explicit provider, as `urn::id`. */
  readonly provider: string | undefined;
  /** As sent to the engine: secrets are wrapped, unknown values are Pulumi's placeholder. */
  readonly inputs: Properties;
  /** URNs of the resources it waits for: `dependsOn` and every resource whose outputs its inputs contain. */
  readonly dependsOn: readonly string[];
  /** The same by input. */
  readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
  readonly protect: boolean | undefined;
  readonly retainOnDelete: boolean | undefined;
  /** Each a URN, or the parts of the URN that differ (`{ name: "old" }`). */
  readonly aliases: readonly (string | Properties)[];
  readonly customTimeouts: Readonly<Partial<Record<"create" | "update" | "delete", string>>>;
  readonly additionalSecretOutputs: readonly string[];
}

/** What the engine returns for a registration. `state` holds the outputs, with secrets wrapped. */
export interface Registered {
  readonly urn: string;
  readonly id: string;
  readonly state: Properties;
}

/** Takes the place of the engine. A rejected `register` fails the registration. */
export interface Monitor {
  register(resource: Registration): Promise<Registered>;
  registerOutputs(urn: string, outputs: Properties): void;
}

export interface Connection {
  readonly project: string;
  readonly stack: string;
  readonly preview: boolean;
  /** Values by qualified key. */
  readonly config: Readonly<Record<string, string>>;
  /** The keys of `config` that hold secrets. */
  readonly secretKeys: readonly string[];
}

type Callback<T> = (error: Error | null, response?: T) => void;
type ReplacedMethods = "registerResource" | "registerResourceOutputs";
type RuntimeFunctions = (typeof runtimeFunctions)[number];
type RequestGetters = (typeof requestGetters)[number];
type OutputsGetters = (typeof outputsGetters)[number];

const runtimeFunctions = [
  "disconnect",
  "getMonitor",
  "isRpcSecret",
  "serializeProperty",
  "setAllConfig",
  "setMocks",
  "unwrapRpcSecret",
] as const satisfies readonly (keyof typeof pulumi.runtime)[];
const requestGetters = [
  "getAdditionalsecretoutputsList",
  "getAliasesList",
  "getCustom",
  "getCustomtimeouts",
  "getDependenciesList",
  "getName",
  "getObject",
  "getParent",
  "getPropertydependenciesMap",
  "getProtect",
  "getProvider",
  "getRetainondelete",
  "getType",
  "hasProtect",
  "hasRetainondelete",
] as const satisfies readonly (keyof RegisterResourceRequest)[];
const outputsGetters = ["getOutputs", "getUrn"] as const satisfies readonly (keyof RegisterResourceOutputsRequest)[];
const responseMethods = ["getObject", "setId", "setUrn"] as const satisfies readonly (keyof RegisterResourceResponse)[];
const replacedMethods = ["registerResource", "registerResourceOutputs"] as const satisfies readonly ReplacedMethods[];

const runtime: Pick<typeof pulumi.runtime, RuntimeFunctions> = pulumi.runtime;
const { specialSecretSig, specialSigKey, unknownValue } = pulumi.runtime;

export { unknownValue };

const debuggable = createRequire(import.meta.url)("@pulumi/pulumi/runtime/debuggable.js") as {
  debuggablePromise: <T>(promise: Promise<T>) => Promise<T>;
};
const resourceClass = pulumi.Resource as unknown as { stackTrace: (skip: number) => unknown[] };

/** The names of functions and constants that the recorder uses and the installed SDK does not have. */
export function missingInternals(): string[] {
  const functionsOf = (what: string, object: object, names: readonly string[]) =>
    names
      .filter((name) => typeof (object as Record<string, unknown>)[name] !== "function")
      .map((name) => (what === "" ? name : `${what}.${name}`));
  return [
    ...functionsOf("runtime", runtime, runtimeFunctions),
    ...Object.entries({ specialSecretSig, specialSigKey, unknownValue }).flatMap(([name, value]) =>
      typeof value === "string" ? [] : [`runtime.${name}`],
    ),
    ...functionsOf("runtime/debuggable.js", debuggable, ["debuggablePromise"]),
    ...functionsOf("Resource", resourceClass, ["stackTrace"]),
    ...functionsOf("RegisterResourceRequest", resources.RegisterResourceRequest.prototype, requestGetters),
    ...functionsOf("RegisterResourceOutputsRequest", resources.RegisterResourceOutputsRequest.prototype, outputsGetters),
    ...functionsOf("RegisterResourceResponse", resources.RegisterResourceResponse.prototype, responseMethods),
  ];
}

/**
 * Connects the SDK of this process to a monitor instead of an engine.
 *
 * @throws Error that names what the installed SDK lacks.
 */
export async function connect(monitor: Monitor, { project, stack, preview, config, secretKeys }: Connection): Promise<void> {
  refuseMissing(missingInternals());
  const refuse = (what: string): never => {
    throw new Error(`${what} needs a provider or a cluster, and a recording has neither`);
  };
  // The SDK's own mocks provide the connection. Their registrations lose secrets, dependencies and options, so these two are replaced.
  await runtime.setMocks(
    { call: ({ token }) => refuse(token), newResource: ({ type, name }) => refuse(`${type} ${name}`) },
    project,
    stack,
    preview,
  );
  const mocks = runtime.getMonitor() as Partial<Record<ReplacedMethods, unknown>> | undefined;
  refuseMissing(replacedMethods.filter((name) => typeof mocks?.[name] !== "function").map((name) => `getMonitor().${name}`));
  Object.assign(mocks ?? {}, {
    registerResource: (request: RegisterResourceRequest, callback: Callback<RegisterResourceResponse>) => {
      monitor.register(registration(request)).then(
        (registered) => callback(null, response(registered)),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
      );
    },
    registerResourceOutputs: (request: Pick<RegisterResourceOutputsRequest, OutputsGetters>, callback: Callback<object>) => {
      monitor.registerOutputs(request.getUrn(), request.getOutputs()?.toJavaScript() ?? {});
      callback(null, {});
    },
  } satisfies Record<ReplacedMethods, unknown>);
  runtime.setAllConfig({ ...config }, [...secretKeys]);
}

function refuseMissing(missing: readonly string[]): void {
  if (missing.length > 0) throw new Error(`recorder/sdk.ts uses what @pulumi/pulumi ${version} does not have: ${missing.join(", ")}`);
}

/** Resolves when no call of the program to the monitor is under way. */
export const callsFinished = () => runtime.disconnect();

/** Returns what a request of the SDK registers. */
export function registration(request: Pick<RegisterResourceRequest, RequestGetters>): Registration {
  const dependencies = request.getPropertydependenciesMap();
  const set = (fields: object = {}) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
  return {
    type: request.getType(),
    name: request.getName(),
    custom: request.getCustom(),
    parent: request.getParent() || undefined,
    provider: request.getProvider() || undefined,
    inputs: request.getObject()?.toJavaScript() ?? {},
    dependsOn: request.getDependenciesList(),
    propertyDependencies: Object.fromEntries(dependencies.toArray().map(([key]) => [key, dependencies.get(key)?.getUrnsList() ?? []])),
    protect: request.hasProtect() ? request.getProtect() : undefined,
    retainOnDelete: request.hasRetainondelete() ? request.getRetainondelete() : undefined,
    aliases: request.getAliasesList().map((alias) => alias.getUrn() || set(alias.getSpec()?.toObject())),
    customTimeouts: set(request.getCustomtimeouts()?.toObject()),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
  };
}

function response({ urn, id, state }: Registered): RegisterResourceResponse {
  const message = new resources.RegisterResourceResponse();
  message.setUrn(urn);
  message.setId(id);
  // The SDK only converts the object back. Building a real one takes longer than the rest of a recording.
  message.getObject = () => ({ toJavaScript: () => state }) as unknown as ReturnType<RegisterResourceResponse["getObject"]>;
  return message;
}

/**
 * Passes the process's unhandled rejections to `handler` until the returned function is called. A failed registration only surfaces as an
 * unhandled rejection of one of the SDK's own promises.
 */
export function catchRejections(handler: (reason: unknown) => void): () => void {
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection").on("unhandledRejection", handler);
  return () => {
    process.off("unhandledRejection", handler);
    for (const listener of others) process.on("unhandledRejection", listener);
  };
}

/**
 * Stops the SDK from taking stack traces until the returned function is called. It takes one for each of its promises, to report promises
 * that were not awaited, and one for each resource. They are two thirds of a recording's time. Traces of the program's own errors remain.
 */
export function withoutStackTraces(): () => void {
  const { debuggablePromise } = debuggable;
  const { stackTrace } = resourceClass;
  const { stackTraceLimit } = Error;
  debuggable.debuggablePromise = (promise) => promise;
  resourceClass.stackTrace = () => [];
  Error.stackTraceLimit = Math.min(stackTraceLimit, 10);
  return () => {
    debuggable.debuggablePromise = debuggablePromise;
    resourceClass.stackTrace = stackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  };
}

/** Whether a recorded value as a whole is marked as a secret. */
export function isSecret(value: unknown): boolean {
  return typeof value === "object" && value !== null && runtime.isRpcSecret(value);
}

/** Marks a value as a secret, as recorded values are. */
export const markSecret = (value: unknown) => (isSecret(value) ? value : { [specialSigKey]: specialSecretSig, value });

/** Removes the secret marks from a recorded value, to any depth. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if (isSecret(value)) return plain(runtime.unwrapRpcSecret(value));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/**
 * Awaits all outputs and promises in a program's value and returns it as recorded values are, with secrets wrapped. Call it after `record`
 * and before the next recording.
 */
export const settled = (value: unknown): Promise<unknown> => runtime.serializeProperty("value", value);
