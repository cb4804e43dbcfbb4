import { createHash } from "node:crypto";
import { type Finding, type RunReport, type Severity, severities } from "../../protocol/model.ts";
import { identity, worstFirst } from "../compare.ts";

/** GitHub's code scanning refuses a run with more results. The worst are kept, and the file says how many it left out. */
export const maximumResults = 25_000;

/** As Trivy's own SARIF reports have them. */
const levels = { UNKNOWN: "note", LOW: "note", MEDIUM: "warning", HIGH: "error", CRITICAL: "error" } as const satisfies Record<
  Severity,
  string
>;
const scores = { UNKNOWN: "0.0", LOW: "2.0", MEDIUM: "5.5", HIGH: "8.0", CRITICAL: "9.5" } as const satisfies Record<Severity, string>;
const kinds = { vuln: "vulnerability", secret: "secret", misconfig: "misconfiguration", license: "license" } as const;

/** An address that people may be sent to, if that is what it is: reports come from images, which may have been made to do harm. */
export function webAddress(address: string | undefined): string | undefined {
  const url = address === undefined ? null : URL.parse(address);
  return url && ["http:", "https:"].includes(url.protocol) ? url.href : undefined;
}

/** The image, and the file in it, as a relative path: stable from run to run, and nothing in it is taken for a scheme or a parent folder. */
function location(image: string, path: string | undefined): string {
  return [image, ...(path === undefined ? [] : [path])]
    .flatMap((part) => part.toWellFormed().split("/"))
    .filter((part) => !["", ".", ".."].includes(part))
    .map(encodeURIComponent)
    .join("/");
}

function message(image: string, { id, package: name, installed, fixed, severity, scanner, title }: Finding): string {
  const lines =
    scanner === "vuln"
      ? [`Package: ${name}`, `Installed version: ${installed ?? "unknown"}`, `Fixed version: ${fixed ?? "none"}`]
      : [...(title === undefined ? [] : [title]), `Place: ${name}`];
  return [`Image: ${image}`, `${kinds[scanner]} ${id}`, `Severity: ${severity}`, ...lines].join("\n");
}

/**
 * The report as SARIF 2.1.0, as GitHub's code scanning and others take it: one run of one tool, since an upload may have twenty runs at most and images are
 * many; rules once, by the scanner and the finding's id; the image is the first part of a result's path.
 */
export function sarif(report: RunReport): object {
  const all = report.images
    .flatMap(({ name, findings }) => findings.map((finding) => ({ name, finding })))
    .sort((a, b) => severities.indexOf(b.finding.severity) - severities.indexOf(a.finding.severity));
  const taken = all.slice(0, maximumResults);

  const rules = new Map<string, { index: number; finding: Finding }>();
  const results = taken.map(({ name, finding }) => {
    const key = `${finding.scanner}\0${finding.id}`;
    const rule = rules.get(key) ?? { index: rules.size, finding };
    // A rule stands for all its findings: as severe as the worst.
    rules.set(key, worstFirst(finding, rule.finding) < 0 ? { ...rule, finding } : rule);
    return {
      ruleId: finding.id,
      ruleIndex: rule.index,
      level: levels[finding.severity],
      message: { text: message(name, finding) },
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: location(name, finding.path ?? (finding.scanner === "vuln" ? undefined : finding.package)) },
            region: { startLine: 1, startColumn: 1, endLine: 1, endColumn: 1 },
          },
          message: { text: `${name}: ${finding.package}` },
        },
      ],
      partialFingerprints: {
        primaryLocationLineHash: createHash("sha256")
          .update(`${name}\0${identity(finding)}`)
          .digest("hex")
          .slice(0, 32),
      },
      baselineState: finding.fresh ? "new" : "unchanged",
    };
  });

  const notifications = [
    ...report.problems.map(({ kind, about, message }) => ({ level: kind, message: { text: `${about}: ${message}` } })),
    ...report.images.flatMap(({ name, error }) =>
      error === undefined ? [] : [{ level: "error", message: { text: `${name}: ${error}` } }],
    ),
    ...(all.length > taken.length
      ? [
          {
            level: "warning",
            message: { text: `${all.length - taken.length} findings of lower severity are left out; report.json has all` },
          },
        ]
      : []),
  ];
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
            rules: [...rules.values()].map(({ finding }) => {
              const { id, scanner, severity, title = id } = finding;
              const help = webAddress(finding.url);
              return {
                id,
                name: kinds[scanner],
                shortDescription: { text: title },
                fullDescription: { text: title },
                defaultConfiguration: { level: levels[severity] },
                ...(help && { helpUri: help }),
                help: { text: `${kinds[scanner]} ${id}\nSeverity: ${severity}${help ? `\n${help}` : ""}` },
                properties: {
                  precision: "very-high",
                  "security-severity": scores[severity],
                  tags: [kinds[scanner], "security", severity],
                },
              };
            }),
          },
        },
        automationDetails: { id: `registry-scan/${report.run}` },
        invocations: [
          {
            executionSuccessful: report.verdict !== "errors",
            startTimeUtc: report.startedAt,
            endTimeUtc: report.finishedAt,
            toolExecutionNotifications: notifications,
          },
        ],
        columnKind: "utf16CodeUnits",
        results,
      },
    ],
  };
}
