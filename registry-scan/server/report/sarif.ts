import { createHash } from "node:crypto";
import type { Location, Log, Notification, ReportingDescriptor, Result } from "sarif";
import type { Finding } from "../../protocol/findings.ts";
import type { Severity } from "../../protocol/policy.ts";
import type { ImageReport, RunReport } from "../../protocol/report.ts";
import { singleLine } from "../../protocol/text.ts";
import { findingIdentity, moreSevereFirst, worstFirst } from "../findings.ts";
import { visibleFinding, webAddress } from "../text.ts";

/** Maximum number of results in a run that GitHub's code scanning accepts. The most severe are kept, and the file says how many are left out. */
export const maximumResults = 25_000;

/** Levels and scores of Trivy's own SARIF reports. */
const levels = { UNKNOWN: "note", LOW: "note", MEDIUM: "warning", HIGH: "error", CRITICAL: "error" } as const satisfies Record<
  Severity,
  Result["level"]
>;
const scores = { UNKNOWN: "0.0", LOW: "2.0", MEDIUM: "5.5", HIGH: "8.0", CRITICAL: "9.5" } as const satisfies Record<Severity, string>;
const kinds = { vuln: "vulnerability", secret: "secret", misconfig: "misconfiguration", license: "license" } as const;

type ReportedFinding = ImageReport["findings"][number];

/**
 * Returns the report as SARIF 2.1.0, for GitHub's code scanning and similar tools. It has one run, because an upload may have at most twenty and there
 * are more images; a rule for each scanner and finding id; and results whose path begins with the image's name.
 */
export function sarif(report: RunReport): Log {
  const all = report.images
    .flatMap(({ name, platform, findings }) => findings.map((finding) => ({ image: name, platform, finding: visibleFinding(finding) })))
    .sort((a, b) => moreSevereFirst(a.finding.severity, b.finding.severity));
  const included = all.slice(0, maximumResults);
  const rules = new Map<string, { index: number; finding: Finding }>();
  const results = included.map(({ image, platform, finding }) => {
    const key = `${finding.scanner}\0${finding.id}`;
    const rule = rules.get(key) ?? { index: rules.size, finding };
    // A rule is as severe as the worst of its findings.
    rules.set(key, worstFirst(finding, rule.finding) < 0 ? { ...rule, finding } : rule);
    return toResult(image, platform, finding, rule.index);
  });
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "Trivy",
            fullName: "Trivy registry scan",
            informationUri: "https://github.com/aquasecurity/trivy",
            rules: [...rules.values()].map(({ finding }) => toRule(finding)),
          },
        },
        automationDetails: { id: `registry-scan/${report.run}` },
        invocations: [
          {
            executionSuccessful: report.verdict !== "errors",
            startTimeUtc: report.startedAt,
            endTimeUtc: report.finishedAt,
            toolExecutionNotifications: notifications(report, all.length - included.length),
          },
        ],
        columnKind: "utf16CodeUnits",
        results,
      },
    ],
  };
}

function toResult(image: string, platform: string | undefined, finding: ReportedFinding, ruleIndex: number): Result {
  return {
    ruleId: finding.id,
    ruleIndex,
    level: levels[finding.severity],
    message: { text: message(image, platform, finding) },
    locations: [location(image, finding)],
    partialFingerprints: {
      primaryLocationLineHash: createHash("sha256")
        .update(`${image}\0${findingIdentity(finding)}`)
        .digest("hex")
        .slice(0, 32),
    },
    baselineState: finding.fresh ? "new" : "unchanged",
  };
}

function message(
  image: string,
  platform: string | undefined,
  { id, package: name, installed, fixed, severity, scanner, title }: Finding,
): string {
  const details =
    scanner === "vuln"
      ? [`Package: ${name}`, `Installed version: ${installed ?? "unknown"}`, `Fixed version: ${fixed ?? "none"}`]
      : [...(title === undefined ? [] : [title]), `Place: ${name}`];
  return [
    `Image: ${image}`,
    ...(platform === undefined ? [] : [`Platform: ${platform}`]),
    `${kinds[scanner]} ${id}`,
    `Severity: ${severity}`,
    ...details,
  ].join("\n");
}

function location(image: string, { package: name, path, scanner }: Finding): Location {
  return {
    physicalLocation: {
      artifactLocation: { uri: relativeUri(image, path ?? (scanner === "vuln" ? "" : name)) },
      region: { startLine: 1, startColumn: 1, endLine: 1, endColumn: 1 },
    },
    message: { text: `${image}: ${name}` },
  };
}

/** Returns the image, and the file in it, as a relative path without parent folders. It is the same in every run. */
const relativeUri = (image: string, path: string): string =>
  `${image}/${path}`
    .toWellFormed()
    .split("/")
    .filter((part) => !["", ".", ".."].includes(part))
    .map(encodeURIComponent)
    .join("/");

function toRule(finding: Finding): ReportingDescriptor {
  const { id, scanner, severity, title = id } = finding;
  const helpUri = webAddress(finding.url);
  return {
    id,
    name: kinds[scanner],
    shortDescription: { text: title },
    fullDescription: { text: title },
    defaultConfiguration: { level: levels[severity] },
    ...(helpUri && { helpUri }),
    help: { text: `${kinds[scanner]} ${id}\nSeverity: ${severity}${helpUri ? `\n${helpUri}` : ""}` },
    properties: { precision: "very-high", "security-severity": scores[severity], tags: [kinds[scanner], "security", severity] },
  };
}

/** Returns what a reader has to know about the run: problems, images that could not be scanned, and the number of findings left out. */
function notifications({ problems, images }: RunReport, omitted: number): Notification[] {
  const notification = (level: "warning" | "error", text: string): Notification => ({ level, message: { text: singleLine(text) } });
  return [
    ...problems.map(({ kind, about, message }) => notification(kind, `${about}: ${message}`)),
    ...images.flatMap(({ name, error }) => (error === undefined ? [] : [notification("error", `${name}: ${error}`)])),
    ...(omitted > 0 ? [notification("warning", `${omitted} less severe findings are left out; report.json contains all of them`)] : []),
  ];
}
