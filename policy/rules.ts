import { pinnedImageProblem } from "../components/shared/images.ts";
import { podSecurityProblems } from "./pod-security.ts";
import { containersOf, kindOf, type Pod, type Properties, podOf, type Resource } from "./resource.ts";
import type { RequestedEgress } from "./settings.ts";
import { ifKnown, isCertain, itemsOf, textsIn } from "./values.ts";

/** What the rules know of the program's settings. */
export interface Situation {
  /** What the settings of the services in this stack request. */
  readonly requested: RequestedEgress;
}

export interface Rule {
  /** Also the name of the policy in the policy pack. */
  readonly name: string;
  readonly description: string;
  /** Returns what is wrong with a resource: phrases that follow its name. */
  check(resource: Resource, situation: Situation): Iterable<string>;
}

const eachPod = (check: (pod: Pod, resource: Resource) => Iterable<string>) =>
  function* (resource: Resource) {
    const pod = podOf(resource);
    if (pod) yield* check(pod, resource);
  };

export const rules: readonly Rule[] = [
  {
    name: "exact-images",
    description: "Every container runs an exact version: a tag other than latest, or a digest. Releases with malware are refused.",
    check: eachPod(function* (pod) {
      for (const [path, container] of containersOf(pod)) {
        const image: unknown = ifKnown(() => container.image, undefined);
        const problem = typeof image === "string" ? pinnedImageProblem(image) : undefined;
        if (problem !== undefined) yield `${path}.image ${image} ${problem}`;
      }
    }),
  },
  {
    name: "no-plain-text-secrets",
    description: "Passwords, tokens and keys are only in Secrets; pods refer to them.",
    *check(resource) {
      const kind = kindOf(resource);
      if (kind === "" || kind === "Secret") return;
      for (const path of resource.secretPaths ?? [])
        yield `${path} is a secret, but ${kind} objects are readable by more users than Secrets; use a Secret`;
      const pod = podOf(resource);
      if (pod) yield* plainVariables(pod);
      for (const { path, text } of textsIn(resource.inputs)) {
        const what = secretShapes.find(({ shape }) => shape.test(text))?.what;
        if (what !== undefined) yield `${path} contains ${what} in plain text; use a Secret`;
      }
    },
  },
  {
    name: "pod-security-restricted",
    description: "Every pod complies with the Pod Security Standard restricted, and has a read-only root file system.",
    check: eachPod(podSecurityProblems),
  },
  {
    name: "resources-and-probes",
    description: "Every container requests CPU and memory and has a memory limit. Those that serve have a readiness and a liveness probe.",
    check: eachPod(function* (pod) {
      for (const [path, container, list] of containersOf(pod)) {
        for (const amount of ["requests.cpu", "requests.memory", "limits.memory"]) {
          const [kind = "", resource = ""] = amount.split(".");
          if (isCertain(() => container.resources?.[kind]?.[resource] === undefined)) yield `${path}.resources.${amount} is missing`;
        }
        if (!pod.serves || list !== "containers") continue;
        for (const probe of ["readinessProbe", "livenessProbe"])
          if (isCertain(() => container[probe] === undefined)) yield `${path}.${probe} is missing`;
      }
    }),
  },
  {
    name: "no-wildcard-egress",
    description: "No NetworkPolicy allows connections to every address, except to ports and addresses that a setting requests.",
    *check(resource, { requested }) {
      if (kindOf(resource) !== "NetworkPolicy") return;
      for (const [index, rule] of itemsOf<Properties>(() => resource.inputs.spec?.egress)) {
        const problem = ifKnown(() => wildcardProblem(rule, requested), undefined);
        if (problem !== undefined) yield `spec.egress[${index}] ${problem}`;
      }
    },
  },
  {
    name: "no-service-account-token",
    description: "No pod gets a token for the Kubernetes API.",
    check: eachPod(function* ({ spec }) {
      if (isCertain(() => spec.automountServiceAccountToken !== false)) yield "automountServiceAccountToken is not false";
      for (const [index, volume] of itemsOf<Properties>(() => spec.volumes))
        for (const [, source] of itemsOf<Properties>(() => volume.projected?.sources))
          if (isCertain(() => source.serviceAccountToken)) yield `volumes[${index}] is a token for the Kubernetes API`;
    }),
  },
  {
    name: "data-is-protected",
    description: "Namespaces and volume claims are protected from deletion, unless the setting protect is false.",
    *check(resource, { requested }) {
      const kind = kindOf(resource);
      if (!["Namespace", "PersistentVolumeClaim"].includes(kind) || resource.protect || requested.unprotected) return;
      yield "is not protected; set protect to true";
    },
  },
];

const secretName = /(^|_)(PASSWORD|PASSPHRASE|SECRET|TOKEN|PRIVATE_KEY|API_?KEY|ACCESS_KEY|CREDENTIALS|AUTH)$/i;

function* plainVariables(pod: Pod): Generator<string> {
  for (const [path, container] of containersOf(pod)) {
    for (const [, variable] of itemsOf<Properties>(() => container.env)) {
      const { name, value } = ifKnown(() => ({ name: variable.name, value: variable.value }), { name: "", value: "" });
      // A value may refer to another variable, such as $(PASSWORD).
      if (secretName.test(name) && typeof value === "string" && value !== "" && !/^\$\(\w+\)$/.test(value))
        yield `${path}.env ${name} has a value; use valueFrom.secretKeyRef`;
    }
  }
}

/** What secrets look like. None of them matches a reference such as `$(REDIS_PASSWORD)`. */
const secretShapes: readonly { readonly what: string; readonly shape: RegExp }[] = [
  { what: "a private key", shape: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]/ },
  { what: "a URL with a password", shape: /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"'`$<>{}]*:(?!\$\()[^\s/:@"'`$<>{}]+@[\w[]/i },
  { what: "a cloud access key", shape: /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/ },
  { what: "a GitHub token", shape: /\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60})/ },
  { what: "a GitLab token", shape: /\bglpat-[\w-]{20}/ },
  { what: "a Slack webhook", shape: /hooks\.slack\.com\/services\/T\w+\/B\w+\/\w+/ },
];

/** Blocks of at least a sixteenth of all addresses. */
const isWide = (cidr: string) => Number(cidr.split("/")[1]) <= 4;

/** Explains why an egress rule allows too much. */
function wildcardProblem(rule: Properties, requested: RequestedEgress): string | undefined {
  const to: Properties[] = rule.to ?? [];
  if (to.length === 0) return "allows every destination; add `to`";
  const ports: (number | string)[] | undefined = rule.ports?.map(({ port }: Properties) => port);
  for (const { ipBlock, namespaceSelector, podSelector } of to) {
    if (ipBlock) {
      const { cidr, except = [] } = ipBlock as { cidr: string; except?: string[] };
      if (!isWide(cidr) || requested.cidrs.includes(cidr)) continue;
      if (!ports) return `allows every port of ${cidr}`;
      // Public addresses on port 443 are what registries and databases need. Ranges of clouds' metadata services must be among the exceptions.
      if (except.length > 0 && ports.every((port) => port === 443)) continue;
      const other = ports.find((port) => !requested.ports.includes(Number(port)));
      if (other !== undefined) return `allows port ${other} of ${cidr}, which no setting requests`;
    } else if (isEmpty(namespaceSelector) && isEmpty(podSelector ?? {}) && !ports) return "allows every pod of the cluster";
  }
  return undefined;
}

const isEmpty = (selector: Properties) =>
  selector !== undefined && Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
