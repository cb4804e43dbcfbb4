import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { ServiceConnection } from "../registry-scan/scan-job.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { image } from "../shared/images.ts";
import { labels } from "../shared/labels.ts";
import { podsWith, tcp } from "../shared/network.ts";
import { configMap, namedMetadata, networkPolicy, secret } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, fromSecret, type Mount, type SecretKey, variables } from "../shared/pod.ts";
import { workload } from "../shared/workload.ts";
import { type ResultsConnection, resultsEgress, resultsVariables } from "./metrics-exporter.ts";

const part = parts.probe;
const tokenKey = "token";
const paths = { programs: "/app", tools: "/tools", temporary: "/tmp", authorities: "/etc/certificate-authorities" } as const;

/** Seconds for one synthetic scan: its own timeout, and the start of the pod. */
const deadline = 240;

const children = {
  /** The Secret with the token for the service. */
  credentials: optional(k8s.core.v1.Secret),
  certificateAuthorities: optional(k8s.core.v1.ConfigMap),
  policy: k8s.networking.v1.NetworkPolicy,
  cronJob: k8s.batch.v1.CronJob,
};

export interface SyntheticScanArgs {
  readonly context: Context;
  /** The service that is scanned through. */
  readonly service: ServiceConnection;
  readonly schedule: pulumi.Input<string>;
  /** Where the result is reported. */
  readonly results: ResultsConnection;
  /** Name of the ConfigMap with the programs. */
  readonly programs: pulumi.Input<string>;
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * A scan of one known package on a schedule, as a client of the service: the only check of the whole path. Monitoring creates it.
 *
 * @example
 * const { probe } = monitoring.nodes;
 * export const schedule = probe?.nodes.cronJob.spec.schedule;
 */
export class SyntheticScan extends Component<SyntheticScanArgs, typeof children> {
  constructor(name: string, args: SyntheticScanArgs, options?: pulumi.ComponentResourceOptions) {
    super("SyntheticScan", name, args, { children, settings: ["schedule"] }, options);
    const token = this.createCredentials();
    const authorities = this.createAuthorities();
    const policy = this.createPolicy();
    this.createCronJob(token, authorities, policy);
    this.registerOutputs({});
  }

  /** Returns where the token for the service is, if it requires one. */
  private createCredentials(): SecretKey | undefined {
    const { context, service } = this.args;
    if (service.tokenKey || service.token === undefined) return service.tokenKey;
    const { metadata } = this.create("credentials", secret(context, part, { [tokenKey]: service.token }));
    return { name: metadata.name, key: tokenKey };
  }

  /** Returns the name of the ConfigMap with the service's certificate authority, if there is one. */
  private createAuthorities(): pulumi.Output<string> | undefined {
    const { context, service } = this.args;
    if (service.caCertificate === undefined) return undefined;
    return this.create("certificateAuthorities", configMap(context, part, { "authorities.pem": service.caCertificate })).metadata.name;
  }

  private createPolicy(): pulumi.Resource {
    const { context, service } = this.args;
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [],
        egress: [{ to: [podsWith(service.selector)], ports: service.ports.map(tcp) }, resultsEgress],
      }),
    );
  }

  private createCronJob(token: SecretKey | undefined, authorities: pulumi.Input<string> | undefined, policy: pulumi.Resource): void {
    const { context, schedule } = this.args;
    this.create(
      "cronJob",
      {
        metadata: namedMetadata(context, part),
        spec: {
          schedule,
          timeZone: "Etc/UTC",
          concurrencyPolicy: "Forbid",
          startingDeadlineSeconds: 60,
          successfulJobsHistoryLimit: 1,
          failedJobsHistoryLimit: 3,
          jobTemplate: {
            metadata: { labels: labels(context, part) },
            spec: {
              // A failure is a result; the next scan follows the schedule.
              backoffLimit: 0,
              activeDeadlineSeconds: deadline,
              ttlSecondsAfterFinished: 24 * 3600,
              template: workload(context, {
                part,
                restartPolicy: "Never",
                terminationGracePeriodSeconds: 5,
                initContainers: [
                  {
                    name: "copy-trivy",
                    image: image("trivy", context),
                    command: ["cp", "/usr/local/bin/trivy", `${paths.tools}/trivy`],
                    resources: containerResources(
                      { requests: { cpu: "10m", memory: "256Mi" }, limits: { memory: "512Mi" } },
                      { request: "16Mi", limit: "64Mi" },
                    ),
                    volumeMounts: [{ name: "tools", mountPath: paths.tools }],
                  },
                ],
                container: {
                  name: "probe",
                  image: image("node", context),
                  command: ["node", `${paths.programs}/probe.js`],
                  env: this.environment(token, authorities !== undefined),
                  resources: containerResources(
                    { requests: { cpu: "20m", memory: "96Mi" }, limits: { memory: "512Mi" } },
                    { request: "32Mi", limit: "128Mi" },
                  ),
                },
                mounts: this.mounts(authorities),
              }).template,
            },
          },
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }

  private environment(token: SecretKey | undefined, authorities: boolean) {
    const { service, results } = this.args;
    return [
      ...resultsVariables(results),
      ...(token ? [fromSecret("TRIVY_TOKEN", token)] : []),
      ...variables({
        SERVICE_URL: service.url,
        TMPDIR: paths.temporary,
        HOME: paths.temporary,
        TRIVY_CACHE_DIR: `${paths.temporary}/cache`,
        PATH: `${paths.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
        SSL_CERT_DIR: authorities && `/etc/ssl/certs:${paths.authorities}`,
      }),
    ];
  }

  private mounts(authorities: pulumi.Input<string> | undefined): Mount[] {
    return [
      { name: "programs", mountPath: paths.programs, volume: { configMap: { name: this.args.programs } } },
      // In memory: Trivy has 200 MB, which every five minutes would be 57 GB a day on the node's disk.
      { name: "tools", mountPath: paths.tools, volume: { emptyDir: { medium: "Memory", sizeLimit: "384Mi" } } },
      { name: "temporary", mountPath: paths.temporary, options: {}, volume: { emptyDir: { sizeLimit: "64Mi" } } },
      ...(authorities === undefined
        ? []
        : [{ name: "certificate-authorities", mountPath: paths.authorities, volume: { configMap: { name: authorities } } }]),
    ];
  }
}
