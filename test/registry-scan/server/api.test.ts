import { expect } from "chai";
import { finding, ReportsServer, scanned, start, target, token } from "../../support/reports-server.ts";

describe("the API of the reports server", () => {
  let server: ReportsServer;

  beforeEach(async () => {
    server = new ReportsServer();
    await server.up();
  });
  afterEach(() => server.remove());

  it("requests to the API without the token are refused", async () => {
    for (const authorization of ["", token, `Bearer ${token}x`, "Bearer ", `Basic ${token}`]) {
      const { status, body } = await server.call<{ error: string }>("PUT", "/runs/nightly-1", start(), { authorization });
      expect([authorization, status]).to.deep.equal([authorization, 401]);
      expect(body.error).to.include("REPORTS_TOKEN").and.not.include(token);
    }
    expect((await server.call("GET", "/runs/nightly-1")).status).to.equal(404);
    expect((await fetch(`${server.pages}/api/runs/nightly-1`)).status).to.equal(404);
  });

  it("while the token is rotated, pods of a run in progress may send the previous one", async () => {
    await server.remove();
    server = new ReportsServer({}, { environment: { REPORTS_TOKEN: "the-next-token-of-the-pods", REPORTS_PREVIOUS_TOKEN: token } });
    await server.up();
    for (const [sent, expected] of [
      [token, 200],
      ["the-next-token-of-the-pods", 200],
      ["the-one-before", 401],
    ] as const)
      expect((await server.call("PUT", "/runs/nightly-1", start(), { authorization: `Bearer ${sent}` })).status, sent).to.equal(expected);
  });

  it("an invalid request is refused with a message that names the problem, and the run continues", async () => {
    const refused = async (method: string, path: string, body: unknown, status: number, error: RegExp) => {
      const answer = await server.call<{ error: string }>(method, path, body);
      expect([path, answer.status], answer.body.error).to.deep.equal([path, status]);
      expect(answer.body.error).to.match(error);
    };
    await refused("PUT", "/runs/..%2fstate", start(), 400, /is not a valid name of a run/);
    await refused("PUT", "/runs/UPPER", start(), 400, /is not a valid name of a run/);
    await refused("PUT", "/runs/nightly-1", "{", 400, /^the run's start is not valid: the text is not valid JSON/);
    await refused(
      "PUT",
      "/runs/nightly-1",
      { ...start(), startedAt: "today" },
      400,
      /^the run's start is not valid: `startedAt` is not valid$/,
    );
    await refused("POST", "/runs/nightly-1/next", { pod: "0", process: "p" }, 404, /^run nightly-1 has not begun/);
    await refused("DELETE", "/runs/nightly-1", undefined, 404, /^the API has no DELETE \/api\/runs\/nightly-1$/);
    await server.begin("nightly-1");
    await refused(
      "PUT",
      "/runs/nightly-1/plan",
      '{"problem":{"kind":"error","about":"x","message":"y"}}\n{"target":{"id":"../x"}}',
      400,
      /^line 2 of the plan is not valid: `target.id` is not valid, `target.reference` is missing, `target.names` is missing$/,
    );
    await refused(
      "PUT",
      "/runs/nightly-1/plan",
      [target("a"), target("a")].map((target) => JSON.stringify({ target })).join("\n"),
      400,
      /^two targets have the id "a"/,
    );
    await server.plan("nightly-1", [target("a")]);
    await refused("POST", "/runs/nightly-1/next", {}, 400, /^the question is not valid: `pod` is missing, `process` is missing$/);
    await refused("PUT", "/runs/nightly-1/targets/a?attempt=first", scanned(), 400, /^`attempt` is not a positive number$/);
    await refused("PUT", "/runs/nightly-1/targets/z", scanned(), 404, /^run nightly-1 has no target "z"/);
    await refused(
      "PUT",
      "/runs/nightly-1/targets/a",
      { ...scanned(), findings: [finding("CVE-2026-1"), { id: "x" }] },
      400,
      /^the result is not valid: `findings\[1\].scanner` is not one of vuln, secret, misconfig, license, `findings\[1\].severity` is not one of /,
    );
    await refused(
      "PUT",
      "/runs/nightly-1/targets/a",
      { ...scanned(), exchange: { client: "c", request: "q" } },
      400,
      /^the result is not valid: `exchange.response` is missing$/,
    );
    expect((await server.call("GET", "/runs/nightly-1")).body).to.deep.include({ state: "scanning", planned: 1, scanned: 0 });
    expect(server.lines.filter((line) => line.startsWith("error"))).to.deep.equal([]);
  });

  it("a body that is too large is refused, with and without a Content-Length", async () => {
    const long = "x".repeat(100_000);
    const declared = await server.call<{ error: string }>("PUT", "/runs/nightly-1", long);
    expect([declared.status, declared.body.error]).to.deep.equal([413, "the body is larger than 65536 bytes"]);
    const chunked = await fetch(`${server.api}/runs/nightly-1`, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}` },
      body: new Blob([long]).stream(),
      duplex: "half",
    });
    expect(chunked.status).to.equal(413);
    const large = await server.call<{ error: string }>("PUT", "/runs/nightly-1", "x".repeat(32 << 20));
    expect(large.status, "an answer before the body is sent").to.equal(413);
    expect((await server.begin("nightly-1")).status).to.equal(200);
  });
});
