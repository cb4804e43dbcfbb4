import {
  ApiException,
  AuthenticationV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  KubernetesObjectApi,
  type V1Namespace,
  type V1ObjectMeta,
  type V1ResourceAttributes,
} from "@kubernetes/client-node";
import { partOf } from "../../components/shared/labels.ts";
import type { StackFile } from "../stack-file.ts";
import { Problem } from "../user-error.ts";
import type { Cluster } from "./cluster.ts";
import { pendingObjects } from "./recovery.ts";
import type { Operation } from "./stack.ts";
import { landmark, namespaceType, type State } from "./state.ts";

const timeout = 10_000;

/** Refuses what the engine would only find out half-way: a cluster that does not answer, rights that are missing, a namespace of somebody else's. */
export async function preflight(cluster: Cluster, operation: Operation, file: StackFile, state: State): Promise<void> {
  await checkAccess(cluster, operation, file);
  if (operation !== "refresh") await checkIdentity(cluster, operation, file, state);
  if (operation === "up" || operation === "preview") await checkNamespace(cluster, file, state);
}

/** Asks the API server, and tells a failure of the connection or of the credentials from an answer. */
export async function answer<T>(cluster: Cluster, request: Promise<T>): Promise<T | undefined> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${timeout / 1000} s`)), timeout);
  try {
    return await Promise.race([request, late]);
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) return undefined;
    throw connectionProblem(cluster, error);
  } finally {
    clearTimeout(timer);
  }
}

/** What to do about a request that got no answer, or a refusal. */
export function connectionProblem({ context, server }: Pick<Cluster, "context" | "server">, error: unknown): Problem {
  if (error instanceof ApiException) {
    const said = apiMessage(error);
    if (error.code === 401 || (error.code === 403 && /system:anonymous/.test(said))) {
      return new Problem(
        `The cluster of context ${context} (${server}) does not accept your credentials: ${said}\n` +
          "Log in again with the tool that made this context, or choose another with `kubectl config use-context NAME`.",
      );
    }
    return new Problem(`The cluster of context ${context} (${server}) refused a question (HTTP ${error.code}): ${said}`);
  }
  const { message, code } = rootCause(error);
  if (/CERT|SIGNATURE|ALTNAME|SELF_SIGNED/.test(code)) {
    return new Problem(
      `The certificate of ${server} (context ${context}) is not trusted: ${message}\nThe kubeconfig is of another cluster, or older than this one: get a new one.`,
    );
  }
  if (/spawn|exec|credential|token/i.test(message)) {
    return new Problem(
      `The credentials of context ${context} cannot be had: ${message}\nThe kubeconfig names a program that gives them: install it, or log in with it.`,
    );
  }
  return new Problem(
    `The cluster of context ${context} cannot be reached at ${server}: ${message}\n` +
      "Start it, connect to its network (VPN), or choose another context with `kubectl config use-context NAME`.",
  );
}

function apiMessage({ body, code }: ApiException<unknown>): string {
  try {
    const status: { message?: unknown } = typeof body === "string" ? JSON.parse(body) : (body ?? {});
    if (typeof status.message === "string") return status.message;
  } catch {
    // Not the API server's own answer: a proxy's, perhaps.
  }
  return `HTTP ${code}`;
}

/** `fetch` hides what happened in a chain of causes. */
function rootCause(error: unknown): { message: string; code: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return rootCause(error.errors[0]);
  if (error instanceof Error && error.cause !== undefined) return rootCause(error.cause);
  const { message = String(error), code = "" } = error as { message?: string; code?: string };
  return { message: message || code, code };
}

/** Kinds of objects that the program creates in its namespace; the provider watches pods, too, to see whether they become ready. */
function neededRights(operation: Operation, file: StackFile): V1ResourceAttributes[] {
  const verbs = {
    up: ["get", "list", "watch", "create", "patch", "delete"],
    preview: ["get", "create", "patch"],
    refresh: ["get"],
    destroy: ["get", "list", "watch", "delete"],
  }[operation];
  const objects = [
    ["", "services"],
    ["", "secrets"],
    ["", "configmaps"],
    ["", "persistentvolumeclaims"],
    ["apps", "deployments"],
    ["apps", "statefulsets"],
    ["networking.k8s.io", "networkpolicies"],
    ["policy", "poddisruptionbudgets"],
    ...(file.registryScan ? [["batch", "cronjobs"]] : []),
    ...(file.autoscaling ? [["autoscaling", "horizontalpodautoscalers"]] : []),
    ...(file.exposure === "ingress" ? [["networking.k8s.io", "ingresses"]] : []),
    ...(file.exposure === "gateway" ? [["gateway.networking.k8s.io", "httproutes"]] : []),
  ];
  const namespace = file.namespace.name;
  const rights = objects.flatMap(([group = "", resource = ""]) => verbs.map((verb) => ({ group, resource, verb, namespace })));
  if (operation === "up") rights.push(...["list", "watch"].map((verb) => ({ group: "", resource: "pods", verb, namespace })));
  const own = file.namespace.create ? verbs.map((verb) => ({ group: "", resource: "namespaces", verb, name: namespace })) : [];
  return [...own, ...rights];
}

async function checkAccess(cluster: Cluster, operation: Operation, file: StackFile): Promise<void> {
  const api = cluster.config.makeApiClient(AuthorizationV1Api);
  const allowed = async (resourceAttributes: V1ResourceAttributes) => {
    const review = await answer(cluster, api.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } }));
    return review?.status?.allowed ?? false;
  };
  // One question is enough for an administrator, and the first to find out whether there is a cluster at all.
  if (await allowed({ group: "*", resource: "*", verb: "*" })) return;
  const needed = neededRights(operation, file);
  const answers = await Promise.all(needed.map(allowed));
  const missing = needed.filter((_, index) => !answers[index]);
  if (missing.length === 0) return;
  const { status } = await cluster.config
    .makeApiClient(AuthenticationV1Api)
    .createSelfSubjectReview({ body: {} })
    .catch(() => ({ status: undefined }));
  throw new Problem(missingRights(cluster.context, file, status?.userInfo?.username, missing));
}

export function missingRights(
  context: string,
  file: StackFile,
  user: string | undefined,
  missing: readonly V1ResourceAttributes[],
): string {
  const verbs = new Map<string, string[]>();
  for (const { group, resource, namespace, verb = "" } of missing) {
    const what = `${resource}${group ? `.${group}` : ""}${namespace ? ` in namespace ${namespace}` : ""}`;
    verbs.set(what, [...(verbs.get(what) ?? []), verb]);
  }
  const cannotCreateNamespace = missing.some(({ resource }) => resource === "namespaces");
  return [
    `${user ?? "You"} may not do in the cluster of context ${context} what this stack needs:`,
    ...[...verbs].map(([what, which]) => `  ${what}: ${which.join(", ")}`),
    `Ask the cluster's administrator for these rights (the ClusterRole \`admin\` in ${file.namespace.name} has all but those on namespaces)` +
      (cannotCreateNamespace ? ", or have the namespace made for you and set `namespace: {create: false}`." : "."),
  ].join("\n");
}

/** An empty answer of the cluster about what the state says is there would be taken for a deletion. */
async function checkIdentity(cluster: Cluster, operation: Operation, file: StackFile, state: State): Promise<void> {
  const known = landmark(state);
  if (!known) return;
  const found = await readLandmark(cluster, known);
  if (found?.uid === known.uid) return;
  const what = known.kind === "Namespace" ? `namespace ${known.name}` : `service ${known.name} in namespace ${known.namespace}`;
  throw new Problem(
    `The stack ${file.stack} is up in a cluster that has the ${what} with the uid ${known.uid};\n` +
      `the cluster of context ${cluster.context} (${cluster.server}) ${found ? "has another one of that name" : "has none"}.\n` +
      "The context is probably wrong: choose another with `kubectl config use-context NAME`. " +
      `If the cluster was rebuilt, or the ${known.kind.toLowerCase()} deleted by hand:\n  npm run refresh -- ${file.stack}   # then \`npm run ${operation} -- ${file.stack}\` again`,
  );
}

async function readLandmark(
  cluster: Cluster,
  { kind, name, namespace }: { kind: string; name: string; namespace: string },
): Promise<V1ObjectMeta | undefined> {
  const api = cluster.config.makeApiClient(CoreV1Api);
  const object: Promise<{ metadata?: V1ObjectMeta }> =
    kind === "Namespace" ? api.readNamespace({ name }) : api.readNamespacedService({ name, namespace });
  return (await answer(cluster, object))?.metadata;
}

/** Whether a refresh would take what it does not find for deleted, in what may only be the wrong cluster. */
export async function isOtherCluster(cluster: Cluster, state: State): Promise<boolean> {
  const known = landmark(state);
  return known !== undefined && (await readLandmark(cluster, known))?.uid !== known.uid;
}

async function checkNamespace(cluster: Cluster, file: StackFile, state: State): Promise<void> {
  const { name } = file.namespace;
  const found = await answer(cluster, cluster.config.makeApiClient(CoreV1Api).readNamespace({ name }));
  const known =
    state.resources.some(({ type, outputs }) => type === namespaceType && outputs.metadata?.name === name) ||
    pendingObjects(state).some(({ kind, name: pending }) => kind === "Namespace" && pending === name);
  const problem = namespaceProblem(file, found, known);
  if (problem) throw new Problem(problem);
}

/** Why a stack cannot have its namespace, if so. */
export function namespaceProblem(
  { name: stack, namespace: { name, create } }: StackFile,
  found: V1Namespace | undefined,
  known: boolean,
): string | undefined {
  if (!found) {
    return create
      ? undefined
      : `The namespace ${name} does not exist, and \`namespace.create\` is false.\nCreate it (\`kubectl create namespace ${name}\`), or leave \`create\` out.`;
  }
  if (found.status?.phase === "Terminating") {
    return `The namespace ${name} is being deleted.\nWait until it is gone: kubectl wait --for=delete namespace/${name} --timeout=5m`;
  }
  if (known) return undefined;
  const labels = found.metadata?.labels ?? {};
  const owner = labels["app.kubernetes.io/part-of"] === partOf ? (labels["app.kubernetes.io/instance"] ?? "?") : undefined;
  const another = `Give this stack another namespace, in Pulumi.${stack}.yaml:\n  trivy-server:namespace: {name: ${name}-${stack}}`;
  if (owner === stack) {
    return (
      `The namespace ${name} belongs to a stack ${owner} whose state is not here: it was made from another machine or backend.\n` +
      `Use that backend (\`pulumi login\`, or PULUMI_BACKEND_URL); if its state is lost, delete the namespace first: kubectl delete namespace ${name}`
    );
  }
  if (owner) return `The namespace ${name} belongs to the stack ${owner}.\n${another}`;
  if (!create) return undefined;
  return (
    `The namespace ${name} exists already and was not made by this program.\n${another}\n` +
    `or use the one that exists, if its owner agrees:\n  trivy-server:namespace: {name: ${name}, create: false}`
  );
}

/** Those objects of an interrupted run that the cluster has, and that are this stack's by their labels. */
export async function adoptable(cluster: Cluster, file: StackFile, state: State): Promise<{ urn: string; id: string }[]> {
  const api = KubernetesObjectApi.makeApiClient(cluster.config);
  const found = await Promise.all(
    pendingObjects(state).map(async ({ urn, id, apiVersion, kind, name, namespace }) => {
      const object = await answer(cluster, api.read({ apiVersion, kind, metadata: { name, ...(namespace && { namespace }) } }));
      const labels = object?.metadata?.labels ?? {};
      const ours = labels["app.kubernetes.io/part-of"] === partOf && labels["app.kubernetes.io/instance"] === file.name;
      return ours ? [{ urn, id }] : [];
    }),
  );
  return found.flat();
}
