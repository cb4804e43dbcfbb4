/**
 * What the end-to-end tests and the benchmark take from their environment. They run on any cluster, from a machine that reaches its Services'
 * addresses: one of its nodes, or one with a route to them. Needed: KUBECONFIG, and `kubectl`, `pulumi` and `trivy` on the PATH.
 *
 * | variable | what it is | default |
 * | --- | --- | --- |
 * | E2E_DATABASE | repository of the vulnerability database | the program's own |
 * | E2E_IMAGE_ALPINE | Alpine 3.10, which has CVE-2021-36159 | docker.io/library/alpine:3.10 |
 * | E2E_IMAGE_FIXED | an image without findings | gcr.io/distroless/static-debian12:latest |
 * | E2E_IMAGE_UNFIXED | an image with HIGH or CRITICAL findings, none of which a version fixes | none: what needs it is left out |
 * | E2E_IMAGES | further images for load, separated by blanks | of Debian and Python |
 * | E2E_TRIVY_IMAGE, E2E_REDIS_IMAGE | what the pods run | the program's own |
 * | E2E_CLIENT_CIDR | where this machine's connections come from, as the pods see them | none |
 * | E2E_SCANS | scans with each number of servers, half of them of images that are in the cache | 250 |
 *
 * Trivy's clients get the environment as it is: `TRIVY_INSECURE=true` for registries without TLS.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const { env } = process;
const words = (text: string | undefined, otherwise: string[]) => text?.split(/\s+/).filter(Boolean) ?? otherwise;

const alpine = env["E2E_IMAGE_ALPINE"] || "docker.io/library/alpine:3.10";

export const environment = {
  alpine,
  fixed: env["E2E_IMAGE_FIXED"] || "gcr.io/distroless/static-debian12:latest",
  unfixed: env["E2E_IMAGE_UNFIXED"] || undefined,
  /** All images for load. */
  images: [alpine, ...words(env["E2E_IMAGES"], ["docker.io/library/debian:11-slim", "docker.io/library/python:3.9-alpine3.15"])],
  scans: Number(env["E2E_SCANS"] || 250),
} as const;

/** Settings that fit a stack to the environment, as they stand in a stack's file. */
export function environmentSettings(): Record<string, Record<string, unknown>> {
  const { E2E_DATABASE: database, E2E_TRIVY_IMAGE: trivy, E2E_REDIS_IMAGE: redis, E2E_CLIENT_CIDR: cidr } = env;
  return {
    ...(database && { database: { repositories: [database] } }),
    ...((trivy || redis) && { images: { ...(trivy && { trivy }), ...(redis && { redis }) } }),
    ...(cidr && { access: { cidrs: [cidr] } }),
  };
}

/** The hole of all holes in Alpine 3.10: what every good scan of it reports. */
export const knownFinding = {
  VulnerabilityID: "CVE-2021-36159",
  PkgName: "apk-tools",
  InstalledVersion: "2.10.6-r0",
  FixedVersion: "2.10.7-r0",
  Severity: "CRITICAL",
} as const;

let checked: Promise<void> | undefined;

/** Fails with all that is missing, before anything is created. */
export function checkEnvironment(): Promise<void> {
  checked ??= check();
  return checked;
}

async function check(): Promise<void> {
  const tools = { kubectl: ["version", "--request-timeout=20s"], pulumi: ["version"], trivy: ["--version"] };
  const problems = await Promise.all(
    Object.entries(tools).map(async ([tool, args]) => {
      try {
        await promisify(execFile)(tool, args);
        return [];
      } catch (error) {
        const { code, stderr } = error as { code?: unknown; stderr?: string };
        return [code === "ENOENT" ? `${tool} is not on the PATH` : `${tool} ${args.join(" ")} fails: ${stderr?.trim()}`];
      }
    }),
  );
  const found = [...(env["KUBECONFIG"] ? [] : ["KUBECONFIG is not set"]), ...problems.flat()];
  if (found.length > 0) throw new Error(`The end-to-end tests need a cluster and its tools:\n  ${found.join("\n  ")}`);
}
