import type { ImageReport, RunReport, RunSummary } from "../../protocol/report.ts";
import { alphabetical, groupFindings, type ImageFindings } from "../findings.ts";
import { isFirstRun, toRunSummary, verdictText } from "../summary.ts";
import { plural } from "../text.ts";
import { document } from "./document.ts";
import {
  badge,
  type Content,
  facts,
  findingLink,
  fixedVersion,
  type Html,
  html,
  imageLink,
  name,
  number,
  reason,
  runLink,
  severityBadge,
  shownSeverities,
  time,
  verdictBadge,
  verdictWords,
  worst,
} from "./html.ts";
import { foldedTable, numberCell, numericColumns, type Row, severityCells, table } from "./table.ts";
import { trend } from "./trend.ts";

/** Maximum number of findings, and of images of a finding. More are in the images' pages and in report.json. */
const maximum = { groups: 500, names: 100 };
/** Number of rows that are visible without unfolding. */
const visible = { groups: 20, errors: 50, images: 200, cleanImages: 1000, removed: 20 };

/**
 * Returns a run's page: what could not be scanned, new and fixed findings, all images, and the trend.
 *
 * @param runs - summaries of the kept runs, the oldest first
 */
export function runPage(report: RunReport, runs: readonly RunSummary[]): string {
  return document(
    `${verdictWords[report.verdict]}: registry scan ${report.run}`,
    [
      html`<a href="../index.html">All runs</a>`,
      html`<a href="report.json">report.json</a>`,
      html`<a href="report.sarif">report.sarif</a>`,
    ],
    html`<h1>Registry scan ${name(report.run)}</h1>
<p class="quiet">${time(report.startedAt)} to ${time(report.finishedAt)}</p>
<p class="verdict ${report.verdict}">${verdictBadge(report.verdict)} ${verdictText(report)}</p>
${totals(report)}
${sharedDigests(report)}
${errors(report)}
${newFindings(report)}
${fixedFindings(report)}
${images(report)}
${removedImages(report)}
${history(report, runs)}
${policy(report)}`,
  );
}

function totals(report: RunReport): Html {
  const { counts, fresh, gone, scanned, failed } = report.totals;
  const changes: [string, string][] = [
    ["New", number(fresh)],
    ["Fixed or gone", number(gone)],
  ];
  return facts([
    ...shownSeverities(counts, report.policy.severities).map((severity) => [severityBadge(severity), number(counts[severity])] as const),
    ...(isFirstRun(report) ? [] : changes),
    ["Images scanned", number(scanned)],
    ["Not scanned", number(failed)],
  ]);
}

function sharedDigests({ images }: RunReport): Content {
  const digests = new Set(images.map(({ digest, name }) => digest ?? name)).size;
  return (
    digests < images.length &&
    html`<p class="quiet">${plural(images.length, "name")} of ${plural(digests, "image")}: each name counts separately.</p>`
  );
}

function errors(report: RunReport): Content {
  const failed = report.images.filter(({ error }) => error !== undefined);
  if (failed.length + report.problems.length === 0) return false;
  const problems = report.problems.map(
    ({ kind, about, message }): Row => [name(about), badge(kind === "error" ? "errors" : "mark", kind), reason(message)],
  );
  const problemColumns = [{ title: "Image or repository" }, { title: "Kind" }, { title: "Reason" }];
  const failures = failed.map(
    (image): Row => [
      imageLink(image.name),
      reason(image.error ?? ""),
      String(image.attempts),
      image.scannedAt === undefined ? "never" : time(image.scannedAt),
    ],
  );
  const failureColumns = [{ title: "Image" }, { title: "Reason" }, { title: "Attempts", numeric: true }, { title: "Last successful scan" }];
  return html`<h2 id="errors">${report.verdict === "errors" ? "Errors" : "Warnings"}</h2>
${problems.length > 0 && foldedTable("Problems while targets were listed", problemColumns, problems, visible.errors)}
${failures.length > 0 && foldedTable("Images that could not be scanned", failureColumns, failures, visible.errors)}
${failed.some(({ scannedAt }) => scannedAt !== undefined) && html`<p class="quiet">The findings of these images are from their last successful scan.</p>`}`;
}

function newFindings(report: RunReport): Html {
  const fresh = report.images.map((image) => ({ name: image.name, findings: image.findings.filter((finding) => finding.fresh) }));
  return html`<h2 id="new">New</h2>
${
  isFirstRun(report)
    ? html`<p>This is the first run. New findings are listed from the next run on.</p>`
    : report.totals.fresh > 0
      ? findingsTable("Findings that the last successful scans did not have", fresh)
      : html`<p>No new findings.</p>`
}`;
}

function fixedFindings(report: RunReport): Content {
  const gone = report.images.map((image) => ({ name: image.name, findings: image.gone }));
  return (
    report.totals.gone > 0 &&
    html`<h2 id="fixed">Fixed</h2>
${findingsTable("Findings of the last successful scans that are fixed or gone", gone)}`
  );
}

function findingsTable(caption: string, images: readonly ImageFindings[]): Html {
  const groups = groupFindings(images);
  const columns = ["Finding", "Severity", "Package or file", "Fixed in", "Images"].map((title) => ({ title }));
  const rows = groups
    .slice(0, maximum.groups)
    .map(
      ({ finding, names }): Row => [
        findingLink(finding),
        severityBadge(finding.severity),
        name(finding.package),
        fixedVersion(finding),
        imageLinks(names),
      ],
    );
  const omitted = groups.length - rows.length;
  return html`${foldedTable(caption, columns, rows, visible.groups)}${
    omitted > 0 && html`<p>And ${number(omitted)} more, less severe: see <a href="report.json">report.json</a>.</p>`
  }`;
}

function imageLinks(names: readonly string[]): Html {
  if (names.length <= 2) return html`${names.map((image, index) => [index > 0 && html`<br>`, imageLink(image)])}`;
  const omitted = names.length - maximum.names;
  return html`<details><summary>${plural(names.length, "image")}</summary><ul>${names
    .slice(0, maximum.names)
    .map(
      (image) => html`<li>${imageLink(image)}</li>`,
    )}${omitted > 0 && html`<li>and ${number(omitted)} more in report.json</li>`}</ul></details>`;
}

function images(report: RunReport): Html {
  const severities = shownSeverities(report.totals.counts, report.policy.severities);
  const first = isFirstRun(report);
  const { notable = [], clean = [] } = Object.groupBy(report.images.toSorted(worstImageFirst), ({ findings, gone, error }) =>
    findings.length > 0 || gone.length > 0 || error !== undefined ? "notable" : "clean",
  );
  const system = ({ os }: ImageReport): Content => os !== undefined && name(os);
  const notableRows = notable.map(
    (image): Row => [
      imageLink(image.name),
      // The findings of an image that was never scanned are unknown, not zero.
      ...(image.scannedAt === undefined ? severities.map(() => ({ content: "?", kind: "zero" })) : severityCells(severities, image.counts)),
      marks(image, first),
      system(image),
    ],
  );
  const notableColumns = [{ title: "Image" }, ...numericColumns(severities), { title: "Changes" }, { title: "System" }];
  const cleanRows = clean.map((image): Row => [imageLink(image.name), marks(image, first), system(image)]);
  const cleanColumns = [{ title: "Image" }, { title: "Changes" }, { title: "System" }];
  return html`<h2 id="images">Images</h2>
${notable.length > 0 && foldedTable("Findings by image and severity, the worst image first", notableColumns, notableRows, visible.images)}
${
  clean.length > 0 &&
  (notable.length === 0 && clean.length <= visible.images
    ? table("Images without findings", cleanColumns, cleanRows)
    : html`<details><summary>${plural(clean.length, "image")} without findings</summary>${foldedTable("Images without findings", cleanColumns, cleanRows, visible.cleanImages)}</details>`)
}`;
}

/** Compares images: the one with the most severe findings first. A failed image is before a scanned one with the same numbers. */
function worstImageFirst(a: ImageReport, b: ImageReport): number {
  for (const severity of worst) {
    const difference = b.counts[severity] - a.counts[severity];
    if (difference !== 0) return difference;
  }
  return Number(b.error !== undefined) - Number(a.error !== undefined) || alphabetical(a.name, b.name);
}

/** What has changed in an image, and whether it could be scanned. */
function marks({ error, firstScan, findings, gone, endOfLife }: ImageReport, firstRun: boolean): Content {
  const fresh = findings.filter((finding) => finding.fresh).length;
  return [
    error !== undefined && badge("errors", "not scanned"),
    firstScan && !firstRun && error === undefined && badge("mark", "first scan"),
    fresh > 0 && !firstScan && badge("mark", `+${number(fresh)} new`),
    gone.length > 0 && badge("mark", `−${number(gone.length)} fixed`),
    endOfLife && badge("mark", "end of life"),
  ].map((mark) => mark && [mark, " "]);
}

function removedImages({ removed }: RunReport): Content {
  const rows = removed.map(({ name: image, findings }): Row => [name(image), numberCell(findings.length)]);
  return (
    rows.length > 0 &&
    html`<h2 id="removed">No longer scanned</h2>
${foldedTable("Images that are no longer targets", [{ title: "Image" }, { title: "Findings", numeric: true }], rows, visible.removed)}`
  );
}

function history(report: RunReport, runs: readonly RunSummary[]): Html {
  const kept = runs.some(({ run }) => run === report.run) ? runs : [...runs, toRunSummary(report)];
  const { figure, numbers } = trend(kept, (run) => (run === report.run ? html`${name(run)} (this run)` : runLink(run, "../")));
  return html`<h2 id="trend">Trend</h2>
${figure ?? html`<p>This is the only run. The trend begins with the next run.</p>`}
${kept.length > 1 && html`<details><summary>Numbers of ${plural(kept.length, "run")}</summary>${numbers}</details>`}`;
}

function policy({ policy, ended }: RunReport): Html {
  return html`<h2 id="policy">Policy</h2>
${facts(
  [
    ["Severities", policy.severities.toReversed().join(", ")],
    ["Scanners", policy.scanners.join(", ")],
    ["Findings without a fix", policy.ignoreUnfixed ? "left out" : "reported"],
    ["Images", policy.partial ? "only requested ones" : "all targets"],
    ["Ended", ended],
  ],
  "plain",
)}`;
}
