import type { z } from "zod";
import { registryScanClient } from "../components/shared/parts.ts";
import { seconds } from "../components/shared/quantity.ts";
import { allPlatforms, scanners, severities } from "../registry-scan/index.ts";
import { alertRules, alerts } from "./alerts.ts";
import { credentials, credentialsSecret, generation, generationRules, resourceRules, resources, retire } from "./common.ts";
import type { Gateway } from "./gateway.ts";
import * as v from "./kinds/index.ts";
import { reports } from "./reports.ts";
import type { RuleProblem } from "./rule.ts";
import { targets } from "./targets.ts";

export const registryScan = v
  .block("RegistryScanArgs", {
    enabled: v.plain(v.flag()).default(false).describe("Scans images of registries on a schedule, through the service."),
    schedule: v
      .schedule()
      .default("0 3 * * *")
      .describe("When to scan: minute, hour, day of the month, month, day of the week; or a macro such as @daily."),
    timeZone: v.timeZone().default("Etc/UTC").describe("Time zone of `schedule`."),
    targets,
    targetsFile: v.plain(v.yamlFile("use the path of a YAML file in the project's folder with a list of targets")).optional().meta({
      description: "Path of a YAML file in the project's folder with the list of targets, in place of `targets`.",
      otherwise: "none",
    }),
    strict: v
      .flag()
      .default(false)
      .describe("Treats a glob or version range that matches no tag as an error of the run, not as a warning in its report."),
    platforms: v
      .uniqueListOf(v.platform())
      .min(1, { error: "is empty; name at least one platform, or remove the setting" })
      .optional()
      .meta({
        description:
          "Platforms of which images are scanned, each with a result of its own, such as linux/arm64, or all. With it, Docker Hub counts a pull for each tag.",
        otherwise: "one: linux/amd64 if there is an image for it",
      }),
    severities: v
      .uniqueListOf(v.choice(severities))
      .min(1, { error: "is empty; name the severities that count" })
      .default([...severities])
      .describe("Severities of the findings that are reported."),
    ignoreUnfixed: v.flag().default(false).describe("Leaves out vulnerabilities without a fix."),
    scanners: v
      .uniqueListOf(v.choice(scanners))
      .min(1, { error: "is empty; name at least one scanner" })
      .default(["vuln"])
      .describe("Kinds of findings to look for."),
    ignoreFile: v
      .ignoreFile("use the content or the path of a .trivyignore.yaml")
      .optional()
      .describe(
        "A .trivyignore.yaml with findings to leave out, with reasons and expiry dates: its content, or its path in the project's folder.",
      ),
    vex: v
      .listOf(v.vexDocument("use a VEX document as JSON: OpenVEX, CycloneDX or CSAF, or the path of one"))
      .default([])
      .describe("VEX documents (OpenVEX, CycloneDX or CSAF), each the text of a JSON file or its path in the project's folder."),
    credentials: credentials(),
    existingSecret: credentialsSecret(),
    plainHttp: v
      .flag()
      .default(false)
      .describe("Tries plain HTTP when HTTPS fails, and verifies the certificate of no registry; prefer `caCertificates`."),
    caCertificates: v
      .certificates()
      .optional()
      .describe("Certificate authorities, PEM, to trust in addition to the system's: for registries, proxies and receivers."),
    cidrs: v
      .uniqueListOf(v.cidr())
      .default([])
      .describe("CIDR blocks that the pods may reach on any port, in addition to the hosts of registries and receivers."),
    javaRepositories: v
      .uniqueListOf(v.repository())
      .min(1, { error: "is empty; use at least one repository, or remove the setting for Trivy's" })
      .optional()
      .meta({
        description: "OCI repositories of Trivy's Java database (trivy-java-db), which identifies Java archives.",
        otherwise: "the one of `database.mirror` if it has one, otherwise Trivy's",
      }),
    parallelism: v.count(1, 1000).default(4).describe("Number of images that are scanned at a time, each by its own pod."),
    timeout: v
      .duration({ least: "30s", because: "a scan of a small image takes" })
      .default("10m")
      .describe("Maximum duration of the scan of one image."),
    deadline: v
      .duration()
      .default("6h")
      .describe("Maximum duration of a run; images that are not finished by then are reported as missing."),
    workVolume: v
      .size({ least: "256Mi", because: "the layers of one image need" })
      .default("4Gi")
      .describe("Size limit of each scanning pod's volume, on which layers are unpacked."),
    resources: resources(
      { requests: { cpu: "200m", memory: "256Mi" }, limits: { memory: "2Gi" } },
      "CPU and memory of the client in each scanning pod, which analyses large layers in memory.",
    ),
    reports,
    alerts,
    generation: generation("token"),
    retire: retire("token"),
  })
  .meta({
    description: "Scheduled scans of images in registries, with reports and alerts for new findings.",
    conflicts: [
      ["existingSecret", "credentials"],
      ["targetsFile", "targets"],
    ],
  })
  .prefault({});

/** Bytes that fit into a ConfigMap, less what the rest of the configuration takes. */
const configMapSize = 2 ** 20 - 8192;

/** The targets and the documents are in one ConfigMap. */
function* sizeRules(path: string, { targets: all, ignoreFile = "", vex }: z.output<typeof registryScan>): Generator<RuleProblem> {
  const sizes = { targets: JSON.stringify(all, undefined, 2), vex: vex.join(""), ignoreFile };
  const bytesOf = Object.entries(sizes).map(([key, text]) => [key, Buffer.byteLength(text)] as const);
  const total = bytesOf.reduce((sum, [, size]) => sum + size, 0);
  const [largest = "targets"] = bytesOf.toSorted(([, a], [, b]) => b - a)[0] ?? [];
  if (total > configMapSize)
    yield {
      path: `${path}.${largest}`,
      message: `takes the largest part of ${Math.ceil(total / 1024)} KiB of targets, VEX documents and ignore file, of which a ConfigMap holds ${configMapSize / 1024}; use ${largest === "targets" ? "repositories instead of single images" : "fewer or shorter documents"}`,
      concerns: [`${path}.targets`, `${path}.vex`, `${path}.ignoreFile`],
    };
}

export function* registryScanRules(scan: z.output<typeof registryScan>, gateway: Gateway): Generator<RuleProblem> {
  if (!scan.enabled) return;
  const path = "registryScan";
  if (scan.targets.length === 0)
    yield { path: `${path}.targets`, message: "is missing or empty; use at least one image or repository, or targetsFile" };
  yield* sizeRules(path, scan);
  yield* resourceRules(`${path}.resources`, scan.resources);
  yield* resourceRules(`${path}.reports.resources`, scan.reports.resources);
  if (seconds(scan.timeout) > seconds(scan.deadline))
    yield {
      path: `${path}.timeout`,
      message: `is ${scan.timeout}, longer than a whole run may take (deadline: ${scan.deadline}); use less or raise the deadline`,
      concerns: [`${path}.deadline`],
    };
  if (scan.platforms?.includes(allPlatforms) && scan.platforms.length > 1)
    yield { path: `${path}.platforms`, message: "has all next to other platforms; use all alone, or remove it" };
  for (const [index, target] of scan.targets.entries())
    if ("repository" in target && target.order !== undefined && target.newest === undefined)
      yield { path: `${path}.targets[${index}].order`, message: "has no effect without newest; set it, or remove the order" };
  yield* alertRules(scan.alerts);
  yield* generationRules(path, scan);
  const own = gateway.enabled ? gateway.clients.findIndex(({ name }) => name === registryScanClient) : -1;
  if (own >= 0)
    yield {
      path: `gateway.clients[${own}].name`,
      message: `is ${registryScanClient}, the name that the registry scan itself uses; use another`,
    };
}
