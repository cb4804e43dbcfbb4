import { stringify } from "yaml";
import { type KubernetesObject, kubernetesObject, plain, type RecordedResource } from "../../recorder/record.ts";

/** A Kubernetes object as `kubectl apply` takes it. */
export interface Manifest {
  readonly resource: RecordedResource;
  readonly object: KubernetesObject;
  readonly body: Readonly<Record<string, unknown>>;
  /** The name of its file, which does not depend on the object's content. */
  readonly file: string;
}

export const secretsFile = "10-secrets.yaml";

/** `kubectl apply -f` processes the files of a folder in alphabetical order. */
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

/** Returns the manifests of all Kubernetes objects in a recording. */
export function manifests(resources: readonly RecordedResource[]): Manifest[] {
  const files = new Set<string>();
  return resources.flatMap((resource) => {
    const object = kubernetesObject(resource);
    if (!object) return [];
    const { kind, namespace } = object;
    // A generated name changes with the content; a file name must not.
    const name = isNamed(resource) ? object.name : resource.name;
    const path = (...parts: (string | undefined)[]) =>
      `${String(order[kind] ?? otherwise).padStart(2, "0")}-${parts.filter(Boolean).join("-").toLowerCase()}.yaml`;
    const short = path(kind, name);
    const file = kind === "Secret" ? secretsFile : files.has(short) ? path(kind, namespace, name) : short;
    files.add(file);
    return [{ resource, object, body: body(resource), file }];
  });
}

/** Returns whether the program names the object, instead of the provider. */
export function isNamed({ inputs }: Pick<RecordedResource, "inputs">): boolean {
  return (plain(inputs["metadata"]) as { name?: string } | undefined)?.name !== undefined;
}

function body({ state }: RecordedResource): Record<string, unknown> {
  const { metadata, ...rest } = plain(state) as Record<string, unknown>;
  const { annotations, ...others } = metadata as { annotations?: Record<string, string> };
  // Those of Pulumi control how its provider waits and replaces.
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !key.startsWith("pulumi.com/"));
  return { ...rest, metadata: { ...others, ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }) } };
}

const first = ["apiVersion", "kind", "metadata", "name", "namespace", "type", "image"];

/** Sorts keys: what an object is comes first, as in hand-written manifests, then the rest alphabetically. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const rank = (key: string) => (first.includes(key) ? first.indexOf(key) : first.length);
  const entries = Object.entries(value).sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

/** Kubernetes reads YAML 1.1, in which a bare `yes` is not text. */
export const yamlVersion = "1.1";

export function toYaml(body: Manifest["body"]): string {
  return stringify(sorted(body), { version: yamlVersion, lineWidth: 0, aliasDuplicateObjects: false });
}
