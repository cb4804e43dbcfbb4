import * as z from "zod/mini";
import type { Finding, Scanned } from "../protocol/findings.ts";
import { type Severity, severities } from "../protocol/policy.ts";
import { type Parsed, parseJson } from "../protocol/validation.ts";

/** Trivy leaves out empty values, or writes them as an empty string. */
const text = z.optional(z.string());

/** What the registry scan reads of Trivy's JSON report. */
const trivyReportSchema = z.object({
  SchemaVersion: z.literal(2),
  Metadata: z.optional(z.object({ OS: z.optional(z.object({ Family: text, Name: text, EOSL: z.optional(z.boolean()) })) })),
  Results: z.optional(
    z.array(
      z.object({
        Target: text,
        Class: text,
        Vulnerabilities: z.optional(
          z.array(
            z.object({
              VulnerabilityID: z.string(),
              PkgName: z.string(),
              PkgPath: text,
              InstalledVersion: text,
              FixedVersion: text,
              Severity: text,
              Title: text,
              PrimaryURL: text,
            }),
          ),
        ),
        Misconfigurations: z.optional(z.array(z.object({ ID: z.string(), Severity: text, Status: text, Title: text, PrimaryURL: text }))),
        // Without the lines of the file in which the secret was found.
        Secrets: z.optional(z.array(z.object({ RuleID: z.string(), Severity: text, Title: text }))),
        Licenses: z.optional(
          z.array(z.object({ Name: z.string(), Severity: text, PkgName: text, FilePath: text, Category: text, Link: text })),
        ),
      }),
    ),
  ),
});
interface TrivyReport extends Parsed<typeof trivyReportSchema> {}
type TrivyResult = NonNullable<TrivyReport["Results"]>[number];

/**
 * Reads Trivy's JSON report. Each finding is returned once, without the content of files that secrets and misconfigurations were found in.
 *
 * @throws {InvalidData} when the report is not one of schema version 2
 */
export function readReport(json: string): Pick<Scanned, "findings" | "os" | "endOfLife"> {
  const { Results = [], Metadata } = parseJson(trivyReportSchema, json);
  const findings = new Map<string, Finding>();
  for (const finding of Results.flatMap(findingsOf)) {
    const key = JSON.stringify([finding.scanner, finding.id, finding.package, finding.path, finding.installed]);
    if (!findings.has(key)) findings.set(key, finding);
  }
  const { Family: family, Name: name, EOSL: endOfLife } = Metadata?.OS ?? {};
  return {
    findings: [...findings.values()],
    ...(family && { os: [family, name].filter(Boolean).join(" ") }),
    ...(endOfLife && { endOfLife }),
  };
}

function findingsOf({ Target: file = "", Class, ...result }: TrivyResult): Finding[] {
  return [
    ...(result.Vulnerabilities ?? []).map(
      (found): Finding => ({
        id: found.VulnerabilityID,
        scanner: "vuln",
        severity: severityOf(found.Severity),
        package: found.PkgName,
        ...present({
          // The packages of a lock file or a binary have its path; packages of the operating system have none.
          path: found.PkgPath || (Class === "lang-pkgs" ? file : undefined),
          installed: found.InstalledVersion,
          fixed: found.FixedVersion,
          title: found.Title,
          url: found.PrimaryURL,
        }),
      }),
    ),
    ...(result.Misconfigurations ?? [])
      .filter(({ Status = "FAIL" }) => Status === "FAIL")
      .map(
        (found): Finding => ({
          id: found.ID,
          scanner: "misconfig",
          severity: severityOf(found.Severity),
          package: file,
          ...present({ title: found.Title, url: found.PrimaryURL }),
        }),
      ),
    ...(result.Secrets ?? []).map(
      (found): Finding => ({
        id: found.RuleID,
        scanner: "secret",
        severity: severityOf(found.Severity),
        package: file,
        ...present({ title: found.Title }),
      }),
    ),
    ...(result.Licenses ?? []).map(
      (found): Finding => ({
        id: found.Name,
        scanner: "license",
        severity: severityOf(found.Severity),
        package: found.PkgName || found.FilePath || file,
        ...present({ path: found.PkgName ? found.FilePath : undefined, title: found.Category, url: found.Link }),
      }),
    ),
  ];
}

const severityOf = (name: string | undefined): Severity => severities.find((severity) => severity === name) ?? "UNKNOWN";

/** Leaves out values that are missing or empty. */
const present = <Key extends string>(values: Readonly<Record<Key, string | undefined>>): Partial<Record<Key, string>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value)) as Partial<Record<Key, string>>;
