import type { ImageReport, RunReport } from "../../protocol/report.ts";
import type { DatedFinding } from "../findings.ts";
import { isFirstRun } from "../summary.ts";
import { plural } from "../text.ts";
import { document } from "./document.ts";
import {
  badge,
  type Content,
  cycloneDxLink,
  facts,
  findingLink,
  fixedVersion,
  type Html,
  html,
  imageLink,
  name,
  number,
  reason,
  severityBadge,
  shownSeverities,
  time,
  verdictBadge,
} from "./html.ts";
import { foldedTable, type Row } from "./table.ts";

/** Maximum number of an image's other names. */
const maximumNames = 100;
/** Number of findings, and of fixed findings, that are visible without unfolding. */
const visible = { findings: 500, fixed: 100 };

/** Returns the page of each image of a run, by the image's name: its findings, what is fixed, and its other names. */
export function* imagePages(report: RunReport): Generator<readonly [image: string, page: string]> {
  const firstRun = isFirstRun(report);
  const byDigest = Map.groupBy(report.images, ({ digest }) => digest);
  for (const image of report.images) {
    const sameImage = image.digest === undefined ? [] : (byDigest.get(image.digest) ?? []);
    const otherNames = sameImage.map(({ name }) => name).filter((name) => name !== image.name);
    yield [image.name, imagePage(report, image, otherNames, firstRun)];
  }
}

function imagePage(report: RunReport, image: ImageReport, otherNames: readonly string[], firstRun: boolean): string {
  return document(
    `${image.name}: registry scan ${report.run}`,
    [html`<a href="../../index.html">All runs</a>`, html`<a href="../index.html">Run ${name(report.run)}</a>`],
    html`<h1>${name(image.name)}</h1>
${verdict(image)}
${endOfLife(image)}
${image.scannedAt !== undefined && findingNumbers(report, image)}
${origin(image)}
${otherNames.length > 0 && nameLinks(otherNames)}
${report.policy.cycloneDx && image.error === undefined && html`<p>${cycloneDxLink(image.name)}</p>`}
${findings(image)}
${firstRun && html`<p class="quiet">This is the first run: there is no earlier scan to compare with.</p>`}`,
  );
}

function verdict({ error, findings, firstScan, scannedAt }: ImageReport): Html {
  if (error !== undefined) {
    return html`<p class="verdict errors">${verdictBadge("errors")} This image could not be scanned: ${reason(error)}${
      scannedAt !== undefined && " The findings below are from its last successful scan."
    }</p>`;
  }
  if (findings.length === 0) return html`<p class="verdict clean">${verdictBadge("clean")} No findings in this image.</p>`;
  return html`<p class="verdict findings">${verdictBadge("findings")} ${plural(findings.length, "finding")}${firstScan && " in its first scan"}.</p>`;
}

const endOfLife = (image: ImageReport): Content =>
  image.endOfLife &&
  html`<p>${badge("mark", "end of life")} The distribution no longer publishes fixes for ${name(image.os ?? "this system")}, so the findings are incomplete. Build the image on a newer release.</p>`;

const findingNumbers = (report: RunReport, image: ImageReport): Html =>
  facts(
    shownSeverities(image.counts, report.policy.severities).map((severity) => [severityBadge(severity), number(image.counts[severity])]),
  );

function origin({ os, platform, scannedAt, digest }: ImageReport): Html {
  const entries: [string, Html][] = [];
  if (os !== undefined) entries.push(["System", name(os)]);
  if (platform !== undefined) entries.push(["Platform", name(platform)]);
  if (scannedAt !== undefined) entries.push(["Last successful scan", time(scannedAt)]);
  if (digest !== undefined) entries.push(["Digest", name(digest)]);
  return facts(entries, "plain");
}

function nameLinks(names: readonly string[]): Html {
  const links = names.slice(0, maximumNames).map((other, index) => [index > 0 && ", ", imageLink(other, "")]);
  return html`<p>Other names of this image: ${links}${names.length > maximumNames && ` and ${names.length - maximumNames} more`}.</p>`;
}

function findings(image: ImageReport): Html {
  const hasPaths = [...image.findings, ...image.gone].some(({ path }) => path !== undefined);
  const columns = [
    "Finding",
    "Severity",
    "Package or file",
    ...(hasPaths ? ["Path"] : []),
    "Installed",
    "Fixed in",
    "First seen",
    "Title",
  ].map((title) => ({
    title,
  }));
  const row = (finding: DatedFinding & { readonly fresh?: boolean }): Row => [
    [findingLink(finding), finding.fresh && !image.firstScan && [" ", badge("mark", "new")]],
    severityBadge(finding.severity),
    name(finding.package),
    ...(hasPaths ? [optionalName(finding.path)] : []),
    optionalName(finding.installed),
    fixedVersion(finding),
    optionalName(finding.since),
    optionalName(finding.title),
  ];
  return html`${
    image.findings.length > 0 &&
    html`<h2 id="findings">Findings</h2>\n${foldedTable("The most severe first", columns, image.findings.map(row), visible.findings)}`
  }
${
  image.gone.length > 0 &&
  html`<h2 id="fixed">Fixed</h2>\n${foldedTable("Findings of the last successful scan that are fixed or gone", columns, image.gone.map(row), visible.fixed)}`
}`;
}

const optionalName = (text: string | undefined): Content => text !== undefined && name(text);
