import type { z } from "zod";
import { isPrivateBlock } from "../components/shared/network.ts";
import type { Access } from "./access.ts";
import type { Gateway } from "./gateway.ts";
import * as v from "./kinds/index.ts";
import type { RuleProblem } from "./rule.ts";
import type { Server } from "./server.ts";

const host = () => v.dnsName().describe("DNS name of the service.");

const annotations = (of: string, examples: string) =>
  v.tableOf(v.labelKey()).default({}).describe(`Annotations of the ${of}: ${examples}.`);

const serviceAnnotations = annotations(
  "Service in the cluster",
  "health checks and network endpoint groups, which the controllers of some clouds read there",
);

const none = v
  .block("NoExposureArgs", {
    type: v.literal("none").optional().default("none").describe("The service can only be reached in the cluster."),
  })
  .describe("No access from outside the cluster.");

const loadBalancer = v
  .block("LoadBalancerArgs", {
    type: v.literal("loadBalancer").describe("A second Service, of type LoadBalancer."),
    class: v.className().optional().meta({ description: "Load balancer class.", otherwise: "the cluster's default" }),
    annotations: annotations("LoadBalancer Service", "address, health checks, TLS at the balancer"),
    plainHttp: v
      .plain(v.flag())
      .default(false)
      .describe("Serves clients with public addresses over plain HTTP, for a load balancer that terminates TLS itself."),
  })
  .describe("A LoadBalancer Service, in addition to the one in the cluster.");

const ingress = v
  .block("IngressArgs", {
    type: v.literal("ingress").describe("An Ingress."),
    host: host(),
    class: v.objectName().optional().meta({ description: "Ingress class.", otherwise: "the cluster's default" }),
    tlsSecret: v
      .objectName()
      .optional()
      .meta({ description: "Name of an existing Secret of type kubernetes.io/tls.", otherwise: "the controller's own certificate" }),
    annotations: annotations("Ingress", "body size, time-outs, TLS"),
    serviceAnnotations,
  })
  .describe("An Ingress. Its controller must allow bodies of several megabytes (the analysis of a layer) and requests of five minutes.");

const gatewayApi = v
  .block("GatewayApiArgs", {
    type: v.literal("gatewayApi").describe("An HTTPRoute of the Gateway API."),
    host: host(),
    gateway: v
      .block("GatewayReference", {
        name: v.objectName().describe("Name of the Gateway."),
        namespace: v.dnsLabel().optional().meta({ description: "Namespace of the Gateway.", otherwise: "the service's" }),
        section: v.objectName().optional().meta({ description: "Name of one of its listeners.", otherwise: "all listeners" }),
      })
      .describe("The existing Gateway that the route attaches to, which has the certificate."),
    annotations: annotations("HTTPRoute", "time-outs, policies"),
    serviceAnnotations,
  })
  .describe("An HTTPRoute of the Gateway API, on a Gateway that exists already.");

export const exposure = v
  .variants("ExposureSettings", "type", [none, loadBalancer, ingress, gatewayApi])
  .describe("How clients outside the cluster reach the service.")
  .prefault({});

interface Related {
  readonly exposure: z.output<typeof exposure>;
  readonly access: Access;
  readonly server: Server;
  readonly gateway: Gateway;
}

export function* exposureRules({ exposure, access, server, gateway }: Related): Generator<RuleProblem> {
  const { type } = exposure;
  if (type === "none") return;
  const concerns = ["exposure.type"];
  if (access.namespaces.length === 0 && access.cidrs.length === 0)
    yield {
      path: "access",
      message: `allows no client, so exposure.type: ${type} has no effect; add ${type === "loadBalancer" ? "the clients' addresses to access.cidrs" : "the controller's namespace to access.namespaces"}`,
      concerns,
    };
  else if (type === "loadBalancer" && access.cidrs.length === 0)
    yield {
      path: "access.cidrs",
      message: "is empty, so that no client outside the cluster could connect through the load balancer; add the clients' addresses",
      concerns,
    };
  if (!gateway.enabled && !server.token.enabled)
    yield {
      path: "server.token.enabled",
      message: "is false although the service is exposed, so that any client could write to the cache; use true",
      concerns: [...concerns, "gateway.enabled"],
    };
  if (gateway.enabled && gateway.tls.enabled && !gateway.tls.plainHttp && type !== "loadBalancer")
    yield {
      path: "gateway.tls.plainHttp",
      message: `is false, but with exposure.type: ${type} the controller connects to the service over plain HTTP; use true`,
      concerns: [...concerns, "gateway.tls.enabled"],
    };
  if (type === "loadBalancer" && !exposure.plainHttp && (!gateway.tls.enabled || gateway.tls.plainHttp)) {
    const [index, block] = [...access.cidrs.entries()].find(([, cidr]) => !isPrivateBlock(cidr)) ?? [];
    if (block !== undefined)
      yield {
        path: `access.cidrs[${index}]`,
        message: `is ${block}, which has public addresses, and the load balancer serves plain HTTP, so that anyone on the way could read tokens and findings; use private addresses or gateway.tls.enabled: true without gateway.tls.plainHttp, or set exposure.plainHttp: true if the load balancer itself terminates TLS`,
        concerns: [...concerns, "exposure.plainHttp", "gateway.enabled", "gateway.tls.enabled", "gateway.tls.plainHttp"],
      };
  }
}
