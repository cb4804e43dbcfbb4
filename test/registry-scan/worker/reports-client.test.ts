import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import type { PlanLine } from "../../../registry-scan/protocol/api.ts";
import { ReportsClient } from "../../../registry-scan/worker/reports-client.ts";
import { ReportsStub } from "../../support/reports-stub.ts";

describe("ReportsClient", () => {
  const lines: string[] = [];
  const stub = new ReportsStub();
  const stop = new AbortController();
  let dropping: Server | undefined;
  const client = (url: string, patience: number) =>
    new ReportsClient({ url, token: stub.token, run: "run-1", signal: stop.signal, log: (line) => lines.push(line), patience });

  before(() => stub.listen());
  afterEach(() => lines.splice(0));
  after(async () => {
    await stub.close();
    dropping?.close();
  });

  it("the reports client stops retrying after its patience, with the last reason", async () => {
    stub.broken = 503;
    const error = await client(stub.url, 0.2)
      .status()
      .catch((error: Error) => error.message);
    stub.broken = undefined;
    expect(error).to.equal(`the reports server at ${stub.url} has been unavailable for 0.2 s: HTTP 503 {"error":"broken"}`);
    expect(lines).to.deep.equal([`the reports server at ${stub.url} is unavailable (HTTP 503 {"error":"broken"}); retrying for 0.2 s`]);
  });

  it("an invalid answer of the reports server is reported by its invalid fields", async () => {
    const server = createServer((_, response) => response.end('{"run":"run-1","state":"unknown","planned":0,"scanned":0}'));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const error = await client(`http://127.0.0.1:${port}`, 60)
      .status()
      .catch((error: Error) => error.message);
    server.close();
    expect(error).to.equal("`state` is not one of planning, scanning, finished; `failed` is missing");
  });

  it("a plan whose transfer was interrupted is sent again from the start", async () => {
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
    expect((await client(`http://127.0.0.1:${port}/`, 60).plan(plan)).planned).to.equal(5000);
    expect(tries).to.equal(2);
    expect(
      bodies
        .join("")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).to.deep.equal([...plan()]);
    expect(lines[0]).to.match(/is unavailable/);
    expect(lines[1]).to.match(/is available again/);
  });

  it("the reports client waits for an unknown run, and stops retrying when the signal is aborted", async () => {
    expect(await client(stub.url, 60).next("1")).to.deep.equal({ next: "wait", seconds: 0.5 });
    stub.broken = 500;
    const waiting = client(stub.url, 60).status();
    setTimeout(() => stop.abort(), 100);
    const error = await waiting.catch((error: Error) => error.name);
    expect(error).to.equal("AbortError");
  });
});
