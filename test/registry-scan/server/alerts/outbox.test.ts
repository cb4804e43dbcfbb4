import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { PostedAlert } from "../../../../registry-scan/server/alerts/alertmanager.ts";
import type { Receiver } from "../../../../registry-scan/server/alerts/delivery.ts";
import type { JsonMessage } from "../../../../registry-scan/server/alerts/json.ts";
import { Outbox } from "../../../../registry-scan/server/alerts/outbox.ts";
import { finding, Runs, scanned } from "../../../support/registry-reports.ts";

const link = "https://scans.example/";
const old = finding();
const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib", fixed: undefined });

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

/** A receiver that records requests. It answers with the given statuses in turn, then with 200. */
class Hook {
  readonly got: { path: string; headers: IncomingHttpHeaders; body: unknown }[] = [];
  answers: (number | "cut")[] = [];
  readonly headers: Record<string, string> = {};
  readonly #server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const answer = this.answers.shift() ?? 200;
    this.got.push({ path: request.url ?? "", headers: request.headers, body: JSON.parse(body) });
    if (answer === "cut") response.destroy();
    else response.writeHead(answer, this.headers).end("{}");
  });

  async listen(port = 0): Promise<string> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const receiver = (type: Receiver["type"], url: string, given: Partial<Receiver> = {}): Receiver => ({
  name: type,
  type,
  authorized: false,
  url,
  link,
  ...given,
});

describe("Outbox", () => {
  let folder: string;
  let hook: Hook;
  let url: string;
  let boxes: Outbox[];
  const said: string[] = [];
  const { error, log } = console;
  const secret = "T0PS3CRET";

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "outbox-"));
    hook = new Hook();
    url = `${await hook.listen()}/${secret}`;
    boxes = [];
    said.length = 0;
    console.error = console.log = (line: string) => said.push(line);
  });
  afterEach(async () => {
    Object.assign(console, { error, log });
    await Promise.all(boxes.map((box) => box.stop()));
    hook.close();
    await rm(folder, { recursive: true });
  });

  const outbox = (...receivers: Receiver[]) => {
    const box = new Outbox(folder, receivers);
    boxes.push(box);
    return box;
  };
  const delivered = (box: Outbox) => until(() => Object.values(box.undelivered()).every((waiting) => waiting === 0));
  const bodies = () => hook.got.map(({ body }) => (body as { run: string }).run);

  it("a run's message is delivered once and in order, however often the run is added", async () => {
    const runs = new Runs();
    const reports = [runs.next([scanned("r/a:1", [old])]), runs.next([scanned("r/a:1", [other])])];
    const box = outbox(receiver("json", url, { authorization: "Bearer abc" }));
    for (const report of [...reports, ...reports]) await box.add(report);
    expect(box.undelivered()).to.deep.equal({ json: 2 });
    box.start();
    await delivered(box);
    for (const report of reports) await box.add(report);
    const later = outbox(receiver("json", url));
    later.start();
    for (const report of reports) await later.add(report);
    expect(later.undelivered()).to.deep.equal({ json: 0 });
    expect(bodies()).to.deep.equal(["registry-scan-1", "registry-scan-2"]);
    expect(hook.got[0]?.headers).to.include({ authorization: "Bearer abc", "idempotency-key": "registry-scan-1-json" });
  });

  it("a refused message is retried, also after a restart, and the log has the reason without the URL", async () => {
    hook.answers = [503, 404, "cut"];
    const box = outbox(receiver("json", url));
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => said.length === 2);
    await box.stop();
    const later = outbox(receiver("json", url));
    later.start();
    await until(() => later.undelivered()["json"] === 1);
    await delivered(later);
    await until(() => said.length === 4);
    expect(new Set(hook.got.map(({ headers }) => headers["idempotency-key"]))).to.deep.equal(new Set(["registry-scan-1-json"]));
    expect(said.map((line) => line.split(";")[0])).to.deep.equal([
      "receiver json is overloaded or has failed: HTTP 503",
      "receiver json refuses messages: HTTP 404",
      "receiver json cannot be reached (UND_ERR_SOCKET)",
      "receiver json accepts messages again",
    ]);
  });

  it("a message that the receiver refuses for good lets later ones pass", async () => {
    const runs = new Runs();
    const box = outbox(receiver("json", url));
    hook.answers = [400];
    await box.add(runs.next([scanned("r/a:1", [old])]));
    await box.add(runs.next([scanned("r/a:1", [other])]));
    box.start();
    await delivered(box);
    expect(bodies()).to.deep.equal(["registry-scan-1", "registry-scan-2", "registry-scan-1"]);
    expect(said[0]).to.match(/refuses messages: HTTP 400; the message is tried again a few times/);
  });

  it("a message that is refused again and again is put aside, and sent again after the next start", async () => {
    const box = new Outbox(folder, [receiver("json", url)], { firstDelay: 10 });
    boxes.push(box);
    hook.answers = Array.from({ length: 8 }, () => 422);
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => box.refused()["json"] === 1);
    expect(box.undelivered()).to.deep.equal({ json: 0 });
    expect(hook.got).to.have.length(8);
    expect(said.at(-1)).to.match(/json has refused the message about registry-scan-1 8 times; it is sent again after the next start/);
    await box.stop();
    const later = outbox(receiver("json", url));
    later.start();
    await until(() => hook.got.length === 9);
    await delivered(later);
    expect(later.refused()).to.deep.equal({ json: 0 });
  });

  it("a receiver that finds a message too long gets a shorter one, and alerts in smaller portions", async () => {
    const many = Array.from({ length: 40 }, (_, index) => scanned(`r/${index}:1`, [old]));
    const report = new Runs().next(many);
    const json = outbox(receiver("json", url));
    hook.answers = [413];
    await json.add(report);
    json.start();
    await delivered(json);
    const [long, short] = hook.got.map(({ body }) => body as JsonMessage);
    expect(long?.new).to.have.length(40);
    expect(short?.new).to.have.length(10);
    expect(short).to.deep.include({ run: "registry-scan-1", omitted: { new: 30, fixed: 0 }, totals: long?.totals });
    await json.stop();
    await rm(folder, { recursive: true });
    hook.got.length = 0;
    hook.answers = [413, 413];
    const alertmanager = outbox(receiver("alertmanager", url));
    await alertmanager.add(report);
    alertmanager.start();
    await delivered(alertmanager);
    expect(hook.got.map(({ body }) => (body as unknown[]).length)).to.deep.equal([40, 40, 18, 18, 4]);
  });

  it("a damaged message or state is put aside, and the others are delivered", async () => {
    const runs = new Runs();
    const box = outbox(receiver("json", url));
    await box.add(runs.next([scanned("r/a:1", [old])]));
    await box.add(runs.next([scanned("r/a:1", [other])]));
    const [first = ""] = (await readdir(join(folder, "json"))).sort();
    await writeFile(join(folder, "json", first), '{"run": "registry-sc');
    await writeFile(join(folder, "state.json"), "\0\0\0\0");
    const later = outbox(receiver("json", url));
    later.start();
    await delivered(later);
    await until(() => hook.got.length === 1);
    expect(bodies()).to.deep.equal(["registry-scan-2"]);
    expect(await readdir(folder)).to.have.members(["json", "state.json.damaged"]);
    expect(await readdir(join(folder, "json"))).to.deep.equal([`${first}.damaged`]);
    expect(said.join("\n"))
      .to.match(/state\.json\.damaged/)
      .and.match(/registry-scan-1 is damaged and was put aside/);
  });

  it("a retry waits as long as the receiver's Retry-After says", async () => {
    hook.answers = [429];
    hook.headers["retry-after"] = "3600";
    const box = outbox(receiver("json", url));
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => said.length === 1);
    await sleep(1500);
    expect(hook.got).to.have.length(1);
    expect(box.undelivered()).to.deep.equal({ json: 1 });
  });

  it("an unreachable receiver does not delay other receivers", async () => {
    const box = outbox(receiver("slack", "http://127.0.0.1:9/x"), receiver("json", url));
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => box.undelivered()["json"] === 0);
    expect(box.undelivered()).to.deep.equal({ slack: 1, json: 0 });
  });

  it("redirects are not followed, and invalid URLs are reported without the URL", async () => {
    hook.answers = [307];
    hook.headers["location"] = "https://elsewhere.example/";
    const box = outbox(
      receiver("json", url),
      receiver("slack", `hooks/${secret}`),
      receiver("alertmanager", `http://%zz:${secret}@127.0.0.1`),
    );
    const runs = new Runs();
    await box.add(runs.next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => said.length >= 3);
    expect(said.join("\n")).to.include("a redirect, which is not followed: HTTP 307").and.include("it must begin with http:// or https://");
  });

  it("URLs and tokens of receivers are in no file and no log line", async () => {
    hook.answers = [500];
    const away = receiver("slack", `http://nobody.invalid/${secret}`, { authorization: `Bearer ${secret}\nx` });
    const box = outbox(
      receiver("json", url, { authorization: `Bearer ${secret}` }),
      away,
      receiver("alertmanager", `http://u:${secret}@127.0.0.1:9`),
    );
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => said.length >= 3);
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    expect(files).to.have.length.at.least(3);
    for (const { parentPath, name } of files) expect(await readFile(join(parentPath, name), "utf8")).to.not.include(secret);
    expect(said.join("\n")).to.not.include(secret);
  });

  it("messages of a removed receiver and of an interrupted add are dropped", async () => {
    const box = outbox(receiver("slack", url), receiver("json", url));
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    await writeFile(join(folder, "json", "20260101~never-added.json"), "{}");
    const later = outbox(receiver("json", url));
    later.start();
    await until(() => hook.got.length === 1);
    await delivered(later);
    expect(await readdir(folder)).to.have.members(["json", "state.json"]);
    expect(bodies()).to.deep.equal(["registry-scan-1"]);
  });

  it("Alertmanager gets the active alerts in chunks, and again after each start", async () => {
    const many = Array.from({ length: 700 }, (_, index) => scanned(`r/${index}:1`, [old]));
    const box = outbox(receiver("alertmanager", url));
    const runs = new Runs();
    await box.add(runs.next(many));
    box.start();
    await delivered(box);
    const alerts = hook.got.flatMap(({ body }) => body as PostedAlert[]);
    expect(hook.got.map(({ path, body }) => [path, (body as unknown[]).length])).to.deep.equal([
      [`/${secret}/api/v2/alerts`, 300],
      [`/${secret}/api/v2/alerts`, 300],
      [`/${secret}/api/v2/alerts`, 100],
    ]);
    expect(new Set(alerts.map(({ labels }) => labels["image"])).size).to.equal(700);
    expect(alerts[0]?.generatorURL).to.match(/^https:\/\/scans\.example\/runs\/registry-scan-1\/images\/r_0_1-/);
    await box.stop();
    hook.got.length = 0;
    const later = outbox(receiver("alertmanager", url));
    later.start();
    await until(() => hook.got.length === 3);
    await later.add(runs.next(many.slice(1)));
    await delivered(later);
    const ended = hook.got.flatMap(({ body }) => body as PostedAlert[]).filter(({ endsAt }) => Date.parse(endsAt) <= Date.now());
    expect(ended.map(({ labels }) => labels["image"])).to.deep.equal(["r/0:1"]);
  });
});

/** Set `ALERTMANAGER` to the path of its program to run these tests. */
describe("Outbox with a real Alertmanager", function () {
  this.timeout(60_000);
  const program = process.env["ALERTMANAGER"];
  const address = "http://127.0.0.1:19093";
  let folder: string;
  let process_: ChildProcess | undefined;
  let hook: Hook;
  let box: Outbox | undefined;

  const begin = async () => {
    process_ = spawn(
      program ?? "",
      [
        `--config.file=${folder}/config.yaml`,
        `--storage.path=${await mkdtemp(join(folder, "am-"))}`,
        "--web.listen-address=127.0.0.1:19093",
        "--cluster.listen-address=",
      ],
      { stdio: "ignore" },
    );
    await until(() =>
      fetch(`${address}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
  };
  const end = async () => {
    if (process_ && process_.exitCode === null && process_.signalCode === null && process_.kill("SIGKILL")) await once(process_, "exit");
  };
  const active = async () =>
    ((await (await fetch(`${address}/api/v2/alerts`)).json()) as PostedAlert[]).map(({ labels }) => labels["image"]);
  const notified = (status: string) =>
    hook.got.flatMap(({ body }) =>
      (body as { alerts: { status: string; labels: Record<string, string> }[] }).alerts.flatMap((it) =>
        it.status === status ? [it.labels["image"]] : [],
      ),
    );

  before(async function () {
    if (!program) this.skip();
    folder = await mkdtemp(join(tmpdir(), "alertmanager-"));
    hook = new Hook();
    const url = await hook.listen();
    await writeFile(
      join(folder, "config.yaml"),
      `route: {receiver: hook, group_by: [image], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: "${url}", send_resolved: true}]}]
`,
    );
  });
  after(async () => {
    await box?.stop();
    await end();
    hook?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  it("a real Alertmanager notifies once of a finding, also after an outage and its own restart, and once of its fix", async () => {
    const { error, log } = console;
    console.error = console.log = () => {};
    try {
      const runs = new Runs();
      const open = () => {
        box = new Outbox(join(folder, "outbox"), [receiver("alertmanager", address)]);
        box.start();
        return box;
      };
      const first = open();
      await first.add(runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [old])]));
      await sleep(1500);
      expect(first.undelivered(), "while it is not running").to.deep.equal({ alertmanager: 1 });
      await begin();
      await until(() => notified("firing").length >= 2);
      await first.add(runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [old])]));
      await until(() => first.undelivered()["alertmanager"] === 0);
      await sleep(3000);
      expect(notified("firing")).to.have.members(["r/a:1", "r/b:1"]);

      await end();
      await begin();
      expect(await active(), "after a restart without its data").to.be.empty;
      await first.stop();
      const second = open();
      await until(async () => (await active()).length === 2);
      hook.got.length = 0;
      await second.add(runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [])]));
      await until(() => notified("resolved").includes("r/b:1"));
      expect(await active()).to.deep.equal(["r/a:1"]);
    } finally {
      Object.assign(console, { error, log });
    }
  });
});
