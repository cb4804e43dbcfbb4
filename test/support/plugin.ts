import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import engineService from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engine, { type LogRequest } from "@pulumi/pulumi/proto/engine_pb.js";
import providerService from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import providers, { type ConstructResponse, type GetSchemaResponse } from "@pulumi/pulumi/proto/provider_pb.js";
import monitorService from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resources, {
  type RegisterResourceOutputsRequest,
  type RegisterResourceRequest,
  type RegisterResourceResponse,
  type SupportsFeatureResponse,
} from "@pulumi/pulumi/proto/resource_pb.js";
import empty, { type Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import structs from "google-protobuf/google/protobuf/struct_pb.js";
import { type Answer, type RecordedResource, RecordingMonitor } from "../../recorder/monitor.ts";
import { type Properties, registration } from "../../recorder/sdk.ts";

const root = join(import.meta.dirname, "../..");
const features = ["secrets", "resourceReferences", "outputValues", "deletedWith", "aliasSpecs"];

type Call<Request> = grpc.ServerUnaryCall<Request, unknown>;
type Reply<Response> = grpc.sendUnaryData<Response>;

export interface ConstructOptions {
  readonly stack?: string;
  readonly preview?: boolean;
  readonly type?: string;
  /** Answers for the providers of the component's children. */
  readonly answer?: (resource: RecordedResource) => Answer | undefined;
}

export interface Constructed {
  readonly resources: readonly RecordedResource[];
  readonly state: Properties;
  readonly warnings: readonly string[];
}

/** The component package as Pulumi's engine runs it: in a process, with an engine at the other end that records what is registered. */
export class Plugin {
  readonly #process: ChildProcess;
  readonly #client: providerService.ResourceProviderClient;
  readonly #server: grpc.Server;
  readonly #address: string;
  #monitor: RecordingMonitor | undefined;
  #warnings: string[] = [];

  private constructor(process: ChildProcess, client: providerService.ResourceProviderClient, server: grpc.Server, address: string) {
    this.#process = process;
    this.#client = client;
    this.#server = server;
    this.#address = address;
  }

  /** Starts the plugin in a folder, as Pulumi's language host for Node does. */
  static async start(folder = join(root, "provider")): Promise<Plugin> {
    const server = new grpc.Server();
    let plugin: Plugin | undefined;
    const current = () => plugin as Plugin;
    server.addService(engineService.EngineService, {
      log: ({ request }: Call<LogRequest>, reply: Reply<Empty>) => {
        if (request.getSeverity() >= 2) current().#warnings.push(request.getMessage());
        reply(null, new empty.Empty());
      },
      getRootResource: (_: unknown, reply: Reply<object>) => reply(null, new engine.GetRootResourceResponse()),
    } as unknown as grpc.UntypedServiceImplementation);
    server.addService(monitorService.ResourceMonitorService, {
      supportsFeature: ({ request }: Call<{ getId(): string }>, reply: Reply<SupportsFeatureResponse>) => {
        const response = new resources.SupportsFeatureResponse();
        response.setHassupport(features.includes(request.getId()));
        reply(null, response);
      },
      registerResource: ({ request }: Call<RegisterResourceRequest>, reply: Reply<RegisterResourceResponse>) => {
        current()
          .#register(request)
          .then(
            (response) => reply(null, response),
            (error) => reply(error),
          );
      },
      registerResourceOutputs: ({ request }: Call<RegisterResourceOutputsRequest>, reply: Reply<Empty>) => {
        current().#monitor?.registerOutputs(request.getUrn(), request.getOutputs()?.toJavaScript() ?? {});
        reply(null, new empty.Empty());
      },
    } as unknown as grpc.UntypedServiceImplementation);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
    );
    const address = `127.0.0.1:${port}`;
    const runPlugin = createRequire(join(folder, "index.js")).resolve("@pulumi/pulumi/cmd/run-plugin");
    const process = spawn(globalThis.process.execPath, [runPlugin, folder, address], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await Promise.race([
      once(createInterface({ input: process.stdout as NonNullable<typeof process.stdout> }), "line"),
      once(process, "exit").then(([code]) => {
        // Otherwise the tests would not end.
        server.forceShutdown();
        return Promise.reject(new Error(`the plugin has exited with ${code}`));
      }),
    ]);
    const client = new providerService.ResourceProviderClient(`127.0.0.1:${line}`, grpc.credentials.createInsecure());
    plugin = new Plugin(process, client, server, address);
    return plugin;
  }

  async #register(request: RegisterResourceRequest): Promise<RegisterResourceResponse> {
    const { urn, id, state } = await (this.#monitor as RecordingMonitor).register(registration(request));
    const response = new resources.RegisterResourceResponse();
    response.setUrn(urn);
    response.setId(id);
    response.setObject(structs.Struct.fromJavaScript(JSON.parse(JSON.stringify(state))));
    return response;
  }

  async schema(): Promise<unknown> {
    const response = await new Promise<GetSchemaResponse>((resolve, reject) =>
      this.#client.getSchema(new providers.GetSchemaRequest(), (error, found) =>
        error ? reject(error) : resolve(found as GetSchemaResponse),
      ),
    );
    return JSON.parse(response.getSchema());
  }

  /**
   * Constructs the component `trivy`, with inputs as they are sent: secrets and unknown values marked.
   *
   * @throws Error with the message that the engine shows
   */
  async construct(inputs: object, options: ConstructOptions = {}): Promise<Constructed> {
    const { stack = "dev", preview = false, type = "trivy-server:index:ScanService", answer } = options;
    const monitor = new RecordingMonitor({ project: "trivy-server", stack, preview, answer });
    this.#monitor = monitor;
    this.#warnings = [];
    const request = new providers.ConstructRequest();
    request.setProject("trivy-server");
    request.setStack(stack);
    request.setDryrun(preview);
    request.setMonitorendpoint(this.#address);
    request.setParallel(16);
    request.setType(type);
    request.setName("trivy");
    request.setInputs(structs.Struct.fromJavaScript(JSON.parse(JSON.stringify(inputs))));
    request.setAcceptsOutputValues(true);
    const response = await new Promise<ConstructResponse>((resolve, reject) =>
      this.#client.construct(request, (error, found) =>
        error ? reject(new Error(error.details || error.message)) : resolve(found as ConstructResponse),
      ),
    );
    if (monitor.problems.length > 0) throw new Error(monitor.problems.join("\n"));
    return { resources: monitor.resources, state: response.getState()?.toJavaScript() ?? {}, warnings: this.#warnings };
  }

  async stop(): Promise<void> {
    this.#client.close();
    this.#server.forceShutdown();
    if (this.#process.kill()) await once(this.#process, "exit");
  }
}
