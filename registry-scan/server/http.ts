/** What the API and the pages have in common: the bodies of requests, and errors. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import type { ErrorHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { PlanError, ResultRefused } from "./run.ts";
import { isStorageError, type Store } from "./store.ts";

export interface Env {
  readonly Bindings: HttpBindings;
}

/** Milliseconds for the rest of a body that is not used. */
const discardTimeout = 5_000;

/**
 * Reads the body of a request in pieces, without holding it in memory. hono's `bodyLimit` does: it buffers a body of unknown length up to the limit,
 * and after a refusal closes the connection while the client still sends, which then may not read the answer (measured).
 *
 * @param limit - bytes
 * @param onProgress - called for each piece
 * @throws {HTTPException} 413 when the body is larger
 */
export async function* readBody(request: IncomingMessage, limit: number, onProgress: () => void): AsyncGenerator<Buffer> {
  const tooLarge = new HTTPException(413, { message: `the body is larger than ${limit} bytes` });
  if (Number(request.headers["content-length"] ?? 0) > limit) throw tooLarge;
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) throw tooLarge;
    onProgress();
    yield chunk;
  }
}

/** Answers errors with `{"error": "…"}`. Unexpected ones are logged, and their answer has no details. */
export const errorHandler =
  (store: Store): ErrorHandler<Env> =>
  async (error, c) => {
    const { incoming } = c.env;
    // The client has closed the connection: the answer is not sent.
    if (incoming.destroyed && !incoming.complete) return c.body(null, 400);
    const response = answer();
    if (!incoming.complete) {
      // A client that is still sending may not read the answer before it has sent the whole body.
      response.headers.set("connection", "close");
      incoming.resume();
      await once(incoming, "end", { signal: AbortSignal.timeout(discardTimeout) }).catch(() => undefined);
    }
    return response;

    function answer(): Response {
      if (error instanceof HTTPException) return error.res ?? c.json({ error: error.message }, error.status);
      if (error instanceof ResultRefused) return c.json({ error: error.message }, 413);
      if (error instanceof PlanError) return c.json({ error: error.message }, 400);
      if (isStorageError(error)) return c.json({ error: store.explain(error) }, 503);
      console.error("error:", error);
      return c.json({ error: "the reports server failed; see its log" }, 500);
    }
  };
