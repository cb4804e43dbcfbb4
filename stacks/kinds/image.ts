import { z } from "zod";
import { type images, pinnedImageProblem } from "../../components/shared/images.ts";
import {
  dockerHub,
  parseImageReference,
  platformProblem,
  scannedImageProblem,
  scannedRepositoryProblem,
  versionRangeProblem,
} from "../../registry-scan/index.ts";
import { describeValue, wrong } from "./message.ts";
import { hostProblem } from "./network.ts";
import { checked, matching, text } from "./text.ts";

const imageAdvice = "use an image with an exact tag or a digest";
const imagePattern = /^(?!.*:latest$)[^\s@]+(:[^\s/@]+|(:[^\s/@]+)?@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128}))$/;

/** An image that the service's pods run in a role: pinned to a version. */
export const image = (role: keyof typeof images) =>
  z
    .string({ error: wrong(imageAdvice) })
    .superRefine((value, context) => {
      const found = pinnedImageProblem(value, role);
      if (found !== undefined) context.addIssue({ code: "custom", message: `${describeValue(value)}, which ${found}` });
    })
    .meta({ kind: "image", advice: imageAdvice, pattern: imagePattern.source });

const registryHost = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d{1,5})?$/;
const pathComponent = /^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*$/;

const isRegistry = (value: string) => {
  const [host = "", ...path] = value.split("/");
  return registryHost.test(host) && path.every((part) => pathComponent.test(part)) && Number(host.split(":")[1] ?? 1) <= 65535;
};

export const registry = () =>
  text(
    "registry",
    "use a registry's host, with port and path if needed, such as mirror.example.com/hub; no scheme",
    isRegistry,
    /^[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?(\/[a-z0-9._/-]+)?$/,
  );

const repositoryAdvice = "use an OCI repository such as ghcr.io/aquasecurity/trivy-db:2";

/** Returns what is wrong with the host of an image or repository, as `hostProblem` does. */
function registryProblem(text: string): string | undefined {
  const { registry = dockerHub } = parseImageReference(text) ?? {};
  return hostProblem(registry.replace(/:\d+$/, ""));
}

/** Returns what is wrong with a reference, otherwise with its host, as a phrase that follows "which". */
const referenceProblem = (problem: (value: string) => string | undefined) => (value: string) => {
  const found = problem(value);
  if (found !== undefined) return found;
  const ofHost = registryProblem(value);
  return ofHost && `is on a host that ${ofHost}`;
};

/** A repository of a vulnerability database, with its registry. */
export const repository = () =>
  checked(
    "OCI repository",
    repositoryAdvice,
    (value) => {
      if (/^[a-z]+:\/\//i.test(value)) return `leave the scheme out; ${repositoryAdvice}`;
      const reference = parseImageReference(value);
      const namesRegistry = /^[^/]*[.:][^/]*\/|^localhost\//.test(value);
      if (!reference || reference.digest !== undefined || !namesRegistry) return repositoryAdvice;
      const problem = registryProblem(value);
      return problem && `it is on a host that ${problem}`;
    },
    { pattern: /^[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?\/[^:]+(:[\w][\w.-]{0,127})?$/ },
  ).meta({ example: "ghcr.io/aquasecurity/trivy-db:2" });

export const digest = () =>
  matching("digest", "use a digest, sha256: and 64 hexadecimal digits", /^sha256:[0-9a-f]{64}$/).meta({
    example: `sha256:${"0".repeat(64)}`,
  });

/** An image to scan: any tag will do, also one that moves. */
export const scannedImage = () =>
  checked(
    "image",
    "use an image with its tag or digest, such as registry.example.com/team/app:1.0",
    referenceProblem(scannedImageProblem),
    {
      joint: ", which ",
      pattern: /^(?!.*:\/\/)[^\s@]+(:[^\s/@]+|(:[^\s/@]+)?@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128}))$/,
    },
  ).meta({ example: "registry.example.com/team/app:1.0" });

export const scannedRepository = () =>
  checked(
    "repository",
    "use a repository without a tag, such as registry.example.com/team/app",
    referenceProblem(scannedRepositoryProblem),
    {
      joint: ", which ",
      pattern: /^([^\s@]+\/)?[^\s@:/]+$/,
    },
  );

export const platform = () =>
  checked("platform", "use a platform such as linux/arm64, or all", platformProblem, {
    joint: ", which ",
    pattern: /^(all|linux\/[a-z0-9_]+(\/[a-z0-9.]+)?)$/,
  }).meta({ example: "linux/arm64" });

export const versionRange = () =>
  checked("range of versions", "use a range of semantic versions such as >=1.4 <3", versionRangeProblem, { joint: ", which " });

export const tagPattern = () => matching("tag or glob", "use a tag, or a glob such as release-*", /^[\w.\-*?[\]{},!]{1,128}$/);
