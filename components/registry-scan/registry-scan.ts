import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { reportsPorts } from "../../registry-scan/index.ts";
import { defaults, type ReceiverArgs, type RegistryScanArgs } from "../args.ts";
import type { MirrorConnection } from "../database-mirror/connection.ts";
import { Component, optional, several, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { eachGeneration, numbered, secretText } from "../shared/generated-secret.ts";
import { selector } from "../shared/labels.ts";
import { withDefaults } from "../shared/merge.ts";
import { configMap, secret } from "../shared/objects.ts";
import { parts, project } from "../shared/parts.ts";
import type { SecretKey } from "../shared/pod.ts";
import { PrivateAuthority } from "../shared/private-authority.ts";
import { clusterDomainOf, proxyVariables } from "../shared/proxy.ts";
import { type Application, paths, tokenKey } from "./application.ts";
import { bundledPrograms } from "./bundle.ts";
import { type Receivers, receiverFiles } from "./receivers.ts";
import { destinationEndpoints, ReportsServer } from "./reports-server.ts";
import { ScanJob, type ServiceConnection } from "./scan-job.ts";

const authoritiesFile = "authorities.pem";

const children = {
  /** The ConfigMap with the programs of the pods. */
  programs: k8s.core.v1.ConfigMap,
  /** The authority of the certificate by which scanning pods recognise the reports server. */
  authority: PrivateAuthority,
  /** The Secret with that certificate. */
  certificate: k8s.core.v1.Secret,
  /** The ConfigMap with the certificate authorities that the pods trust. */
  certificateAuthorities: k8s.core.v1.ConfigMap,
  /** The generated tokens by which the reports server recognises the scanning pods: the current one and the previous one. */
  generatedTokens: several(random.RandomPassword),
  /** The Secrets with those tokens. */
  tokens: several(k8s.core.v1.Secret),
  /** The Secret with the URLs and headers of receivers. */
  receivers: optional(k8s.core.v1.Secret),
  reports: ReportsServer,
  job: ScanJob,
};

export interface RegistryScanComponentArgs {
  readonly context: Context;
  readonly registryScan?: RegistryScanArgs;
  /** The service that the images are scanned with. */
  readonly service: ServiceConnection;
  /** The mirror whose Java database the scanning pods use. @default none */
  readonly database?: MirrorConnection | undefined;
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * Scheduled scans of images in registries, through the service, with reports and alerts for new findings.
 *
 * @example
 * const scan = new RegistryScan("scan", {
 *   context,
 *   registryScan: { targets: [{ repository: "registry.example.com/team/app", newest: 5 }] },
 *   service: { url: "http://trivy.scanning.svc", selector: { app: "trivy" }, ports: [4954] },
 * });
 * export const reports = scan.portForward;
 */
export class RegistryScan extends Component<RegistryScanComponentArgs, typeof children> {
  /** The command that makes the reports reachable on the user's machine, at http://localhost:8081. */
  readonly portForward: pulumi.Output<string>;
  /** Name of the Secret with the reports server's certificate. */
  readonly certificateSecret: pulumi.Output<string>;

  constructor(name: string, args: RegistryScanComponentArgs, options?: pulumi.ComponentResourceOptions) {
    super("RegistryScan", name, args, { children, settings: ["registryScan"] }, options);
    const { context, registryScan = {}, service, database } = this.args;
    const { authority, certificate } = this.createCertificate();
    this.certificateSecret = certificate;
    const application = this.createApplication(registryScan, authority);
    const receivers = this.createReceivers(registryScan.alerts);
    const reports = this.create(
      "reports",
      { context, reports: registryScan.reports, receivers, cidrs: registryScan.cidrs, application, certificate },
      { dependsOn: [...this.dependencies] },
    );
    const reportsConnection = { url: reports.apiUrl, selector: selector(parts.reports), port: reportsPorts.api };
    // The job has this component's name, because the names of its objects begin with it.
    this.create(
      "job",
      { context, registryScan, service, database, reports: reportsConnection, application },
      { dependsOn: [...this.dependencies] },
      "",
    );
    this.portForward = reports.portForward;
    this.registerOutputs({ portForward: this.portForward });
  }

  /** Returns the authority's certificate, and the name of the Secret with the reports server's certificate for its API. */
  private createCertificate(): { readonly authority: pulumi.Output<string>; readonly certificate: pulumi.Output<string> } {
    const { context } = this.args;
    const host = pulumi.interpolate`${parts.reports.objectName}.${context.namespace}.svc`;
    const authority = this.create("authority", { commonName: `${project} registry scan`, authorities: context.authorities });
    const dnsNames = [host, pulumi.interpolate`${host}.${clusterDomainOf(context)}`];
    const issued = authority.issue("server", { commonName: parts.reports.objectName, dnsNames, use: "server" });
    const data = { "tls.crt": issued.certificate, "tls.key": issued.key };
    const { metadata } = this.create("certificate", secret(context, parts.reports, data, "kubernetes.io/tls"));
    return { authority: authority.certificate, certificate: metadata.name };
  }

  private createApplication({ caCertificates, alerts, reports }: RegistryScanArgs, reportsAuthority: pulumi.Output<string>): Application {
    const { context } = this.args;
    const { http, https } = context.proxy ?? {};
    const programs = this.create("programs", configMap(context, parts.registryScan, bundledPrograms())).metadata.name;
    const authorities = this.createAuthorities([caCertificates, this.args.service.caCertificate, reportsAuthority]);
    return {
      mounts: [
        { name: "programs", mountPath: paths.programs, volume: { configMap: { name: programs } } },
        { name: "certificate-authorities", mountPath: paths.authorities, volume: { configMap: { name: authorities } } },
      ],
      environment: {
        ...proxyVariables(context, destinationEndpoints(alerts, reports?.bucket)),
        // Node uses a proxy only with this variable.
        ...((http ?? https) !== undefined && { NODE_USE_ENV_PROXY: "1" }),
        SSL_CERT_DIR: `/etc/ssl/certs:${paths.authorities}`,
        NODE_EXTRA_CA_CERTS: `${paths.authorities}/${authoritiesFile}`,
      },
      tokens: this.createTokens(),
    };
  }

  /** Returns the name of the ConfigMap with the certificate authorities. */
  private createAuthorities(authorities: readonly (pulumi.Input<string> | undefined)[]): pulumi.Output<string> {
    const { context } = this.args;
    const file = pulumi
      .all(authorities.filter((text) => text !== undefined))
      .apply((texts) => texts.map((text) => `${text.trim()}\n`).join(""));
    return this.create("certificateAuthorities", configMap(context, parts.registryScan, { [authoritiesFile]: file })).metadata.name;
  }

  /** Returns the valid tokens, newest first. Each has a Secret of its own, so that the pods of a run in progress keep theirs. */
  private createTokens(): [SecretKey, ...SecretKey[]] {
    return eachGeneration(withDefaults(defaults.registryScan, this.args.registryScan), (generation) => {
      const name = numbered("token", generation);
      const token = this.create("generatedTokens", secretText(), {}, name).result;
      const { metadata } = this.create("tokens", secret(this.args.context, parts.reports, { [tokenKey]: token }), {}, name);
      return { name: metadata.name, key: tokenKey };
    });
  }

  private createReceivers(alerts: readonly ReceiverArgs[] = []): Receivers {
    const files = receiverFiles(alerts);
    if (Object.keys(files).length === 0) return { alerts, secret: undefined };
    return { alerts, secret: this.create("receivers", secret(this.args.context, parts.reports, files)).metadata.name };
  }
}
