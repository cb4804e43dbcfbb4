/**
 * The scan service as a pod of the registry scan sees it. Clients reach it through a server of the pod's own on the loopback interface, which notes what they
 * asked for their findings with. While an image's digest is what it was, the same question asked again shows by its answer whether the findings are, too: that
 * takes a hundredth of the time of a client's start, and the servers have looked into their present database all the same.
 */
import { createHash } from "node:crypto";
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Exchange } from "./model.ts";

const scanPath = "/twirp/trivy.scanner.v1.Scanner/Scan";

/** What does not pass by itself; everything else is what happens to a connection when a pod behind it goes. */
const permanent = /^(?:ENOTFOUND|ERR_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/;

export class ScanService {
  /** What clients are given as the service's address. */
  readonly url: string;
  readonly #server: Server;
  readonly #service: URL;
  #noted: Pick<Exchange, "question" | "answer"> | undefined;

  private constructor(server: Server, service: string) {
    this.#server = server;
    this.#service = new URL(service);
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => void this.#forward(request, response));
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
  taken(): Pick<Exchange, "question" | "answer"> | undefined {
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
      const response = await fetch(this.#address(scanPath), {
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

  #address(path: string): URL {
    return new URL(this.#service.pathname.replace(/\/$/, "") + path, this.#service);
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { host: _, "accept-encoding": __, ...headers } = request.headers;
    const send = this.#service.protocol === "https:" ? httpsRequest : httpRequest;
    // Each request has a connection of its own, as at the gateway: one that is kept may be closed under the next request.
    const outgoing = send(this.#address(request.url ?? "/"), { method: request.method, headers, agent: false });
    response.once("close", () => outgoing.destroy());
    const noted = request.url === scanPath ? { question: [] as Buffer[], answer: [] as Buffer[] } : undefined;
    const answered = new Promise<IncomingMessage>((resolve, reject) => outgoing.once("response", resolve).on("error", reject));
    try {
      if (noted) request.on("data", (chunk: Buffer) => noted.question.push(chunk));
      // A service that refuses a body answers before its end, and closes: the answer counts.
      pipeline(request, outgoing).catch(() => undefined);
      const incoming = await answered;
      response.writeHead(incoming.statusCode ?? 502, incoming.headers);
      if (noted) incoming.on("data", (chunk: Buffer) => noted.answer.push(chunk));
      await pipeline(incoming, response);
      if (!noted || incoming.statusCode !== 200) return;
      const answer = fingerprint(Buffer.concat(noted.answer));
      if (answer !== undefined) this.#noted = { question: Buffer.concat(noted.question).toString("base64"), answer };
    } catch (error) {
      if (response.headersSent) response.destroy();
      else refuse(response, error as NodeJS.ErrnoException);
    }
  }
}

/** In the servers' own form, of which the client reads whether it is worth another try. */
function refuse(response: ServerResponse, { code: kind = "", message }: NodeJS.ErrnoException): void {
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
