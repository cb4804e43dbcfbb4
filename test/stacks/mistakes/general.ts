import type { Mistakes } from "./mistake.ts";

export const general: Mistakes = {
  inSchema: [
    ["an unknown block", { serevr: {} }, "serevr", /is not a setting; did you mean server\?/],
    ["an unknown key", { server: { replcas: 3 } }, "server.replcas", /did you mean replicas\?/],
    [
      "an unknown key in a nested block",
      { server: { resources: { limits: { memroy: "1Gi" } } } },
      "server.resources.limits.memroy",
      /did you mean memory\?/,
    ],
    [
      "an unknown key in a list",
      { scheduling: { tolerations: [{ kee: "a", operator: "Exists" }] } },
      "scheduling.tolerations[0].kee",
      /did you mean key\?/,
    ],
    ["an unknown key that every object has", { constructor: {} }, "constructor", /is not a setting; use one of namespace,/],
    ["an unknown key that resembles none", { namespace: { zzzzzz: 1 } }, "namespace.zzzzzz", /use one of name, create/],
    ["a text in place of a block", { server: "large" }, "server", /is "large"; use a block of settings/],
    ["an empty block", { server: null }, "server", /is empty; use a block of settings/],
    ["a block in place of a list", { images: { pullSecrets: {} } }, "images.pullSecrets", /is a block of settings; use a list/],
    [
      "a pull secret twice",
      { images: { pullSecrets: ["a", "b", "a"] } },
      "images.pullSecrets[2]",
      /is a, the same as images\.pullSecrets\[0\]; keep one/,
    ],
    ["the image tag latest", { images: { trivy: "ghcr.io/aquasecurity/trivy:latest" } }, "images.trivy", /latest/],
    ["an image without a version", { images: { redis: "docker.io/library/redis" } }, "images.redis", /a digest/],
    ["an invalid image", { images: { redis: "Redis 8" } }, "images.redis", /contains white space/],
    ["a registry with a scheme", { images: { registry: "https://mirror.example.com" } }, "images.registry", /no scheme/],
    ["an invalid namespace", { namespace: { name: "Trivy_1" } }, "namespace.name", /lowercase letters/],
    ["a namespace of Kubernetes", { namespace: { name: "kube-system" } }, "namespace.name", /belongs to Kubernetes/],
    ["a CIDR block without a prefix", { access: { cidrs: ["10.0.0.0"] } }, "access.cidrs[0]", /such as 10\.20\.0\.0\/16/],
    ["an invalid label", { labels: { team: "a b" } }, "labels.team", /at most 63 letters/],
    ["an invalid name of a label", { labels: { "a b": "c" } }, "labels.a b", /is not a valid name; use a label's name/],
    ["an invalid domain of the cluster", { clusterDomain: "http://cluster" }, "clusterDomain", /use a DNS name/],
  ],
  beyondSchema: [
    [
      "a toleration without a key",
      { scheduling: { tolerations: [{ value: "a" }] } },
      "scheduling.tolerations[0].key",
      /is missing; set it, or use operator: Exists/,
    ],
    [
      "the value of a taint that must only exist",
      { scheduling: { tolerations: [{ key: "a", operator: "Exists", value: "b" }] } },
      "scheduling.tolerations[0].value",
      /has no effect because operator is Exists/,
    ],
    [
      "a release that contained malware",
      { images: { trivy: "docker.io/aquasec/trivy:0.69.4" } },
      "images.trivy",
      /malware.*GHSA-69fq-xp46-6x23.*\d/,
    ],
    [
      "a release that contained malware, by digest",
      { images: { trivy: `aquasec/trivy:v0.69.6@sha256:${"a".repeat(64)}` } },
      "images.trivy",
      /malware/,
    ],
    [
      "an address that is not its block's own",
      { access: { cidrs: ["10.1.2.3/8"] } },
      "access.cidrs[0]",
      /network address is 10\.0\.0\.0\/8; use that/,
    ],
  ],
};
