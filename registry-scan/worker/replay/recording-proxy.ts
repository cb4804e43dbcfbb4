import { once } from "node:events";
import {
  createServer,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
  type Server,
  type ServerResponse,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { urlToHttpOptions } from "node:url";
import type { Exchange } from "../../protocol/api.ts";
import { fingerprint } from "./fingerprint.ts";

/** Path of the request that a client gets its findings with (Twirp, rpc/scanner of Trivy). */
export const scanPath = "/twirp/trivy.scanner.v1.Scanner/Scan";

/** A client's last scan request, and a digest of the answer. */
export type RecordedExchange = Pick<Exchange, "request" | "response">;

/**
 * Forwards the requests of Trivy's client, on this pod's loopback interface, to the scan service, with the token that the client does not know,
 * and records its scan request.
 */
export class RecordingProxy {
  /** The URL for clients. */
  readonly url: string;
  readonly #server: Server;
  readonly #service: URL;
  readonly #token: readonly string[];
  readonly #options: RequestOptions;
  #recorded: RecordedExchange | undefined;

  private constructor(server: Server, service: string, token: string | undefined) {
    this.#token = token ? ["Trivy-Token", token] : [];
    this.#server = server;
    this.#service = new URL(service);
    const Agent = this.#service.protocol === "https:" ? HttpsAgent : HttpAgent;
    // A connection for each request, as in the gateway: a kept-alive one can be closed just when the next request is sent.
    this.#options = { ...urlToHttpOptions(this.#service), agent: new Agent({ keepAlive: false }) };
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => {
      this.#forward(request, response).catch((error: NodeJS.ErrnoException) => answerError(response, error));
    });
  }

  /**
   * @param service URL of the scan service, with or without a path
   * @param token the token that it requires, if any
   */
  static async start(service: string, token?: string): Promise<RecordingProxy> {
    const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 });
    await once(server.listen(0, "127.0.0.1"), "listening");
    server.unref();
    return new RecordingProxy(server, service, token);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Returns the last recorded exchange and forgets it, so that it is not attributed to the next client. */
  takeExchange(): RecordedExchange | undefined {
    const recorded = this.#recorded;
    this.#recorded = undefined;
    return recorded;
  }

  /** Buffers whole bodies: a client has its own in memory too, and streams cost several times the CPU time. */
  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const question = await readBody(request);
    const send = this.#service.protocol === "https:" ? httpsRequest : httpRequest;
    const outgoing = send({
      ...this.#options,
      path: servicePath(this.#service, request.url ?? "/"),
      method: request.method,
      headers: [...forwardedHeaders(request), ...this.#token, "Host", this.#service.host, "Content-Length", `${question.length}`],
    });
    // After the response began, an error of the connection also ends the response's body, which is where it is handled.
    outgoing.on("error", () => undefined);
    response.once("close", () => outgoing.destroy());
    outgoing.end(question);
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    const answer = await readBody(incoming);
    if (request.url === scanPath && incoming.statusCode === 200) this.#record(question, answer);
    const headers = [...forwardedHeaders(incoming), "Content-Length", `${answer.length}`];
    response.writeHead(incoming.statusCode ?? 502, headers).end(answer);
  }

  #record(question: Buffer, answer: Buffer): void {
    const response = fingerprint(answer);
    if (response !== undefined) this.#recorded = { request: question.toString("base64"), response };
  }
}

/** Joins the path of a request and the path in the scan service's URL. */
export const servicePath = (service: URL, path: string): string => service.pathname.replace(/\/$/, "") + path;

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Headers of one connection or one encoding of the body; `accept-encoding`, because answers are compared byte by byte; the token. */
const hopHeaders = new Set(["trivy-token", "host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"]);

/** Returns the headers to forward: names and values in turn, with their spelling and repetitions. */
function forwardedHeaders({ rawHeaders }: IncomingMessage): string[] {
  return rawHeaders.filter((_, index) => !hopHeaders.has((rawHeaders[index - (index % 2)] ?? "").toLowerCase()));
}

/** Codes of errors that a retry does not fix; every other one occurs when a pod behind the connection ends. */
const permanentErrors = /^(?:ENOTFOUND|ERR_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/;

/** Answers in Twirp's form, by which the client decides whether to retry. */
function answerError(response: ServerResponse, { code: errorCode = "", message }: NodeJS.ErrnoException): void {
  if (response.headersSent || response.destroyed) return;
  const [status, code] = permanentErrors.test(errorCode) ? [500, "internal"] : [503, "unavailable"];
  // Without Node's advice about its own options.
  const body = JSON.stringify({ code, msg: message.replace(/; if the root CA .*/, "") || errorCode });
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
}
