import { createHash, createHmac } from "node:crypto";
import { readdirSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";
import { expect } from "chai";
import { ReportsServer, scanned, target } from "../../support/reports-server.ts";

const keys = { AWS_ACCESS_KEY_ID: "the-access-key", AWS_SECRET_ACCESS_KEY: "the-secret-key" };
const region = "eu-central-1";

const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");

/** Checks the request's AWS Signature Version 4 as the service does. */
function isSigned({ method, url, headers }: IncomingMessage, body: Buffer): boolean {
  const [, credential = "", signedHeaders = "", signature] =
    /^AWS4-HMAC-SHA256 Credential=(.*), SignedHeaders=(.*), Signature=(.*)$/.exec(headers.authorization ?? "") ?? [];
  const [accessKey, date = "", ...scope] = credential.split("/");
  if (accessKey !== keys.AWS_ACCESS_KEY_ID || scope.join("/") !== `${region}/s3/aws4_request`) return false;
  if (headers["x-amz-content-sha256"] !== sha256(body) || !signedHeaders.split(";").includes("host")) return false;
  const canonical = [
    method,
    url,
    "",
    ...signedHeaders.split(";").map((name) => `${name}:${headers[name]}`),
    "",
    signedHeaders,
    headers["x-amz-content-sha256"],
  ].join("\n");
  const key = hmac(hmac(hmac(hmac(`AWS4${keys.AWS_SECRET_ACCESS_KEY}`, date), region), "s3"), "aws4_request");
  const text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], [date, ...scope].join("/"), sha256(canonical)].join("\n");
  return signature === hmac(key, text).toString("hex");
}

describe("copies of the reports in a bucket", () => {
  let server: ReportsServer;
  let service: Server;
  const objects = new Map<string, { type: string | undefined; body: Buffer }>();
  let refusal: { status: number; body: string } | undefined;

  beforeEach(async () => {
    objects.clear();
    refusal = undefined;
    service = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks);
      if (refusal) return response.writeHead(refusal.status).end(refusal.body);
      if (request.method !== "PUT" || !isSigned(request, body) || Number(request.headers["content-length"]) !== body.length) {
        return response
          .writeHead(403)
          .end("<Error><Code>SignatureDoesNotMatch</Code><Message>the signature does not match</Message></Error>");
      }
      const hashes = { "x-amz-checksum-sha256": "sha256", "content-md5": "md5" };
      if (Object.entries(hashes).some(([header, hash]) => request.headers[header] !== createHash(hash).update(body).digest("base64")))
        return response
          .writeHead(400)
          .end("<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is required</Message></Error>");
      objects.set(decodeURIComponent(request.url ?? ""), { type: request.headers["content-type"], body });
      return response.writeHead(200).end();
    }).listen(0);
  });
  afterEach(async () => {
    await server.remove();
    service.closeAllConnections();
    service.close();
  });

  const up = async (environment: Record<string, string> = keys) => {
    const endpoint = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
    server = new ReportsServer({ bucket: { endpoint, region, name: "reports", prefix: "scans/of team" } }, { environment });
    await server.up();
  };
  const waiting = async () => /^trivy_registry_scan_runs_not_copied (\d+)$/m.exec(await server.metrics())?.[1];
  const said = async (text: string) => {
    while (!server.lines.some((line) => line.includes(text))) await setTimeout(20);
  };

  it("the files of a report are copied with their media types and checksums in signed requests, and no other files", async () => {
    await up();
    await server.begin("nightly-1");
    await server.plan("nightly-1", [target("a")]);
    await server.next("nightly-1");
    await server.call("PUT", "/runs/nightly-1/targets/a/cyclonedx", { bomFormat: "CycloneDX" });
    await server.result("nightly-1", "a", scanned());
    await said("run nightly-1: 6 files copied to the bucket");
    const place = "/reports/scans/of team/runs";
    const [image = ""] = readdirSync(server.run("nightly-1", "images"));
    const [document = ""] = readdirSync(server.run("nightly-1", "cyclonedx"));
    expect(Object.fromEntries([...objects].map(([name, { type }]) => [name, type]))).to.deep.equal({
      [`${place}/index.html`]: "text/html; charset=utf-8",
      [`${place}/nightly-1/index.html`]: "text/html; charset=utf-8",
      [`${place}/nightly-1/report.json`]: "application/json",
      [`${place}/nightly-1/report.sarif`]: "application/sarif+json",
      [`${place}/nightly-1/images/${image}`]: "text/html; charset=utf-8",
      [`${place}/nightly-1/cyclonedx/${document}`]: "application/json",
    });
    expect(JSON.parse(objects.get(`${place}/nightly-1/report.json`)?.body.toString() ?? "")).to.deep.include({ run: "nightly-1" });
    expect(await waiting()).to.equal("0");
  });

  it("a failed copy is retried, also after a restart, and a run is copied once", async () => {
    refusal = { status: 503, body: "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>" };
    await up();
    await server.whole("nightly-1", [target("a")], () => scanned());
    await said("run nightly-1: not copied to the bucket, will be retried: bucket reports at http://127.0.0.1");
    expect(server.lines.join("\n")).to.match(/refused runs\/\S+ \(\d+ bytes\): HTTP 503 SlowDown: Please reduce your request rate\./);
    expect(await waiting()).to.equal("1");
    refusal = undefined;
    await server.restart();
    await said("run nightly-1: 5 files copied to the bucket");
    objects.clear();
    await server.restart();
    await server.whole("nightly-2", [target("a")], () => scanned());
    await said("run nightly-2: 5 files copied to the bucket");
    expect([...objects.keys()].filter((name) => name.includes("nightly-1"))).to.deep.equal([]);
  });

  it("the log distinguishes refused keys from an unreachable endpoint, and contains no key", async () => {
    await up({ ...keys, AWS_SECRET_ACCESS_KEY: "another-secret" });
    await server.whole("nightly-1", [target("a")], () => scanned());
    await said(
      "HTTP 403 SignatureDoesNotMatch: the signature does not match; check the bucket's access keys and region, and whether the keys may write to it",
    );
    service.closeAllConnections();
    await new Promise((resolve) => service.close(resolve));
    await server.restart();
    await said("cannot be reached: connect ECONNREFUSED");
    expect(server.lines.join("\n")).to.not.match(/another-secret|the-access-key/);
  });
});
