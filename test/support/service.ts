import { ScanService, type ScanServiceArgs } from "../../components/scan-service.ts";
import { kubernetesObject, plain, type RecordedResource, type Recording, record } from "../../recorder/record.ts";
import { checkSettings, serviceArgs } from "../../stacks/index.ts";

/** A manifest as the cluster gets it. */
// biome-ignore lint/suspicious/noExplicitAny: manifests are read by path in the tests, whose assertions fail on what is not there
export type Manifest = any;

/** What a service with certain settings consists of. */
export class Deployed {
  readonly resources: readonly RecordedResource[];
  readonly service: ScanService;

  constructor({ resources, result }: Recording<ScanService>) {
    this.resources = resources;
    this.service = result;
  }

  /** The logical resource of that name. */
  resource(name: string): RecordedResource {
    const found = this.resources.filter((resource) => resource.custom && resource.name === name);
    if (found.length !== 1 || !found[0]) throw new Error(`there are ${found.length} resources called ${name}`);
    return found[0];
  }

  /** Every manifest of a kind, with its physical name, secrets in plain text. */
  all(kind: string): Manifest[] {
    return this.resources.filter((resource) => kubernetesObject(resource)?.kind === kind).map(({ state }) => plain(state));
  }

  /** The one manifest of a kind; by name, if there are several. */
  one(kind: string, name?: string): Manifest {
    const found = this.all(kind).filter(
      ({ metadata }) => name === undefined || metadata.name === name || metadata.name.startsWith(`${name}-`),
    );
    if (found.length !== 1) throw new Error(`there are ${found.length} objects ${kind} ${name ?? ""}`);
    return found[0];
  }

  /** The only container of a workload. */
  container(kind: "Deployment" | "StatefulSet"): Manifest {
    const { containers } = this.one(kind).spec.template.spec;
    if (containers.length !== 1) throw new Error(`${kind} has ${containers.length} containers`);
    return containers[0];
  }

  /** A variable of the Trivy server's environment: its value or where it comes from. */
  variable(name: string): Manifest {
    const found = this.container("Deployment").env.filter((variable: Manifest) => variable.name === name);
    if (found.length > 1) throw new Error(`${name} is set ${found.length} times`);
    return found[0]?.value ?? found[0]?.valueFrom;
  }
}

/** The service that a stack with these settings creates. */
export async function deploy(settings: Record<string, unknown> = {}, more: Partial<ScanServiceArgs> = {}): Promise<Deployed> {
  const args = serviceArgs(checkSettings(settings));
  return new Deployed(await record(() => new ScanService("trivy", { ...args, instance: "dev", ...more })));
}
