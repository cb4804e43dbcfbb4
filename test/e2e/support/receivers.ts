import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** A request that the receiver accepted. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  // biome-ignore lint/suspicious/noExplicitAny: a missing field fails the test's assertion
  readonly body: any;
}

/** A webhook receiver on this machine. */
export class Receiver {
  readonly received: Received[] = [];
  /** Status of every response; only requests answered with 200 are recorded. */
  answer = 200;
  private readonly server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    if (this.answer === 200)
      this.received.push({ path: request.url ?? "", headers: request.headers, body: text === "" ? undefined : JSON.parse(text) });
    response.writeHead(this.answer).end();
  });

  /** Listens on `host`, the address by which pods reach this machine, and returns the URL. */
  async open(host: string): Promise<string> {
    await new Promise<void>((resolve, reject) => this.server.on("error", reject).listen(0, host, resolve));
    return `http://${host}:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Returns the requests to a path, oldest first. */
  at(path: string): Received[] {
    return this.received.filter((request) => request.path === path);
  }
}
