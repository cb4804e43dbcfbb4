import { open, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import { singleLine } from "../protocol/text.ts";
import type { Outbox } from "./alerts/outbox.ts";
import { mediaType, runNamePattern } from "./files.ts";
import { type Env, errorHandler } from "./http.ts";
import { csv } from "./report/csv.ts";
import { refusedNotice } from "./report/index-page.ts";
import { metrics } from "./report/metrics.ts";
import { type SearchOutcome, searchPage } from "./report/search-page.ts";
import { checkedQuery, InvalidQuery } from "./search.ts";
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

  pages.get("/find", async (c) => {
    const given = c.req.query();
    const { term, id, package: name, image } = given;
    const asked = [term, id, name, image].some((text) => text);
    const outcome = asked ? await searched(store, given) : undefined;
    const status = outcome && "refusal" in outcome ? 400 : 200;
    return text(c, "text/html; charset=utf-8", searchPage(given, outcome, store.latest?.run), status);
  });
  for (const type of ["json", "csv"] as const)
    pages.get(`/findings.${type}`, async (c) => {
      const outcome = await searched(store, c.req.query());
      if ("refusal" in outcome) throw new HTTPException(400, { message: outcome.refusal });
      if (type === "json") return c.json(outcome.result);
      c.header("content-disposition", 'attachment; filename="findings.csv"');
      return text(c, "text/csv; charset=utf-8", csv(outcome.result.matches));
    });

  pages.get("/", (c) => c.redirect("runs/"));
  pages.get("/runs", (c) => c.redirect("runs/"));
  pages.on("GET", ["/runs/", "/runs/index.html"], async (c) => {
    const page = await readFile(store.runPath("index.html"), "utf8").catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? notFound() : error;
    });
    // What only the server itself knows is not in the file, which is copied to buckets.
    const notice = refusedNotice(outbox.refused()) ?? "";
    const complete = page.replace("</nav>", '<a href="../find">Search</a>\n</nav>').replace("</h1>", () => `</h1>\n${notice}`);
    return text(c, "text/html; charset=utf-8", complete);
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

/** Answers a query, or says why it cannot be answered. */
async function searched(store: Store, given: Readonly<Record<string, string>>): Promise<NonNullable<SearchOutcome>> {
  try {
    return { result: await store.search(checkedQuery(given)) };
  } catch (error) {
    if (error instanceof InvalidQuery) return { refusal: error.message };
    throw error;
  }
}

/** Returns the name or address in a Host header, without the port. */
function hostOf(header: string | undefined): string | undefined {
  const url = header === undefined ? null : URL.parse(`http://${header}`);
  return url?.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

/** Pages contain their style sheet, and no script, picture or font. Those on the volume may be older than this program. */
const securityHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    styleSrc: ["'unsafe-inline'"],
    baseUri: ["'none'"],
    // The page for searches has a form. The others forbid forms by themselves.
    formAction: ["'self'"],
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
const text = (c: Context<Env>, type: string, body: string, status: 200 | 400 = 200): Response =>
  c.body(body, status, { "content-type": type, "content-length": String(Buffer.byteLength(body)) });

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
