import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { exitCodes, type ScanConfiguration, scanContainer } from "../../registry-scan/index.ts";
import { defaults, type RegistryScanArgs } from "../args.ts";
import type { MirrorConnection } from "../database-mirror/connection.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { egress } from "../shared/egress.ts";
import { image } from "../shared/images.ts";
import { labels } from "../shared/labels.ts";
import { type WithDefaults, withDefaults } from "../shared/merge.ts";
import { podsWith, tcp } from "../shared/network.ts";
import { configMap, namedMetadata, networkPolicy, secret } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, fromSecret, type Mount, type SecretKey, secretVolume, variables } from "../shared/pod.ts";
import { seconds } from "../shared/quantity.ts";
import { loginData, loginSecretType, loginVolume, registryEndpoints } from "../shared/registry-login.ts";
import { workload } from "../shared/workload.ts";
import { type Application, diskFor, jsonFile, paths, tokenKey } from "./application.ts";

const part = parts.registryScan;
const configurationFile = "scan.json";
const ignoreFileName = "trivyignore.yaml";
const vexFileName = (index: number) => `vex-${index}.json`;

const toolsPath = `${paths.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
/** Trivy has 200 MB, crane 12 MB. */
const toolsSize = "512Mi";

/** Trivy's own repositories of the Java database, which a client downloads for an image with Java archives. */
const javaRepositories = ["mirror.gcr.io/aquasec/trivy-java-db:1", "ghcr.io/aquasecurity/trivy-java-db:1"];

const children = {
  /** The ConfigMap with the configuration of the scanning pods. */
  config: k8s.core.v1.ConfigMap,
  /** The Secret with the logins for registries. */
  registryLogin: optional(k8s.core.v1.Secret),
  /** The Secret with the token for the service. */
  credentials: optional(k8s.core.v1.Secret),
  policy: k8s.networking.v1.NetworkPolicy,
  cronJob: k8s.batch.v1.CronJob,
};

/** The scan service, as the scanning pods reach it. */
export interface ServiceConnection {
  readonly url: pulumi.Input<string>;
  /** The token to send, as a value. @default none */
  readonly token?: pulumi.Input<string>;
  /** The token to send, in an existing Secret, instead of `token`. @default none */
  readonly tokenKey?: SecretKey | undefined;
  /** Labels of the pods behind the URL. */
  readonly selector: Readonly<Record<string, string>>;
  /** The ports of these pods. */
  readonly ports: readonly number[];
  /** The certificate authority to trust, PEM. @default the system's */
  readonly caCertificate?: pulumi.Input<string> | undefined;
}

/** The reports server, as the scanning pods reach it. */
export interface ReportsConnection {
  readonly url: pulumi.Input<string>;
  /** Labels of its pods. */
  readonly selector: Readonly<Record<string, string>>;
  readonly port: number;
}

export interface ScanJobArgs {
  readonly context: Context;
  readonly registryScan?: RegistryScanArgs;
  readonly service: ServiceConnection;
  readonly reports: ReportsConnection;
  readonly application: Application;
  /** The mirror whose Java database is used unless `registryScan.javaRepositories` names others. @default none */
  readonly database?: MirrorConnection | undefined;
  readonly transform?: Transforms<typeof children> | undefined;
}

type Settings = WithDefaults<RegistryScanArgs, typeof defaults.registryScan>;

/**
 * The job of each run: its pods list the targets and scan them through the service. RegistryScan creates it.
 *
 * @example
 * const { cronJob } = registryScan.nodes.job.nodes;
 * export const schedule = cronJob.spec.schedule;
 */
export class ScanJob extends Component<ScanJobArgs, typeof children> {
  constructor(name: string, args: ScanJobArgs, options?: pulumi.ComponentResourceOptions) {
    super("ScanJob", name, args, { children, settings: [] }, options);
    const { registryScan, database } = this.args;
    const scan = withDefaults(defaults.registryScan, withMirror(registryScan, database));
    const config = this.createConfig(scan);
    const login = this.createLogin(scan);
    const token = this.createCredentials();
    const policy = this.createPolicy(scan);
    this.createCronJob(scan, { config, login, token }, policy);
    this.registerOutputs({});
  }

  /** Whether the Java database comes only from the mirror. */
  private get usesMirror(): boolean {
    return this.args.database !== undefined && this.args.registryScan?.javaRepositories === undefined;
  }

  /** Returns the name of the ConfigMap with the configuration and the files that it refers to. */
  private createConfig(scan: Settings): pulumi.Output<string> {
    const { context, service, reports } = this.args;
    const { ignoreFile, vex } = scan;
    const data = {
      [configurationFile]: configuration(scan, service.url, reports.url).apply(jsonFile),
      ...(ignoreFile !== undefined && { [ignoreFileName]: ignoreFile }),
      ...Object.fromEntries(vex.map((text, index) => [vexFileName(index), text])),
    };
    return this.create("config", configMap(context, part, data)).metadata.name;
  }

  /** Returns the name of the Secret with the logins, if there are any. */
  private createLogin({ credentials, existingSecret }: Settings): pulumi.Input<string> | undefined {
    if (existingSecret !== undefined || credentials.length === 0) return existingSecret;
    return this.create("registryLogin", secret(this.args.context, part, loginData(credentials), loginSecretType)).metadata.name;
  }

  /** Returns where the token for the service is, if it requires one. */
  private createCredentials(): SecretKey | undefined {
    const { context, service } = this.args;
    if (service.tokenKey || service.token === undefined) return service.tokenKey;
    const { metadata } = this.create("credentials", secret(context, part, { [tokenKey]: service.token }));
    return { name: metadata.name, key: tokenKey };
  }

  private createPolicy(scan: Settings): pulumi.Resource {
    const { context, service, reports, database } = this.args;
    const inCluster = [
      { to: [podsWith(service.selector)], ports: service.ports.map(tcp) },
      { to: [podsWith(reports.selector)], ports: [tcp(reports.port)] },
      ...(database ? [{ to: [podsWith(database.selector)], ports: [tcp(database.port)] }] : []),
    ];
    return this.create(
      "policy",
      networkPolicy(context, part, {
        ingress: [],
        egress: registriesEgress(context, scan, this.usesMirror).apply((rules) => [...inCluster, ...rules]),
      }),
    );
  }

  private createCronJob(scan: Settings, { config, login, token }: Files, policy: pulumi.Resource): void {
    const { context } = this.args;
    const { schedule, timeZone, parallelism } = scan;
    this.create(
      "cronJob",
      {
        metadata: namedMetadata(context, part),
        spec: {
          schedule,
          timeZone,
          concurrencyPolicy: "Forbid",
          // A run that the cluster has missed is started up to an hour later.
          startingDeadlineSeconds: 3600,
          successfulJobsHistoryLimit: 3,
          failedJobsHistoryLimit: 3,
          jobTemplate: {
            metadata: { labels: labels(context, part) },
            spec: {
              completionMode: "Indexed",
              completions: parallelism,
              parallelism,
              // A lost pod is started again. Failures are not counted by index: then Kubernetes keeps a failed pod until its successor
              // exists, and a namespace that is being deleted, where no successor can be created, would never be removed.
              backoffLimit: pulumi.output(parallelism).apply((pods) => 3 * pods),
              podFailurePolicy: {
                rules: [
                  { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
                  // The verdict of the first pod is the Job's.
                  {
                    action: "FailJob",
                    onExitCodes: { containerName: scanContainer, operator: "In", values: [exitCodes.findings, exitCodes.errors] },
                  },
                ],
              },
              // The run itself ends at its deadline, with a report; this ends pods that do not.
              activeDeadlineSeconds: pulumi.output(scan.deadline).apply((text) => seconds(text) + 600),
              // Jobs that are started by hand are not in the CronJob's history.
              ttlSecondsAfterFinished: 7 * 24 * 3600,
              template: workload(context, {
                part,
                restartPolicy: "Never",
                terminationGracePeriodSeconds: 30,
                initContainers: [
                  this.copyTool("trivy", "/usr/local/bin/trivy"),
                  this.copyTool("crane", "/ko-app/crane"),
                  this.tools(scan, config, login),
                ],
                container: {
                  name: scanContainer,
                  image: image("node", context),
                  command: ["node", `${paths.programs}/scan.js`],
                  env: this.environment(token),
                  // It holds requests and results of one image, which may have ten thousands of findings.
                  resources: containerResources(
                    { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "512Mi" } },
                    { request: "16Mi", limit: "128Mi" },
                  ),
                },
                mounts: [...this.args.application.mounts, configurationMount(config)],
              }).template,
            },
          },
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }

  /** Returns the container that copies a binary from its image to where the scanning container finds it. */
  private copyTool(tool: "trivy" | "crane", path: string) {
    return {
      name: `copy-${tool}`,
      image: image(tool, this.args.context),
      command: ["cp", path, `${paths.tools}/${tool}`],
      resources: containerResources({ requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "128Mi" } }, diskFor("64Mi")),
      volumeMounts: [{ name: "tools", mountPath: paths.tools }],
    };
  }

  /**
   * Returns the container that runs trivy and crane. An image or a registry that takes them over finds no token there, neither the service's nor
   * that of results: containers do not see each other's processes. It runs until the scanning container ends.
   */
  private tools({ resources, workVolume }: Settings, config: pulumi.Input<string>, login: pulumi.Input<string> | undefined) {
    const { application, database } = this.args;
    const authority = database && {
      name: "database-authority",
      mountPath: paths.databaseAuthority,
      volume: secretVolume(database.authority.name, [{ key: database.authority.key, path: "ca.pem" }]),
    };
    return {
      name: "tools",
      image: image("node", this.args.context),
      restartPolicy: "Always",
      command: ["node", `${paths.programs}/tools.js`],
      env: variables({
        ...application.environment,
        TMPDIR: paths.temporary,
        HOME: paths.temporary,
        PATH: toolsPath,
        DOCKER_CONFIG: login !== undefined && paths.login,
        ...(database && { SSL_CERT_DIR: `${application.environment["SSL_CERT_DIR"]}:${paths.databaseAuthority}` }),
      }),
      resources: containerResources(resources, diskFor(workVolume)),
      mounts: [
        ...application.mounts,
        ...(authority ? [authority] : []),
        configurationMount(config),
        ...(login === undefined ? [] : [{ name: "registry-login", mountPath: paths.login, volume: loginVolume(login) }]),
        { name: "tools", mountPath: paths.tools, volume: { emptyDir: { sizeLimit: toolsSize } } },
        { name: "temporary", mountPath: paths.temporary, options: {}, volume: { emptyDir: { sizeLimit: workVolume } } },
      ] satisfies Mount[],
    };
  }

  private environment(token: SecretKey | undefined) {
    const { application } = this.args;
    return [
      fromSecret("REPORTS_TOKEN", application.tokens[0]),
      ...(token ? [fromSecret("TRIVY_TOKEN", token)] : []),
      fromLabel("JOB", "batch.kubernetes.io/job-name"),
      fromLabel("JOB_UID", "batch.kubernetes.io/controller-uid"),
      ...variables(application.environment),
    ];
  }
}

const configurationMount = (config: pulumi.Input<string>): Mount => ({
  name: "configuration",
  mountPath: paths.scan,
  volume: { configMap: { name: config } },
});

/** What the scanning pods get from other objects. */
interface Files {
  /** Name of the ConfigMap with the configuration. */
  readonly config: pulumi.Input<string>;
  /** Name of the Secret with logins for registries. */
  readonly login: pulumi.Input<string> | undefined;
  /** The token for the service. */
  readonly token: SecretKey | undefined;
}

const fromLabel = (name: string, label: string): k8s.types.input.core.v1.EnvVar => ({
  name,
  valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: `metadata.labels['${label}']` } },
});

function configuration(scan: Settings, service: pulumi.Input<string>, reports: pulumi.Input<string>): pulumi.Output<ScanConfiguration> {
  const { targets, strict, platforms, severities, ignoreUnfixed, scanners, plainHttp, timeout, deadline, javaRepositories: java } = scan;
  const { cycloneDx } = scan.reports;
  return pulumi
    .output({
      targets,
      strict,
      platforms,
      severities,
      ignoreUnfixed,
      scanners,
      plainHttp,
      timeout,
      deadline,
      cycloneDx,
      java,
      service,
      reports,
    })
    .apply((own) => ({
      targets: own.targets,
      strict: own.strict,
      ...(own.platforms && { platforms: own.platforms }),
      policy: { severities: own.severities, ignoreUnfixed: own.ignoreUnfixed, scanners: own.scanners },
      plainHttp: own.plainHttp,
      timeout: seconds(own.timeout),
      deadline: seconds(own.deadline),
      cycloneDx: own.cycloneDx,
      ...(scan.ignoreFile !== undefined && { ignoreFile: `${paths.scan}/${ignoreFileName}` }),
      vex: scan.vex.map((_, index) => `${paths.scan}/${vexFileName(index)}`),
      ...(own.java && { javaRepositories: own.java }),
      service: own.service,
      reports: own.reports,
    }));
}

/** Returns the settings with the mirror's Java database, unless they name repositories of it. */
function withMirror(scan: RegistryScanArgs | undefined, database: MirrorConnection | undefined): RegistryScanArgs | undefined {
  const java = database?.repositories.java;
  return java === undefined || scan?.javaRepositories !== undefined ? scan : { ...scan, javaRepositories: [java] };
}

/** Returns the rules for connections to the registries of the targets, and of the Java database if it does not come from the mirror. */
function registriesEgress(
  context: Context,
  { targets, plainHttp, javaRepositories: java = javaRepositories, cidrs }: Settings,
  usesMirror: boolean,
) {
  const references = targets.map((target) => ("image" in target ? target.image : target.repository));
  const endpoints = pulumi
    .all([pulumi.all([...references, ...(usesMirror ? [] : java)]), plainHttp])
    .apply(([all, http]) => all.flatMap((reference) => registryEndpoints(reference, http)));
  return egress(context, endpoints, cidrs);
}
