import type { RunSummary } from "../../protocol/report.ts";
import { document } from "./document.ts";
import { type Html, html, name, number, runLink, time, verdictBadge } from "./html.ts";
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

/** Returns what the page says about messages that receivers refuse; undefined if there are none. */
export function refusedNotice(refused: Readonly<Record<string, number>>): Html | undefined {
  const receivers = Object.entries(refused).filter(([, count]) => count > 0);
  if (receivers.length === 0) return undefined;
  return html`<p class="verdict errors">Messages that were not delivered because the receiver refuses them: ${receivers.map(
    ([receiver, count], index) => html`${index > 0 ? ", " : ""}${number(count)} to ${name(receiver)}`,
  )}. The log of the reports server has the reason. They are sent again when it is restarted.</p>`;
}
