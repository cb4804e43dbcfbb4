import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { fingerprint, ScanService } from "../../../registry-scan/worker/recording-proxy.ts";
import { serverCertificate } from "../../support/certificate.ts";
import { message, varint } from "../../support/protobuf.ts";

const scanPath = "/twirp/trivy.scanner.v1.Scanner/Scan";
const never = new AbortController().signal;

describe("the scan service as a pod of a registry scan sees it", () => {
  let origin: Server;
  let seen: { readonly url: string | undefined; readonly headers: IncomingMessage["headers"]; readonly body: string }[];
  let reply: (response: ServerResponse, request: IncomingMessage) => void;
  let service: ScanService;
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
    service = await ScanService.reach(`http://${address(origin)}/scan/`);
  });
  afterEach(() => {
    service.close();
    origin.close();
    origin.closeAllConnections();
  });

  const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
    fetch(service.url + path, { method: "POST", body, headers });

  it("hands requests on and answers back, whatever they are", async () => {
    reply = (response) => response.writeHead(418, { "content-type": "text/plain", "retry-after": "7" }).end("I am");
    const body = "x".repeat(3 << 20);
    const answer = await post("/twirp/trivy.cache.v1.Cache/PutBlob?a=b", body, {
      "trivy-token": "token",
      "content-type": "application/protobuf",
    });
    expect([answer.status, answer.headers.get("retry-after"), await answer.text()]).to.deep.equal([418, "7", "I am"]);
    const [{ url, headers, body: sent } = { url: "", headers: {}, body: "" }] = seen;
    expect(url).to.equal("/scan/twirp/trivy.cache.v1.Cache/PutBlob?a=b");
    expect(headers).to.include({ host: address(origin), "trivy-token": "token", "content-type": "application/protobuf" });
    expect(sent.length).to.equal(body.length);
    expect((await fetch(`${service.url}/version`)).status).to.equal(418);
  });

  it("notes what a client asked last and was told, once, and asks the same again", async () => {
    const question = message([1, "r.example/a:1"], [2, "\u00ff"]);
    expect((await post(scanPath, question)).status).to.equal(200);
    const taken = service.taken();
    expect(taken).to.deep.equal({ request: question.toString("base64"), response: fingerprint(message([1, "answer"])) });
    expect(service.taken()).to.equal(undefined);

    expect(await service.ask(taken?.request ?? "", 5, never)).to.equal(taken?.response);
    expect(seen.map(({ url, body }) => [url, body])).to.deep.equal(Array(2).fill([`/scan${scanPath}`, question.toString("latin1")]));
    reply = (response) => response.end(message([1, "another"]));
    expect(await service.ask(taken?.request ?? "", 5, never))
      .to.be.a("string")
      .and.not.equal(taken?.response);
  });

  it("asks for answers that are not compressed, of which alone it can tell whether they are the same", async () => {
    await post(scanPath, "", { "accept-encoding": "gzip" });
    expect(seen[0]?.headers).not.to.have.property("accept-encoding");
  });

  it("notes nothing of what is no scan, was refused, or is no answer of a scan", async () => {
    await post("/twirp/trivy.cache.v1.Cache/MissingBlobs", "");
    reply = (response) => response.writeHead(401).end(message([1, "answer"]));
    await post(scanPath, "");
    expect(await service.ask("", 5, never)).to.equal(undefined);
    reply = (response) => response.end("<html>");
    await post(scanPath, "");
    expect(await service.ask("", 5, never)).to.equal(undefined);
    expect(service.taken()).to.equal(undefined);
  });

  it("tells clients to try again when the connection fails, and not when trying again is of no use", async () => {
    const told = async (url: string) => {
      const unreachable = await ScanService.reach(url);
      const answer = await fetch(unreachable.url + scanPath, { method: "POST", body: "x" });
      expect(await unreachable.ask("", 5, never)).to.equal(undefined);
      unreachable.close();
      return [answer.status, await answer.json()];
    };
    reply = (response) => response.destroy();
    expect(await told(`http://${address(origin)}`)).to.deep.equal([503, { code: "unavailable", msg: "socket hang up" }]);
    const gone = address(origin);
    origin.close();
    await once(origin, "close");
    expect(await told(`http://${gone}`)).to.deep.equal([503, { code: "unavailable", msg: `connect ECONNREFUSED ${gone}` }]);
    const [status, { code, msg }] = (await told("http://no-such-host.invalid")) as [number, { code: string; msg: string }];
    // Without a name server nobody can tell that there is no such host.
    expect(`${status} ${code} ${msg}`).to.match(/^(?:500 internal getaddrinfo ENOTFOUND|503 unavailable getaddrinfo EAI_AGAIN) /);
  });

  it("refuses a certificate that nobody vouches for", async () => {
    const tls = createTlsServer({ cert: serverCertificate.leaf, key: serverCertificate.key });
    await once(tls.listen(0, "127.0.0.1"), "listening");
    const untrusted = await ScanService.reach(`https://${address(tls)}`);
    const answer = await fetch(untrusted.url + scanPath, { method: "POST", body: "x" });
    expect([answer.status, await answer.json()]).to.deep.equal([500, { code: "internal", msg: "unable to verify the first certificate" }]);
    untrusted.close();
    tls.close();
  });

  it("hands on no half of an answer, and lets go with whoever lets go", async () => {
    reply = (response) => {
      response.writeHead(200, { "content-length": 100 }).write("half");
      setTimeout(() => response.destroy(), 50);
    };
    const answer = await post(scanPath, "x");
    expect([answer.status, await answer.json()]).to.deep.equal([503, { code: "unavailable", msg: "aborted" }]);
    expect(service.taken()).to.equal(undefined);

    let closed = false;
    reply = (response) => response.once("close", () => (closed = true));
    const impatient = request(service.url + scanPath, { method: "POST" }).on("error", () => undefined);
    impatient.end("x");
    while (seen.length < 2) await delay(10);
    impatient.destroy();
    for (let tries = 0; !closed && tries < 200; tries++) await delay(10);
    expect(closed, "the service heard of it").to.equal(true);
  });

  it("waits no longer than it is told, and ends with the run", async () => {
    reply = () => undefined;
    expect(await service.ask("", 0.1, never)).to.equal(undefined);
    const ending = new AbortController();
    setTimeout(() => ending.abort(), 50);
    const ended = await service.ask("", 60, ending.signal).then(
      () => "answered",
      () => "aborted",
    );
    expect(ended).to.equal("aborted");
  });
});

describe("the fingerprint of an answer", () => {
  const cvss = (vendor: string, vector: string) => [12, message([1, vendor], [2, message([2, vector])])] as const;
  const severity = (vendor: string) => [21, message([1, vendor])] as const;
  const answer = (...vulnerabilities: readonly Buffer[]) =>
    message([1, message([1, "alpine"])], [3, message([1, "target"], ...vulnerabilities.map((body) => [2, body] as const))]);
  const nvd = cvss("nvd", "CVSS:3.1/AV:N");
  const redhat = cvss("redhat", "CVSS:3.1/AV:L");

  it("is the same in whatever order the entries of a map come", () => {
    const one = answer(message([1, "CVE-1"], nvd, redhat, [14, "url"], severity("nvd"), severity("redhat")));
    const other = answer(message([1, "CVE-1"], redhat, nvd, [14, "url"], severity("redhat"), severity("nvd")));
    expect(one.equals(other)).to.equal(false);
    expect(fingerprint(one)).to.equal(fingerprint(other));
  });

  it("is another when anything else is", () => {
    const first = message([1, "CVE-1"], nvd, redhat);
    const second = message([1, "CVE-2"], nvd);
    const all = [
      answer(first, second),
      answer(second, first),
      answer(first),
      answer(first, second, second),
      answer(message([1, "CVE-1"], nvd), message([1, "CVE-2"], redhat, nvd)),
      answer(message([1, "CVE-1"], nvd, cvss("redhat", "CVSS:3.1/AV:P")), second),
      answer(message([1, "CVE-10"], nvd, redhat), second),
      message([1, message([1, "debian"])], [3, message([1, "target"], [2, first], [2, second])]),
      answer(),
      message(),
    ].map(fingerprint);
    expect(all).not.to.include(undefined);
    expect(new Set(all).size).to.equal(all.length);
  });

  it("reads fields of every kind, and tells what is none", () => {
    const number = Buffer.concat([varint(4 * 8), varint(300)]);
    const eight = Buffer.concat([varint(5 * 8 + 1), Buffer.alloc(8, 1)]);
    const four = Buffer.concat([varint(100 * 8 + 5), Buffer.alloc(4, 1)]);
    const whole = Buffer.concat([number, eight, four, message([3, message([1, "t"])])]);
    expect(fingerprint(whole)).to.be.a("string");
    for (const wrong of ["<html>", "{}", whole.subarray(0, -1), Buffer.alloc(12, 0xff), message([3, "no message"])])
      expect(fingerprint(Buffer.from(wrong as string)), `${wrong}`).to.equal(undefined);
  });
});
