import { createReadStream } from "node:fs";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { manifestType } from "./manifest.ts";
import type { MirroredDatabase } from "./mirrored-database.ts";
import { mirrorPaths } from "./names.ts";
import { Turnstile } from "./turnstile.ts";

/** Milliseconds after which a client that reads nothing loses its turn. */
const stallTimeout = 60_000;

/** Milliseconds for which a server counts as one that starts, after it said so. */
const startDuration = 15 * 60_000;

export interface Served {
  readonly database: MirroredDatabase;
  readonly turnstile: Turnstile;
  /** Number of layers that were sent completely. */
  downloads: number;
}

/** The client has closed the connection. */
class ClientGone extends Error {}

/**
 * The part of the OCI distribution protocol that a download takes. While a database has no good build, its manifest is answered with 503, the
 * one status after which Trivy tries the next repository.
 */
export class RegistryServer {
  readonly served: readonly Served[];
  /** When servers said that they start, by address. */
  readonly #starting = new Map<string, number>();

  constructor(databases: readonly MirroredDatabase[], pause?: number) {
    this.served = databases.map((database) => {
      const { parallelDownloads: limit, pause: own } = database.artifact;
      return { database, turnstile: new Turnstile({ limit, pause: pause ?? own }), downloads: 0 };
    });
  }

  readonly listener: RequestListener = (request, response) => {
    this.#answer(request, response).catch((error: Error) => {
      if (!(error instanceof ClientGone)) console.error(`${request.method} ${request.url}: ${error.message}`);
      response.destroy();
    });
  };

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").replace(/\?.*$/s, "");
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return fail(response, 405, "UNSUPPORTED", "the mirror can only be read");
    }
    response.setHeader("docker-distribution-api-version", "registry/2.0");
    if (path === "/v2/" || path === "/v2") return json(response, 200, {});
    if (path === mirrorPaths.starting) return this.#announce(request, response);
    const { name, kind, reference } =
      /^\/v2\/(?<name>[a-z0-9-]+)\/(?<kind>manifests|blobs|tags)\/(?<reference>[\w.:-]+)$/.exec(path)?.groups ?? {};
    const served = this.served.find(({ database }) => database.artifact.repository === name);
    if (!served || reference === undefined) return fail(response, 404, "NAME_UNKNOWN", "the mirror has no such repository");
    const { database } = served;
    if (kind === "tags") return json(response, 200, { name, tags: database.served ? [database.artifact.tag] : [] });
    if (kind === "manifests") return sendManifest(database, reference, request, response);
    return this.#sendBlob(served, reference, request, response);
  }

  /** A server that starts answers no requests yet, so it need not wait for its turn. */
  #announce({ socket }: IncomingMessage, response: ServerResponse): void {
    const vulnerabilities = this.served.find(({ database }) => database.artifact.parallelDownloads === 1);
    if (vulnerabilities?.database.served) {
      this.#starting.set(socket.remoteAddress ?? "", Date.now());
      json(response, 200, {});
    } else fail(response, 503, "UNAVAILABLE", "there is no database yet");
  }

  #isStarting({ socket }: IncomingMessage): boolean {
    for (const [address, time] of this.#starting) if (time < Date.now() - startDuration) this.#starting.delete(address);
    return this.#starting.has(socket.remoteAddress ?? "");
  }

  async #sendBlob(served: Served, digest: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const blob = served.database.store.blob(digest);
    if (!blob) return fail(response, 404, "BLOB_UNKNOWN", "the mirror does not keep this blob");
    response.setHeader("content-type", "application/octet-stream").setHeader("docker-content-digest", digest);
    response.setHeader("content-length", blob.size);
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const closed = new AbortController();
    response.once("close", () => closed.abort(new ClientGone()));
    const isLayer = served.database.store.builds.some(({ layer }) => layer.digest === digest);
    const isStarting = this.#isStarting(request);
    const leave = isLayer && !isStarting ? await served.turnstile.enter(closed.signal) : () => undefined;
    try {
      // A build that was removed meanwhile is still readable through the open file.
      request.socket.setTimeout(stallTimeout, () => request.socket.destroy());
      await send(createReadStream(blob.path), response);
      if (isLayer) served.downloads += 1;
      if (isStarting) this.#starting.delete(request.socket.remoteAddress ?? "");
    } finally {
      leave(response.writableFinished);
    }
  }
}

function sendManifest(
  { artifact, served, store }: MirroredDatabase,
  reference: string,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const digest = reference.startsWith("sha256:") ? reference : served?.digest;
  if (!served || digest === undefined) return fail(response, 503, "UNAVAILABLE", "the mirror has no good build yet");
  const isKnown = reference === artifact.tag || store.find(reference) !== undefined;
  const manifest = isKnown ? store.blob(digest) : undefined;
  if (!manifest) return fail(response, 404, "MANIFEST_UNKNOWN", `the mirror has the tag ${artifact.tag}`);
  response.writeHead(200, { "content-type": manifestType, "docker-content-digest": digest, "content-length": manifest.size });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  return send(createReadStream(manifest.path), response);
}

/** Sends a file, and returns when the client has it or is gone. */
function send(file: ReturnType<typeof createReadStream>, response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    file.on("error", reject);
    response.on("error", reject).on("close", () => {
      file.destroy();
      if (response.writableFinished) resolve();
      else reject(new ClientGone());
    });
    file.pipe(response);
  });
}

function json(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
}

const fail = (response: ServerResponse, status: number, code: string, message: string) =>
  json(response, status, { errors: [{ code, message }] });
