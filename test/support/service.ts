import { ScanService, type ScanServiceArgs } from "../../components/scan-service.ts";
import { kubernetesObject, plain, type RecordedResource, type Recording, type RecordOptions, record } from "../../recorder/record.ts";

/** A manifest as it is sent to the cluster. */
// biome-ignore lint/suspicious/noExplicitAny: tests read manifests by path, and fail on a path that does not exist
export type Manifest = any;

/** The resources of a service that was recorded. */
export class Deployed {
  readonly resources: readonly RecordedResource[];
  readonly service: ScanService;

  constructor({ resources, result }: Recording<ScanService>) {
    this.resources = resources;
    this.service = result;
  }

  /** Returns the resource with this logical name. */
  resource(name: string): RecordedResource {
    const found = this.resources.filter((resource) => resource.custom && resource.name === name);
    if (found.length !== 1 || !found[0]) throw new Error(`${found.length} resources are called ${name}, not one`);
    return found[0];
  }

  /** Returns every manifest of a kind, with its physical name, secrets in plain text. */
  all(kind: string): Manifest[] {
    return this.resources.filter((resource) => kubernetesObject(resource)?.kind === kind).map(({ state }) => plain(state));
  }

  /** Returns the one manifest of a kind; `name` is its physical name, or the logical one of an object whose name is generated. */
  one(kind: string, name?: string): Manifest {
    const found = this.all(kind).filter(
      ({ metadata }) => name === undefined || metadata.name === name || metadata.name.startsWith(`${name}-`),
    );
    if (found.length !== 1)
      throw new Error(`${found.length} objects are of kind ${kind}${name === undefined ? "" : ` and called ${name}`}, not one`);
    return found[0];
  }

  /** Returns the only container of a workload. */
  container(kind: "Deployment" | "StatefulSet"): Manifest {
    const { containers } = this.one(kind).spec.template.spec;
    if (containers.length !== 1) throw new Error(`${kind} has ${containers.length} containers`);
    return containers[0];
  }

  /** Returns a variable of the Trivy servers' environment: its value, or the source of its value. */
  variable(name: string): Manifest {
    const found = this.container("Deployment").env.filter((variable: Manifest) => variable.name === name);
    if (found.length > 1) throw new Error(`${name} is set ${found.length} times`);
    return found[0]?.value ?? found[0]?.valueFrom;
  }
}

/** Records the service that these arguments create. */
export async function deploy(args: Partial<ScanServiceArgs> = {}, options?: RecordOptions): Promise<Deployed> {
  return new Deployed(await record(() => new ScanService("trivy", { instance: "dev", ...args }), options));
}
