import type { types } from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Source } from "../../database-mirror/index.ts";
import type { DatabaseArgs, DatabaseMirrorArgs, defaults, LoginArgs } from "../args.ts";
import type { Context } from "../shared/context.ts";
import { egress } from "../shared/egress.ts";
import { image } from "../shared/images.ts";
import type { WithDefaults } from "../shared/merge.ts";
import type { EgressRule } from "../shared/network.ts";
import { containerResources, type Disk, type Mount } from "../shared/pod.ts";
import { proxyVariables } from "../shared/proxy.ts";
import { bytes, quantity } from "../shared/quantity.ts";
import { loginVolume, registryEndpoints } from "../shared/registry-login.ts";

/** What the mirror's pod and the job that copies to a registry have in common: they query registries, and verify with Trivy. */

export type Database = WithDefaults<DatabaseArgs, typeof defaults.database>;

/** Where the pods have their files. */
export const paths = {
  programs: "/app",
  configuration: "/etc/mirror",
  certificate: "/etc/mirror-tls",
  authorities: "/etc/certificate-authorities",
  login: "/etc/registry-login",
  tools: "/tools",
  data: "/data",
  temporary: "/tmp",
} as const;

/** Trivy has 200 MB, crane 12 MB. */
const toolsSize = "512Mi";

/** Returns the databases that are mirrored, and where they come from. */
export function sourcesOf({ repositories, mirror }: Database): pulumi.Output<Source[]> {
  const { offline, java } = mirror;
  return pulumi
    .all([pulumi.all([...repositories]), pulumi.all([...(java.repositories ?? [])])])
    .apply(([vulnerabilities, javaRepositories]): Source[] => [
      { artifact: "vulnerabilities", repositories: offline ? [] : vulnerabilities },
      ...(java.enabled ? [{ artifact: "java" as const, repositories: offline ? [] : javaRepositories }] : []),
    ]);
}

/** Returns the logins that the pods use: the mirror's own, or those of the servers. */
export function loginsOf({ mirror, credentials, existingSecret }: Database): {
  readonly credentials: readonly LoginArgs[];
  readonly existingSecret: pulumi.Input<string> | undefined;
} {
  const own: Pick<DatabaseMirrorArgs, "credentials" | "existingSecret"> = mirror;
  if (own.existingSecret !== undefined) return { credentials: [], existingSecret: own.existingSecret };
  if (own.credentials && own.credentials.length > 0) return { credentials: own.credentials, existingSecret: undefined };
  return { credentials, existingSecret };
}

/** Returns the rules for connections to registries: `targets` are further repositories. */
export function registriesEgress(
  context: Context,
  database: Database,
  targets: readonly pulumi.Input<string>[] = [],
): pulumi.Output<EgressRule[]> {
  const endpoints = pulumi
    .all([sourcesOf(database), pulumi.all([...targets]), database.plainHttp])
    .apply(([sources, others, http]) =>
      [...sources.flatMap(({ repositories }) => repositories), ...others].flatMap((repository) => registryEndpoints(repository, http)),
    );
  return egress(context, endpoints, database.cidrs);
}

/** Names of the objects whose content the pods get as files. */
export interface Files {
  readonly programs: pulumi.Input<string>;
  readonly configuration: pulumi.Input<string>;
  readonly login: pulumi.Input<string> | undefined;
  readonly authorities: pulumi.Input<string> | undefined;
}

/** Returns the volumes of the pods; a build is unpacked in a folder of `workVolume`. */
export const mountsOf = ({ programs, configuration, login, authorities }: Files, workVolume: pulumi.Input<string>): Mount[] => [
  { name: "programs", mountPath: paths.programs, volume: { configMap: { name: programs } } },
  { name: "configuration", mountPath: paths.configuration, volume: { configMap: { name: configuration } } },
  ...(login === undefined ? [] : [{ name: "registry-login", mountPath: paths.login, volume: loginVolume(login) }]),
  ...(authorities === undefined
    ? []
    : [{ name: "certificate-authorities", mountPath: paths.authorities, volume: { configMap: { name: authorities } } }]),
  { name: "tools", mountPath: paths.tools, volume: { emptyDir: { sizeLimit: toolsSize } } },
  { name: "temporary", mountPath: paths.temporary, options: {}, volume: { emptyDir: { sizeLimit: workVolume } } },
];

export const environmentOf = (context: Context, { login, authorities }: Files) => ({
  PATH: `${paths.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  TMPDIR: paths.temporary,
  HOME: paths.temporary,
  DOCKER_CONFIG: login !== undefined && paths.login,
  SSL_CERT_DIR: authorities !== undefined && `/etc/ssl/certs:${paths.authorities}`,
  ...proxyVariables(context),
});

/** Returns the disk space for the work volume, the tools and the log. */
export const diskOf = (workVolume: pulumi.Input<string>): Disk => ({
  request: workVolume,
  limit: pulumi.output(workVolume).apply((size) => quantity(bytes(size) + bytes(toolsSize) + bytes("128Mi"))),
});

/** Returns the containers that copy binaries from their images to where the program finds them. */
export const copyTools = (context: Context): Omit<types.input.core.v1.Container, "securityContext">[] =>
  ([["trivy", "/usr/local/bin/trivy"] as const, ["crane", "/ko-app/crane"] as const] as const).map(([tool, path]) => ({
    name: `copy-${tool}`,
    image: image(tool, context),
    command: ["cp", path, `${paths.tools}/${tool}`],
    resources: containerResources(
      { requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "128Mi" } },
      { request: "64Mi", limit: "192Mi" },
    ),
    volumeMounts: [{ name: "tools", mountPath: paths.tools }],
  }));
