import { generation, resources, retire } from "./common.ts";
import * as v from "./kinds/index.ts";

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
      .listOf(v.hostName())
      .default([])
      .describe("DNS names and IP addresses in the generated certificate, in addition to the Service's names."),
    plainHttp: v
      .plain(v.flag())
      .default(false)
      .describe("Also serves plain HTTP on port 80 in the cluster; otherwise only `kubectl port-forward` reaches that port."),
  })
  .describe("TLS between the clients and the gateway.")
  .prefault({});

export const gateway = v
  .block("GatewayArgs", {
    enabled: v.plain(v.flag()).default(false).describe("Creates the gateway."),
    replicas: v.count(1, 100).default(2).describe("Number of gateway pods."),
    clients: v
      .listOf(client)
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
    rateLimit: v.count(1, 10_000_000).optional().meta({
      description:
        "Maximum number of requests per minute from each client. A scan needs three, and one more for each new layer. Requests above the limit are refused with a request to retry, which Trivy does for half a minute.",
      otherwise: "no limit",
    }),
    maxRequestSize: v
      .size()
      .default("64Mi")
      .describe("Maximum size of a request, which holds the analysis of one layer: about 4Mi for 20,000 packages."),
    tls,
    resources: resources(
      { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } },
      "CPU and memory of each gateway pod. The memory limit bounds the requests in progress.",
    ),
    monitors: v
      .listOf(v.clientNamespace())
      .default([])
      .describe("Namespaces whose pods may read the metrics, on port 8405; `*` means every namespace."),
  })
  .describe(
    "HAProxy in front of the servers: retries failed requests on another server, queues, authenticates clients by their tokens, terminates TLS.",
  )
  .prefault({});
