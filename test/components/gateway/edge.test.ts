import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { expect } from "chai";
import { type GatewayProcesses, hasHaproxy, startGateway } from "../../support/gateway-processes.ts";

const token = "the-token-of-the-client";
const serverToken = "the-token-of-the-servers";
const connectionsPerAddress = 10;
const cache = "/twirp/trivy.cache.v1.Cache";

/** The edge and the balancer as in a pod, in front of a server that answers everything. Skipped where HAProxy 3 is not installed. */
describe("the gateway in HAProxy", () => {
  let gateway: GatewayProcesses | undefined;
  let ports: GatewayProcesses["ports"];
  let server: Server;
  let received: { path: string; headers: IncomingHttpHeaders; length: number }[] = [];

  before(async function () {
    if (!hasHaproxy()) this.skip();
    server = createServer((request, response) => {
      let length = 0;
      request.on("data", (chunk: Buffer) => {
        length += chunk.length;
      });
      request.on("error", () => {});
      request.on("end", () => {
        if (request.url !== "/healthz") received.push({ path: request.url ?? "", headers: request.headers, length });
        response.end("the server's answer");
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    gateway = await startGateway({ clients: { ci: token }, serverToken, server: port, connectionsPerAddress });
    ports = gateway.ports;
  });
  beforeEach(() => {
    received = [];
  });
  after(() => {
    gateway?.stop();
    server?.close();
  });

  const connection = async (): Promise<Socket> => {
    const socket = connect(ports.http, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };
  /** Sends a text on a new connection, and more of it every 200 ms, until the gateway closes it. Returns its answer and the seconds until then. */
  const exchange = async (text: string, more = ""): Promise<{ answer: string; seconds: number }> => {
    const socket = await connection();
    const begun = performance.now();
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.write(text, "latin1");
    const timer = more && setInterval(() => socket.write(more), 200);
    await Promise.race([once(socket, "close"), sleep(15_000)]);
    clearInterval(timer || undefined);
    socket.destroy();
    return { answer, seconds: (performance.now() - begun) / 1000 };
  };
  const head = (method: string, path: string, headers: Record<string, string | number> = {}) =>
    `${method} ${path} HTTP/1.1\r\nHost: trivy\r\n${Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("")}\r\n`;
  /** Returns the status of an answer, or "closed" if there is none. */
  const ask = async (method: string, path: string, headers: Record<string, string | number> = {}, body = ""): Promise<string> => {
    const length = (body || method === "POST") && { "Content-Length": body.length };
    const { answer } = await exchange(head(method, path, { ...length, ...headers }) + body);
    return answer.slice(9, 12) || "closed";
  };
  const known = { "Trivy-Token": token };

  it("requests of a scan reach a server, with the servers' token and without the gateway's own header", async () => {
    for (const path of [`${cache}/MissingBlobs`, `${cache}/PutBlob`, `${cache}/PutArtifact`, "/twirp/trivy.scanner.v1.Scanner/Scan"])
      expect(await ask("POST", path, known, "{}"), path).to.equal("200");
    expect(received.map(({ headers, length }) => [headers["trivy-token"], headers["x-trivy-client"], length])).to.deep.equal(
      Array(4).fill([serverToken, undefined, 2]),
    );
  });

  it("calls that no scan needs, and paths that look like a scan's, do not reach a server", async () => {
    for (const path of [`${cache}/DeleteBlobs`, `${cache}/PutBlob/`, `/${cache}/PutBlob`, "/", "/version", "/metrics", "/x?/version"])
      expect(await ask("POST", path, known, "{}"), path).to.equal("404");
    for (const method of ["PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"])
      expect(await ask(method, `${cache}/PutBlob`, known, "{}"), method).to.be.oneOf(["404", "400"]);
    expect(received).to.deep.equal([]);
  });

  it("health checks and the version need no token, and are not sent with the servers' one", async () => {
    for (const method of ["GET", "HEAD"])
      for (const path of ["/", "/healthz", "/version"]) expect(await ask(method, path), `${method} ${path}`).to.equal("200");
    expect(received.map(({ path, headers }) => [path, headers["trivy-token"]])).to.deep.equal(Array(2).fill(["/version", undefined]));
  });

  it("a client cannot choose its name, nor be one without a token", async () => {
    expect(await ask("POST", `${cache}/PutBlob`, { "X-Trivy-Client": "ci" }, "{}")).to.equal("401");
    expect(await ask("GET", "/version", { "X-Trivy-Client": "ci" })).to.equal("200");
    expect(received.map(({ headers }) => headers["trivy-token"])).to.deep.equal([undefined]);
  });

  it("without a token, every other request is refused, whatever its method, path and body", async () => {
    for (const [method, path] of [
      ["POST", "/version"],
      ["POST", "/healthz"],
      ["PUT", "/"],
      ["POST", `${cache}/PutBlob`],
      ["GET", "/version/"],
      ["GET", "/metrics"],
    ] as const)
      for (const given of ["", `${token}x`, serverToken, "ci"])
        expect(await ask(method, path, { "Trivy-Token": given }, method === "GET" ? "" : "{}"), `${method} ${path}`).to.equal("401");
    expect(await ask("GET", "/version", {}, "{}"), "GET with a body").to.equal("401");
    expect(await ask("POST", `${cache}/PutBlob`, {}, "{}"), "no token").to.equal("401");
    expect(received).to.deep.equal([]);
  });

  for (const [what, text, more] of [
    ["a silent connection", "", ""],
    ["half a header", "POST / HTTP/1.1\r\nHost: trivy\r\n", ""],
    ["a header without an end", "POST / HTTP/1.1\r\n", "A: b\r\n"],
    ["a body that does not come", head("POST", "/version", { "Content-Length": 10 }), ""],
    ["a slow body", head("POST", "/version", { "Content-Length": 5000 }), "x"],
    ["a large body", head("POST", "/version", { "Content-Length": 1e10 }), "x"],
    ["a chunked body", head("POST", "/version", { "Transfer-Encoding": "chunked" }), "1\r\nx\r\n"],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", ""],
    ["a header above 16 KiB", `GET /version HTTP/1.1\r\nX: ${"x".repeat(20_000)}`, "x"],
  ] as const)
    it(`${what} without a token is closed after a few seconds`, async () => {
      // The gateway's limit is five seconds; a busy machine may be late.
      expect((await exchange(text, more)).seconds).to.be.below(10);
      expect(received).to.deep.equal([]);
    });

  it("connections of one address that have presented no token are limited, those that have are not counted", async () => {
    const silent = await Promise.all(Array.from({ length: connectionsPerAddress }, connection));
    try {
      expect(await ask("GET", "/version").catch(() => "closed")).to.equal("closed");
      for (const socket of silent.splice(0, 2)) socket.destroy();
      await sleep(200);
      // Their bodies do not arrive, so these requests stay.
      const open: Socket[] = [];
      for (let count = 0; count < 3 * connectionsPerAddress; count++) {
        const socket = await connection();
        socket.write(head("POST", `${cache}/PutBlob`, { ...known, "Content-Length": 1000 }));
        await sleep(20);
        open.push(socket);
      }
      expect(open.filter(({ destroyed }) => destroyed)).to.deep.equal([]);
      expect(await ask("GET", "/version")).to.equal("200");
      for (const socket of open) socket.destroy();
    } finally {
      for (const socket of silent) socket.destroy();
    }
  });

  it("TLS 1.2 needs forward secrecy and authenticated encryption", async () => {
    const cipher = async (ciphers: string): Promise<string> => {
      const socket = connectTls({ port: ports.https, host: "127.0.0.1", rejectUnauthorized: false, maxVersion: "TLSv1.2", ciphers });
      try {
        await once(socket, "secureConnect");
        return socket.getCipher().name;
      } catch {
        return "refused";
      } finally {
        socket.destroy();
      }
    };
    expect(await cipher("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")).to.match(/^ECDHE-.*-GCM-/);
    for (const weak of [
      "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA",
      "AES128-GCM-SHA256",
      "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384",
    ])
      expect(await cipher(weak), weak).to.equal("refused");
  });
});
