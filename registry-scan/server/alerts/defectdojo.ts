import type { Log } from "sarif";
import type { ReceiverConfiguration } from "../../protocol/configuration.ts";
import type { RunReport } from "../../protocol/report.ts";
import { sarif } from "../report/sarif.ts";

/** A report for DefectDojo. */
export interface DefectDojoMessage {
  readonly fields: Readonly<Record<string, string>>;
  readonly sarif: Log;
}

/**
 * Returns what DefectDojo imports after a run; undefined for a run of some images only, because DefectDojo closes the findings that a report
 * does not have.
 */
export function defectDojoMessage(report: RunReport, place: ReceiverConfiguration["defectDojo"]): DefectDojoMessage | undefined {
  if (report.policy.partial || !place) return undefined;
  const { product, productType, engagement } = place;
  return {
    fields: {
      scan_type: "SARIF",
      product_name: product,
      ...(productType !== undefined && { product_type_name: productType }),
      engagement_name: engagement,
      test_title: "Trivy registry scan",
      auto_create_context: "true",
      close_old_findings: "true",
      active: "true",
      verified: "false",
      minimum_severity: "Info",
      scan_date: report.finishedAt.slice(0, 10),
      version: report.run,
    },
    sarif: sarif(report),
  };
}

/** Returns a message as the form that DefectDojo accepts. */
export function defectDojoForm({ fields, sarif: log }: DefectDojoMessage): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set("file", new Blob([JSON.stringify(log)], { type: "application/sarif+json" }), "report.sarif");
  return form;
}
