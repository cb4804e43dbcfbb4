import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { credentials } from "@grpc/grpc-js";
import analyzerGrpc from "@pulumi/pulumi/proto/analyzer_grpc_pb.js";
import analyzer from "@pulumi/pulumi/proto/analyzer_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import type { Described } from "../../policy/state.ts";

const root = join(import.meta.dirname, "../..");

export interface Diagnostic {
  readonly policy: string;
  readonly message: string;
  readonly mandatory: boolean;
}

/** The policy pack as a process, started as Pulumi's engine starts it, and asked as the engine asks it. */
export class PolicyPackProcess {
  readonly #stop: () => void;
  readonly #client: InstanceType<typeof analyzerGrpc.AnalyzerClient>;

  private constructor(port: string, stop: () => void) {
    this.#stop = stop;
    this.#client = new analyzerGrpc.AnalyzerClient(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  static async start(): Promise<PolicyPackProcess> {
    const script = join(root, "node_modules/@pulumi/pulumi/cmd/run-policy-pack");
    const child = spawn("node", [script, "127.0.0.1:1", "."], { cwd: join(root, "policy"), stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    const port = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", resolve);
      // The SDK's runner does not exit after the program's error.
      child.stderr.on("data", () => reject(new Error(errors)));
      child.on("error", reject).on("close", () => reject(new Error(`the policy pack exited: ${errors}`)));
    });
    return new PolicyPackProcess(port, () => child.kill());
  }

  stop(): void {
    this.#client.close();
    this.#stop();
  }

  async names(): Promise<string[]> {
    const info = await new Promise<InstanceType<typeof analyzer.AnalyzerInfo>>((resolve, reject) => {
      this.#client.getAnalyzerInfo(new empty.Empty(), (error, response) => (error ? reject(error) : resolve(response)));
    });
    return info.getPoliciesList().map((policy) => policy.getName());
  }

  /** Analyses a resource. @throws if the pack fails */
  async analyze({ urn, type, inputs, protect = false }: Described): Promise<Diagnostic[]> {
    const request = new analyzer.AnalyzeRequest();
    request.setUrn(urn);
    request.setType(type);
    request.setName(urn.split("::").at(-1) ?? "");
    request.setProperties(struct.Struct.fromJavaScript(JSON.parse(JSON.stringify(inputs))));
    const options = new analyzer.AnalyzerResourceOptions();
    options.setProtect(protect);
    request.setOptions(options);
    const response = await new Promise<InstanceType<typeof analyzer.AnalyzeResponse>>((resolve, reject) => {
      this.#client.analyze(request, (error, found) => (error ? reject(error) : resolve(found)));
    });
    return response.getDiagnosticsList().map((diagnostic) => ({
      policy: diagnostic.getPolicyname(),
      message: diagnostic.getMessage(),
      mandatory: diagnostic.getEnforcementlevel() === analyzer.EnforcementLevel.MANDATORY,
    }));
  }
}
