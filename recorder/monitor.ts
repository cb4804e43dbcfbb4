import { generatorOf } from "./generated-values.ts";
import { isKubernetes, kubernetesAnswer, kubernetesObject } from "./kubernetes.ts";
import { type Monitor, markSecret, type Properties, plain, type Registered, type Registration, unknownValue } from "./sdk.ts";

/** A registration and what the engine would know of the resource afterwards. */
export interface RecordedResource extends Omit<Registration, "additionalSecretOutputs">, Registered {
  /** What a component passed to `registerOutputs`, secrets wrapped; absent for other resources. */
  readonly outputs: Properties | undefined;
}

/** A provider's response. It overrides the recorder's own. */
export interface Answer {
  readonly id?: string;
  readonly state?: Properties;
}

export interface MonitorOptions {
  readonly project: string;
  readonly stack: string;
  /** Ids and generated values are unknown, as in `pulumi preview`. */
  readonly preview: boolean;
  /** Answers for the providers where the recorder's own answer is not suitable. */
  readonly answer?: ((resource: RecordedResource) => Answer | undefined | Promise<Answer | undefined>) | undefined;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Records registrations in place of the engine and answers them in place of the providers. */
export class RecordingMonitor implements Monitor {
  /** In the order of registration. */
  readonly resources: Mutable<RecordedResource>[] = [];
  /** Mistakes that a real engine or API server would refuse. */
  readonly problems: string[] = [];
  /** Changes with every call of the program. */
  activity = 0;
  /** The number of registrations that are being answered. */
  answering = 0;
  private readonly byUrn = new Map<string, Mutable<RecordedResource>>();
  private readonly byObject = new Map<string, string>();
  private readonly options: MonitorOptions;

  constructor(options: MonitorOptions) {
    this.options = options;
  }

  async register({ additionalSecretOutputs, ...registration }: Registration): Promise<Registered> {
    this.activity++;
    const urn = this.urn(registration);
    const resource: Mutable<RecordedResource> = { ...registration, urn, id: "", state: registration.inputs, outputs: undefined };
    const duplicate = this.byUrn.has(urn);
    if (duplicate) this.problems.push(`two resources have the URN ${urn}`);
    this.byUrn.set(urn, resource);
    this.resources.push(resource);
    this.answering++;
    try {
      if (resource.custom) await this.complete(resource, additionalSecretOutputs);
    } finally {
      this.answering--;
      this.activity++;
    }
    if (!duplicate) this.checkObject(resource);
    return resource;
  }

  registerOutputs(urn: string, outputs: Properties): void {
    this.activity++;
    const resource = this.byUrn.get(urn);
    if (resource) resource.outputs = outputs;
  }

  /** As the engine builds it: the types of the parents except the stack, the type, and the name. */
  private urn({ parent, type, name }: Pick<Registration, "parent" | "type" | "name">): string {
    const { project, stack } = this.options;
    const parentType = parent?.split("::")[2];
    return [`urn:pulumi:${stack}`, project, parentType ? `${parentType}$${type}` : type, name].join("::");
  }

  private async complete(resource: Mutable<RecordedResource>, additionalSecretOutputs: readonly string[]): Promise<void> {
    const { preview, answer } = this.options;
    const own = isKubernetes(resource) ? kubernetesAnswer(resource) : { id: resource.name, state: resource.inputs };
    Object.assign(resource, own);
    const given = await answer?.(resource);
    resource.id = preview ? "" : (given?.id ?? own.id);
    const state: Record<string, unknown> = { ...own.state, ...given?.state };
    const generator = generatorOf(resource.type);
    if (generator) state[generator.output] ??= preview ? unknownValue : await generator.generate(plain(resource.inputs) as Properties);
    for (const key of additionalSecretOutputs) if (key in state) state[key] = markSecret(state[key]);
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
