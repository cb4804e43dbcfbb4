import { stringify } from "yaml";
import { type KubernetesObject, kubernetesObject, plain, type RecordedResource } from "../../recorder/record.ts";

/** A Kubernetes object as `kubectl apply` takes it. */
export interface Manifest {
  readonly resource: RecordedResource;
  readonly object: KubernetesObject;
  readonly body: Readonly<Record<string, unknown>>;
  /** Name of its file; the same from run to run, whatever the object holds. */
  readonly file: string;
}

export const secretsFile = "10-secrets.yaml";

/** `kubectl apply -f` goes through a folder in the order of the names. */
const order: Readonly<Record<string, number>> = {
  CustomResourceDefinition: 0,
  Namespace: 0,
  ConfigMap: 20,
  ServiceAccount: 30,
  Role: 30,
  RoleBinding: 30,
  NetworkPolicy: 30,
  PersistentVolumeClaim: 40,
  Service: 50,
  DaemonSet: 60,
  Deployment: 60,
  StatefulSet: 60,
  Job: 60,
  CronJob: 60,
};
const otherwise = 70;

export function manifests(resources: readonly RecordedResource[]): Manifest[] {
  const files = new Set<string>();
  return resources.flatMap((resource) => {
    const object = kubernetesObject(resource);
    if (!object) return [];
    const { kind, namespace } = object;
    // A generated name changes with the content; a file's must not.
    const name = isNamed(resource) ? object.name : resource.name;
    const path = (...parts: (string | undefined)[]) =>
      `${String(order[kind] ?? otherwise).padStart(2, "0")}-${parts.filter(Boolean).join("-").toLowerCase()}.yaml`;
    const short = path(kind, name);
    const file = kind === "Secret" ? secretsFile : files.has(short) ? path(kind, namespace, name) : short;
    files.add(file);
    return [{ resource, object, body: body(resource), file }];
  });
}

/** Whether the program gave the object its name, rather than leaving that to the provider. */
export function isNamed({ inputs }: Pick<RecordedResource, "inputs">): boolean {
  return (plain(inputs["metadata"]) as { name?: string } | undefined)?.name !== undefined;
}

function body({ state }: RecordedResource): Record<string, unknown> {
  const { metadata, ...rest } = plain(state) as Record<string, unknown>;
  const { annotations, ...others } = metadata as { annotations?: Record<string, string> };
  // These tell Pulumi's engine how to wait and to replace.
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !key.startsWith("pulumi.com/"));
  return { ...rest, metadata: { ...others, ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }) } };
}

const first = ["apiVersion", "kind", "metadata", "name", "namespace", "type", "image"];

/** As people write manifests: what a thing is comes first. The rest is sorted, so that the order never changes. */
function arranged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(arranged);
  if (typeof value !== "object" || value === null) return value;
  const rank = (key: string) => (first.includes(key) ? first.indexOf(key) : first.length);
  const entries = Object.entries(value).sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, arranged(inner)]));
}

/** In YAML 1.1, which is what Kubernetes reads: there, a bare `yes` is no text. */
export const yamlVersion = "1.1";

export function toYaml(body: Manifest["body"]): string {
  return stringify(arranged(body), { version: yamlVersion, lineWidth: 0, aliasDuplicateObjects: false });
}
