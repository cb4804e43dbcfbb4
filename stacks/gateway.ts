import type { z } from "zod";
import { serviceName } from "../components/shared/parts.ts";
import { bytes, cores } from "../components/shared/quantity.ts";
import { certificateRules } from "./certificate-rules.ts";
import { generation, generationRules, resourceRules, resources, retire } from "./common.ts";
import type { SettingProblem } from "./errors.ts";
import { authorityProblem, isForHost } from "./kinds/certificate.ts";
import * as v from "./kinds/index.ts";
import { type Given, type RuleProblem, withoutEffect } from "./rule.ts";
import type { Server } from "./server.ts";

const client = v
  .block("ClientArgs", {
    name: v.plain(v.dnsLabel()).describe("Name of the client in outputs, logs and metrics, such as a team's."),
    generation: generation("token"),
    retire: retire("token"),
    token: v.token().optional().meta({ description: "The token, as a secret.", otherwise: "32 generated letters and digits" }),
    previousToken: v.token().optional().describe("A second valid token, as a secret, while clients change from it to `token`."),
  })
  .describe("A client that may scan, such as a team: identified by its token.");

const tls = v
  .block("GatewayTlsArgs", {
    enabled: v.plain(v.flag()).default(false).describe("Serves HTTPS on port 443."),
    existingSecret: v
      .objectName()
      .optional()
      .describe(
        "Name of an existing Secret of type kubernetes.io/tls with the certificate, such as cert-manager's; a renewed one is used within a minute.",
      ),
    certificate: v.certificates().optional().meta({
      description: "The certificate, PEM, followed by intermediate ones.",
      otherwise: "generated, issued by the stack's own certificate authority",
    }),
    key: v.privateKey().optional().describe("The private key of `certificate`, PEM, as a secret."),
    caCertificates: v.certificates().optional().meta({
      description: "Certificate authorities, PEM, that clients need for `certificate` or `existingSecret`: the output `caCertificate`.",
      otherwise: "the generated authority",
    }),
    names: v
      .uniqueListOf(v.hostName())
      .default([])
      .describe("DNS names and IP addresses in the generated certificate, in addition to the Service's names."),
    plainHttp: v
      .plain(v.flag())
      .default(false)
      .describe("Also serves plain HTTP on port 80 in the cluster; otherwise only `kubectl port-forward` reaches that port."),
  })
  .meta({
    description: "TLS between the clients and the gateway.",
    conflicts: [
      ["certificate", "existingSecret"],
      ["key", "existingSecret"],
    ],
  })
  .prefault({});

const edge = v
  .block("GatewayEdgeArgs", {
    connectionsPerAddress: v
      .count(10, 8000)
      .default(1000)
      .describe(
        "Maximum number of connections from one address (of IPv6: from one network of 64 bits) to one gateway pod that have not presented a valid token. Further connections are refused until one of them presents its token or ends, after five seconds at most.",
      ),
    resources: resources(
      { requests: { cpu: "50m", memory: "32Mi" }, limits: { memory: "512Mi" } },
      "CPU and memory of the edge in each gateway pod.",
    ),
  })
  .describe(
    "The part of the gateway that faces the clients: terminates TLS, identifies clients, and bounds what connections without a token can use.",
  )
  .prefault({});

export const gateway = v
  .block("GatewayArgs", {
    enabled: v.plain(v.flag()).default(false).describe("Creates the gateway."),
    replicas: v.count(1, 100).default(2).describe("Number of gateway pods."),
    clients: v
      .uniqueListOf(client, "name")
      .min(1, { error: "is empty; name at least one client, or remove the setting for one called default" })
      .prefault([{ name: "default" }])
      .meta({
        description: "Clients that may scan. Each has its own token and a fair share of the servers.",
        otherwise: "one called `default`",
      }),
    requestsPerServer: v
      .count(1, 10_000)
      .default(16)
      .describe("Number of requests that one server processes at a time; further requests wait in the gateway."),
    rateLimit: v.count(30, 10_000_000).optional().meta({
      description:
        "Maximum number of requests per minute from each client. A scan needs three, and one more for each new layer. Requests above the limit are refused with a request to retry, which Trivy does for half a minute.",
      otherwise: "no limit",
    }),
    maxRequestSize: v
      .size()
      .default("64Mi")
      .describe("Maximum size of a request, which holds the analysis of one layer: about 4Mi for 20,000 packages."),
    tls,
    preferSameZone: v
      .plain(v.flag())
      .default(true)
      .describe(
        "Whether clients reach gateway pods in their own zone while there are any. Needs Kubernetes 1.34: set it to false on older clusters.",
      ),
    resources: resources(
      { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } },
      "CPU and memory of the balancer in each gateway pod. The memory limit bounds the requests in progress.",
    ),
    edge,
    monitors: v
      .uniqueListOf(v.clientNamespace())
      .default([])
      .describe("Namespaces whose pods may read the metrics, on ports 8405 and 8406; `*` means every namespace."),
  })
  .describe(
    "HAProxy in front of the servers: retries failed requests on another server, queues, authenticates clients by their tokens, terminates TLS.",
  )
  .prefault({});

export type Gateway = z.output<typeof gateway>;

/** Memory of HAProxy itself, and of the fewest requests that it is useful with. */
const minimumMemory = "256Mi";

/** Memory of the edge with 10,000 connections, and of the data of the fewest that it is useful with. */
const minimumEdgeMemory = "416Mi";

export function* gatewayRules({ enabled, clients, tls, resources, edge }: Gateway, given: Given): Generator<RuleProblem> {
  if (!enabled) return;
  const { memory } = resources.limits;
  if (bytes(memory) < bytes(minimumMemory))
    yield {
      path: "gateway.resources.limits.memory",
      message: `is ${memory}, too little for HAProxy and the requests in progress; use at least ${minimumMemory}`,
    };
  yield* resourceRules("gateway.resources", resources);
  if (bytes(edge.resources.limits.memory) < bytes(minimumEdgeMemory))
    yield {
      path: "gateway.edge.resources.limits.memory",
      message: `is ${edge.resources.limits.memory}, too little for the connections that the edge accepts; use at least ${minimumEdgeMemory}`,
    };
  yield* resourceRules("gateway.edge.resources", edge.resources);
  yield* clientRules(clients, given);
  if (tls.enabled) yield* tlsRules(tls, given);
}

function* clientRules(clients: Gateway["clients"], given: Given): Generator<RuleProblem> {
  const owners = new Map<unknown, string>();
  for (const [index, client] of clients.entries()) {
    const path = `gateway.clients[${index}]`;
    if (client.token === undefined) {
      if (client.previousToken !== undefined)
        yield {
          path: `${path}.previousToken`,
          message: "has no effect without token; remove it, because of a generated token the previous generation stays valid",
          concerns: [`${path}.token`],
        };
      yield* generationRules(path, client);
      continue;
    }
    const message = `has no effect because ${path}.token is set; remove it, it is for generated tokens`;
    yield* withoutEffect(given, path, ["generation", "retire"], message);
    // The settings hold secrets as outputs: the texts are in what was given.
    for (const key of ["token", "previousToken"]) {
      const text = given(`${path}.${key}`);
      if (text === undefined) continue;
      const owner = owners.get(text);
      if (owner === undefined) owners.set(text, path);
      else
        yield {
          path: `${path}.${key}`,
          message:
            owner === path
              ? "is the same as token; use the previous one, or remove it"
              : `is also a token of ${owner}, and the gateway could not tell the two clients apart; use a different token for each client`,
          concerns: [`${path}.token`, `${owner}.token`],
        };
    }
  }
}

function* tlsRules({ existingSecret, certificate, key, caCertificates, names }: Gateway["tls"], given: Given): Generator<RuleProblem> {
  const path = "gateway.tls";
  const both = [`${path}.certificate`, `${path}.key`];
  if (names.length > 0 && (existingSecret ?? certificate ?? key) !== undefined)
    yield {
      path: `${path}.names`,
      message: "has no effect because the certificate is given, and contains its names; remove it",
      concerns: [...both, `${path}.existingSecret`],
    };
  if (existingSecret !== undefined) return;
  if (certificate === undefined && key !== undefined)
    yield { path: `${path}.certificate`, message: "is missing; use the certificate of gateway.tls.key", concerns: both };
  if (certificate !== undefined && key === undefined)
    yield { path: `${path}.key`, message: "is missing; use the key of gateway.tls.certificate, as a secret", concerns: both };
  if (certificate === undefined && key === undefined && caCertificates !== undefined)
    yield {
      path: `${path}.caCertificates`,
      message: "has no effect because the certificate and its authority are generated; remove it, or set certificate and key",
      concerns: both,
    };
  yield* certificateRules(path, { certificate: "certificate", key: "key" }, given);
  const problem =
    certificate !== undefined && caCertificates !== undefined && authorityProblem(certificate, caCertificates, `${path}.certificate`);
  if (problem) yield { path: `${path}.caCertificates`, message: problem };
}

/** Requests per minute that a server answers with one core: 12 to 17 ms for a scan of three requests, measured. */
const requestsPerCore = 12_000;

/** Returns what works, but hardly as intended. */
export function* gatewayWarnings(
  { enabled, rateLimit, clients, tls }: Gateway,
  { autoscaling, replicas, resources }: Server,
  namespace: string,
): Generator<SettingProblem> {
  if (!enabled) return;
  const servers = autoscaling?.maxReplicas ?? replicas;
  const capacity = Math.floor(servers * requestsPerCore * cores(resources.limits.cpu ?? "1"));
  if (rateLimit !== undefined && rateLimit * clients.length > capacity)
    yield {
      path: "gateway.rateLimit",
      message: `is ${rateLimit}, which allows ${rateLimit * clients.length} requests per minute in total (clients: ${clients.length}), more than the ${capacity} that the servers can answer (servers: ${servers}), so it does not protect them; use at most ${Math.floor(capacity / clients.length)}`,
    };
  const host = `${serviceName}.${namespace}.svc`;
  if (tls.enabled && tls.certificate !== undefined && !isForHost(tls.certificate, host))
    yield {
      path: "gateway.tls.certificate",
      message: `is not valid for ${host}, the name that clients in the cluster use; add that name to it, or those clients refuse it`,
    };
}
