import { createServer, type Server } from "node:http";
import { expect } from "chai";
import type { PlanLine } from "../../../registry-scan/protocol/model.ts";
import { Reports } from "../../../registry-scan/worker/reports-client.ts";
import { ReportsStub } from "../../support/reports-stub.ts";

describe("the reports server, as the pods of a registry scan speak to it", () => {
  const lines: string[] = [];
  const stub = new ReportsStub();
  const stop = new AbortController();
  let dropping: Server | undefined;
  const reports = (url: string, patience: number) =>
    new Reports({ url, token: stub.token, run: "run-1", signal: stop.signal, log: (line) => lines.push(line), patience });

  before(() => stub.listen());
  afterEach(() => lines.splice(0));
  after(async () => {
    await stub.close();
    dropping?.close();
  });

  it("is given up when it stays away, with what it said last", async () => {
    stub.broken = 503;
    const error = await reports(stub.url, 0.2)
      .status()
      .catch((error: Error) => error.message);
    stub.broken = undefined;
    expect(error).to.equal(`the reports server at ${stub.url} has been away for 0.2 s: HTTP 503 {"error":"broken"}`);
    expect(lines).to.deep.equal([`the reports server at ${stub.url} is away (HTTP 503 {"error":"broken"}); trying again for 0.2 s`]);
  });

  it("gets a plan that broke off once more, as a whole", async () => {
    let tries = 0;
    const bodies: string[] = [];
    const server = createServer(async (request, response) => {
      if (++tries === 1) return request.once("data", () => request.socket.destroy());
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
      bodies.push(body);
      response.end(JSON.stringify({ run: "run-1", state: "scanning", planned: 5000, scanned: 0, failed: 0 }));
    });
    dropping = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    function* plan(): Generator<PlanLine> {
      for (let id = 0; id < 5000; id++) yield { target: { id: `${id}`, reference: `r.example/a:${id}`, names: [`r.example/a:${id}`] } };
    }
    expect((await reports(`http://127.0.0.1:${port}/`, 60).plan(plan)).planned).to.equal(5000);
    expect(tries).to.equal(2);
    expect(
      bodies
        .join("")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).to.deep.equal([...plan()]);
    expect(lines[0]).to.match(/is away/);
    expect(lines[1]).to.match(/is back/);
  });

  it("is waited for when it does not know the run yet, and no longer when this process is to end", async () => {
    expect(await reports(stub.url, 60).next("1")).to.deep.equal({ next: "wait", seconds: 0.5 });
    stub.broken = 500;
    const waiting = reports(stub.url, 60).status();
    setTimeout(() => stop.abort(), 100);
    const error = await waiting.catch((error: Error) => error.name);
    expect(error).to.equal("AbortError");
  });
});
