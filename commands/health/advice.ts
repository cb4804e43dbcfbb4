import { isServer, parts } from "../../components/shared/parts.ts";
import { singleLine } from "../../registry-scan/index.ts";
/** What to do about a problem, and how long it may still pass by itself. */
export interface Advice {
  /** In the imperative. */
  readonly advice: string;
  /** Seconds after which waiting does not help; undefined if it may pass. */
  readonly patience: number | undefined;
}

interface Explained extends Advice {
  readonly text: string;
}

interface PodSettings {
  readonly image: string;
  readonly resources: string;
  /** The block with `storageClass`. */
  readonly storage?: string;
}

/** The settings that decide about a component's pods, by the label `app.kubernetes.io/component`. */
const settings: Readonly<Record<string, PodSettings>> = {
  server: { image: "images.trivy", resources: "server.resources" },
  cache: { image: "images.redis", resources: "redis.maxMemory and redis.cpu", storage: "redis.persistence" },
  gateway: { image: "images.haproxy", resources: "gateway.resources" },
  reports: { image: "images.node", resources: "registryScan.reports.resources", storage: "registryScan.reports" },
  "registry-scan": { image: "images.node, images.trivy and images.crane", resources: "registryScan.resources" },
  "redis-exporter": { image: "images.redisExporter", resources: "redis.monitors" },
};
const unknown: PodSettings = { image: "images", resources: "the stack's file" };
const settingsOf = (component: string) => settings[isServer(component) ? parts.server.component : component] ?? unknown;

/** Why the cluster refuses pods: a pattern of its message, how long that may pass by itself, and what to do. */
const refusals: readonly (readonly [
  RegExp,
  number | undefined,
  (component: string, namespace: string, match: RegExpExecArray) => string,
])[] = [
  [
    /failed quota: (?<quota>[^:]+): must specify/,
    0,
    (_, namespace, match) =>
      `give the containers a default with a LimitRange in the namespace ${namespace}, set pods.cpuLimit and the missing requests and limits in the stack's file, ` +
      `or remove them from the ResourceQuota ${match.groups?.["quota"]}`,
  ],
  [
    /exceeded quota: (?<quota>[^,]+)/,
    // A pod that ends may make room.
    30,
    (component, namespace, match) =>
      `raise the ResourceQuota ${match.groups?.["quota"]} in the namespace ${namespace}, or lower ${settingsOf(component).resources}`,
  ],
  [
    /failed calling webhook "(?<webhook>[^"]+)"/,
    undefined,
    (_c, _n, match) => `make the admission webhook ${match.groups?.["webhook"]} respond, or remove it`,
  ],
  [
    /violates PodSecurity/,
    10,
    (_, namespace) => `allow these pods with the label pod-security.kubernetes.io/enforce of the namespace ${namespace}`,
  ],
  [
    // OpenShift's security context constraints, and policies about user IDs.
    /security context constraint|runAsUser/i,
    10,
    (_c, namespace) =>
      `set pods.userIds: assigned if the platform assigns user IDs, or exempt the namespace ${namespace} from what refuses those of the pods`,
  ],
  [
    /(admission webhook "(?<webhook>[^"]+)" denied|ValidatingAdmissionPolicy '(?<policy>[^']+)')/,
    10,
    (_c, namespace, match) => {
      const { webhook, policy } = match.groups ?? {};
      const what = policy === undefined ? `admission webhook ${webhook}` : `ValidatingAdmissionPolicy ${policy}`;
      return `exempt the namespace ${namespace} from the ${what}, or change the setting that it refuses`;
    },
  ],
  [/no PriorityClass with name/, 10, () => "create the PriorityClass, or change scheduling.priorityClassName"],
  [
    /(maximum|minimum) (cpu|memory|ephemeral-storage).* per (Container|Pod)/,
    10,
    (component, namespace) => `change ${settingsOf(component).resources} or the LimitRange in the namespace ${namespace}`,
  ],
];

/** Explains the API server's message about a pod that it did not create. */
export function refusal(message: string, component: string, namespace: string): Explained {
  const text = message
    .replace(/^create Pod \S+ in \w+ \S+ failed error: /i, "")
    .replace(/^(Error creating: )?pods "[^"]*" is forbidden: /, "");
  for (const [pattern, patience, advise] of refusals) {
    const match = pattern.exec(text);
    if (match) return { text: oneLine(text), advice: advise(component, namespace, match), patience };
  }
  return { text: oneLine(text), advice: "remove what refuses the pods, or change the settings that it names", patience: 60 };
}

/** Explains why an image cannot be pulled. */
export function imageTrouble(image: string, message: string, component: string): Explained {
  const reason = message
    .replace(/^Back-off pulling image "[^"]*": /, "")
    .replace(/^(ErrImagePull|Failed to pull image "[^"]*"): /, "")
    .replaceAll(
      /(rpc error: code = \w+ desc = |failed to pull and unpack image "[^"]*": |failed to resolve (reference|image) "?[^":]+(:\d+)?[^"]*"?: )/g,
      "",
    );
  const text = `the image ${image} cannot be pulled: ${oneLine(reason)}`;
  const { image: setting } = settingsOf(component);
  if (/unauthorized|denied|forbidden|401|403/i.test(reason))
    return { text, advice: "set images.pullSecrets to a Secret that may pull it, or check the one that is set", patience: 10 };
  if (/not ?found|manifest unknown|404|invalid reference|InvalidImageName|no match for platform/i.test(reason))
    return { text, advice: `check ${setting} and images.registry, or push the image there`, patience: 5 };
  return {
    text,
    advice: `let the nodes reach the registry, or choose another one with images.registry or ${setting}`,
    // The attempt itself took until its timeout.
    patience: 10,
  };
}

/** Explains the scheduler's message. */
export function schedulingTrouble(message: string, component: string, mayPass: boolean): Explained & { readonly kind: string } {
  const { resources, storage } = settingsOf(component);
  const advices = [
    /Insufficient (cpu|memory|ephemeral-storage)/.test(message) && `add nodes or lower ${resources}`,
    /Too many pods/.test(message) && "add nodes",
    /node affinity\/selector|node selector/.test(message) && "check scheduling.nodeSelector and the labels of the nodes",
    /untolerated taint/.test(message) && "set scheduling.tolerations for the taint, or remove it from a node",
    /persistent volume|PersistentVolumeClaim|storageclass|volume node affinity/i.test(message) &&
      `provide a volume, or choose a storage class that can: ${storage ?? "redis.persistence"}.storageClass`,
  ].filter((advice) => advice !== false);
  return {
    kind: "unscheduled",
    text: `cannot be scheduled: ${oneLine(message.replace(/\s*(no new claims to deallocate, )?preemption: .*$/, ""))}`,
    advice: advices.join("; ") || "make room on the nodes",
    patience: mayPass ? undefined : 25,
  };
}

/** Explains why no volume is bound to a claim. */
export function claimTrouble(message: string, component: string, storageClass: string | undefined): Explained {
  const setting = `${settingsOf(component).storage ?? "the setting"}.storageClass`;
  const advice = /no storage class is set/.test(message)
    ? `set ${setting}, or mark a class of the cluster as the default`
    : /storageclass.* not found/i.test(message)
      ? `change ${setting} to a class that exists (\`kubectl get storageclass\`), or create ${storageClass}`
      : `look at the provisioner of the storage class ${storageClass}, or change ${setting}`;
  return {
    text: `no volume is bound to it: ${oneLine(message)}`,
    advice,
    patience: /no storage class is set|not found/i.test(message) ? 20 : undefined,
  };
}

export const adviceOn = {
  lostVolume: (claim: string, namespace: string): Advice => ({
    advice: `restore the volume, or delete the claim and run \`up\`: kubectl delete pvc ${claim} -n ${namespace}`,
    patience: 10,
  }),

  /** A container that cannot be created, usually for want of a Secret or ConfigMap. */
  container: (message: string): Advice => ({
    advice: /(secret|configmap) ".+" not found|couldn't find key/.test(message)
      ? "create it, or change the setting existingSecret that names it"
      : "see `kubectl describe pod`",
    patience: 30,
  }),

  crash: (component: string, memory: boolean, restarts: number): Advice => ({
    advice: memory
      ? `raise ${settingsOf(component).resources}`
      : isServer(component)
        ? "see docs/guides/troubleshooting.md, A server does not start"
        : "see docs/guides/troubleshooting.md, A container ends again and again",
    // The second restart is after about ten seconds, the third after twenty more: the reason is not one that passes soon.
    patience: restarts >= 2 ? 10 : undefined,
  }),

  mount: (message: string): Advice => ({
    advice: /(secret|configmap) "[^"]+" not found|references non-existent (secret|config) key/i.test(message)
      ? "create it, or change the setting that names it"
      : /Multi-Attach|already (attached|exclusively)/.test(message)
        ? "wait until the volume is detached from its old node"
        : "see `kubectl describe pod`",
    patience: /not found|non-existent/.test(message) ? 30 : undefined,
  }),

  unready: (component: string): Advice => ({
    advice: isServer(component) ? "wait if it is downloading its database; otherwise see its log" : "see its log",
    patience: undefined,
  }),
};

/** Returns a message of the cluster as one line of limited length. */
export function oneLine(message: string): string {
  const text = singleLine(message).replace(/[.;]$/, "");
  return text.length > 400 ? `${text.slice(0, 397)}…` : text;
}
