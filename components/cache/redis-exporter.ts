import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { Component, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { image } from "../shared/images.ts";
import { ingressFrom, podsInNamespace } from "../shared/network.ts";
import { namedMetadata, networkPolicy } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, fromSecret, httpProbe, type Mount, type SecretKey, secretVolume, variables } from "../shared/pod.ts";
import { surgeOne, workload } from "../shared/workload.ts";
import { type CacheConnection, tlsKeys } from "./connection.ts";

const part = parts.redisExporter;
const port = 9121;
const certificatePath = "/etc/redis-exporter/certificate";

const children = {
  policy: k8s.networking.v1.NetworkPolicy,
  deployment: k8s.apps.v1.Deployment,
};

export interface RedisExporterArgs {
  readonly context: Context;
  readonly cache: CacheConnection;
  /** Redis' user for the metrics. */
  readonly login: { readonly user: string; readonly password: SecretKey };
  /** Namespaces whose pods may read the metrics; `*` means every namespace. */
  readonly monitors: readonly pulumi.Input<string>[];
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * Exports Redis' metrics to Prometheus. It runs in a pod of its own: a failing exporter in Redis' pod would make that pod unready and
 * remove it from its Service, and a separate one can report that Redis is unreachable.
 *
 * @example
 * const login = { user: "monitor", password: { name: "redis-monitor", key: "password" } };
 * new RedisExporter("exporter", { context, cache: cache.connection, monitors: ["monitoring"], login });
 */
export class RedisExporter extends Component<RedisExporterArgs, typeof children> {
  constructor(name: string, args: RedisExporterArgs, options?: pulumi.ComponentResourceOptions) {
    super("RedisExporter", name, args, { children, settings: ["monitors"] }, options);
    const policy = this.createPolicy();
    this.createDeployment(policy);
    this.registerOutputs({});
  }

  private createPolicy(): pulumi.Resource {
    const { context, cache, monitors } = this.args;
    const ingress = ingressFrom(monitors.map(podsInNamespace), [port]);
    return this.create("policy", networkPolicy(context, part, { ingress, egress: [cache.egress] }));
  }

  private createDeployment(policy: pulumi.Resource): void {
    const { context, cache, login } = this.args;
    const mounts: Mount[] =
      cache.clientCertificate === undefined
        ? []
        : [{ name: "certificate", mountPath: certificatePath, volume: secretVolume(cache.clientCertificate) }];
    this.create(
      "deployment",
      {
        metadata: namedMetadata(context, part),
        spec: {
          replicas: 1,
          strategy: surgeOne,
          ...workload(context, {
            part,
            replicated: true,
            metrics: { port, path: "/metrics" },
            container: {
              name: "redis-exporter",
              image: image("redisExporter", context),
              env: [fromSecret("REDIS_PASSWORD", login.password), ...variables(environment(cache, login.user))],
              ports: [{ name: "metrics", containerPort: port }],
              readinessProbe: { ...httpProbe("/health", "metrics"), periodSeconds: 5 },
              livenessProbe: { ...httpProbe("/health", "metrics"), periodSeconds: 10, failureThreshold: 6 },
              // Measured: 17 MiB resident.
              resources: containerResources(
                { requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "64Mi" } },
                { request: "16Mi", limit: "64Mi" },
              ),
            },
            mounts,
          }),
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }
}

const environment = ({ tls, clientCertificate, health }: CacheConnection, user: string) => ({
  REDIS_ADDR: pulumi.interpolate`${tls ? "rediss" : "redis"}://${health.host}:${health.port}`,
  REDIS_USER: user,
  // Less than Prometheus' timeout of ten seconds: otherwise the exporter would seem to be unreachable, and not Redis.
  REDIS_EXPORTER_CONNECTION_TIMEOUT: "3s",
  ...(clientCertificate !== undefined && {
    REDIS_EXPORTER_TLS_CA_CERT_FILE: `${certificatePath}/${tlsKeys.ca}`,
    REDIS_EXPORTER_TLS_CLIENT_CERT_FILE: `${certificatePath}/${tlsKeys.certificate}`,
    REDIS_EXPORTER_TLS_CLIENT_KEY_FILE: `${certificatePath}/${tlsKeys.key}`,
  }),
  // Leaves out requests other than INFO, which Redis would refuse and log.
  REDIS_EXPORTER_CONFIG_COMMAND: "-",
  REDIS_EXPORTER_SET_CLIENT_NAME: "false",
  REDIS_EXPORTER_EXCLUDE_LATENCY_HISTOGRAM_METRICS: "true",
  // /scrape?target=… would send the password to any host that a reader names.
  REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT: "true",
});
