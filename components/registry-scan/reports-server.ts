import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type ReportsConfiguration, reportsPorts } from "../../registry-scan/index.ts";
import { type BucketArgs, blockDefaults, defaults, type ReceiverArgs, type RegistryScanArgs, type ReportsArgs } from "../args.ts";
import { Component, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { egress, urlEndpoint } from "../shared/egress.ts";
import { image } from "../shared/images.ts";
import { selector } from "../shared/labels.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { type Endpoint, ingressFrom, podsInNamespace, podsWith } from "../shared/network.ts";
import { configMap, namedMetadata, networkPolicy, protection, volumeClaim } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, fromSecret, httpProbe, type Mount, secretVolume, variables } from "../shared/pod.ts";
import { clusterDomainOf } from "../shared/proxy.ts";
import { bytes } from "../shared/quantity.ts";
import { workload } from "../shared/workload.ts";
import { type Application, diskFor, jsonFile, paths } from "./application.ts";
import { type Receivers, receiverEndpoints, receiverSources } from "./receivers.ts";

const part = parts.reports;
const configurationFile = "reports.json";

const children = {
  /** The ConfigMap with the configuration of the server. */
  config: k8s.core.v1.ConfigMap,
  policy: k8s.networking.v1.NetworkPolicy,
  claim: k8s.core.v1.PersistentVolumeClaim,
  service: k8s.core.v1.Service,
  statefulSet: k8s.apps.v1.StatefulSet,
};

export interface ReportsServerArgs {
  readonly context: Context;
  readonly reports?: ReportsArgs;
  readonly receivers: Receivers;
  /** CIDR blocks that receivers and buckets may be in. @default none */
  readonly cidrs?: RegistryScanArgs["cidrs"];
  readonly application: Application;
  /** Name of the Secret of type kubernetes.io/tls with the certificate for the API. */
  readonly certificate: pulumi.Input<string>;
  readonly transform?: Transforms<typeof children> | undefined;
}

type Settings = WithDefaults<ReportsArgs, typeof defaults.registryScan.reports>;
type Bucket = WithDefaults<BucketArgs, typeof blockDefaults.BucketArgs>;

/**
 * The server that distributes the targets of a run among the scanning pods, keeps their findings, compares them with earlier ones, and
 * shows the reports and sends the alerts that follow from them. RegistryScan creates it.
 *
 * @example
 * const reports = registryScan.nodes.reports;
 * export const url = reports.apiUrl;
 */
export class ReportsServer extends Component<ReportsServerArgs, typeof children> {
  /** URL of the API that the scanning pods use. */
  readonly apiUrl: pulumi.Output<string>;
  /** The command that makes the reports reachable on the user's machine, at http://localhost:8081. */
  readonly portForward: pulumi.Output<string>;

  constructor(name: string, args: ReportsServerArgs, options?: pulumi.ComponentResourceOptions) {
    super("ReportsServer", name, args, { children, settings: ["reports"] }, options);
    const { namespace } = this.args.context;
    const reports = withDefaults(defaults.registryScan.reports, this.args.reports);
    const bucket = reports.bucket && withDefaults(blockDefaults.BucketArgs, reports.bucket);
    const config = this.createConfig(reports, bucket);
    const policy = this.createPolicy(reports, bucket);
    const claim = this.createClaim(reports);
    this.createService();
    this.createStatefulSet(reports, this.mounts(config, claim), policy);
    this.apiUrl = pulumi.interpolate`https://${part.objectName}.${namespace}.svc:${reportsPorts.api}`;
    this.portForward = pulumi.interpolate`kubectl port-forward service/${part.objectName} 8081:80 -n ${namespace}`;
    this.registerOutputs({ portForward: this.portForward });
  }

  /** Returns the name of the ConfigMap with the server's configuration. */
  private createConfig({ keep, imageMetrics, url }: Settings, bucket: Bucket | undefined): pulumi.Output<string> {
    const { context, receivers } = this.args;
    const configuration = pulumi
      .output({
        keep,
        imageMetrics,
        url,
        namespace: context.namespace,
        clusterDomain: clusterDomainOf(context),
        bucket: bucket && { endpoint: bucketEndpoint(bucket), region: bucket.region, name: bucket.name, prefix: bucket.prefix },
      })
      .apply(
        (own): ReportsConfiguration => ({
          folder: paths.data,
          keep: own.keep,
          imageMetrics: own.imageMetrics,
          receivers: receivers.alerts.map(({ name, type, authorization, defectDojo }) => ({
            ...{ name, type, authorized: authorization !== undefined },
            ...(defectDojo && { defectDojo: withDefaults(blockDefaults.DefectDojoArgs, defectDojo) }),
          })),
          hosts: [
            part.objectName,
            `${part.objectName}.${own.namespace}`,
            `${part.objectName}.${own.namespace}.svc`,
            `${part.objectName}.${own.namespace}.svc.${own.clusterDomain}`,
          ],
          ...(own.url !== undefined && { url: own.url }),
          ...(own.bucket && { bucket: own.bucket }),
        }),
      );
    return this.create("config", configMap(context, part, { [configurationFile]: configuration.apply(jsonFile) })).metadata.name;
  }

  private createPolicy({ viewers, monitors }: Settings, bucket: Bucket | undefined): pulumi.Resource {
    const { context, receivers, cidrs } = this.args;
    const hasDestinations = receivers.alerts.length > 0 || bucket !== undefined;
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [
          ...ingressFrom([podsWith(selector(parts.registryScan))], [reportsPorts.api]),
          ...ingressFrom(viewers.map(podsInNamespace), [reportsPorts.pages]),
          ...ingressFrom(monitors.map(podsInNamespace), [reportsPorts.metrics]),
        ],
        egress: egress(context, destinationEndpoints(receivers.alerts, bucket), hasDestinations ? cidrs : []),
      }),
    );
  }

  /** Returns the claim's name. */
  private createClaim(claim: Settings): pulumi.Output<string> {
    const { context } = this.args;
    return this.create("claim", volumeClaim(context, part, claim), protection(context)).metadata.name;
  }

  private createService(): void {
    this.create("service", {
      metadata: namedMetadata(this.args.context, part),
      spec: {
        selector: selector(part),
        ports: [
          { name: "http", port: 80, targetPort: "http" },
          { name: "api", port: reportsPorts.api, targetPort: "api" },
        ],
      },
    });
  }

  private mounts(config: pulumi.Input<string>, claimName: pulumi.Input<string>): Mount[] {
    const sources = receiverSources(this.args.receivers);
    return [
      ...this.args.application.mounts,
      { name: "certificate", mountPath: paths.certificate, volume: secretVolume(this.args.certificate) },
      { name: "configuration", mountPath: paths.reports, volume: { configMap: { name: config } } },
      ...(sources.length > 0
        ? [{ name: "receivers", mountPath: paths.receivers, volume: { projected: { sources, defaultMode: 0o440 } } }]
        : []),
      { name: "data", mountPath: paths.data, options: {}, volume: { persistentVolumeClaim: { claimName } } },
      { name: "temporary", mountPath: paths.temporary, options: {}, volume: { emptyDir: { sizeLimit: "16Mi" } } },
    ];
  }

  /** A StatefulSet, because it never runs two pods at the same time on one volume. */
  private createStatefulSet({ resources, bucket }: Settings, mounts: readonly Mount[], policy: pulumi.Resource): void {
    const { context, application } = this.args;
    const [token, previous] = application.tokens;
    const healthz = httpProbe("/healthz", "http");
    this.create(
      "statefulSet",
      {
        metadata: namedMetadata(context, part),
        spec: {
          serviceName: part.objectName,
          replicas: 1,
          ...workload(context, {
            part,
            terminationGracePeriodSeconds: 30,
            metrics: { port: reportsPorts.metrics, path: "/metrics" },
            container: {
              name: "reports",
              image: image("node", context),
              command: ["node", `${paths.programs}/reports.js`],
              env: [
                fromSecret("REPORTS_TOKEN", token),
                ...(previous ? [fromSecret("REPORTS_PREVIOUS_TOKEN", previous)] : []),
                ...variables({
                  ...application.environment,
                  API_CERTIFICATE: paths.certificate,
                  TMPDIR: paths.temporary,
                  NODE_OPTIONS: heapLimit(resources.limits.memory),
                }),
              ],
              ...(bucket && { envFrom: [{ secretRef: { name: bucket.existingSecret } }] }),
              ports: [
                { name: "http", containerPort: reportsPorts.pages },
                { name: "api", containerPort: reportsPorts.api },
                { name: "metrics", containerPort: reportsPorts.metrics },
              ],
              // After a crash it first completes what it had begun.
              startupProbe: { ...healthz, periodSeconds: 1, failureThreshold: 120 },
              readinessProbe: { ...healthz, periodSeconds: 5, failureThreshold: 2 },
              livenessProbe: { ...healthz, periodSeconds: 10, failureThreshold: 6 },
              resources: containerResources(resources, diskFor("64Mi")),
            },
            mounts,
          }),
        },
      },
      { dependsOn: [policy, ...this.dependencies], customTimeouts: { create: "15m", update: "15m" } },
    );
  }
}

/** Returns where the receivers and the bucket are. */
export function destinationEndpoints(alerts: readonly ReceiverArgs[] = [], bucket: BucketArgs | undefined): pulumi.Output<Endpoint[]> {
  return pulumi
    .all([receiverEndpoints(alerts), bucket && bucketEndpoint(withDefaults(blockDefaults.BucketArgs, bucket))])
    .apply(([endpoints, url]) => [...endpoints, ...(url === undefined ? [] : [urlEndpoint(url)])]);
}

const bucketEndpoint = ({ endpoint, region }: Bucket): pulumi.Input<string> =>
  endpoint ?? pulumi.interpolate`https://s3.${region}.amazonaws.com`;

/**
 * Returns Node's option for a heap of 60 % of the container's memory; the rest is for memory outside of the heap. Measured: 10,000 images
 * with 50 findings each need 360 MiB of heap and 580 MiB in all.
 */
const heapLimit = (memory: pulumi.Input<string>) =>
  pulumi.output(memory).apply((text) => `--max-old-space-size=${Math.floor((bytes(text) * 0.6) / bytes("1Mi"))}`);
