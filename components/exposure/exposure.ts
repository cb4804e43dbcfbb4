import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Identity, labels } from "../shared/labels.ts";
import { type Transform, transformed } from "../shared/transform.ts";

/** The Service's name and port: the same in every environment, whatever stands behind it. */
export const serviceName = "trivy";
export const servicePort = 80;
const tlsPort = 443;

/** Longest request: a scan of a very large image over a slow line, as long as Trivy's own time-out. */
const requestTimeout = "300s";

/** A LoadBalancer Service beside the one of the cluster. TLS is the balancer's to end: say so in its annotations. */
export interface LoadBalancerArgs {
  readonly type: "loadBalancer";
  /** Load balancer class. @default the cloud's */
  readonly class?: string;
  /** @default none */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An Ingress. The controller must let large bodies (a layer's analysis has several megabytes) and requests of five minutes pass. */
export interface IngressArgs {
  readonly type: "ingress";
  /** DNS name. */
  readonly host: string;
  /** Ingress class. @default the cluster's */
  readonly class?: string;
  /** Secret of type kubernetes.io/tls. @default the controller's own certificate */
  readonly tlsSecret?: string;
  /** @default none */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An HTTPRoute of the Gateway API on a Gateway that exists, which has the certificate. */
export interface GatewayRouteArgs {
  readonly type: "gateway";
  /** DNS name. */
  readonly host: string;
  /** The Gateway; `section` is one of its listeners. */
  readonly gateway: { readonly name: string; readonly namespace?: string; readonly section?: string };
  /** @default none */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The pods that answer, and their ports by name. */
export interface BackendArgs {
  readonly selector: Readonly<Record<string, string>>;
  /** For plain HTTP. */
  readonly http: string;
  /** Whether plain HTTP is there for others than `kubectl port-forward`. */
  readonly plainHttp: boolean;
  /** For HTTPS. @default none */
  readonly https?: string;
}

export interface ExposureArgs extends Identity {
  readonly namespace: pulumi.Input<string>;
  readonly backend: BackendArgs;
  /** Leads clients to pods of their own zone while there are any: losing another zone then breaks nobody's connections. @default false */
  readonly nearest?: boolean;
  /** How clients outside the cluster get in. @default not at all */
  readonly exposure?: LoadBalancerArgs | IngressArgs | GatewayRouteArgs;
  readonly transform?: {
    readonly service?: Transform<k8s.types.input.core.v1.Service>;
    readonly loadBalancer?: Transform<k8s.types.input.core.v1.Service>;
    readonly ingress?: Transform<k8s.types.input.networking.v1.Ingress>;
    readonly route?: Transform<k8s.apiextensions.CustomResourceArgs>;
  };
}

/** The Service under which clients know the scan service, and the way in from outside the cluster. */
export class Exposure extends pulumi.ComponentResource {
  /** URL of the Service inside the cluster. */
  readonly address: pulumi.Output<string>;
  /** URL for clients outside the cluster, if there is one that is known. */
  readonly externalAddress: pulumi.Output<string> | undefined;

  constructor(name: string, args: ExposureArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, ...inputs } = args;
    super("trivy-server:index:Exposure", name, inputs, opts);
    const { namespace, backend, exposure, nearest = false } = args;
    const metadata = { namespace, labels: labels(args, "service") };
    const http = { name: "http", port: servicePort, targetPort: backend.http, appProtocol: "http" };
    const https = backend.https === undefined ? [] : [{ name: "https", port: tlsPort, targetPort: backend.https, appProtocol: "https" }];
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      transformed(transform?.service, {
        metadata: { ...metadata, name: serviceName },
        spec: {
          type: "ClusterIP",
          selector: { ...backend.selector },
          // Always with plain HTTP, which is how `kubectl port-forward` comes.
          ports: [http, ...https],
          ...(nearest && { trafficDistribution: "PreferSameZone" }),
        },
      }),
      { parent: this },
    );
    this.address = pulumi.interpolate`${scheme(backend)}://${service.metadata.name}.${namespace}.svc`;
    const outside = [...(backend.plainHttp ? [http] : []), ...https];
    this.externalAddress = exposure && this.expose(name, args, exposure, metadata, outside, service.metadata.name);
    this.registerOutputs({ address: this.address, externalAddress: this.externalAddress });
  }

  private expose(
    name: string,
    { backend, transform }: ExposureArgs,
    exposure: NonNullable<ExposureArgs["exposure"]>,
    metadata: k8s.types.input.meta.v1.ObjectMeta,
    ports: k8s.types.input.core.v1.ServicePort[],
    service: pulumi.Output<string>,
  ): pulumi.Output<string> {
    const { annotations = {} } = exposure;
    const annotated = (suffix: string) => ({
      ...metadata,
      name: `${serviceName}${suffix}`,
      ...(Object.keys(annotations).length > 0 && { annotations: { ...annotations } }),
    });
    switch (exposure.type) {
      case "loadBalancer": {
        const balancer = new k8s.core.v1.Service(
          `${name}-load-balancer`,
          transformed(transform?.loadBalancer, {
            metadata: annotated("-load-balancer"),
            spec: {
              type: "LoadBalancer",
              // Keeps the client's address, which the network policy looks at.
              externalTrafficPolicy: "Local",
              selector: { ...backend.selector },
              ports,
              ...(exposure.class !== undefined && { loadBalancerClass: exposure.class }),
            },
          }),
          { parent: this },
        );
        return balancer.status.loadBalancer.ingress.apply((ingress) => {
          const { hostname, ip } = ingress?.[0] ?? {};
          return `${scheme(backend)}://${hostname ?? ip ?? "pending"}`;
        });
      }
      case "ingress":
        new k8s.networking.v1.Ingress(
          `${name}-ingress`,
          transformed(transform?.ingress, {
            metadata: annotated(""),
            spec: {
              ...(exposure.class !== undefined && { ingressClassName: exposure.class }),
              ...(exposure.tlsSecret !== undefined && { tls: [{ hosts: [exposure.host], secretName: exposure.tlsSecret }] }),
              rules: [
                {
                  host: exposure.host,
                  http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: service, port: { name: "http" } } } }] },
                },
              ],
            },
          }),
          { parent: this },
        );
        return pulumi.output(`https://${exposure.host}`);
      case "gateway": {
        const { name: gateway, namespace, section } = exposure.gateway;
        new k8s.apiextensions.CustomResource(
          `${name}-route`,
          transformed(transform?.route, {
            apiVersion: "gateway.networking.k8s.io/v1",
            kind: "HTTPRoute",
            metadata: annotated(""),
            spec: {
              parentRefs: [
                { name: gateway, ...(namespace !== undefined && { namespace }), ...(section !== undefined && { sectionName: section }) },
              ],
              hostnames: [exposure.host],
              rules: [{ timeouts: { request: requestTimeout }, backendRefs: [{ name: service, port: servicePort }] }],
            },
          }),
          { parent: this },
        );
        return pulumi.output(`https://${exposure.host}`);
      }
    }
  }
}

const scheme = ({ https }: BackendArgs) => (https === undefined ? "http" : "https");
