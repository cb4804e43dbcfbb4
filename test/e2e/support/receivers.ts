import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** A request that somebody was sent. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  // biome-ignore lint/suspicious/noExplicitAny: the tests' assertions fail on what is not there
  readonly body: any;
}

/** A webhook's receiver on this machine. */
export class Receiver {
  readonly received: Received[] = [];
  /** What it answers; only what it answers with 200 is kept. */
  answer = 200;
  private readonly server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    if (this.answer === 200)
      this.received.push({ path: request.url ?? "", headers: request.headers, body: text === "" ? undefined : JSON.parse(text) });
    response.writeHead(this.answer).end();
  });

  /** Its URL, under the address by which pods know this machine. */
  async open(host: string): Promise<string> {
    await new Promise<void>((resolve, reject) => this.server.on("error", reject).listen(0, host, resolve));
    return `http://${host}:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** What came to a path. */
  at(path: string): Received[] {
    return this.received.filter((request) => request.path === path);
  }
}
