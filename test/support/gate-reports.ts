/** Readers of the scan gate's reports. Each validates the report against its format. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect } from "chai";

const text = { type: "string", minLength: 1 };
/** A field without a rule is an error: it would not be checked. */
const object = (properties: Record<string, object>, optional: Record<string, object> = {}) => ({
  type: "object",
  additionalProperties: false,
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});
const time = { type: "string", pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d$" };
const url = { type: "string", pattern: "^(https?|ftp)://.+" };
const product = object({ id: text, name: text, version: text, vendor: object({ name: text }) });

/**
 * The requirements of GitLab's schema 15.0.7 for container_scanning reports, for the fields that the gate writes. The schema itself is in no package
 * registry; GitLab publishes it in its repository security-report-schemas.
 */
const gitlabSchema = object({
  version: { const: "15.0.7" },
  scan: object(
    {
      analyzer: product,
      scanner: product,
      type: { const: "container_scanning" },
      status: { enum: ["success", "failure"] },
      start_time: time,
      end_time: time,
    },
    { messages: { type: "array", items: object({ level: { enum: ["info", "warn", "fatal"] }, value: text }) } },
  ),
  vulnerabilities: {
    type: "array",
    items: object(
      {
        id: text,
        name: { type: "string", maxLength: 255 },
        description: { type: "string", maxLength: 1_048_576 },
        severity: { enum: ["Info", "Unknown", "Low", "Medium", "High", "Critical"] },
        solution: { type: "string", maxLength: 7000 },
        identifiers: { type: "array", minItems: 1, items: object({ type: text, name: text, value: text }, { url }) },
        links: { type: "array", items: object({ url }) },
        location: object({
          dependency: object({ package: object({ name: { type: "string" } }), version: { type: "string" } }),
          operating_system: text,
          image: text,
          default_branch_image: { type: "string", maxLength: 255 },
        }),
      },
      { details: { type: "object", additionalProperties: object({ type: { const: "text" }, name: text, value: text }) } },
    ),
  },
  remediations: { type: "array" },
});
const codeQualitySchema = {
  type: "array",
  items: object({
    type: { const: "issue" },
    categories: { const: ["Security"] },
    description: text,
    check_name: text,
    fingerprint: text,
    severity: { enum: ["info", "minor", "major", "critical", "blocker"] },
    location: object({ path: text, lines: object({ begin: { type: "integer", minimum: 1 } }) }),
  }),
};

const ajv = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false });
const validators = {
  gitlab: ajv.compile(gitlabSchema),
  codeQuality: ajv.compile(codeQualitySchema),
  sarif: ajv.compile(JSON.parse(readFileSync(join(import.meta.dirname, "sarif-2.1.0.schema.json"), "utf8"))),
};
function valid(kind: keyof typeof validators, json: string) {
  const value = JSON.parse(json);
  expect(validators[kind](value), JSON.stringify(validators[kind].errors)).to.equal(true);
  return value;
}

/** Names of the elements of an XML document; fails if it is not well-formed. */
export function elements(xml: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  const rest = xml
    .replace(/^<\?xml [^?]*\?>\s*/, "")
    .replace(/<(\/?)([\w:.-]+)((?: [\w:.-]+="[^"<]*")*)\s*(\/?)>/g, (_, end, name, __, empty) => {
      if (end) expect(open.pop(), `</${name}>`).to.equal(name);
      else names.push(name);
      if (!end && !empty) open.push(name);
      return "";
    });
  expect(open, "not closed").to.deep.equal([]);
  expect(rest, "text outside of elements").not.to.match(/[<>]/);
  expect(xml.replace(/&(amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);/g, ""), "marks that are not escaped").not.to.include("&");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 does not allow them
  expect(xml, "control characters").not.to.match(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
  return names;
}

export function junitReport(xml: string) {
  const names = elements(xml);
  const count = (name: string) => names.filter((each) => each === name).length;
  const [failures, errors, skipped, tests] = ["failure", "error", "skipped", "testcase"].map(count) as [number, number, number, number];
  const sum = (attribute: string) =>
    [...xml.matchAll(new RegExp(`<testsuite [^>]*${attribute}="(\\d+)"`, "g"))].reduce((total, [, number]) => total + Number(number), 0);
  expect(
    { tests: sum("tests"), failures: sum("failures"), errors: sum("errors"), skipped: sum("skipped") },
    "the suites' totals",
  ).to.deep.equal({ tests, failures, errors, skipped });
  return { outcome: errors > 0 ? "error" : failures > 0 ? "failure" : skipped > 0 ? "skipped" : "passed", failures, xml };
}

export interface SarifResult {
  readonly ruleId: string;
  readonly level: string;
  readonly baselineState?: string;
  readonly suppressions?: unknown;
  readonly message: { readonly text: string };
}

export function sarifLog(json: string) {
  const { runs } = valid("sarif", json);
  const [run] = runs;
  const results: SarifResult[] = run.results;
  for (const { ruleId } of results) expect(run.tool.driver.rules.map(({ id }: { id: string }) => id)).to.include(ruleId);
  const first = results[0];
  const outcome = first === undefined ? "" : first.suppressions ? "suppressed" : first.level;
  return { outcome, results, category: String(run.automationDetails.id), properties: run.properties as Record<string, string> };
}

export function gitlabReport(json: string) {
  const { scan, vulnerabilities } = valid("gitlab", json);
  const messages = scan.messages.filter(({ level }: { level: string }) => level !== "info");
  const outcome = vulnerabilities.length > 0 ? "vulnerability" : scan.status + (messages.length > 0 ? ", a message" : "");
  return { outcome, status: scan.status as string, vulnerabilities, messages: scan.messages as { level: string; value: string }[] };
}

export function codeQualityReport(json: string) {
  const issues = valid("codeQuality", json) as { fingerprint: string; severity: string; description: string }[];
  expect(new Set(issues.map(({ fingerprint }) => fingerprint)).size, "fingerprints are unique").to.equal(issues.length);
  return { issues };
}
