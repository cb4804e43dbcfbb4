import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { imageReference } from "../../components/shared/images.ts";
import {
  apply,
  deleteNamespaces,
  eventually,
  type KubernetesObject,
  kubectl,
  namespaceObject,
  serviceUrl,
} from "../e2e/support/cluster.ts";
import { environment, environmentSettings } from "../e2e/support/environment.ts";
import { type LoadOptions, type LoadResult, load, scan } from "../e2e/support/load.ts";
import type { Project, Settings } from "../e2e/support/project.ts";

export interface Service {
  readonly namespace: string;
  readonly server: string;
  readonly token?: string;
}

/** The services under comparison. Each is created on first use and kept for the topics that follow. */
export class Services {
  private readonly project: Project;
  private readonly all = new Map<string, Promise<Service>>();

  constructor(project: Project) {
    this.project = project;
  }

  /** Returns a stack of this project. */
  stack(name: string, settings: Settings): Promise<Service> {
    return this.once(`e2e-bench-${name}`, async (stack) => {
      await this.project.writeStack(stack, settings);
      await this.project.must("npm", ["run", "up", "--", stack, "--yes"]);
      return { namespace: stack, server: await serviceUrl(stack), token: await this.project.output(stack, "token") };
    });
  }

  /** Returns two servers without a gateway. */
  servers(): Promise<Service> {
    return this.stack("servers", { server: { replicas: 2 } });
  }

  /** Returns two servers behind a gateway, with a cache large enough for five minutes of large layers. */
  gateway(): Promise<Service> {
    return this.stack("gateway", { server: { replicas: 2 }, gateway: { enabled: true }, redis: { maxMemory: "1Gi" } });
  }

  /** Returns the objects of the official Helm chart. */
  control(): Promise<Service> {
    return this.once("e2e-bench-control", async (namespace) => {
      await apply(namespaceObject(namespace), ...(await controlObjects(namespace)));
      await kubectl("rollout", "status", "deployment/redis", "statefulset/trivy", "-n", namespace, "--timeout=600s");
      return { namespace, server: await serviceUrl(namespace) };
    });
  }

  /** Removes all services by deleting their namespaces. */
  async down(): Promise<void> {
    if (this.all.size > 0) await deleteNamespaces(...this.all.keys());
  }

  private once(name: string, create: (name: string) => Promise<Service>): Promise<Service> {
    let service = this.all.get(name);
    if (!service) {
      service = create(name).then(async (created) => {
        await firstGoodScan(created);
        return created;
      });
      this.all.set(name, service);
    }
    return service;
  }
}

/** Returns the Helm chart's objects with the images and the database of the other stacks. */
async function controlObjects(namespace: string): Promise<KubernetesObject[]> {
  const files = await Promise.all(["chart", "redis"].map((name) => readFile(join(import.meta.dirname, "control", `${name}.yaml`), "utf8")));
  const items: KubernetesObject[] = files.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS()));
  const { database, images } = environmentSettings();
  for (const { kind, metadata, data, spec } of items) {
    metadata.namespace = namespace;
    if (kind === "ConfigMap" && database) data.TRIVY_DB_REPOSITORY = String(database["repositories"]);
    for (const container of spec?.template?.spec.containers ?? []) container.image = imageReference(container.name, images);
  }
  return items;
}

/** Waits for a successful scan: a Service's address may not work for a moment after its pods are ready. */
export async function firstGoodScan(service: Pick<Service, "server" | "token">): Promise<void> {
  await eventually("a good scan", async () => (await scan(environment.alpine, service).catch(() => [])).length > 0 || undefined);
}

/** Runs a load. @throws if a scan fails: failed scans are fast and would distort the measurement */
export async function goodLoad(
  { server, token }: Service,
  options: Omit<LoadOptions, "server" | "token">,
  meanwhile?: () => Promise<unknown>,
): Promise<LoadResult> {
  const result = await load({ ...options, server, token }, meanwhile);
  if (result.good === result.scans) return result;
  throw new Error(`${server}: only ${result.good} of ${result.scans} scans succeeded: ${JSON.stringify(result.reasons)}`);
}
