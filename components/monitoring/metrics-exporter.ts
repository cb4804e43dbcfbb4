import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { ExporterConfiguration, PreviousSecret, Schedule } from "../../monitoring/programs/configuration.ts";
import { exporterPorts } from "../../monitoring/programs/configuration.ts";
import { Component, several, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { image } from "../shared/images.ts";
import { selector } from "../shared/labels.ts";
import { ingressFrom, podsInNamespace, podsWith, tcp } from "../shared/network.ts";
import { configMap, generatedMetadata, namedMetadata, networkPolicy } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, fromSecret, httpProbe, type Mount, type SecretKey, secretVolume, variables } from "../shared/pod.ts";
import { clusterDomainOf } from "../shared/proxy.ts";
import { surgeOne, workload } from "../shared/workload.ts";

const part = parts.exporter;
const configurationFile = "exporter.json";
const paths = { programs: "/app", configuration: "/etc/exporter", certificates: "/etc/certificates" } as const;

/** Returns the name of the headless Service by which the exporter finds the servers of a trust domain, or those without one. */
const serversNameOf = (domain?: string) => (domain === undefined ? "trivy-server-pods" : `trivy-server-pods-${domain}`);

const children = {
  /** The ConfigMap with the exporter's configuration. */
  config: k8s.core.v1.ConfigMap,
  /** The headless Service by which the exporter finds the servers. */
  servers: k8s.core.v1.Service,
  /** The headless Services by which the exporter finds the servers of trust domains. */
  domainServers: several(k8s.core.v1.Service),
  policy: k8s.networking.v1.NetworkPolicy,
  /** The Service that jobs report their results to. */
  service: k8s.core.v1.Service,
  deployment: k8s.apps.v1.Deployment,
};

/** The servers whose metrics are exported. */
export interface MonitoredServers {
  /** Name of the trust domain. @default the servers of the clients without one */
  readonly domain?: string;
  /** Labels of their pods. */
  readonly selector: Readonly<Record<string, string>>;
  readonly port: number;
  /** Number of servers that should be ready. */
  readonly expected: pulumi.Input<number>;
}

/** What the exporter knows of a stack. */
export interface MonitoredStack {
  /** Groups of servers, one of them without a trust domain. */
  readonly servers: readonly MonitoredServers[];
  /** Names of Secrets with a certificate as `tls.crt`, by the name of what uses it. @default none */
  readonly certificates?: Readonly<Record<string, pulumi.Input<string>>>;
  /** Secrets whose previous generation is still valid. @default none */
  readonly previousSecrets?: readonly PreviousSecret[];
  /** When the registry scan should run. @default there is none */
  readonly registryScan?: pulumi.Input<Schedule> | undefined;
  /** When the databases should be copied to a registry, and which. @default none is copied */
  readonly copy?: pulumi.Input<NonNullable<ExporterConfiguration["copy"]>> | undefined;
}

/** The exporter as jobs that report results reach it. */
export interface ResultsConnection {
  readonly url: pulumi.Input<string>;
  readonly token: SecretKey;
}

/** The variables by which a job reports its result. */
export const resultsVariables = ({ url, token }: ResultsConnection) => [
  fromSecret("EXPORTER_TOKEN", token),
  ...variables({ EXPORTER_URL: url }),
];

/** The connections of a job that reports its result. */
export const resultsEgress = { to: [podsWith(selector(part))], ports: [tcp(exporterPorts.results)] };

export interface MetricsExporterArgs extends MonitoredStack {
  readonly context: Context;
  /** Namespaces whose pods may read the metrics; `*` means every namespace. */
  readonly monitors: readonly pulumi.Input<string>[];
  /** Name of the ConfigMap with the programs. */
  readonly programs: pulumi.Input<string>;
  /** The token by which the exporter recognises jobs that report results. */
  readonly token: SecretKey;
  /** Tokens of jobs that began before the token was rotated. @default none */
  readonly previousTokens?: readonly SecretKey[];
  /** When the synthetic scan should run. @default there is none */
  readonly probe?: pulumi.Input<Schedule> | undefined;
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * Exports what the Trivy servers do not say themselves: which of them answer, their versions and databases. It also exports the results of
 * synthetic scans and of copies of the database, and when certificates expire. Monitoring creates it.
 *
 * @example
 * const { exporter } = monitoring.nodes;
 * export const results = exporter.resultsUrl;
 */
export class MetricsExporter extends Component<MetricsExporterArgs, typeof children> {
  /** URL to which jobs report their results. */
  readonly resultsUrl: pulumi.Output<string>;

  constructor(name: string, args: MetricsExporterArgs, options?: pulumi.ComponentResourceOptions) {
    super("MetricsExporter", name, args, { children, settings: ["monitors"] }, options);
    const config = this.createConfig();
    this.createServers();
    const policy = this.createPolicy();
    this.create("service", {
      metadata: namedMetadata(this.args.context, part),
      spec: { selector: selector(part), ports: [{ name: "results", port: exporterPorts.results, targetPort: "results" }] },
    });
    this.createDeployment(config, policy);
    this.resultsUrl = pulumi.interpolate`http://${part.objectName}.${this.args.context.namespace}.svc:${exporterPorts.results}`;
    this.registerOutputs({});
  }

  /** Returns the ConfigMap's name. */
  private createConfig(): pulumi.Output<string> {
    const { context, servers, previousSecrets = [], registryScan, probe, copy } = this.args;
    const hosts = pulumi.interpolate`${context.namespace}.svc.${clusterDomainOf(context)}`;
    const expected = pulumi.all(servers.map((group) => group.expected));
    const configuration = pulumi.output({ hosts, expected, registryScan, probe, copy }).apply(
      (own): ExporterConfiguration => ({
        servers: servers.map(({ domain, port }, index) => ({
          ...(domain !== undefined && { domain }),
          host: `${serversNameOf(domain)}.${own.hosts}`,
          port,
          expected: own.expected[index] ?? 0,
        })),
        certificates: Object.fromEntries(this.certificates.map(({ certificate, mountPath }) => [certificate, `${mountPath}/tls.crt`])),
        previousSecrets,
        ...(own.registryScan && { registryScan: own.registryScan }),
        ...(own.probe && { probe: own.probe }),
        ...(own.copy && { copy: own.copy }),
      }),
    );
    const text = configuration.apply((value) => `${JSON.stringify(value, undefined, 2)}\n`);
    return this.create("config", configMap(context, part, { [configurationFile]: text })).metadata.name;
  }

  /** The mounts of the certificates, without their keys. */
  private get certificates(): (Mount & { readonly certificate: string })[] {
    return Object.entries(this.args.certificates ?? {}).map(([certificate, secretName]) => ({
      certificate,
      name: `certificate-${certificate}`,
      mountPath: `${paths.certificates}/${certificate}`,
      volume: secretVolume(secretName, [{ key: "tls.crt", path: "tls.crt" }]),
    }));
  }

  private createServers(): void {
    const { context, servers } = this.args;
    for (const { domain, selector, port } of servers) {
      const service = {
        metadata: { ...generatedMetadata(context, part), name: serversNameOf(domain) },
        // With those that are not ready, which the exporter reports as well.
        spec: {
          clusterIP: "None",
          publishNotReadyAddresses: true,
          selector: { ...selector },
          ports: [{ name: "http", port, targetPort: "http" }],
        },
      };
      if (domain === undefined) this.create("servers", service);
      else this.create("domainServers", service, {}, `servers-${domain}`);
    }
  }

  private createPolicy(): pulumi.Resource {
    const { context, servers, monitors, copy } = this.args;
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [
          ...ingressFrom(monitors.map(podsInNamespace), [exporterPorts.metrics]),
          ...ingressFrom([parts.probe, ...(copy ? [parts.database] : [])].map(selector).map(podsWith), [exporterPorts.results]),
        ],
        egress: servers.map((group) => ({ to: [podsWith(group.selector)], ports: [tcp(group.port)] })),
      }),
    );
  }

  private createDeployment(config: pulumi.Input<string>, policy: pulumi.Resource): void {
    const { context, programs, token, previousTokens = [] } = this.args;
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
            metrics: { port: exporterPorts.metrics, path: "/metrics" },
            container: {
              name: "exporter",
              image: image("node", context),
              command: ["node", `${paths.programs}/exporter.js`],
              env: [
                fromSecret("EXPORTER_TOKEN", token),
                ...previousTokens.map((previous) => fromSecret("EXPORTER_PREVIOUS_TOKEN", previous)),
                ...variables({ NODE_OPTIONS: "--max-old-space-size=64" }),
              ],
              ports: [
                { name: "metrics", containerPort: exporterPorts.metrics },
                { name: "results", containerPort: exporterPorts.results },
              ],
              readinessProbe: { ...httpProbe("/healthz", "metrics"), periodSeconds: 5 },
              livenessProbe: { ...httpProbe("/healthz", "metrics"), periodSeconds: 10, failureThreshold: 6 },
              // Measured: 33 MiB with two servers.
              resources: containerResources(
                { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "192Mi" } },
                { request: "16Mi", limit: "64Mi" },
              ),
            },
            mounts: [
              { name: "programs", mountPath: paths.programs, volume: { configMap: { name: programs } } },
              { name: "configuration", mountPath: paths.configuration, volume: { configMap: { name: config } } },
              ...this.certificates.map(({ certificate: _, ...mount }) => mount),
            ],
          }),
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }
}
