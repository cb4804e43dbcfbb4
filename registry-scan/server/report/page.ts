import { createHash } from "node:crypto";
import {
  type Counts,
  type Finding,
  type ImageReport,
  type RunReport,
  type RunSummary,
  severities,
  type Verdict,
} from "../../protocol/model.ts";
import { count, firstRun, number, sentence, summarised, worstFirst } from "../compare.ts";
import { webAddress } from "./sarif.ts";

/*
 * Names, titles and reasons come from images, which may have been made to do harm. So every text goes through `text`, links through `webAddress`, and the
 * pages' own policy allows no script, no frame and no request.
 */

const worst = severities.toReversed();
const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Escaped, without characters that cannot be shown, cut where nobody reads on. */
function text(value: string, length = 300): string {
  const cut = value.length > length ? `${value.slice(0, length)}…` : value;
  return (
    cut
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that are to go
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g, "\ufffd")
      .replace(/[&<>"']/g, (character) => entities[character] ?? "")
  );
}

/** A name, whose direction of writing changes nothing around it. */
const name = (value: string) => `<bdi>${text(value)}</bdi>`;

const time = (iso: string) => `<time datetime="${text(iso)}">${text(iso.slice(0, 16).replace("T", " "))} UTC</time>`;

const words = {
  clean: "No findings",
  findings: "Findings",
  errors: "Errors",
} as const satisfies Record<Verdict, string>;

const badge = (verdict: Verdict) => `<span class="badge ${verdict}">${words[verdict]}</span>`;
const severityBadge = (severity: Finding["severity"]) => `<span class="badge ${severity}">${severity}</span>`;

/** File name of an image's page, from the image's name: readable, and no two names have the same. */
export const imageFile = (image: string): string => `${stem(image)}.html`;

/** File name of an image's CycloneDX document. */
export const cycloneDxFile = (image: string): string => `${stem(image)}.json`;

function stem(image: string): string {
  const readable = image
    .replace(/[^A-Za-z0-9.-]+/g, "_")
    .replace(/^[._]+/, "")
    .slice(-100);
  return `${readable}-${createHash("sha256").update(image.toWellFormed()).digest("hex").slice(0, 12)}`;
}

const style = `
:root{color-scheme:light dark;--ground:#fff;--soft:#f4f5f7;--line:#d5d9e0;--ink:#1b1f27;--quiet:#565f6e;--link:#0b57b0;
--CRITICAL:#9b1c31;--HIGH:#c2410c;--MEDIUM:#a16207;--LOW:#1d6fa5;--UNKNOWN:#64748b;--good:#1a7341;--bad:#9b1c31;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ground:#14171c;--soft:#1d2128;--line:#363d49;--ink:#e6e9ee;--quiet:#a3adbc;--link:#7db7ff;
--CRITICAL:#ff8fa1;--HIGH:#ffa86b;--MEDIUM:#f2cc60;--LOW:#79c0ff;--UNKNOWN:#b1bac4;--good:#6fd693;--bad:#ff8fa1;--on:#14171c}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem clamp(1rem,3vw,2.5rem) 4rem;max-width:88rem;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
a{color:var(--link);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;color:var(--quiet);font-size:.9rem}
h1{font-size:1.5rem;line-height:1.25;margin:1rem 0 .25rem}
h2{font-size:1.15rem;margin:2.25rem 0 .5rem}
p{margin:.35rem 0;max-width:70rem}
.quiet,caption,dt,footer{color:var(--quiet)}
.verdict{font-size:1.1rem;border-left:.3rem solid var(--quiet);padding:.4rem 0 .4rem .9rem;margin:1rem 0}
.verdict.clean{border-color:var(--good)}.verdict.findings{border-color:var(--HIGH)}.verdict.errors{border-color:var(--bad)}
dl{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0}
dl>div{background:var(--soft);border:1px solid var(--line);border-radius:.4rem;padding:.4rem .8rem;min-width:6.5rem;max-width:100%}
dt{font-size:.8rem}dd{margin:0;font-size:1.3rem;font-variant-numeric:tabular-nums}
dl.plain dd{font-size:1rem}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;padding:.2rem 0;font-size:.85rem}
th,td{padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{font-size:.8rem;color:var(--quiet);border-bottom:2px solid var(--line);white-space:nowrap}
tbody th{font-weight:400;min-width:13rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;width:1%;padding:.3rem 1rem .3rem .6rem}
td.n.zero{color:var(--quiet)}td.n.CRITICAL,td.n.HIGH{font-weight:600}
td.CRITICAL{color:var(--CRITICAL)}td.HIGH{color:var(--HIGH)}td.MEDIUM{color:var(--MEDIUM)}td.LOW{color:var(--LOW)}
.badge{display:inline-block;border-radius:.25rem;padding:0 .4rem;font-size:.75rem;font-weight:600;line-height:1.45rem;white-space:nowrap;
background:var(--quiet);color:var(--on)}
.badge.CRITICAL{background:var(--CRITICAL)}.badge.HIGH{background:var(--HIGH)}.badge.MEDIUM{background:var(--MEDIUM)}.badge.LOW{background:var(--LOW)}
.badge.UNKNOWN{background:var(--UNKNOWN)}.badge.clean{background:var(--good)}.badge.errors{background:var(--bad)}.badge.findings{background:var(--HIGH)}
.badge.mark{background:none;color:var(--ink);border:1px solid var(--quiet);line-height:1.3rem}
.reason{display:block;white-space:pre-wrap;max-height:9em;overflow-y:auto}
.scroll+.scroll{margin-top:1.25rem}td details{margin:0}td summary{padding:0}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--link);padding:.15rem 0}
ul{margin:.2rem 0;padding-left:1.2rem}
figure{margin:.5rem 0}svg{display:block;width:100%;max-width:60rem;height:auto}
svg text{fill:var(--quiet);font-size:11px}svg .rule{stroke:var(--line)}
svg .CRITICAL{fill:var(--CRITICAL)}svg .HIGH{fill:var(--HIGH)}svg .MEDIUM{fill:var(--MEDIUM)}svg .LOW{fill:var(--LOW)}svg .UNKNOWN{fill:var(--UNKNOWN)}
svg rect{stroke:var(--ground);stroke-width:1}
footer{margin-top:3rem;font-size:.85rem;border-top:1px solid var(--line);padding-top:.75rem}
@media print{:root{color-scheme:light;--ground:#fff;--soft:#fff;--line:#aaa;--ink:#000;--quiet:#444;--link:#000;
--CRITICAL:#9b1c31;--HIGH:#b03a0a;--MEDIUM:#8a5406;--LOW:#1d6fa5;--UNKNOWN:#555;--good:#1a7341;--bad:#9b1c31;--on:#000}
body{padding:0;font-size:10pt;max-width:none}.scroll{overflow:visible}.reason{max-height:none}tr,figure{break-inside:avoid}thead{display:table-header-group}h2{break-after:avoid}
.badge{background:none!important;color:#000;border:1px solid #444}}
`;

function page(title: string, navigation: readonly string[], body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${text(title)}</title>
<style>${style}</style>
</head>
<body>
<nav aria-label="Reports">${navigation.join("\n")}</nav>
<main>
${body}
</main>
</body>
</html>
`;
}

interface Column {
  readonly title: string;
  readonly numeric?: boolean;
}

/** A table whose first column heads its rows. Cells are HTML; a number's cell may have a class. */
function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly (string | readonly [value: string, kind: string])[])[],
): string {
  const head = columns.map(({ title, numeric }) => `<th scope="col"${numeric ? ' class="n"' : ""}>${title}</th>`).join("");
  const body = rows.map((cells) => {
    const row = cells.map((cell, index) => {
      const [value, kind] = typeof cell === "string" ? [cell, ""] : cell;
      const classes = [columns[index]?.numeric ? "n" : "", kind].filter(Boolean).join(" ");
      const tag = index === 0 ? "th" : "td";
      return `<${tag}${index === 0 ? ' scope="row"' : ""}${classes && ` class="${classes}"`}>${value}</${tag}>`;
    });
    return `<tr>${row.join("")}</tr>`;
  });
  return `<div class="scroll" tabindex="0" role="region" aria-label="${text(caption)}"><table><caption>${text(caption)}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${body.join("\n")}
</tbody></table></div>`;
}

/** The first so many rows; the others behind a line that says how many they are, in parts that a browser lays out only when they are opened. */
function tables(
  caption: string,
  columns: readonly Column[],
  rows: readonly Parameters<typeof table>[2][number][],
  first: number,
  part = 1000,
): string {
  const rest: string[] = [];
  for (let from = first; from < rows.length; from += part) {
    const to = Math.min(from + part, rows.length);
    rest.push(
      `<details><summary>${(from + 1).toLocaleString("en-US")} to ${to.toLocaleString("en-US")} of ${rows.length.toLocaleString("en-US")}</summary>
${table(`${caption}, ${from + 1} to ${to}`, columns, rows.slice(from, to))}</details>`,
    );
  }
  return table(caption, columns, rows.slice(0, first)) + rest.join("\n");
}

/** The severities that a report has columns for: those that were looked for, and those of which there are any. */
const columnsOf = (counts: Counts, looked: readonly Finding["severity"][] = []) =>
  worst.filter((severity) => looked.includes(severity) || counts[severity] > 0);

const severityColumns = (shown: readonly Finding["severity"][]): Column[] => shown.map((title) => ({ title, numeric: true }));
const severityCells = (shown: readonly Finding["severity"][], counts: Counts) =>
  shown.map((severity) => [counts[severity].toLocaleString("en-US"), counts[severity] === 0 ? "zero" : severity] as const);

const facts = (entries: readonly (readonly [string, string])[], kind = "") =>
  `<dl${kind && ` class="${kind}"`}>${entries.map(([term, value]) => `<div><dt>${term}</dt><dd>${value}</dd></div>`).join("")}</dl>`;

const imageLink = ({ name: image }: { readonly name: string }) => `<a href="images/${imageFile(image)}">${name(image)}</a>`;

function identifier({ id, url }: Finding): string {
  const address = webAddress(url);
  return address ? `<a href="${text(address, 2000)}" rel="noopener noreferrer external">${name(id)}</a>` : name(id);
}

const fixed = (finding: Finding) => (finding.fixed === undefined ? (finding.scanner === "vuln" ? "no fix yet" : "") : name(finding.fixed));

/** Findings with the images that have them: what comes with a base image comes in hundreds of images at once. */
function grouped(
  images: readonly { readonly name: string; readonly findings: readonly Finding[] }[],
): { finding: Finding; names: string[] }[] {
  const groups = new Map<string, { finding: Finding; names: string[] }>();
  for (const { name: image, findings } of images) {
    for (const finding of findings) {
      const key = `${finding.scanner}\0${finding.id}\0${finding.package}`;
      const group = groups.get(key);
      if (!group) groups.set(key, { finding, names: [image] });
      else if (group.names.at(-1) !== image) group.names.push(image);
    }
  }
  return [...groups.values()].sort((a, b) => {
    const bySeverity = severities.indexOf(b.finding.severity) - severities.indexOf(a.finding.severity);
    return bySeverity || b.names.length - a.names.length || worstFirst(a.finding, b.finding);
  });
}

/** Lists of images beyond these are in the images' own pages, and in report.json. */
const maximum = { groups: 500, names: 100 };

function imageNames(names: readonly string[], linked: boolean): string {
  const item = (image: string) => (linked ? imageLink({ name: image }) : name(image));
  if (names.length <= 2) return names.map(item).join("<br>");
  const more = names.length > maximum.names ? `<li>and ${number(names.length - maximum.names, "more", "more")}: see report.json</li>` : "";
  return `<details><summary>${number(names.length, "image")}</summary><ul>${names
    .slice(0, maximum.names)
    .map((image) => `<li>${item(image)}</li>`)
    .join("")}${more}</ul></details>`;
}

function groupsTable(caption: string, images: Parameters<typeof grouped>[0], linked = true): string {
  const groups = grouped(images);
  const rows = groups
    .slice(0, maximum.groups)
    .map(({ finding, names }) => [
      identifier(finding),
      severityBadge(finding.severity),
      name(finding.package),
      fixed(finding),
      imageNames(names, linked),
    ]);
  const columns = ["Finding", "Severity", "Package or file", "Fixed in", "Images"].map((title) => ({ title }));
  const more = groups.length - rows.length;
  return (
    tables(caption, columns, rows, 20) +
    (more > 0 ? `<p>And ${number(more, "finding")} more, less severe ones: see <a href="report.json">report.json</a>.</p>` : "")
  );
}

function errors(report: RunReport): string {
  const failures = report.images.filter(({ error }) => error !== undefined);
  const problems = report.problems.map(({ kind, about, message }) => [
    name(about),
    `<span class="badge ${kind === "error" ? "errors" : "mark"}">${kind}</span>`,
    `<span class="reason">${text(message, 2000)}</span>`,
  ]);
  const rows = failures.map((image) => [
    imageLink(image),
    `<span class="reason">${text(image.error ?? "", 2000)}</span>`,
    [String(image.attempts), ""] as const,
    image.scannedAt ? time(image.scannedAt) : "never",
  ]);
  if (rows.length + problems.length === 0) return "";
  const known = failures.some(({ scannedAt }) => scannedAt !== undefined);
  return `<h2 id="errors">What could not be scanned</h2>
${problems.length > 0 ? tables("Problems while the images were listed", [{ title: "Image or repository" }, { title: "Kind" }, { title: "Reason" }], problems, 50) : ""}
${rows.length > 0 ? tables("Images that could not be scanned", [{ title: "Image" }, { title: "Reason" }, { title: "Tries", numeric: true }, { title: "Last scanned well" }], rows, 50) : ""}
${known ? '<p class="quiet">The findings of these images are those of their last good scan.</p>' : ""}`;
}

/** Of all images, the worst first: what failed is no better than what it may hide. */
function worstImages(a: ImageReport, b: ImageReport): number {
  for (const severity of worst) {
    const difference = b.counts[severity] - a.counts[severity];
    if (difference !== 0) return difference;
  }
  const failed = Number(b.error !== undefined) - Number(a.error !== undefined);
  return failed || (a.name < b.name ? -1 : 1);
}

function marks({ error, firstScan, findings, gone, endOfLife }: ImageReport, first: boolean): string {
  const fresh = findings.filter((finding) => finding.fresh).length;
  return [
    error !== undefined && '<span class="badge errors">not scanned</span>',
    firstScan && !first && error === undefined && '<span class="badge mark">first scan</span>',
    fresh > 0 && !firstScan && `<span class="badge mark">+${fresh.toLocaleString("en-US")} new</span>`,
    gone.length > 0 && `<span class="badge mark">−${gone.length.toLocaleString("en-US")} fixed</span>`,
    endOfLife && '<span class="badge mark">end of life</span>',
  ]
    .filter(Boolean)
    .join(" ");
}

function images(report: RunReport): string {
  const shown = columnsOf(report.totals.counts, report.policy.severities);
  const first = firstRun(report);
  const sorted = report.images.toSorted(worstImages);
  const notable = sorted.filter(({ findings, gone, error }) => findings.length > 0 || gone.length > 0 || error !== undefined);
  const quiet = sorted.filter(({ findings, gone, error }) => findings.length === 0 && gone.length === 0 && error === undefined);
  const row = (image: ImageReport) => [
    imageLink(image),
    // Nothing is known of an image that was never scanned: that is not zero.
    ...(image.scannedAt === undefined ? shown.map(() => ["?", "zero"] as const) : severityCells(shown, image.counts)),
    marks(image, first),
    image.os === undefined ? "" : name(image.os),
  ];
  const columns = [{ title: "Image" }, ...severityColumns(shown), { title: "Changes" }, { title: "System" }];
  const clean = quiet.map((image) => [imageLink(image), marks(image, first), image.os === undefined ? "" : name(image.os)]);
  const cleanColumns = [{ title: "Image" }, { title: "Changes" }, { title: "System" }];
  return `<h2 id="images">Images</h2>
${notable.length > 0 ? tables("Findings by image and severity, the worst first", columns, notable.map(row), 200) : ""}
${
  clean.length === 0
    ? ""
    : notable.length === 0 && clean.length <= 200
      ? table("Images without findings", cleanColumns, clean)
      : `<details><summary>${number(clean.length, "image")} without findings</summary>${tables("Images without findings", cleanColumns, clean, 1000)}</details>`
}`;
}

/** Bars of the last runs, and the same in a table. */
function trend(runs: readonly RunSummary[], link: (run: string) => string): { figure: string; numbers: string } {
  const last = runs.slice(-60);
  const shown = columnsOf(last.reduce((sum, { counts }) => add(sum, counts), count([])));
  const sums = last.map(({ counts }) => shown.reduce((sum, severity) => sum + counts[severity], 0));
  const top = nice(Math.max(1, ...sums));
  const [width, height, left, bottom] = [720, 200, 56, 172];
  const step = (width - left - 8) / Math.max(last.length, 8);
  const bars = last.map(({ finishedAt, counts, verdict, failed, scanned }, index) => {
    const x = left + index * step + step * 0.12;
    let y = bottom;
    const rectangles = shown.toReversed().map((severity) => {
      const tall = (counts[severity] / top) * (bottom - 12);
      y -= tall;
      return tall === 0
        ? ""
        : `<rect class="${severity}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(step * 0.76).toFixed(1)}" height="${tall.toFixed(1)}"/>`;
    });
    const said = shown.map((severity) => `${counts[severity]} ${severity}`).join(", ");
    const labelled = index % Math.ceil(last.length / 8) === 0;
    return `<g><title>${text(`${finishedAt.slice(0, 10)}: ${said || "no findings"}; ${scanned} scanned, ${failed} failed`)}</title>${rectangles.join("")}${
      verdict === "errors" ? `<text x="${(x + step * 0.38).toFixed(1)}" y="${(y - 3).toFixed(1)}" text-anchor="middle">!</text>` : ""
    }${labelled ? `<text x="${x.toFixed(1)}" y="${height - 12}">${text(finishedAt.slice(5, 10))}</text>` : ""}</g>`;
  });
  const rules = [0, 0.5, 1].map((part) => {
    const y = bottom - part * (bottom - 12);
    return `<line class="rule" x1="${left}" x2="${width - 8}" y1="${y}" y2="${y}"/><text x="${left - 6}" y="${y + 4}" text-anchor="end">${(top * part).toLocaleString("en-US")}</text>`;
  });
  const rows = runs
    .toReversed()
    .map((run) => [
      link(run.run),
      time(run.finishedAt),
      badge(run.verdict),
      ...severityCells(shown, run.counts),
      [run.fresh.toLocaleString("en-US"), run.fresh === 0 ? "zero" : ""] as const,
      [run.gone.toLocaleString("en-US"), run.gone === 0 ? "zero" : ""] as const,
      [run.scanned.toLocaleString("en-US"), ""] as const,
      [run.failed.toLocaleString("en-US"), run.failed === 0 ? "zero" : ""] as const,
    ]);
  const columns = [
    { title: "Run" },
    { title: "Ended" },
    { title: "Verdict" },
    ...severityColumns(shown),
    ...["New", "Gone", "Scanned", "Failed"].map((title) => ({ title, numeric: true })),
  ];
  const figure =
    runs.length < 2
      ? ""
      : `<figure><figcaption class="quiet">Findings of each run, ${shown.length > 0 ? `from the worst on top: ${shown.map(severityBadge).join(" ")}` : "of which there were none"}; “!” marks a run with errors</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Findings by severity of the last ${last.length} runs; the table has the numbers">${rules.join("")}${bars.join("")}</svg></figure>`;
  return { figure, numbers: table("Runs, the last one first", columns, rows) };
}

const add = (a: Counts, b: Counts): Counts => ({
  UNKNOWN: a.UNKNOWN + b.UNKNOWN,
  LOW: a.LOW + b.LOW,
  MEDIUM: a.MEDIUM + b.MEDIUM,
  HIGH: a.HIGH + b.HIGH,
  CRITICAL: a.CRITICAL + b.CRITICAL,
});

/** The next even number of one or two digits and zeros: an axis with a middle. */
function nice(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1) * 2;
  return Math.max(2, Math.ceil(value / unit) * unit);
}

function policy({ policy, ended }: RunReport): string {
  return facts(
    [
      ["Severities", policy.severities.toReversed().join(", ")],
      ["Scanners", policy.scanners.join(", ")],
      ["Findings without a fix", policy.ignoreUnfixed ? "left out" : "reported"],
      ["Images", policy.partial ? "only those asked for" : "all targets"],
      ["Ended", ended],
    ],
    "plain",
  );
}

/**
 * A run's page: what could not be scanned, what is new, what is fixed, every image, and the trend. It is complete in itself: no script, no request.
 * @param runs - summaries of the kept runs, the oldest first
 */
export function runPage(report: RunReport, runs: readonly RunSummary[]): string {
  const { totals, removed } = report;
  const first = firstRun(report);
  const kept = runs.some(({ run }) => run === report.run) ? runs : [...runs, summarised(report)];
  const { figure, numbers } = trend(kept, (run) =>
    run === report.run ? `${name(run)} (this one)` : `<a href="../${encodeURIComponent(run)}/index.html">${name(run)}</a>`,
  );
  const fresh = report.images.map((image) => ({ name: image.name, findings: image.findings.filter((finding) => finding.fresh) }));
  const gone = report.images.map((image) => ({ name: image.name, findings: image.gone }));
  const digests = new Set(report.images.map(({ digest, name: image }) => digest ?? image)).size;
  const body = `<h1>Registry scan ${name(report.run)}</h1>
<p class="quiet">${time(report.startedAt)} to ${time(report.finishedAt)}</p>
<p class="verdict ${report.verdict}">${badge(report.verdict)} ${text(sentence(report))}</p>
${facts([
  ...columnsOf(totals.counts, report.policy.severities).map(
    (severity) => [severityBadge(severity), totals.counts[severity].toLocaleString("en-US")] as const,
  ),
  ...(first
    ? []
    : ([
        ["New", totals.fresh.toLocaleString("en-US")],
        ["Fixed or gone", totals.gone.toLocaleString("en-US")],
      ] as const)),
  ["Images scanned", totals.scanned.toLocaleString("en-US")],
  ["Not scanned", totals.failed.toLocaleString("en-US")],
])}
${digests < report.images.length ? `<p class="quiet">${number(report.images.length, "name")} of ${number(digests, "image")}: each name counts by itself.</p>` : ""}
${errors(report)}
<h2 id="new">New</h2>
${
  first
    ? "<p>This is the first run: nothing is known to compare with, so no finding is called new.</p>"
    : totals.fresh > 0
      ? groupsTable("Findings that the last good scans did not have", fresh)
      : "<p>No new findings.</p>"
}
${
  totals.gone > 0
    ? `<h2 id="fixed">Fixed</h2>
${groupsTable("Findings that the last good scans had, and this one has not", gone)}`
    : ""
}
${images(report)}
${
  removed.length > 0
    ? `<h2 id="removed">No longer scanned</h2>
${tables(
  "Images that are no longer among the targets",
  [{ title: "Image" }, { title: "Findings", numeric: true }],
  removed.map((image) => [name(image.name), [image.findings.length.toLocaleString("en-US"), ""] as const]),
  20,
)}`
    : ""
}
<h2 id="trend">Trend</h2>
${figure || "<p>There is one run so far: the trend begins with the next.</p>"}
${kept.length > 1 ? `<details><summary>The numbers of ${number(kept.length, "run")}</summary>${numbers}</details>` : ""}
<h2 id="policy">What was looked for</h2>
${policy(report)}`;
  return page(
    `${words[report.verdict]}: registry scan ${report.run}`,
    ['<a href="../index.html">All runs</a>', '<a href="report.json">report.json</a>', '<a href="report.sarif">report.sarif</a>'],
    body,
  );
}

/** The page of one image of a run: its findings, what is gone, and its other names. */
export function imagePage(report: RunReport, image: ImageReport): string {
  const first = firstRun(report);
  const others =
    image.digest === undefined ? [] : report.images.filter(({ digest, name: other }) => digest === image.digest && other !== image.name);
  const paths = [...image.findings, ...image.gone].some(({ path }) => path !== undefined);
  const columns = ["Finding", "Severity", "Package or file", ...(paths ? ["Path"] : []), "Installed", "Fixed in", "Title"].map((title) => ({
    title,
  }));
  const row = (finding: Finding & { readonly fresh?: boolean }) => {
    return [
      `${identifier(finding)}${finding.fresh && !image.firstScan ? ' <span class="badge mark">new</span>' : ""}`,
      severityBadge(finding.severity),
      name(finding.package),
      ...(paths ? [finding.path === undefined ? "" : name(finding.path)] : []),
      finding.installed === undefined ? "" : name(finding.installed),
      fixed(finding),
      finding.title === undefined ? "" : name(finding.title),
    ];
  };
  const shown = columnsOf(image.counts, report.policy.severities);
  const body = `<h1>${name(image.name)}</h1>
${
  image.error === undefined
    ? `<p class="verdict ${image.findings.length > 0 ? "findings" : "clean"}">${badge(image.findings.length > 0 ? "findings" : "clean")} ${
        image.findings.length === 0
          ? "Nothing was found in this image."
          : `${number(image.findings.length, "finding")}${image.firstScan ? ", in its first scan" : ""}.`
      }</p>`
    : `<p class="verdict errors">${badge("errors")} This image could not be scanned: <span class="reason">${text(image.error, 2000)}</span>${
        image.scannedAt ? " What follows is from its last good scan." : ""
      }</p>`
}
${image.endOfLife ? `<p><span class="badge mark">end of life</span> The distribution gives no more fixes for ${name(image.os ?? "this system")}: what is found says little. Build the image on a newer one.</p>` : ""}
${image.scannedAt === undefined ? "" : facts(shown.map((severity) => [severityBadge(severity), image.counts[severity].toLocaleString("en-US")] as const))}
${facts(
  [
    ...(image.os === undefined ? [] : [["System", name(image.os)] as const]),
    ...(image.scannedAt === undefined ? [] : [["Last scanned well", time(image.scannedAt)] as const]),
    ...(image.digest === undefined ? [] : [["Digest", name(image.digest)] as const]),
  ],
  "plain",
)}
${
  others.length > 0
    ? `<p>The same image is also ${others
        .slice(0, maximum.names)
        .map((other) => `<a href="${imageFile(other.name)}">${name(other.name)}</a>`)
        .join(", ")}${others.length > maximum.names ? ` and ${others.length - maximum.names} more` : ""}.</p>`
    : ""
}
${report.policy.cycloneDx && image.error === undefined ? `<p><a href="../cyclonedx/${cycloneDxFile(image.name)}">What is in it, as CycloneDX</a></p>` : ""}
${image.findings.length > 0 ? `<h2 id="findings">Findings</h2>\n${tables("The worst first", columns, image.findings.map(row), 500)}` : ""}
${image.gone.length > 0 ? `<h2 id="fixed">Fixed</h2>\n${tables("What the last good scan had, and this one has not", columns, image.gone.map(row), 100)}` : ""}`;
  return page(
    `${image.name}: registry scan ${report.run}`,
    ['<a href="../../index.html">All runs</a>', `<a href="../index.html">Run ${name(report.run)}</a>`],
    `${body}${first ? '<p class="quiet">This is the first run: nothing is known to compare with.</p>' : ""}`,
  );
}

/** The page of all kept runs. @param runs - the oldest first */
export function indexPage(runs: readonly RunSummary[]): string {
  const { figure, numbers } = trend(runs, (run) => `<a href="${encodeURIComponent(run)}/index.html">${name(run)}</a>`);
  const last = runs.at(-1);
  return page(
    "Registry scans",
    last ? [`<a href="${encodeURIComponent(last.run)}/index.html">The last run</a>`] : [],
    `<h1>Registry scans</h1>
${last ? `<p class="verdict ${last.verdict}">${badge(last.verdict)} The last run ended ${time(last.finishedAt)}.</p>${figure}${numbers}` : "<p>No run has ended yet.</p>"}`,
  );
}
