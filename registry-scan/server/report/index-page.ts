import type { RunSummary } from "../../protocol/report.ts";
import { document } from "./document.ts";
import { html, runLink, time, verdictBadge } from "./html.ts";
import { trend } from "./trend.ts";

/**
 * Returns the page that lists all kept runs.
 *
 * @param runs - the oldest first
 */
export function indexPage(runs: readonly RunSummary[]): string {
  const { figure, numbers } = trend(runs, (run) => runLink(run));
  const last = runs.at(-1);
  const overview = last
    ? html`<p class="verdict ${last.verdict}">${verdictBadge(last.verdict)} The last run ended at ${time(last.finishedAt)}.</p>${figure}${numbers}`
    : html`<p>No run has finished yet.</p>`;
  return document(
    "Registry scans",
    last ? [html`<a href="${encodeURIComponent(last.run)}/index.html">Last run</a>`] : [],
    html`<h1>Registry scans</h1>
${overview}`,
  );
}
