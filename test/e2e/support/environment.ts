/**
 * The environment of the end-to-end tests and the benchmark. They run against any cluster, from a machine that can reach its Services' addresses: a
 * node, or a machine with a route to them. Required: KUBECONFIG, and `kubectl`, `pulumi` and `trivy` on the PATH.
 *
 * | variable | description | default |
 * | --- | --- | --- |
 * | E2E_DATABASE | repository of the vulnerability database | the program's default |
 * | E2E_IMAGE_ALPINE | Alpine 3.10, which has CVE-2021-36159 | docker.io/library/alpine:3.10 |
 * | E2E_IMAGE_FIXED | an image without findings | gcr.io/distroless/static-debian12:latest |
 * | E2E_IMAGE_UNFIXED | an image with HIGH or CRITICAL findings, none of which has a fixed version | none: tests that need it are skipped |
 * | E2E_IMAGES | further images for load, separated by spaces | Debian and Python images |
 * | E2E_TRIVY_IMAGE, E2E_REDIS_IMAGE | images of the pods | the program's defaults |
 * | E2E_CLIENT_CIDR | source addresses of this machine's connections, as the pods see them | none |
 * | E2E_TESTS | names of the test files to run, as a glob such as `{service,gateway}` | all |
 * | E2E_SCANS | number of scans at each number of servers, half of them of cached images | 250 |
 *
 * Trivy clients inherit the environment: set `TRIVY_INSECURE=true` for registries without TLS.
 */
import { run } from "../../support/command.ts";

const { env } = process;
const words = (text: string | undefined, defaults: string[]) => text?.split(/\s+/).filter(Boolean) ?? defaults;

const alpine = env["E2E_IMAGE_ALPINE"] || "docker.io/library/alpine:3.10";

export const environment = {
  alpine,
  fixed: env["E2E_IMAGE_FIXED"] || "gcr.io/distroless/static-debian12:latest",
  unfixed: env["E2E_IMAGE_UNFIXED"] || undefined,
  /** All images for load. */
  images: [alpine, ...words(env["E2E_IMAGES"], ["docker.io/library/debian:11-slim", "docker.io/library/python:3.9-alpine3.15"])],
  scans: Number(env["E2E_SCANS"] || 250),
} as const;

type EnvironmentSettings = {
  readonly protect: false;
  readonly database?: Readonly<Record<string, unknown>>;
  readonly images?: Readonly<Record<string, string>>;
  readonly access?: Readonly<Record<string, unknown>>;
};

/** Returns the settings that a stack needs in this environment, as written in a stack's file. */
export function environmentSettings(): EnvironmentSettings {
  const { E2E_DATABASE: database, E2E_TRIVY_IMAGE: trivy, E2E_REDIS_IMAGE: redis, E2E_CLIENT_CIDR: cidr } = env;
  return {
    // So that tests can destroy what they have created.
    protect: false,
    ...(database && { database: { repositories: [database] } }),
    ...((trivy || redis) && { images: { ...(trivy && { trivy }), ...(redis && { redis }) } }),
    ...(cidr && { access: { cidrs: [cidr] } }),
  };
}

/** The known vulnerability of Alpine 3.10 that every good scan of it reports. */
export const knownFinding = {
  VulnerabilityID: "CVE-2021-36159",
  PkgName: "apk-tools",
  InstalledVersion: "2.10.6-r0",
  FixedVersion: "2.10.7-r0",
  Severity: "CRITICAL",
} as const;

let checked: Promise<void> | undefined;

/** Checks the environment once, before anything is created. @throws with everything that is missing */
export function checkEnvironment(): Promise<void> {
  checked ??= check();
  return checked;
}

async function check(): Promise<void> {
  const tools = { kubectl: ["version", "--request-timeout=20s"], pulumi: ["version"], trivy: ["--version"] };
  const results = await Promise.all(Object.entries(tools).map(([tool, args]) => run(tool, args)));
  const problems = results.flatMap(({ failed, shortMessage, stderr }) => (failed ? [`${shortMessage}: ${stderr.trim()}`] : []));
  const missing = [...(env["KUBECONFIG"] ? [] : ["KUBECONFIG is not set"]), ...problems];
  if (missing.length > 0) throw new Error(`The end-to-end tests need a cluster and its tools:\n  ${missing.join("\n  ")}`);
}
