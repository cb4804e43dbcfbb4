/**
 * The scan service as a pod of the registry scan sees it. Clients reach it through a server of the pod's own on the loopback interface, which notes what they
 * asked for their findings with. While an image's digest is what it was, the same question asked again shows by its answer whether the findings are, too: that
 * saves the start of a client, and the servers have looked into their present database all the same.
 */
import { createHash } from "node:crypto";
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
import type { Exchange } from "../protocol/model.ts";

const scanPath = "/twirp/trivy.scanner.v1.Scanner/Scan";

/** What does not pass by itself; everything else is what happens to a connection when a pod behind it goes. */
const permanent = /^(?:ENOTFOUND|ERR_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/;

export class ScanService {
  /** What clients are given as the service's address. */
  readonly url: string;
  readonly #server: Server;
  readonly #service: URL;
  readonly #options: RequestOptions;
  #noted: Pick<Exchange, "request" | "response"> | undefined;

  private constructor(server: Server, service: string) {
    this.#server = server;
    this.#service = new URL(service);
    const Agent = this.#service.protocol === "https:" ? HttpsAgent : HttpAgent;
    // Each request has a connection of its own, as at the gateway: one that is kept may be closed under the next request.
    this.#options = { ...urlToHttpOptions(this.#service), agent: new Agent({ keepAlive: false }) };
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => this.#forward(request, response));
  }

  static async reach(service: string): Promise<ScanService> {
    const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 });
    await new Promise<void>((listening, failed) => server.once("error", failed).listen(0, "127.0.0.1", listening));
    server.unref();
    return new ScanService(server, service);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** What the last client asked, and a digest of what it was told. Once: the next client's is another. */
  taken(): Pick<Exchange, "request" | "response"> | undefined {
    const noted = this.#noted;
    this.#noted = undefined;
    return noted;
  }

  /**
   * @param seconds for which it is waited for an answer
   * @returns the digest of the present answer to a client's question; absent when there is none for now, for whatever reason
   */
  async ask(question: string, seconds: number, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { TRIVY_TOKEN: token } = process.env;
      const response = await fetch(new URL(this.#path(scanPath), this.#service), {
        method: "POST",
        headers: { "content-type": "application/protobuf", ...(token && { "trivy-token": token }) },
        body: Buffer.from(question, "base64"),
        signal: AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]),
      });
      if (response.status === 200) return fingerprint(Buffer.from(await response.arrayBuffer()));
      await response.body?.cancel();
    } catch {
      // The client that is started instead tells the reason.
    }
    signal.throwIfAborted();
    return undefined;
  }

  #path(path: string): string {
    return this.#service.pathname.replace(/\/$/, "") + path;
  }

  /** Bodies as a whole: a client has its own in memory as well, and streams would cost several times the work. */
  #forward(request: IncomingMessage, response: ServerResponse): void {
    body(request, (question) => {
      const headers = [...kept(request.rawHeaders), "Host", this.#service.host, "Content-Length", `${question.length}`];
      const send = this.#service.protocol === "https:" ? httpsRequest : httpRequest;
      const path = this.#path(request.url ?? "/");
      const outgoing = send({ ...this.#options, path, method: request.method, headers }, (incoming) => {
        incoming.on("error", (error) => refuse(response, error));
        body(incoming, (answer) => {
          if (request.url === scanPath && incoming.statusCode === 200) this.#note(question, answer);
          response.writeHead(incoming.statusCode ?? 502, [...kept(incoming.rawHeaders), "Content-Length", `${answer.length}`]).end(answer);
        });
      });
      outgoing.on("error", (error) => refuse(response, error));
      response.once("close", () => outgoing.destroy());
      outgoing.end(question);
    });
  }

  #note(question: Buffer, body: Buffer): void {
    const answer = fingerprint(body);
    if (answer !== undefined) this.#noted = { request: question.toString("base64"), response: answer };
  }
}

function body(message: IncomingMessage, whole: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  message.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => whole(Buffer.concat(chunks)));
}

/** Headers of one connection, or of a body's way through it; and what would have answers compressed, which are compared byte for byte. */
const notKept = new Set(["host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"]);

/** @param headers names and values in turn */
const kept = (headers: readonly string[]): string[] =>
  headers.filter((_, index) => !notKept.has((headers[index - (index % 2)] ?? "").toLowerCase()));

/** In the servers' own form, of which the client reads whether it is worth another try. */
function refuse(response: ServerResponse, { code: kind = "", message }: NodeJS.ErrnoException): void {
  // It was told already, or has gone.
  if (response.headersSent || response.destroyed) return;
  const [status, code] = permanent.test(kind) ? [500, "internal"] : [503, "unavailable"];
  // Its advice is about Node.
  const body = JSON.stringify({ code, msg: message.replace(/; if the root CA .*/, "") || kind });
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) }).end(body);
}

/** Fields of a message by number: those of messages within it, and maps, whose entries come in another order each time. */
interface Shape {
  readonly [field: number]: Shape | "map";
}

/** ScanResponse.results, their vulnerabilities, and of those `cvss` and `vendor_severity` (rpc/scanner and rpc/common of Trivy). */
const scanResponse: Shape = { 3: { 2: { 12: "map", 21: "map" } } };

/** The same for the same answer; absent for what is no answer of a scan. */
export function fingerprint(answer: Buffer): string | undefined {
  try {
    return createHash("sha256").update(inOrder(answer, scanResponse)).digest("base64");
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** An encoding of the same message in which every map's entries are sorted. What is not known as a map stays as it is: at worst it looks changed. */
function inOrder(message: Buffer, shape: Shape): Buffer {
  const parts: Buffer[] = [];
  const entries: Buffer[] = [];
  for (const { number, head, body } of fields(message)) {
    const inner = shape[number];
    if (inner === "map") entries.push(Buffer.concat([head, body]));
    else parts.push(head, inner ? inOrder(body, inner) : body);
  }
  return Buffer.concat([...parts, ...entries.sort(Buffer.compare)]);
}

/** The fields of a message in protobuf's wire format. */
function* fields(message: Buffer): Generator<{ readonly number: number; readonly head: Buffer; readonly body: Buffer }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message.readUInt8(at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("a number is too long");
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    let body = at;
    const type = tag & 7;
    if (type === 0) varint();
    else if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === 2) {
      const length = varint();
      body = at;
      at += length;
    } else throw new RangeError(`there are no fields of type ${type}`);
    if (at > message.length) throw new RangeError("the message ends within a field");
    yield { number: Math.floor(tag / 8), head: message.subarray(start, body), body: message.subarray(body, at) };
  }
}
