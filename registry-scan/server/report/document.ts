import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { raw } from "hono/html";
import { type Html, html, printable } from "./html.ts";

/** The style sheet, on one line because each page contains it. In the bundle as in the source tree it is next to this module. */
const style = readFileSync(new URL("page.css", import.meta.url), "utf8").replace(/\s+/g, " ");
const styleHash = createHash("sha256").update(style).digest("base64");

/**
 * A complete page. It runs no script, sends no request and applies only its own style sheet, wherever it is served from.
 *
 * @param options - `searches`: the page has a form that leads to the server itself
 */
export function document(title: string, navigation: readonly Html[], body: Html, { searches = false } = {}): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${raw(styleHash)}'; base-uri 'none'; form-action '${searches ? "self" : "none"}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${printable(title)}</title>
<style>${raw(style)}</style>
</head>
<body>
<nav aria-label="Reports">${navigation.map((link) => html`${link}\n`)}</nav>
<main>
${body}
</main>
</body>
</html>
`.toString();
}
