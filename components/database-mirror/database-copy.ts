import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { ArtifactName, CopyConfiguration } from "../../database-mirror/index.ts";
import { type DatabaseArgs, type DatabaseMirrorArgs, defaults } from "../args.ts";
import { type ResultsConnection, resultsEgress, resultsVariables } from "../monitoring/metrics-exporter.ts";
import { Component, optional, type Transforms } from "../shared/component.ts";
import type { Context } from "../shared/context.ts";
import { image } from "../shared/images.ts";
import { labels } from "../shared/labels.ts";
import { withDefaults } from "../shared/merge.ts";
import { configMap, namedMetadata, networkPolicy, secret } from "../shared/objects.ts";
import { parts } from "../shared/parts.ts";
import { containerResources, variables } from "../shared/pod.ts";
import { loginData, loginSecretType } from "../shared/registry-login.ts";
import { workload } from "../shared/workload.ts";
import { mirrorPrograms } from "./bundle.ts";
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

const part = parts.database;

const children = {
  /** The ConfigMap with the program of the job. */
  programs: k8s.core.v1.ConfigMap,
  /** The ConfigMap with the configuration. */
  config: k8s.core.v1.ConfigMap,
  /** The Secret with the logins for registries. */
  registryLogin: optional(k8s.core.v1.Secret),
  certificateAuthorities: optional(k8s.core.v1.ConfigMap),
  policy: k8s.networking.v1.NetworkPolicy,
  cronJob: k8s.batch.v1.CronJob,
};

export interface DatabaseCopyArgs {
  readonly context: Context;
  /** `mirror.to` says where to. */
  readonly database: DatabaseArgs;
  /** Certificate authorities, PEM, to trust in addition to the system's: for registries and proxies. @default none */
  readonly caCertificates?: pulumi.Input<string> | undefined;
  /** Where results are reported. @default nowhere */
  readonly results?: ResultsConnection | undefined;
  readonly transform?: Transforms<typeof children> | undefined;
}

/**
 * A CronJob that copies each new build of Trivy's databases to a registry, after it has verified it. It keeps no state.
 *
 * @example
 * new DatabaseCopy("copy", { context, database: { mirror: { to: "registry.example.com/security/trivy-db:2" } } });
 */
export class DatabaseCopy extends Component<DatabaseCopyArgs, typeof children> {
  constructor(name: string, args: DatabaseCopyArgs, options?: pulumi.ComponentResourceOptions) {
    super("DatabaseCopy", name, args, { children, settings: ["database"] }, options);
    const database = withDefaults(defaults.database, this.args.database);
    const targets = copyTargets(database.mirror);
    const files = this.createFiles(database, targets);
    const { context, results } = this.args;
    const registries = registriesEgress(context, database, Object.values(targets));
    const egress = registries.apply((rules) => [...rules, ...(results ? [resultsEgress] : [])]);
    const policy = this.create("policy", networkPolicy(context, part, { ingress: [], egress }));
    this.createCronJob(database, files, policy);
    this.registerOutputs({});
  }

  private createFiles(database: Database, to: CopyTargets): Files {
    const { context, caCertificates } = this.args;
    const configuration = pulumi
      .output({ sources: sourcesOf(database), to, plainHttp: database.plainHttp })
      .apply((own): CopyConfiguration => own);
    const { credentials, existingSecret } = loginsOf(database);
    return {
      programs: this.create("programs", configMap(context, part, mirrorPrograms())).metadata.name,
      configuration: this.create("config", configMap(context, part, { "copy.json": configuration.apply(jsonFile) })).metadata.name,
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

  private createCronJob({ mirror }: Database, files: Files, policy: pulumi.Resource): void {
    const { context, results } = this.args;
    this.create(
      "cronJob",
      {
        metadata: namedMetadata(context, part),
        spec: {
          schedule: copySchedule(mirror),
          timeZone: "Etc/UTC",
          concurrencyPolicy: "Forbid",
          startingDeadlineSeconds: 3600,
          successfulJobsHistoryLimit: 1,
          failedJobsHistoryLimit: 3,
          jobTemplate: {
            metadata: { labels: labels(context, part) },
            spec: {
              backoffLimit: 2,
              activeDeadlineSeconds: 3600,
              ttlSecondsAfterFinished: 7 * 24 * 3600,
              template: workload(context, {
                part,
                restartPolicy: "Never",
                terminationGracePeriodSeconds: 30,
                initContainers: copyTools(context),
                container: {
                  name: "copy",
                  image: image("node", context),
                  command: ["node", `${paths.programs}/copy.js`],
                  env: [...variables(environmentOf(context, files)), ...(results ? resultsVariables(results) : [])],
                  resources: containerResources(mirror.resources, diskOf(mirror.workVolume)),
                },
                mounts: mountsOf(files, mirror.workVolume),
              }).template,
            },
          },
        },
      },
      { dependsOn: [policy, ...this.dependencies] },
    );
  }
}

/** The repositories that databases are copied to. */
export type CopyTargets = Readonly<{ [Name in ArtifactName]?: pulumi.Input<string> }>;

/** Returns the repositories that databases are copied to, by the name of the database. */
export function copyTargets({ to, java }: Pick<Database["mirror"], "to" | "java">): CopyTargets {
  return { ...(to !== undefined && { vulnerabilities: to }), ...(java.enabled && java.to !== undefined && { java: java.to }) };
}

/** Returns when the databases are copied, in UTC. By default not at the full hour, when many others query the registries. */
export const copySchedule = ({ schedule }: Pick<DatabaseMirrorArgs, "schedule">): pulumi.Input<string> => schedule ?? "17 * * * *";

const jsonFile = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;
