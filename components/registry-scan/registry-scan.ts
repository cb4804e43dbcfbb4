import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import {
  exitCodes,
  type ReportsConfiguration,
  reportsName,
  reportsPorts,
  type ScanConfiguration,
  type Scanner,
  type Severity,
  scanContainer,
  scanName,
  severities,
  type TargetArgs,
} from "../../registry-scan/index.ts";
import { dependencies } from "../shared/dependencies.ts";
import { generatedSecret } from "../shared/generated-secret.ts";
import { imageReference } from "../shared/images.ts";
import { type Identity, labels, selector } from "../shared/labels.ts";
import { type EgressRule, egress, ingressFrom, inNamespace, type ProxyArgs, proxyVariables, tcp, urlEndpoint } from "../shared/network.ts";
import {
  basePodSpec,
  containerResources,
  containerSecurity,
  fromSecret,
  httpProbe,
  type Mount,
  type PodArgs,
  podMetadata,
  type Resources,
  type SecretKey,
  secretVolume,
  userIds,
  variables,
  volumeMounts,
  volumes,
} from "../shared/pod.ts";
import { bytes, quantity, seconds } from "../shared/quantity.ts";
import { type LoginArgs, loginItems, registryEndpoints, registryLogin, sealedLogins } from "../shared/registry-login.ts";
import { type Transform, transformed } from "../shared/transform.ts";
import { volumeClaim } from "../shared/volume-claim.ts";

import { bundledPrograms } from "./bundle.ts";

const scanComponent = "registry-scan";
const reportsComponent = "reports";

/** Selects the pods that scan. */
export const registryScanSelector = selector(scanComponent);
const reportsSelector = selector(reportsComponent);

/** As which client of the gateway the scan comes. */
export const registryScanClient = "registry-scan";

export const registryScanDefaults = {
  schedule: "0 3 * * *",
  timeZone: "Etc/UTC",
  strict: false,
  severities,
  ignoreUnfixed: false,
  scanners: ["vuln"],
  plainHttp: false,
  parallelism: 4,
  timeout: "10m",
  deadline: "6h",
  workVolume: "4Gi",
  resources: { requests: { cpu: "200m", memory: "256Mi" }, limits: { memory: "2Gi" } },
  reports: {
    keep: 30,
    size: "2Gi",
    cycloneDx: false,
    bucketRegion: "us-east-1",
    resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "1Gi" } },
  },
} as const;

/** Trivy's own, asked for when an image has Java archives. */
const javaRepositories = ["mirror.gcr.io/aquasec/trivy-java-db:1", "ghcr.io/aquasecurity/trivy-java-db:1"];

/** Who is told of a run's findings. */
export interface ReceiverArgs {
  /** Unique among the receivers; in logs and metrics. */
  readonly name: string;
  /** `alertmanager`: one alert for each image, package and severity. `slack`: a message that Slack and what imitates it take. `json`: all of it. */
  readonly type: "alertmanager" | "slack" | "json";
  /** Where to send to: of an Alertmanager its root, of a webhook the whole URL. Secret, because a webhook's URL is all that one needs to write to it. */
  readonly url?: pulumi.Input<string>;
  /** An existing Secret that holds the URL, instead of `url`; the address must be a public one, or in `cidrs`. @default none */
  readonly existingSecret?: { readonly name: string; readonly key?: string };
  /** Value of the Authorization header, such as `Bearer …`. @default none */
  readonly authorization?: pulumi.Input<string>;
}

/** An S3-compatible bucket. */
export interface BucketArgs {
  /** URL of the service. @default Amazon's, of the region */
  readonly endpoint?: string;
  /** @default us-east-1 */
  readonly region?: string;
  readonly name: string;
  /** What the objects' names begin with. @default nothing */
  readonly prefix?: string;
  /** An existing Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if needed. */
  readonly existingSecret: string;
}

export interface ReportsArgs {
  /** Runs to keep. @default 30 */
  readonly keep?: number;
  /** Size of their volume claim. @default 2Gi */
  readonly size?: string;
  /** StorageClass of the claim. @default the cluster's */
  readonly storageClass?: string;
  /** A CycloneDX document of each image besides. @default false */
  readonly cycloneDx?: boolean;
  /** URL under which people open the reports, for links in alerts. @default no links */
  readonly url?: string;
  /** Namespaces whose pods may read reports and metrics; `*` is all of them. @default none: only `kubectl port-forward` gets through */
  readonly viewers?: readonly string[];
  /** Copies of all reports go there. @default nowhere */
  readonly bucket?: BucketArgs;
  /** @default requests of 50m and 128Mi, a memory limit of 1Gi, no CPU limit */
  readonly resources?: Resources;
}

export interface RegistryScanArgs {
  /** When to scan, as cron writes it: minute, hour, day of month, month, day of week; or @daily and the like. @default 0 3 * * *, every day at three */
  readonly schedule?: string;
  /** Whose clock that is. @default Etc/UTC */
  readonly timeZone?: string;
  readonly targets: readonly TargetArgs[];
  /** Tags that nothing matches are an error of the run, not a warning. @default false */
  readonly strict?: boolean;
  /** Which findings count. @default all */
  readonly severities?: readonly Severity[];
  /** Leaves out what has no fix. @default false */
  readonly ignoreUnfixed?: boolean;
  /** What to look for. @default vulnerabilities */
  readonly scanners?: readonly Scanner[];
  /** Text of a .trivyignore.yaml. @default none */
  readonly ignoreFile?: string;
  /** VEX documents (OpenVEX, CycloneDX or CSAF), as JSON. @default none */
  readonly vex?: readonly string[];
  /** Logins, each for one registry's host. @default none */
  readonly credentials?: readonly LoginArgs[];
  /** An existing Secret of type kubernetes.io/dockerconfigjson with the logins. @default none */
  readonly existingSecret?: string;
  /** Tries plain HTTP when HTTPS fails, and verifies no registry's certificate. @default false */
  readonly plainHttp?: boolean;
  /** Certificate authorities to trust besides the system's, PEM: registries, proxies, receivers. @default none */
  readonly caCertificates?: string;
  /** CIDR blocks that may be reached on any port besides what the names of registries and receivers tell. @default none */
  readonly cidrs?: readonly string[];
  /** Repositories of the database by which Java archives are identified. @default Trivy's */
  readonly javaRepositories?: readonly string[];
  /** Images that are scanned at once: the number of pods. @default 4 */
  readonly parallelism?: number;
  /** How long one image may take, as Go writes durations. @default 10m */
  readonly timeout?: string;
  /** How long a run may take; what is missing then is reported as such. @default 6h */
  readonly deadline?: string;
  /** Size limit of the volume that layers are unpacked on, of each pod. @default 4Gi */
  readonly workVolume?: string;
  /** Of each scanning pod. @default requests of 200m and 256Mi, a memory limit of 2Gi, no CPU limit */
  readonly resources?: Resources;
  readonly reports?: ReportsArgs;
  /** @default nobody is told */
  readonly alerts?: readonly ReceiverArgs[];
}

/** The arguments as the state may hold them: what is secret marked as such. */
export function sealedRegistryScan(scan: RegistryScanArgs): RegistryScanArgs {
  const { credentials, alerts } = scan;
  return {
    ...scan,
    ...(credentials && { credentials: sealedLogins(credentials) }),
    ...(alerts && {
      alerts: alerts.map(({ url, authorization, ...receiver }) => ({
        ...receiver,
        ...(url !== undefined && { url: pulumi.secret(url) }),
        ...(authorization !== undefined && { authorization: pulumi.secret(authorization) }),
      })),
    }),
  };
}

export interface RegistryScanComponentArgs extends Identity, PodArgs {
  readonly namespace: pulumi.Input<string>;
  readonly scan: RegistryScanArgs;
  /** The service that scans. */
  readonly service: {
    readonly url: pulumi.Input<string>;
    /** What it asks for; one of the two, or neither. */
    readonly token?: pulumi.Input<string>;
    readonly tokenKey?: SecretKey;
    /** The pods that stand behind the URL, and their ports. */
    readonly selector: Readonly<Record<string, string>>;
    readonly ports: readonly number[];
    /** The authority to trust, PEM. @default the system's */
    readonly caCertificate?: pulumi.Input<string>;
  };
  readonly proxy?: ProxyArgs;
  readonly transform?: {
    readonly cronJob?: Transform<k8s.types.input.batch.v1.CronJob>;
    readonly statefulSet?: Transform<k8s.types.input.apps.v1.StatefulSet>;
    readonly service?: Transform<k8s.types.input.core.v1.Service>;
    readonly persistentVolumeClaim?: Transform<k8s.types.input.core.v1.PersistentVolumeClaim>;
    readonly networkPolicy?: Transform<k8s.types.input.networking.v1.NetworkPolicy>;
    readonly configMap?: Transform<k8s.types.input.core.v1.ConfigMap>;
    /** The logins', the tokens' and the receivers'. */
    readonly secret?: Transform<k8s.types.input.core.v1.Secret>;
  };
}

/** Images of registries scanned at regular times through the service, and somebody told of what is new. */
export class RegistryScan extends pulumi.ComponentResource {
  /** Makes the reports reachable from this machine. */
  readonly portForward: pulumi.Output<string>;

  constructor(name: string, args: RegistryScanComponentArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, service, ...inputs } = args;
    const scan = sealedRegistryScan(args.scan);
    super("trivy-server:index:RegistryScan", name, { ...inputs, scan }, opts);
    const { namespace } = args;

    const programs = this.configMap(`${name}-programs`, args, scanComponent, bundledPrograms());
    const authorities = pemFile(scan.caCertificates, service.caCertificate);
    const authoritiesMap =
      authorities && this.configMap(`${name}-certificate-authorities`, args, scanComponent, { [authoritiesFile]: authorities });
    const shared: Mount[] = [
      { name: "programs", mountPath: "/app", volume: { configMap: { name: programs } } },
      ...(authoritiesMap
        ? [{ name: "certificate-authorities", mountPath: paths.authorities, volume: { configMap: { name: authoritiesMap } } }]
        : []),
    ];
    const { proxy = {} } = args;
    const environment = {
      ...proxyVariables(proxy),
      // Node asks for a proxy only when it is told to.
      ...((proxy.http ?? proxy.https) !== undefined && { NODE_USE_ENV_PROXY: "1" }),
      ...(authoritiesMap && {
        SSL_CERT_DIR: `/etc/ssl/certs:${paths.authorities}`,
        NODE_EXTRA_CA_CERTS: `${paths.authorities}/${authoritiesFile}`,
      }),
    };
    const token = this.secret(`${name}-token`, args, reportsComponent, { [tokenKey]: generatedSecret(`${name}-token`, this) });
    const reportsToken = fromSecret("REPORTS_TOKEN", { name: token, key: tokenKey });

    this.reports(name, args, scan, { mounts: shared, environment, token: reportsToken }, opts);
    this.schedule(name, args, scan, { mounts: shared, environment, token: reportsToken }, opts);
    this.portForward = pulumi.interpolate`kubectl port-forward service/${reportsName} 8081:80 -n ${namespace}`;
    this.registerOutputs({ portForward: this.portForward });
  }

  /** The server that hands out targets, keeps what was found, and tells people. */
  private reports(
    name: string,
    args: RegistryScanComponentArgs,
    scan: RegistryScanArgs,
    common: Common,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, transform, proxy = {} } = args;
    const metadata = { namespace, labels: labels(args, reportsComponent) };
    const child = { parent: this };
    const { reports = {}, alerts = [] } = scan;
    const { bucket } = reports;
    const defaults = registryScanDefaults.reports;

    const region = bucket?.region ?? defaults.bucketRegion;
    // The rest is for what Node keeps beside its heap: 10,000 images of 50 findings each took 360 MiB of heap and 580 altogether, measured.
    const memory = bytes(reports.resources?.limits?.memory ?? defaults.resources.limits.memory);
    const heap = `--max-old-space-size=${Math.floor((memory * 0.6) / bytes("1Mi"))}`;

    const endpoint = bucket && (bucket.endpoint ?? `https://s3.${region}.amazonaws.com`);
    const configuration: ReportsConfiguration = {
      folder: paths.data,
      keep: reports.keep ?? defaults.keep,
      receivers: alerts.map(({ name: receiver, type, authorization }) => ({
        name: receiver,
        type,
        authorized: authorization !== undefined,
      })),
      ...(reports.url !== undefined && { url: reports.url }),
      ...(bucket && endpoint && { bucket: { endpoint, region, name: bucket.name, prefix: bucket.prefix ?? "" } }),
    };
    const configMap = this.configMap(`${name}-reports-config`, args, reportsComponent, { [reportsFile]: json(configuration) });
    const given = alerts.flatMap(({ name: receiver, url, authorization }) => [
      ...(url === undefined ? [] : [[`${receiver}.url`, url] as const]),
      ...(authorization === undefined ? [] : [[`${receiver}.authorization`, authorization] as const]),
    ]);
    const receivers = given.length > 0 ? this.secret(`${name}-receivers`, args, reportsComponent, Object.fromEntries(given)) : undefined;
    const receiverSources = [
      ...(receivers === undefined ? [] : [{ secret: { name: receivers } }]),
      ...alerts.flatMap(({ name: receiver, existingSecret }) =>
        existingSecret
          ? [{ secret: { name: existingSecret.name, items: [{ key: existingSecret.key ?? urlKey, path: `${receiver}.url` }] } }]
          : [],
      ),
    ];
    const mounts: Mount[] = [
      ...common.mounts,
      { name: "configuration", mountPath: paths.reports, volume: { configMap: { name: configMap } } },
      ...(receiverSources.length > 0
        ? [{ name: "receivers", mountPath: paths.receivers, volume: { projected: { sources: receiverSources, defaultMode: 0o440 } } }]
        : []),
    ];

    // A rule tells no more of a secret URL than its port, or a namespace or address inside.
    const receiverEndpoints = pulumi.unsecret(
      pulumi
        .all(alerts.map(({ url }) => url ?? publicUrl))
        .apply((urls) => urls.map((url) => urlEndpoint(URL.canParse(url) ? url : publicUrl))),
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-reports-policy`,
      transformed(transform?.networkPolicy, {
        metadata: { ...metadata, name: reportsName },
        spec: {
          podSelector: { matchLabels: reportsSelector },
          policyTypes: ["Ingress", "Egress"],
          ingress: [
            ...ingressFrom([{ podSelector: { matchLabels: registryScanSelector } }], [reportsPorts.api]),
            ...ingressFrom((reports.viewers ?? []).map(inNamespace), [reportsPorts.pages]),
          ],
          egress: receiverEndpoints.apply((endpoints) =>
            egress(
              [...endpoints, ...(endpoint ? [urlEndpoint(endpoint)] : [])],
              proxy,
              endpoints.length > 0 || endpoint ? (scan.cidrs ?? []) : [],
            ),
          ),
        },
      }),
      child,
    );
    const { size = defaults.size, storageClass } = reports;
    const claim = volumeClaim(
      `${name}-reports-claim`,
      { ...metadata, name: reportsName },
      { size, storageClass },
      transform?.persistentVolumeClaim,
      child,
    );
    new k8s.core.v1.Service(
      `${name}-reports-service`,
      transformed(transform?.service, {
        metadata: { ...metadata, name: reportsName },
        spec: {
          selector: reportsSelector,
          ports: [
            { name: "http", port: 80, targetPort: "http" },
            { name: "api", port: reportsPorts.api, targetPort: "api" },
          ],
        },
      }),
      child,
    );
    // A StatefulSet, because it never runs two pods at once on one volume.
    new k8s.apps.v1.StatefulSet(
      `${name}-reports-stateful-set`,
      transformed(transform?.statefulSet, {
        metadata: { ...metadata, name: reportsName },
        spec: {
          serviceName: reportsName,
          replicas: 1,
          selector: { matchLabels: reportsSelector },
          template: {
            metadata: podMetadata(metadata.labels, args),
            spec: {
              ...basePodSpec(userIds.reports, args),
              terminationGracePeriodSeconds: 30,
              containers: [
                {
                  name: "reports",
                  image: imageReference("node", args.images),
                  command: ["node", "/app/reports.js"],
                  env: [common.token, ...variables({ ...common.environment, TMPDIR: paths.temporary, NODE_OPTIONS: heap })],
                  ...(bucket && { envFrom: [{ secretRef: { name: bucket.existingSecret } }] }),
                  ports: [
                    { name: "http", containerPort: reportsPorts.pages },
                    { name: "api", containerPort: reportsPorts.api },
                  ],
                  // After a kill it first ends what it had begun.
                  startupProbe: { ...httpProbe("/healthz", "http"), periodSeconds: 1, failureThreshold: 120 },
                  readinessProbe: { ...httpProbe("/healthz", "http"), periodSeconds: 5, failureThreshold: 2 },
                  livenessProbe: { ...httpProbe("/healthz", "http"), periodSeconds: 10, failureThreshold: 6 },
                  resources: containerResources(defaults.resources, reports.resources, disk("64Mi")),
                  securityContext: containerSecurity,
                  volumeMounts: [
                    ...volumeMounts(mounts),
                    { name: "data", mountPath: paths.data },
                    { name: "temporary", mountPath: paths.temporary },
                  ],
                },
              ],
              volumes: [
                ...volumes(mounts),
                { name: "data", persistentVolumeClaim: { claimName: claim.metadata.name } },
                { name: "temporary", emptyDir: { sizeLimit: "16Mi" } },
              ],
            },
          },
        },
      }),
      { parent: this, dependsOn: [policy, ...dependencies(opts)], customTimeouts: { create: "15m", update: "15m" } },
    );
  }

  /** The Job of each run. */
  private schedule(
    name: string,
    args: RegistryScanComponentArgs,
    scan: RegistryScanArgs,
    common: Common,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { namespace, service, transform, proxy = {} } = args;
    const metadata = { namespace, labels: labels(args, scanComponent) };
    const child = { parent: this };
    const defaults = registryScanDefaults;
    const { vex = [], ignoreFile, parallelism = defaults.parallelism } = scan;
    const deadline = seconds(scan.deadline ?? defaults.deadline);
    const workVolume = scan.workVolume ?? defaults.workVolume;

    const configuration: Omit<ScanConfiguration, "service" | "reports"> = {
      targets: scan.targets,
      strict: scan.strict ?? defaults.strict,
      policy: {
        severities: scan.severities ?? defaults.severities,
        ignoreUnfixed: scan.ignoreUnfixed ?? defaults.ignoreUnfixed,
        scanners: scan.scanners ?? defaults.scanners,
      },
      plainHttp: scan.plainHttp ?? defaults.plainHttp,
      timeout: seconds(scan.timeout ?? defaults.timeout),
      deadline,
      cycloneDx: scan.reports?.cycloneDx ?? defaults.reports.cycloneDx,
      ...(ignoreFile !== undefined && { ignoreFile: `${paths.scan}/${ignoreFileName}` }),
      vex: vex.map((_, index) => `${paths.scan}/${vexName(index)}`),
      ...(scan.javaRepositories && { javaRepositories: scan.javaRepositories }),
    };
    const configMap = this.configMap(`${name}-config`, args, scanComponent, {
      [scanFile]: pulumi
        .all([service.url, pulumi.interpolate`http://${reportsName}.${namespace}.svc:${reportsPorts.api}`])
        .apply(([url, reports]) => json({ ...configuration, service: url, reports })),
      ...(ignoreFile !== undefined && { [ignoreFileName]: ignoreFile }),
      ...Object.fromEntries(vex.map((text, index) => [vexName(index), text])),
    });
    const login = registryLogin(name, this, metadata, scan, transform?.secret);
    const serviceToken =
      service.tokenKey ??
      (service.token === undefined
        ? undefined
        : { name: this.secret(`${name}-credentials`, args, scanComponent, { [tokenKey]: service.token }), key: tokenKey });

    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      transformed(transform?.networkPolicy, {
        metadata: { ...metadata, name: scanName },
        spec: {
          podSelector: { matchLabels: registryScanSelector },
          policyTypes: ["Ingress", "Egress"],
          ingress: [],
          egress: [
            { to: [{ podSelector: { matchLabels: { ...service.selector } } }], ports: service.ports.map(tcp) },
            { to: [{ podSelector: { matchLabels: reportsSelector } }], ports: [tcp(reportsPorts.api)] },
            ...scanEgress(scan, proxy),
          ],
        },
      }),
      child,
    );

    const mounts: Mount[] = [
      ...common.mounts,
      { name: "configuration", mountPath: paths.scan, volume: { configMap: { name: configMap } } },
      ...(login === undefined ? [] : [{ name: "registry-login", mountPath: paths.login, volume: secretVolume(login, loginItems) }]),
    ];
    const environment = {
      ...common.environment,
      TMPDIR: paths.temporary,
      HOME: paths.temporary,
      PATH: toolsPath,
      DOCKER_CONFIG: login && paths.login,
    };
    const small = containerResources({ requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "128Mi" } }, undefined, disk("64Mi"));
    const tool = (toolName: "trivy" | "crane", path: string) => ({
      name: `copy-${toolName}`,
      image: imageReference(toolName, args.images),
      command: ["cp", path, `${paths.tools}/${toolName}`],
      resources: small,
      securityContext: containerSecurity,
      volumeMounts: [{ name: "tools", mountPath: paths.tools }],
    });
    new k8s.batch.v1.CronJob(
      `${name}-cron-job`,
      transformed(transform?.cronJob, {
        metadata: { ...metadata, name: scanName },
        spec: {
          schedule: scan.schedule ?? defaults.schedule,
          timeZone: scan.timeZone ?? defaults.timeZone,
          concurrencyPolicy: "Forbid",
          // What a cluster that was down has missed is made up for within an hour.
          startingDeadlineSeconds: 3600,
          successfulJobsHistoryLimit: 3,
          failedJobsHistoryLimit: 3,
          jobTemplate: {
            metadata: { labels: metadata.labels },
            spec: {
              completionMode: "Indexed",
              completions: parallelism,
              parallelism,
              // A pod that is lost is started again. Not counted by index: then Kubernetes holds a failed pod until its successor is there, and a
              // namespace that is deleted meanwhile, in which no successor can be, never goes away.
              backoffLimit: 3 * parallelism,
              podFailurePolicy: {
                rules: [
                  { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
                  // The first pod's verdict is the Job's.
                  {
                    action: "FailJob",
                    onExitCodes: { containerName: scanContainer, operator: "In", values: [exitCodes.findings, exitCodes.errors] },
                  },
                ],
              },
              // The run itself ends at its deadline, with a report; this is for pods that do not.
              activeDeadlineSeconds: deadline + 600,
              // Jobs made by hand are of no CronJob's history.
              ttlSecondsAfterFinished: 7 * 24 * 3600,
              template: {
                metadata: podMetadata(metadata.labels, args),
                spec: {
                  ...basePodSpec(userIds.registryScan, args),
                  restartPolicy: "Never",
                  terminationGracePeriodSeconds: 30,
                  initContainers: [tool("trivy", "/usr/local/bin/trivy"), tool("crane", "/ko-app/crane")],
                  containers: [
                    {
                      name: scanContainer,
                      image: imageReference("node", args.images),
                      command: ["node", "/app/scan.js"],
                      env: [
                        common.token,
                        ...(serviceToken ? [fromSecret("TRIVY_TOKEN", serviceToken)] : []),
                        fromLabel("JOB", "batch.kubernetes.io/job-name"),
                        fromLabel("JOB_UID", "batch.kubernetes.io/controller-uid"),
                        ...variables(environment),
                      ],
                      resources: containerResources(defaults.resources, scan.resources, disk(workVolume)),
                      securityContext: containerSecurity,
                      volumeMounts: [
                        ...volumeMounts(mounts),
                        { name: "tools", mountPath: paths.tools, readOnly: true },
                        { name: "temporary", mountPath: paths.temporary },
                      ],
                    },
                  ],
                  volumes: [
                    ...volumes(mounts),
                    { name: "tools", emptyDir: { sizeLimit: toolsSize } },
                    { name: "temporary", emptyDir: { sizeLimit: workVolume } },
                  ],
                },
              },
            },
          },
        },
      }),
      { parent: this, dependsOn: [policy, ...dependencies(opts)] },
    );
  }

  private configMap(
    name: string,
    args: RegistryScanComponentArgs,
    component: string,
    data: Readonly<Record<string, pulumi.Input<string>>>,
  ) {
    const metadata = { namespace: args.namespace, labels: labels(args, component) };
    return new k8s.core.v1.ConfigMap(name, transformed(args.transform?.configMap, { metadata, data }), { parent: this }).metadata.name;
  }

  private secret(name: string, args: RegistryScanComponentArgs, component: string, stringData: Record<string, pulumi.Input<string>>) {
    const metadata = { namespace: args.namespace, labels: labels(args, component) };
    return new k8s.core.v1.Secret(name, transformed(args.transform?.secret, { metadata, stringData }), { parent: this }).metadata.name;
  }
}

const fromLabel = (name: string, label: string): k8s.types.input.core.v1.EnvVar => ({
  name,
  valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: `metadata.labels['${label}']` } },
});

/** What the pods of both programs have. */
interface Common {
  readonly mounts: readonly Mount[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly token: k8s.types.input.core.v1.EnvVar;
}

const paths = {
  scan: "/etc/scan",
  reports: "/etc/reports",
  receivers: "/etc/receivers",
  authorities: "/etc/certificate-authorities",
  login: "/etc/registry-login",
  tools: "/tools",
  data: "/data",
  temporary: "/tmp",
} as const;

const toolsPath = `${paths.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
/** Trivy has 200 MB, crane 12. */
const toolsSize = "512Mi";
const tokenKey = "token";
const urlKey = "url";
const scanFile = "scan.json";
const reportsFile = "reports.json";
const ignoreFileName = "trivyignore.yaml";
const authoritiesFile = "authorities.pem";
const vexName = (index: number) => `vex-${index}.json`;
const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

/** Stands for an address that only an existing Secret knows, or Pulumi alone: a public one. */
const publicUrl = "https://example.com";

function pemFile(...texts: (pulumi.Input<string> | undefined)[]): pulumi.Output<string> | undefined {
  const given = texts.filter((text) => text !== undefined);
  return given.length === 0 ? undefined : pulumi.all(given).apply((all) => all.map((text) => `${text.trim()}\n`).join(""));
}

/** A volume's size, and what is written beside it. */
const disk = (request: string) => ({ request, limit: quantity(bytes(request) + bytes("128Mi")) });

/** The registries of the targets, and those of the database of Java archives. */
function scanEgress(
  { targets, plainHttp = false, javaRepositories: java = javaRepositories, cidrs = [] }: RegistryScanArgs,
  proxy: ProxyArgs,
): EgressRule[] {
  const repositories = targets.map((target) => ("image" in target ? target.image : target.repository));
  return egress(
    [...repositories, ...java].flatMap((repository) => registryEndpoints(repository, plainHttp)),
    proxy,
    cidrs,
  );
}
