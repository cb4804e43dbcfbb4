import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { ExposureSettings, GatewayApiArgs, IngressArgs, LoadBalancerArgs } from "../args.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { labels } from "../shared/labels.ts";
import { serviceName, servicePort } from "../shared/parts.ts";

const tlsPort = 443;

/** Longest request, the scan of a very large image over a slow connection: as long as Trivy's own timeout. */
const requestTimeout = "300s";

const children = {
  service: k8s.core.v1.Service,
  loadBalancer: optional(k8s.core.v1.Service),
  ingress: optional(k8s.networking.v1.Ingress),
  /** The HTTPRoute of the Gateway API. */
  route: optional(k8s.apiextensions.CustomResource),
};

/** Pods as a Service reaches them. */
export interface Backend {
  /** Labels of the pods. */
  readonly selector: Readonly<Record<string, string>>;
  /** Name of their port for plain HTTP. */
  readonly http: string;
  /** Whether clients other than `kubectl port-forward` may use plain HTTP. */
  readonly plainHttp: boolean;
  /** Name of their port for HTTPS. @default none */
  readonly https?: string;
}

export interface ExposureArgs {
  readonly context: Context;
  readonly backend: Backend;
  /**
   * Prefers pods in the client's zone, so that the loss of another zone breaks no connection. Useful only if every pod can do the work of
   * all, as a gateway can.
   * @default false
   */
  readonly preferSameZone?: boolean;
  /** How clients outside the cluster reach the service. @default not at all */
  readonly exposure?: ExposureSettings;
  /** Blocks of addresses that a load balancer admits. @default all */
  readonly sourceRanges?: readonly pulumi.Input<string>[] | undefined;
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * The Service that clients use, and the access from outside the cluster.
 *
 * @example
 * const exposure = new Exposure("exposure", {
 *   context,
 *   backend: { selector: { app: "trivy" }, http: "http", plainHttp: true },
 *   exposure: { type: "ingress", host: "trivy.example.com" },
 * });
 * export const url = exposure.externalAddress;
 */
export class Exposure extends Component<ExposureArgs, typeof children> {
  /** URL of the Service for clients in the cluster. */
  readonly address: pulumi.Output<string>;
  /** URL for clients outside the cluster; `undefined` without exposure. */
  readonly externalAddress: pulumi.Output<string> | undefined;

  constructor(name: string, args: ExposureArgs, options?: pulumi.ComponentResourceOptions) {
    super("Exposure", name, args, { children, settings: ["exposure"] }, options);
    const { context, backend } = this.args;
    const service = this.createService();
    this.address = pulumi.interpolate`${scheme(backend)}://${service}.${context.namespace}.svc`;
    this.externalAddress = this.expose(service);
    this.registerOutputs({ address: this.address, externalAddress: this.externalAddress });
  }

  /** Returns the Service's name. */
  private createService(): pulumi.Output<string> {
    const { backend, preferSameZone = false, exposure = {} } = this.args;
    const annotations = "serviceAnnotations" in exposure ? exposure.serviceAnnotations : undefined;
    const { metadata } = this.create("service", {
      metadata: this.metadata(serviceName, annotations),
      spec: {
        type: "ClusterIP",
        selector: { ...backend.selector },
        // Always with plain HTTP, which `kubectl port-forward` uses.
        ports: [httpPort(backend), ...httpsPorts(backend)],
        // Kubernetes 1.34 introduced this name; the one before it is deprecated.
        ...(preferSameZone && { trafficDistribution: "PreferSameZone" }),
      },
    });
    return metadata.name;
  }

  private expose(service: pulumi.Output<string>): pulumi.Output<string> | undefined {
    const { exposure = {} } = this.args;
    switch (exposure.type) {
      case "loadBalancer":
        return this.createLoadBalancer(exposure);
      case "ingress":
        return this.createIngress(exposure, service);
      case "gatewayApi":
        return this.createRoute(exposure, service);
      default:
        return undefined;
    }
  }

  private createLoadBalancer({ class: loadBalancerClass, annotations }: LoadBalancerArgs): pulumi.Output<string> {
    const { backend, sourceRanges = [] } = this.args;
    const balancer = this.create("loadBalancer", {
      metadata: this.metadata(`${serviceName}-load-balancer`, annotations),
      spec: {
        type: "LoadBalancer",
        // Keeps the client's address, which the network policy checks.
        externalTrafficPolicy: "Local",
        // The policy too, but not every cluster's network plugin enforces policies.
        ...(sourceRanges.length > 0 && { loadBalancerSourceRanges: [...sourceRanges] }),
        selector: { ...backend.selector },
        ports: [...(backend.plainHttp ? [httpPort(backend)] : []), ...httpsPorts(backend)],
        ...(loadBalancerClass !== undefined && { loadBalancerClass }),
      },
    });
    return balancer.status.loadBalancer.ingress.apply((ingress) => {
      const { hostname, ip } = ingress?.[0] ?? {};
      return `${scheme(backend)}://${hostname ?? ip ?? "pending"}`;
    });
  }

  private createIngress({ host, class: ingressClassName, tlsSecret, annotations }: IngressArgs, service: pulumi.Output<string>) {
    this.create("ingress", {
      metadata: this.metadata(serviceName, annotations),
      spec: {
        ...(ingressClassName !== undefined && { ingressClassName }),
        ...(tlsSecret !== undefined && { tls: [{ hosts: [host], secretName: tlsSecret }] }),
        rules: [
          {
            host,
            http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: service, port: { name: "http" } } } }] },
          },
        ],
      },
    });
    return pulumi.interpolate`https://${host}`;
  }

  private createRoute({ host, gateway, annotations }: GatewayApiArgs, service: pulumi.Output<string>) {
    const { name, namespace, section } = gateway;
    this.create("route", {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: this.metadata(serviceName, annotations),
      spec: {
        parentRefs: [{ name, ...(namespace !== undefined && { namespace }), ...(section !== undefined && { sectionName: section }) }],
        hostnames: [host],
        rules: [{ timeouts: { request: requestTimeout }, backendRefs: [{ name: service, port: servicePort }] }],
      },
    });
    return pulumi.interpolate`https://${host}`;
  }

  private metadata(name: string = serviceName, annotations: Readonly<Record<string, pulumi.Input<string>>> = {}) {
    const { context } = this.args;
    return {
      namespace: context.namespace,
      labels: labels(context, { component: "service" }),
      name,
      ...(Object.keys(annotations).length > 0 && { annotations: { ...annotations } }),
    };
  }
}

const scheme = ({ https }: Backend) => (https === undefined ? "http" : "https");

const httpPort = ({ http }: Backend) => ({ name: "http", port: servicePort, targetPort: http, appProtocol: "http" });

const httpsPorts = ({ https }: Backend) =>
  https === undefined ? [] : [{ name: "https", port: tlsPort, targetPort: https, appProtocol: "https" }];
