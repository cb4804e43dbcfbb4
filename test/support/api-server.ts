import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cluster, findCluster } from "../../commands/cluster/cluster.ts";

/** How the connection to the API server behaves. `cut`: it breaks; `silent`: it stays open without an answer; `slow`: each answer takes two seconds. */
export type Behaviour = "good" | "cut" | "silent" | "slow";

/** An API server with the given answers, by path without query. A path without one is an empty list or, for a single object, is not found. */
export class ApiServer {
  readonly answers: Record<string, unknown> = {};
  behaviour: Behaviour = "good";
  /** Method and path of each request. */
  readonly requests: string[] = [];
  cluster!: Cluster;
  private readonly server = createServer((request, response) => void this.respond(request, response));

  static async start(): Promise<ApiServer> {
    const api = new ApiServer();
    await new Promise<void>((resolve) => api.server.listen(0, "127.0.0.1", resolve));
    const server = `http://127.0.0.1:${(api.server.address() as AddressInfo).port}`;
    const kubeconfig = {
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server } }],
      users: [{ name: "u", user: { token: "t0ken" } }],
    };
    api.cluster = findCluster(JSON.stringify(kubeconfig, undefined, 1), undefined, {});
    return api;
  }

  /** Answers a path with a list of objects. */
  list(path: string, ...items: unknown[]): void {
    this.answers[path] = { items };
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path } = new URL(request.url ?? "/", "http://api");
    this.requests.push(`${request.method} ${path}`);
    if (this.behaviour === "cut") return void request.socket.destroy();
    if (this.behaviour === "silent") return;
    if (this.behaviour === "slow") await sleep(2000);
    const answer = this.answers[path];
    const body = typeof answer === "function" ? answer(request) : answer;
    if (typeof body === "string") return void response.writeHead(200, { "content-type": "text/plain" }).end(body);
    const isList = /\/namespaces\/[^/]+\/[a-z]+$/.test(path) && request.method === "GET";
    const [status, object] =
      body !== undefined ? [200, body] : isList ? [200, { items: [] }] : [404, { kind: "Status", message: "not found" }];
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(object));
  }
}
