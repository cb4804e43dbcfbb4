import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { defectDojoMessage } from "../../../../registry-scan/server/alerts/defectdojo.ts";
import { deliver, type Receiver } from "../../../../registry-scan/server/alerts/delivery.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

const place = { product: "Container images", engagement: "Registry scan" };

/** What DefectDojo requires of a reimport, by its documentation and clients: https://docs.defectdojo.com */
const required = ["scan_type", "product_name", "engagement_name", "test_title", "auto_create_context", "close_old_findings"];

describe("the import into DefectDojo", () => {
  let server: Server;
  let got: { path: string | undefined; headers: IncomingHttpHeaders; form: FormData } | undefined;
  let status = 201;
  beforeEach(async () => {
    got = undefined;
    status = 201;
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const type = request.headers["content-type"] ?? "";
      const form = await new Response(Buffer.concat(chunks), { headers: { "content-type": type } }).formData();
      got = { path: request.url, headers: request.headers, form };
      response.writeHead(status).end("{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  const send = (message: object) => {
    const receiver: Receiver = {
      ...{ name: "dojo", type: "defectdojo", authorized: true, authorization: "Token 0f0f", defectDojo: place },
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    };
    return deliver(receiver, message, { signal: AbortSignal.timeout(5000), now: () => new Date(), fetch });
  };

  it("all findings of a run are sent as SARIF in a form, also those of images that could not be scanned", async () => {
    const runs = new Runs();
    runs.next([scanned("r/a:1", [finding()]), scanned("r/b:1", [finding()])]);
    const report = runs.next([scanned("r/a:1", [finding()]), failed("r/b:1")]);
    expect(await send(defectDojoMessage(report, { ...place, productType: "Images" }) ?? {})).to.equal(undefined);
    expect(got?.path).to.equal("/api/v2/reimport-scan/");
    expect(got?.headers.authorization).to.equal("Token 0f0f");
    expect(got?.headers["content-type"]).to.match(/^multipart\/form-data; boundary=/);
    for (const field of required) expect(got?.form.get(field), field).to.be.a("string");
    expect(
      Object.fromEntries(["scan_type", "product_name", "product_type_name", "version"].map((key) => [key, got?.form.get(key)])),
    ).to.deep.equal({
      scan_type: "SARIF",
      product_name: "Container images",
      product_type_name: "Images",
      version: report.run,
    });
    const file = got?.form.get("file") as File;
    expect(file.name).to.equal("report.sarif");
    const log = JSON.parse(await file.text());
    expect(log.runs[0].results).to.have.length(2);
  });

  it("a run of some images is not sent, because DefectDojo would close the findings of all others", () => {
    const report = new Runs().next([scanned("r/a:1", [finding()])], { partial: true });
    expect(defectDojoMessage(report, place)).to.equal(undefined);
  });

  it("a refused import is retried or put aside like every message", async () => {
    const message = defectDojoMessage(new Runs().next([scanned("r/a:1", [])]), place) ?? {};
    status = 400;
    expect(await send(message)).to.deep.include({ permanent: true });
    status = 503;
    expect(await send(message)).to.deep.equal({ reason: "is overloaded or has failed: HTTP 503" });
  });
});
