import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { reportsPorts } from "../../registry-scan/index.ts";
import type { ReceiverArgs, RegistryScanArgs } from "../args.ts";
import type { MirrorConnection } from "../database-mirror/connection.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { secretText } from "../shared/generated-secret.ts";
import { selector } from "../shared/labels.ts";
import { proxyVariables } from "../shared/network.ts";
import { configMap, secret } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import type { SecretKey } from "../shared/pod.ts";
import { type Application, paths, tokenKey } from "./application.ts";
import { bundledPrograms } from "./bundle.ts";
import { type Receivers, receiverFiles } from "./receivers.ts";
import { ReportsServer } from "./reports-server.ts";
import { ScanJob, type ServiceConnection } from "./scan-job.ts";

const authoritiesFile = "authorities.pem";

const children = {
  /** The ConfigMap with the programs of the pods. */
  programs: k8s.core.v1.ConfigMap,
  certificateAuthorities: optional(k8s.core.v1.ConfigMap),
  /** The generated token by which the reports server recognises the scanning pods. */
  generatedToken: random.RandomPassword,
  /** The Secret with that token. */
  token: k8s.core.v1.Secret,
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

  constructor(name: string, args: RegistryScanComponentArgs, options?: pulumi.ComponentResourceOptions) {
    super("RegistryScan", name, args, { children, settings: ["registryScan"] }, options);
    const { context, registryScan = {}, service, database } = this.args;
    const application = this.createApplication(registryScan);
    const receivers = this.createReceivers(registryScan.alerts);
    const reports = this.create(
      "reports",
      { context, reports: registryScan.reports, receivers, cidrs: registryScan.cidrs, application },
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

  private createApplication({ caCertificates }: RegistryScanArgs): Application {
    const { context } = this.args;
    const { http, https } = context.proxy ?? {};
    const programs = this.create("programs", configMap(context, parts.registryScan, bundledPrograms())).metadata.name;
    const authorities = this.createAuthorities(caCertificates);
    return {
      mounts: [
        { name: "programs", mountPath: paths.programs, volume: { configMap: { name: programs } } },
        ...(authorities
          ? [{ name: "certificate-authorities", mountPath: paths.authorities, volume: { configMap: { name: authorities } } }]
          : []),
      ],
      environment: {
        ...proxyVariables(context),
        // Node uses a proxy only with this variable.
        ...((http ?? https) !== undefined && { NODE_USE_ENV_PROXY: "1" }),
        ...(authorities && {
          SSL_CERT_DIR: `/etc/ssl/certs:${paths.authorities}`,
          NODE_EXTRA_CA_CERTS: `${paths.authorities}/${authoritiesFile}`,
        }),
      },
      token: this.createToken(),
    };
  }

  /** Returns the name of the ConfigMap with the certificate authorities, if there are any. */
  private createAuthorities(caCertificates: pulumi.Input<string> | undefined): pulumi.Output<string> | undefined {
    const { context, service } = this.args;
    const given = [caCertificates, service.caCertificate].filter((text) => text !== undefined);
    if (given.length === 0) return undefined;
    const file = pulumi.all(given).apply((texts) => texts.map((text) => `${text.trim()}\n`).join(""));
    return this.create("certificateAuthorities", configMap(context, parts.registryScan, { [authoritiesFile]: file })).metadata.name;
  }

  private createToken(): SecretKey {
    const token = this.create("generatedToken", secretText(), {}, "token").result;
    return { name: this.create("token", secret(this.args.context, parts.reports, { [tokenKey]: token })).metadata.name, key: tokenKey };
  }

  private createReceivers(alerts: readonly ReceiverArgs[] = []): Receivers {
    const files = receiverFiles(alerts);
    if (Object.keys(files).length === 0) return { alerts, secret: undefined };
    return { alerts, secret: this.create("receivers", secret(this.args.context, parts.reports, files)).metadata.name };
  }
}
