import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { dependencies } from "../shared/dependencies.ts";
import { imageReference } from "../shared/images.ts";
import { type Identity, labels, selector } from "../shared/labels.ts";
import { type EgressRule, ingressFrom, inNamespace } from "../shared/network.ts";
import {
  containerResources,
  containerSecurity,
  fromSecret,
  httpProbe,
  type Mount,
  oneByOne,
  type PodArgs,
  podMetadata,
  replicatedPodSpec,
  type SecretKey,
  secretVolume,
  userIds,
  variables,
  volumeMounts,
  volumes,
} from "../shared/pod.ts";
import { type Transform, transformed } from "../shared/transform.ts";
import type { CacheConnection } from "./redis-cache.ts";

const component = "redis-exporter";
const objectName = "redis-exporter";
const port = 9121;
const certificatePath = "/etc/redis-exporter/certificate";

/** Selects the exporter's pod. */
export const redisExporterSelector = selector(component);

export interface RedisExporterArgs extends Identity, PodArgs {
  readonly namespace: pulumi.Input<string>;
  /** Namespaces whose pods may read the metrics; `*` means all of the cluster. */
  readonly monitors: readonly string[];
  readonly redis: {
    readonly host: pulumi.Input<string>;
    readonly port: number;
    /** Who may look at Redis' figures. */
    readonly user: string;
    readonly password: SecretKey;
    /** @default no TLS */
    readonly clientCertificate?: CacheConnection["clientCertificate"];
    readonly egress: EgressRule;
  };
  readonly transform?: {
    readonly deployment?: Transform<k8s.types.input.apps.v1.Deployment>;
    readonly networkPolicy?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
  };
}

/**
 * Redis' figures for Prometheus. In a pod of its own: one that fails beside Redis would make Redis' pod unready and take it out of its Service,
 * and this one can still tell that Redis is away.
 */
export class RedisExporter extends pulumi.ComponentResource {
  constructor(name: string, args: RedisExporterArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, redis, ...inputs } = args;
    super("trivy-server:index:RedisExporter", name, inputs, opts);
    const metadata = { name: objectName, namespace: args.namespace, labels: labels(args, component) };
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      transformed(transform?.networkPolicy, {
        metadata,
        spec: {
          podSelector: { matchLabels: redisExporterSelector },
          policyTypes: ["Ingress", "Egress"],
          ingress: ingressFrom(args.monitors.map(inNamespace), [port]),
          egress: [redis.egress],
        },
      }),
      { parent: this },
    );
    const { clientCertificate: certificate } = redis;
    const mounts: Mount[] = certificate
      ? [{ name: "certificate", mountPath: certificatePath, volume: secretVolume(certificate.secret) }]
      : [];
    const environment = {
      REDIS_ADDR: pulumi.interpolate`${certificate ? "rediss" : "redis"}://${redis.host}:${redis.port}`,
      REDIS_USER: redis.user,
      // Well before Prometheus gives up, after ten: else the exporter would seem to be away, not Redis.
      REDIS_EXPORTER_CONNECTION_TIMEOUT: "3s",
      ...(certificate && {
        REDIS_EXPORTER_TLS_CA_CERT_FILE: `${certificatePath}/${certificate.keys.ca}`,
        REDIS_EXPORTER_TLS_CLIENT_CERT_FILE: `${certificatePath}/${certificate.keys.certificate}`,
        REDIS_EXPORTER_TLS_CLIENT_KEY_FILE: `${certificatePath}/${certificate.keys.key}`,
      }),
      ...restraint,
    };
    new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      transformed(transform?.deployment, {
        metadata,
        spec: {
          replicas: 1,
          selector: { matchLabels: redisExporterSelector },
          strategy: oneByOne(),
          template: {
            metadata: podMetadata(metadata.labels, args),
            spec: {
              ...replicatedPodSpec(userIds.redisExporter, redisExporterSelector, args),
              containers: [
                {
                  name: "redis-exporter",
                  image: imageReference("redisExporter", args.images),
                  env: [fromSecret("REDIS_PASSWORD", redis.password), ...variables(environment)],
                  ports: [{ name: "metrics", containerPort: port }],
                  readinessProbe: { ...httpProbe("/health", "metrics"), periodSeconds: 5 },
                  livenessProbe: { ...httpProbe("/health", "metrics"), periodSeconds: 10, failureThreshold: 6 },
                  // Measured: 17 MiB resident.
                  resources: containerResources({ requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "64Mi" } }, undefined, {
                    request: "16Mi",
                    limit: "64Mi",
                  }),
                  securityContext: containerSecurity,
                  ...(mounts.length > 0 && { volumeMounts: volumeMounts(mounts) }),
                },
              ],
              ...(mounts.length > 0 && { volumes: volumes(mounts) }),
            },
          },
        },
      }),
      { parent: this, dependsOn: [policy, ...dependencies(opts)] },
    );
    this.registerOutputs();
  }
}

/** Leaves out what it would ask for besides INFO, which Redis would refuse and write down. */
const restraint = {
  REDIS_EXPORTER_CONFIG_COMMAND: "-",
  REDIS_EXPORTER_SET_CLIENT_NAME: "false",
  REDIS_EXPORTER_EXCLUDE_LATENCY_HISTOGRAM_METRICS: "true",
  // /scrape?target=… would send the password to whatever host the reader names.
  REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT: "true",
};
