import { open, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import { singleLine } from "../protocol/text.ts";
import type { Outbox } from "./alerts/outbox.ts";
import { mediaType, runNamePattern } from "./files.ts";
import { type Env, errorHandler } from "./http.ts";
import { refusedNotice } from "./report/index-page.ts";
import { metrics } from "./report/metrics.ts";
import type { Store } from "./store.ts";

/**
 * The metrics, on a port of their own: Prometheus need not be able to read the reports.
 *
 * @param perImage - whether each image has metrics
 */
export function createMetrics(store: Store, outbox: Outbox, perImage: boolean): Hono<Env> {
  const app = new Hono<Env>();
  app.onError(errorHandler(store));
  app.get("/metrics", (c) => {
    const state = {
      undelivered: outbox.undelivered(),
      refused: outbox.refused(),
      isRunning: store.isRunning,
      pendingCopies: store.pendingCopies,
      hasVolumeError: store.volumeError !== undefined,
    };
    return text(c, "text/plain; version=0.0.4; charset=utf-8", metrics(store.latest, state, perImage));
  });
  return app;
}

/**
 * The reports for users. Access is limited by the network, not by a login.
 *
 * @param hosts - names under which the pages are served, in addition to addresses and localhost
 */
export function createPages(store: Store, outbox: Outbox, hosts: ReadonlySet<string>): Hono<Env> {
  const pages = new Hono<Env>();
  pages.onError(errorHandler(store));
  pages.notFound(() => {
    throw notFound();
  });
  pages.use(securityHeaders, async (c, next) => {
    c.header("cache-control", "no-cache");
    if (c.req.method !== "GET" && c.req.method !== "HEAD") {
      c.header("allow", "GET, HEAD");
      throw new HTTPException(405, { message: "pages can only be read" });
    }
    // A web site whose name leads to this server's address could otherwise read the pages in a visitor's browser (DNS rebinding).
    const host = hostOf(c.req.header("host"));
    if (host === undefined || !(hosts.has(host) || host === "localhost" || isIP(host) > 0)) {
      const message = `${singleLine(host ?? "no name").slice(0, 100)} is not a name of this server; set registryScan.reports.url to the URL under which users open it`;
      throw new HTTPException(421, { message });
    }
    // The adapter resolves `..` in a path: such a request is not for one of these pages.
    if (new URL(c.req.url).pathname !== c.env.incoming.url?.replace(/[?#].*$/s, "")) throw notFound();
    await next();
  });

  pages.get("/healthz", (c) => text(c, "text/plain; charset=utf-8", "ok\n"));

  pages.get("/", (c) => c.redirect("runs/"));
  pages.get("/runs", (c) => c.redirect("runs/"));
  pages.on("GET", ["/runs/", "/runs/index.html"], async (c) => {
    const path = store.runPath("index.html");
    const type = "text/html; charset=utf-8";
    const notice = refusedNotice(outbox.refused());
    if (notice === undefined) return file(c, path, type);
    const page = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? notFound() : error;
    });
    return text(
      c,
      type,
      page.replace("</h1>", () => `</h1>\n${notice}`),
    );
  });
  pages.get(`/runs/:run`, (c) => c.redirect(`${runName(c.req.param("run"))}/`));
  pages.get("/runs/:run/:file{.*}", (c) => {
    const { run, file: name } = c.req.param();
    // Only names that a report may have are looked up on the volume.
    const path = name || "index.html";
    const type = mediaType(path);
    if (type === undefined) throw notFound();
    return file(c, store.runPath(runName(run), path), type);
  });
  return pages;
}

/** Returns the name or address in a Host header, without the port. */
function hostOf(header: string | undefined): string | undefined {
  const url = header === undefined ? null : URL.parse(`http://${header}`);
  return url?.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

/** Pages contain their style sheet, and no script, picture, font or form. Those on the volume may be older than this program. */
const securityHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    styleSrc: ["'unsafe-inline'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
  xFrameOptions: "DENY",
  // Whether the reports are served by HTTPS is for the proxy in front of this server to say.
  strictTransportSecurity: false,
});

const notFound = () => new HTTPException(404, { message: "there is no such page; only the reports of the last runs are kept" });

/** @throws {HTTPException} 404 for a text that is not the name of a run */
function runName(text: string): string {
  if (!runNamePattern.test(text)) throw notFound();
  return text;
}

/** The length is set here because hono answers HEAD without a body. */
const text = (c: Context<Env>, type: string, body: string): Response =>
  c.body(body, 200, { "content-type": type, "content-length": String(Buffer.byteLength(body)) });

/** Sends a file of the volume. hono's `serveStatic` does not know SARIF, and answers 404 when the volume cannot be read. */
async function file(c: Context<Env>, path: string, type: string): Promise<Response> {
  const opened = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? notFound() : error;
  });
  const headers = { "content-type": type, "content-length": String((await opened.stat()).size) };
  if (c.req.method !== "HEAD") return c.body(opened.readableWebStream({ autoClose: true }) as ReadableStream<Uint8Array>, 200, headers);
  await opened.close();
  return c.body(null, 200, headers);
}
