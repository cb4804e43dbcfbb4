/** Elements that the pages have in common. */
import { html as honoHtml } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import type { Finding } from "../../protocol/findings.ts";
import { type Severity, severities } from "../../protocol/policy.ts";
import type { Counts } from "../../protocol/report.ts";
import { visible } from "../../protocol/text.ts";
import type { Verdict } from "../../protocol/verdict.ts";
import { cycloneDxFile, imageFile } from "../files.ts";
import { truncate, webAddress } from "../text.ts";

/** HTML, as opposed to text that has to be escaped. */
export type Html = HtmlEscapedString;

/** A value in a template. Text is escaped, lists are joined, `false` and `undefined` are left out. */
export type Content = Html | string | number | false | undefined | readonly Content[];

/** Tagged template that returns HTML and escapes every text in it. hono's returns a promise only if one of the values is a promise. */
export const html = honoHtml as (strings: TemplateStringsArray, ...values: readonly Content[]) => Html;

/** Severities from the most to the least severe. */
export const worst: readonly Severity[] = severities.toReversed();

/** Returns a text as pages show it, cut if it is too long to be read. */
export const printable = (text: string, length = 300): string => visible(truncate(text, length));

/** A text from an image or a registry. Its direction of writing does not affect the text around it. */
export const name = (text: string): Html => html`<bdi>${printable(text)}</bdi>`;

/** A longer text from elsewhere, such as an error. */
export const reason = (text: string): Html => html`<span class="reason">${printable(text, 2000)}</span>`;

/** A time, given as ISO 8601. */
export const time = (iso: string): Html =>
  html`<time datetime="${printable(iso)}">${printable(iso.slice(0, 16).replace("T", " "))} UTC</time>`;

export const number = (value: number): string => value.toLocaleString("en-US");

export const verdictWords = { clean: "No findings", findings: "Findings", errors: "Errors" } as const satisfies Record<Verdict, string>;

export const badge = (kind: Verdict | Severity | "mark", content: Content): Html => html`<span class="badge ${kind}">${content}</span>`;
export const verdictBadge = (verdict: Verdict): Html => badge(verdict, verdictWords[verdict]);
export const severityBadge = (severity: Severity): Html => badge(severity, severity);

/** A list of terms with their values. `plain` values are texts, others are large numbers. */
export function facts(entries: readonly (readonly [term: Content, value: Content])[], kind: "plain" | "numbers" = "numbers"): Html {
  return html`<dl class="${kind}">${entries.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** The severities that a report shows: those in its policy, and those that have findings. */
export const shownSeverities = (counts: Counts, policy: readonly Severity[] = []): Severity[] =>
  worst.filter((severity) => policy.includes(severity) || counts[severity] > 0);

/** Link to an image's page. `folder` is the images' folder, relative to the current page. */
export const imageLink = (image: string, folder = "images/"): Html => html`<a href="${folder}${imageFile(image)}">${name(image)}</a>`;

export const cycloneDxLink = (image: string): Html => html`<a href="../cyclonedx/${cycloneDxFile(image)}">Contents as CycloneDX</a>`;

/** Link to a run's page. `runs` is the runs' folder, relative to the current page. */
export const runLink = (run: string, runs = ""): Html => html`<a href="${runs}${encodeURIComponent(run)}/index.html">${name(run)}</a>`;

/** A finding's id, with a link to its description if it has one. */
export function findingLink({ id, url }: Finding): Html {
  const address = webAddress(url);
  return address === undefined ? name(id) : html`<a href="${printable(address, 2000)}" rel="noopener noreferrer external">${name(id)}</a>`;
}

/** The version that fixes a finding. */
export function fixedVersion({ fixed, scanner }: Finding): Content {
  if (fixed !== undefined) return name(fixed);
  return scanner === "vuln" && "no fix yet";
}
