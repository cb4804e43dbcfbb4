import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { finding, ReportsServer, scanned, target } from "../../support/reports-server.ts";

const damages: Readonly<Record<string, (content: Buffer) => Buffer>> = {
  empty: () => Buffer.alloc(0),
  "cut off": (content) => content.subarray(0, Math.floor(content.length / 2)),
  zeroed: (content) => Buffer.alloc(content.length),
  "damaged in one byte": (content) => {
    const damaged = Buffer.from(content);
    damaged[Math.floor(content.length / 2)] = 0;
    return damaged;
  },
  "another file's": () => Buffer.from('["something else"]\n'),
};

/** Files of the server, below its volume: of a finished run, of one in progress, and of its state. */
const files = [
  ["runs", "one", "finished.json"],
  ["runs", "two", "start.json"],
  ["runs", "two", "queue", "plan.ndjson"],
  ["runs", "two", "queue", "results.ndjson"],
  ["state", "latest.json"],
  ["state", "last-good.ndjson"],
  ["outbox", "state.json"],
];

const targets = [target("a"), target("b")];
const scan = () => scanned([finding("CVE-1")]);

describe("the reports server with a damaged volume", () => {
  let server: ReportsServer;
  let good: string;

  before(async () => {
    good = mkdtempSync(join(tmpdir(), "volume-"));
    server = new ReportsServer();
    await server.up();
    await server.whole("one", targets, scan);
    await server.begin("two");
    await server.plan("two", targets);
    const answer = await server.next("two");
    if (answer.next === "scan") await server.result("two", answer.target.id, scan(), answer.attempt);
    await server.end("SIGKILL");
    cpSync(server.volume(), good, { recursive: true });
  });
  after(async () => {
    await server.remove();
    rmSync(good, { recursive: true });
  });

  for (const path of files)
    for (const [how, damage] of Object.entries(damages))
      it(`${path.join("/")} is ${how}: the server starts, and the next run ends with all findings`, async () => {
        rmSync(server.volume(), { recursive: true });
        cpSync(good, server.volume(), { recursive: true });
        const file = server.volume(...path);
        writeFileSync(file, damage(readFileSync(file)));
        server.lines.length = 0;
        expect(await server.up(), server.lines.join("\n")).to.equal(undefined);
        try {
          // Continues if it was not put aside.
          if (existsSync(server.run("two"))) await server.work("two", scan);
          const { verdict, scanned: done } = await server.whole("three", targets, scan);
          expect({ verdict, done }, server.lines.join("\n")).to.deep.equal({ verdict: "findings", done: 2 });
          expect((await server.page("/runs/")).status).to.equal(200);
        } finally {
          await server.end("SIGKILL");
        }
      });

  it("what was put aside is named in the log, and kept", async () => {
    rmSync(server.volume(), { recursive: true });
    cpSync(good, server.volume(), { recursive: true });
    for (const path of [
      server.run("one", "finished.json"),
      server.run("two", "queue", "plan.ndjson"),
      server.volume("state", "latest.json"),
    ])
      writeFileSync(path, "\0");
    server.lines.length = 0;
    await server.up();
    await server.end("SIGKILL");
    const log = server.lines.join("\n");
    for (const name of ["one", "two"]) {
      expect(log).to.match(new RegExp(`error: \\S+/runs/${name}/\\S+ is damaged; the run was put aside as \\S+/damaged/${name}`));
      expect(existsSync(server.volume("damaged", name))).to.equal(true);
    }
    expect(log).to.match(/latest\.json is damaged and was put aside as \S+latest\.json\.damaged/);
  });

  it("a plan that says nothing is refused, because it would end the run as clean", async () => {
    rmSync(server.volume(), { recursive: true });
    await server.up();
    await server.begin("four");
    const { status, body } = await server.plan("four", []);
    expect([status, body]).to.deep.equal([400, { error: "the plan has neither a target nor a problem" }]);
    expect((await server.whole("four", targets, scan)).verdict).to.equal("findings");
    await server.end("SIGKILL");
  });
});
