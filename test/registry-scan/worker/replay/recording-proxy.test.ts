import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { fingerprint } from "../../../../registry-scan/worker/replay/fingerprint.ts";
import { RecordingProxy, scanPath } from "../../../../registry-scan/worker/replay/recording-proxy.ts";
import { answerDigest } from "../../../../registry-scan/worker/replay/replay.ts";
import { serverCertificate } from "../../../support/certificate.ts";
import { message } from "../../../support/protobuf.ts";

const never = new AbortController().signal;

describe("RecordingProxy", () => {
  let origin: Server;
  let seen: { readonly url: string | undefined; readonly headers: IncomingMessage["headers"]; readonly body: string }[];
  let reply: (response: ServerResponse, request: IncomingMessage) => void;
  let proxy: RecordingProxy;
  const service = () => `http://${address(origin)}/scan/`;
  const address = (server: Server) => `127.0.0.1:${(server.address() as AddressInfo).port}`;

  beforeEach(async () => {
    seen = [];
    reply = (response) => response.end(message([1, "answer"]));
    origin = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request.setEncoding("latin1")) body += chunk;
      seen.push({ url: request.url, headers: request.headers, body });
      reply(response, request);
    });
    await once(origin.listen(0, "127.0.0.1"), "listening");
    proxy = await RecordingProxy.start(service(), "token");
  });
  afterEach(() => {
    proxy.close();
    origin.close();
    origin.closeAllConnections();
  });

  const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
    fetch(proxy.url + path, { method: "POST", body, headers });

  it("the recording proxy forwards every request and answer unchanged, except for the token", async () => {
    reply = (response) => response.writeHead(418, { "content-type": "text/plain", "retry-after": "7" }).end("I am");
    const body = "x".repeat(3 << 20);
    const answer = await post("/twirp/trivy.cache.v1.Cache/PutBlob?a=b", body, {
      "trivy-token": "the client's own",
      "content-type": "application/protobuf",
    });
    expect([answer.status, answer.headers.get("retry-after"), await answer.text()]).to.deep.equal([418, "7", "I am"]);
    const [{ url, headers, body: sent } = { url: "", headers: {}, body: "" }] = seen;
    expect(url).to.equal("/scan/twirp/trivy.cache.v1.Cache/PutBlob?a=b");
    expect(headers).to.include({ host: address(origin), "trivy-token": "token", "content-type": "application/protobuf" });
    expect(sent.length).to.equal(body.length);
    expect((await fetch(`${proxy.url}/version`)).status).to.equal(418);
  });

  it("the recording proxy stores the last scan request and its answer until they are taken, to send it again", async () => {
    const question = message([1, "r.example/a:1"], [2, "\u00ff"]);
    expect((await post(scanPath, question)).status).to.equal(200);
    const taken = proxy.takeExchange();
    expect(taken).to.deep.equal({ request: question.toString("base64"), response: fingerprint(message([1, "answer"])) });
    expect(proxy.takeExchange()).to.equal(undefined);

    expect(await answerDigest(service(), taken?.request ?? "", 5, never)).to.equal(taken?.response);
    expect(seen.map(({ url, body }) => [url, body])).to.deep.equal(Array(2).fill([`/scan${scanPath}`, question.toString("latin1")]));
    reply = (response) => response.end(message([1, "another"]));
    expect(await answerDigest(service(), taken?.request ?? "", 5, never))
      .to.be.a("string")
      .and.not.equal(taken?.response);
  });

  it("the recording proxy drops accept-encoding, because compressed answers cannot be compared", async () => {
    await post(scanPath, "", { "accept-encoding": "gzip" });
    expect(seen[0]?.headers).not.to.have.property("accept-encoding");
  });

  it("other requests, refused scans and invalid answers are not recorded", async () => {
    await post("/twirp/trivy.cache.v1.Cache/MissingBlobs", "");
    reply = (response) => response.writeHead(401).end(message([1, "answer"]));
    await post(scanPath, "");
    expect(await answerDigest(service(), "", 5, never)).to.equal(undefined);
    reply = (response) => response.end("<html>");
    await post(scanPath, "");
    expect(await answerDigest(service(), "", 5, never)).to.equal(undefined);
    expect(proxy.takeExchange()).to.equal(undefined);
  });

  it("a failed connection is a retryable error for the client, unless a retry cannot help", async () => {
    const answerOf = async (url: string) => {
      const unreachable = await RecordingProxy.start(url);
      const answer = await fetch(unreachable.url + scanPath, { method: "POST", body: "x" });
      expect(await answerDigest(url, "", 5, never)).to.equal(undefined);
      unreachable.close();
      return [answer.status, await answer.json()];
    };
    reply = (response) => response.destroy();
    expect(await answerOf(`http://${address(origin)}`)).to.deep.equal([503, { code: "unavailable", msg: "socket hang up" }]);
    const gone = address(origin);
    origin.close();
    await once(origin, "close");
    expect(await answerOf(`http://${gone}`)).to.deep.equal([503, { code: "unavailable", msg: `connect ECONNREFUSED ${gone}` }]);
    const [status, { code, msg }] = (await answerOf("http://no-such-host.invalid")) as [number, { code: string; msg: string }];
    // Without a name server, it is unknown whether the host exists.
    expect(`${status} ${code} ${msg}`).to.match(/^(?:500 internal getaddrinfo ENOTFOUND|503 unavailable getaddrinfo EAI_AGAIN) /);
  });

  it("the recording proxy refuses a certificate of an unknown authority", async () => {
    const tls = createTlsServer({ cert: serverCertificate.leaf, key: serverCertificate.key });
    await once(tls.listen(0, "127.0.0.1"), "listening");
    const untrusted = await RecordingProxy.start(`https://${address(tls)}`);
    const answer = await fetch(untrusted.url + scanPath, { method: "POST", body: "x" });
    expect([answer.status, await answer.json()]).to.deep.equal([500, { code: "internal", msg: "unable to verify the first certificate" }]);
    untrusted.close();
    tls.close();
  });

  it("a partial answer is not forwarded, and a request ends when its client disconnects", async () => {
    reply = (response) => {
      response.writeHead(200, { "content-length": 100 }).write("half");
      setTimeout(() => response.destroy(), 50);
    };
    const answer = await post(scanPath, "x");
    expect([answer.status, await answer.json()]).to.deep.equal([503, { code: "unavailable", msg: "aborted" }]);
    expect(proxy.takeExchange()).to.equal(undefined);

    let closed = false;
    reply = (response) => response.once("close", () => (closed = true));
    const impatient = request(proxy.url + scanPath, { method: "POST" }).on("error", () => undefined);
    impatient.end("x");
    while (seen.length < 2) await delay(10);
    impatient.destroy();
    for (let tries = 0; !closed && tries < 200; tries++) await delay(10);
    expect(closed, "the request to the service has ended").to.equal(true);
  });

  it("the wait for an answer ends at the timeout, and when the signal is aborted", async () => {
    reply = () => undefined;
    expect(await answerDigest(service(), "", 0.1, never)).to.equal(undefined);
    const ending = new AbortController();
    setTimeout(() => ending.abort(), 50);
    const ended = await answerDigest(service(), "", 60, ending.signal).then(
      () => "answered",
      () => "aborted",
    );
    expect(ended).to.equal("aborted");
  });
});
