import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { artifacts, type MirrorConfiguration, mirrorPorts } from "../../database-mirror/index.ts";
import { type DatabaseArgs, defaults } from "../args.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { image } from "../shared/images.ts";
import { selector } from "../shared/labels.ts";
import { withDefaults } from "../shared/merge.ts";
import { ingressFrom, type Peer, podsInNamespace } from "../shared/network.ts";
import { configMap, namedMetadata, networkPolicy, protection, secret, volumeClaim } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, httpProbe, type Mount, secretVolume, variables } from "../shared/pod.ts";
import { PrivateAuthority } from "../shared/private-authority.ts";
import { clusterDomainOf } from "../shared/proxy.ts";
import { seconds } from "../shared/quantity.ts";
import { loginData, loginSecretType } from "../shared/registry-login.ts";
import { workload } from "../shared/workload.ts";
import { mirrorPrograms, waitPrograms } from "./bundle.ts";
import type { MirrorConnection } from "./connection.ts";
import {
  copyTools,
  type Database,
  diskOf,
  environmentOf,
  type Files,
  loginsOf,
  mountsOf,
  paths,
  registriesEgress,
  sourcesOf,
} from "./upstream.ts";
import { defaultVolume } from "./volume.ts";

const part = parts.database;

const authorityKey = "ca.crt";

const children = {
  /** The ConfigMap with the program of the pod. */
  programs: k8s.core.v1.ConfigMap,
  /** The ConfigMap with the program that servers run first. */
  waitProgram: k8s.core.v1.ConfigMap,
  authority: PrivateAuthority,
  /** The Secret with the certificate. */
  certificate: k8s.core.v1.Secret,
  /** The ConfigMap with the configuration. */
  config: k8s.core.v1.ConfigMap,
  /** The Secret with the logins for registries. */
  registryLogin: optional(k8s.core.v1.Secret),
  certificateAuthorities: optional(k8s.core.v1.ConfigMap),
  policy: k8s.networking.v1.NetworkPolicy,
  claim: k8s.core.v1.PersistentVolumeClaim,
  service: k8s.core.v1.Service,
  statefulSet: k8s.apps.v1.StatefulSet,
};

export interface DatabaseMirrorComponentArgs {
  readonly context: Context;
  readonly database?: DatabaseArgs;
  /** Certificate authorities, PEM, to trust in addition to the system's: for registries and proxies. @default none */
  readonly caCertificates?: pulumi.Input<string> | undefined;
  /** Who may download from the mirror. */
  readonly peers: readonly Peer[];
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * A registry of Trivy's databases in the stack: it downloads each new build once, verifies it, keeps some builds on its volume, and serves one
 * over TLS.
 *
 * @example
 * const mirror = new DatabaseMirror("mirror", { context, database: { mirror: { keep: 5 } }, peers: [{ podSelector: {} }] });
 * export const repository = mirror.connection.repositories.vulnerabilities;
 */
export class DatabaseMirror extends Component<DatabaseMirrorComponentArgs, typeof children> {
  readonly connection: MirrorConnection;
  /** Servers must wait for these: one that finds no mirror when it starts uses the other repositories. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: DatabaseMirrorComponentArgs, options?: pulumi.ComponentResourceOptions) {
    super("DatabaseMirror", name, args, { children, settings: ["database"] }, options);
    const { context } = this.args;
    const database = withDefaults(defaults.database, this.args.database);
    const host = pulumi.interpolate`${part.objectName}.${context.namespace}.svc`;
    const certificate = this.createCertificate(host);
    const files = this.createFiles(database);
    const policy = this.createPolicy(database);
    const claim = this.createClaim(database);
    this.create("service", {
      metadata: namedMetadata(context, part),
      spec: { selector: selector(part), ports: [{ name: "registry", port: 443, targetPort: "registry" }] },
    });
    this.ready = [this.createStatefulSet(database, files, { certificate, claim }, policy)];
    const repository = (kind: keyof typeof artifacts) => pulumi.interpolate`${host}/${artifacts[kind].repository}:${artifacts[kind].tag}`;
    this.connection = {
      host,
      repositories: { vulnerabilities: repository("vulnerabilities"), ...(database.mirror.java.enabled && { java: repository("java") }) },
      selector: selector(part),
      port: mirrorPorts.registry,
      authority: { name: certificate, key: authorityKey },
      waitProgram: this.create("waitProgram", configMap(context, part, waitPrograms())).metadata.name,
    };
    this.registerOutputs({});
  }

  /** Returns the name of the Secret with the certificate and its authority. */
  private createCertificate(host: pulumi.Output<string>): pulumi.Output<string> {
    const { context } = this.args;
    const authority = this.create("authority", { commonName: `${part.objectName} authority`, authorities: context.authorities });
    const { certificate, key } = authority.issue("server", {
      commonName: part.objectName,
      dnsNames: [host, pulumi.interpolate`${host}.${clusterDomainOf(context)}`],
      use: "server",
    });
    const data = { "tls.crt": certificate, "tls.key": key, [authorityKey]: authority.certificate };
    return this.create("certificate", secret(context, part, data, "kubernetes.io/tls")).metadata.name;
  }

  private createFiles(database: Database): Files {
    const { context, caCertificates } = this.args;
    const { interval, keep, pin } = database.mirror;
    const configuration = pulumi.output({ sources: sourcesOf(database), plainHttp: database.plainHttp, interval, keep, pin }).apply(
      (own): MirrorConfiguration => ({
        sources: own.sources,
        plainHttp: own.plainHttp,
        interval: seconds(own.interval),
        keep: own.keep,
        ...(own.pin !== undefined && { pin: own.pin }),
      }),
    );
    const { credentials, existingSecret } = loginsOf(database);
    return {
      programs: this.create("programs", configMap(context, part, mirrorPrograms())).metadata.name,
      configuration: this.create("config", configMap(context, part, { "mirror.json": configuration.apply(jsonFile) })).metadata.name,
      login:
        credentials.length === 0
          ? existingSecret
          : this.create("registryLogin", secret(context, part, loginData(credentials), loginSecretType)).metadata.name,
      authorities:
        caCertificates === undefined
          ? undefined
          : this.create("certificateAuthorities", configMap(context, part, { "authorities.pem": caCertificates })).metadata.name,
    };
  }

  private createPolicy(database: Database): pulumi.Resource {
    const { context, peers } = this.args;
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [
          ...ingressFrom(peers, [mirrorPorts.registry]),
          ...ingressFrom(database.mirror.monitors.map(podsInNamespace), [mirrorPorts.metrics]),
        ],
        egress: registriesEgress(context, database),
      }),
    );
  }

  /** Returns the claim's name. */
  private createClaim({ mirror }: Database): pulumi.Output<string> {
    const { context } = this.args;
    const { size = pulumi.output(mirror.keep).apply((keep) => defaultVolume(keep, mirror.java.enabled)), storageClass } = mirror;
    return this.create("claim", volumeClaim(context, part, { size, storageClass }), protection(context)).metadata.name;
  }

  /** A StatefulSet, because it never runs two pods at the same time on one volume. */
  private createStatefulSet(
    { mirror }: Database,
    files: Files,
    { certificate, claim }: { readonly certificate: pulumi.Input<string>; readonly claim: pulumi.Input<string> },
    policy: pulumi.Resource,
  ): k8s.apps.v1.StatefulSet {
    const { context } = this.args;
    const healthz = httpProbe("/healthz", "metrics");
    const mounts: Mount[] = [
      ...mountsOf(files, mirror.workVolume),
      { name: "certificate", mountPath: paths.certificate, volume: secretVolume(certificate) },
      { name: "data", mountPath: paths.data, options: {}, volume: { persistentVolumeClaim: { claimName: claim } } },
    ];
    return this.create(
      "statefulSet",
      {
        metadata: namedMetadata(context, part),
        spec: {
          serviceName: part.objectName,
          replicas: 1,
          ...workload(context, {
            part,
            metrics: { port: mirrorPorts.metrics, path: "/metrics" },
            terminationGracePeriodSeconds: 30,
            initContainers: copyTools(context),
            container: {
              name: "mirror",
              image: image("node", context),
              command: ["node", `${paths.programs}/mirror.js`],
              env: variables(environmentOf(context, files)),
              ports: [
                { name: "registry", containerPort: mirrorPorts.registry },
                { name: "metrics", containerPort: mirrorPorts.metrics },
              ],
              // It is ready without a build: its answer that it has none is one after which servers try the next repository.
              startupProbe: { ...healthz, periodSeconds: 1, failureThreshold: 120 },
              readinessProbe: { ...healthz, periodSeconds: 5, failureThreshold: 2 },
              livenessProbe: { ...healthz, periodSeconds: 10, failureThreshold: 6 },
              resources: containerResources(mirror.resources, diskOf(mirror.workVolume)),
            },
            mounts,
          }),
        },
      },
      { dependsOn: [policy, ...this.dependencies], customTimeouts: { create: "15m", update: "15m" } },
    );
  }
}

const jsonFile = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;
