import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { jsonMessage, maximumListed, nextAlerts, type PostedAlert, slackMessage } from "../../../../registry-scan/server/alerts/alerts.ts";
import { Outbox, type Receiver } from "../../../../registry-scan/server/alerts/outbox.ts";
import { failed, finding, Runs, scanned } from "../../../support/registry-reports.ts";

const link = "https://scans.example/";
const old = finding();
const other = finding({ id: "CVE-2", severity: "HIGH", package: "zlib", fixed: undefined });

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

/** A receiver that keeps what it gets, and answers as it is told: the status of each request, 200 after that. */
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

describe("alerts of a run", () => {
  it("are one for each image, package and severity, and over when fixed", () => {
    const runs = new Runs();
    const first = runs.next([scanned("r/a:1", [old, finding({ id: "CVE-3", fixed: "2.10.8" }), other]), scanned("r/b:1", [old])]);
    const before = nextAlerts([], first);
    expect(before.over).to.be.empty;
    expect(before.active.map(({ labels }) => labels)).to.deep.equal([
      { alertname: "RegistryScanFinding", image: "r/a:1", package: "apk-tools", severity: "CRITICAL" },
      { alertname: "RegistryScanFinding", image: "r/a:1", package: "zlib", severity: "HIGH" },
      { alertname: "RegistryScanFinding", image: "r/b:1", package: "apk-tools", severity: "CRITICAL" },
    ]);
    expect(before.active[0]?.annotations).to.include({ ids: "CVE-2021-36159, CVE-3", fixed: "2.10.7-r0, 2.10.8" });
    const second = runs.next([scanned("r/a:1", [old])]);
    const after = nextAlerts(before.active, second);
    expect(after.active.map(({ labels, startsAt }) => [labels["package"], startsAt])).to.deep.equal([["apk-tools", first.finishedAt]]);
    expect(after.over.map(({ labels }) => `${labels["image"]} ${labels["package"]}`)).to.deep.equal(["r/a:1 zlib", "r/b:1 apk-tools"]);
  });

  it("stay while an image cannot be scanned, which is an alert itself", () => {
    const runs = new Runs();
    const before = nextAlerts([], runs.next([scanned("r/a:1", [old])]));
    const broken = nextAlerts(
      before.active,
      runs.next([failed("r/a:1", "no route")], {}, [{ kind: "error", about: "r/b", message: "401" }]),
    );
    expect(broken.over).to.be.empty;
    expect(
      broken.active.map(({ labels, annotations }) => [labels["alertname"], labels["image"], annotations["reason"]]),
    ).to.have.deep.members([
      ["RegistryScanFinding", "r/a:1", undefined],
      ["RegistryScanFailed", "r/a:1", "no route"],
      ["RegistryScanFailed", "r/b", "401"],
    ]);
    const mended = nextAlerts(broken.active, runs.next([scanned("r/a:1", [old])]));
    expect(mended.over.map(({ labels }) => labels["alertname"])).to.deep.equal(["RegistryScanFailed", "RegistryScanFailed"]);
  });

  it("stay where a run was not asked for the image", () => {
    const runs = new Runs();
    const before = nextAlerts([], runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [old])]));
    const after = nextAlerts(before.active, runs.next([scanned("r/a:1", [])], { partial: true }));
    expect(after.active.map(({ labels }) => labels["image"])).to.deep.equal(["r/b:1"]);
    expect(after.over.map(({ labels }) => labels["image"])).to.deep.equal(["r/a:1"]);
  });
});

describe("a message for Slack", () => {
  it("tells errors, what is new and what is fixed, and says nothing when nothing happened", () => {
    const runs = new Runs();
    expect(slackMessage(runs.next([scanned("r/a:1", [old])]), link)?.text)
      .to.include("It is the first run")
      .and.include("*Found in the first run*");
    expect(slackMessage(runs.next([scanned("r/a:1", [old])]), link)).to.equal(undefined);
    const text = slackMessage(runs.next([scanned("r/a:1", [other]), failed("r/b:1", "no route")]), link)?.text;
    expect(text?.split("\n")).to.deep.equal([
      "*Registry scan registry-scan-3: errors*",
      "1 of 2 images could not be scanned. 1 finding: 1 new, 1 gone since the last good scans.",
      "*Could not be scanned*",
      "• `r/b:1`: `no route`",
      "*New*",
      "• HIGH `CVE-2` `zlib` in `r/a:1`",
      "*Fixed*",
      "• CRITICAL `CVE-2021-36159` `apk-tools` in `r/a:1`, fixed in `2.10.7-r0`",
      "<https://scans.example/runs/registry-scan-3/index.html|Open the report>",
    ]);
  });

  it("stays within Slack's limits, the worst first", () => {
    const findings = Array.from({ length: 400 }, (_, index) =>
      finding({ id: `CVE-${index}${"&".repeat(200)}`, severity: index === 399 ? "CRITICAL" : "LOW", package: "<".repeat(500) }),
    );
    const many = Array.from({ length: 300 }, (_, index) => failed(`r/${index}:${"&".repeat(300)}`, "<".repeat(4000)));
    const message = slackMessage(new Runs().next([scanned("r/a:1", findings), ...many]), link);
    const blocks = message?.blocks as { text: { text: string } }[];
    expect(Math.max(...blocks.map(({ text }) => text.text.length))).to.be.at.most(3000);
    const alone = slackMessage(
      new Runs().next([
        scanned(
          "r/a:1",
          findings.map((it) => ({ ...it, id: it.id.replaceAll("&", ""), package: "p" })),
        ),
      ]),
      link,
    );
    expect(alone?.text)
      .to.match(/in the first run\*\n• CRITICAL `CVE-399/)
      .and.match(/and 385 more/);
  });

  it("lets no name mention people, link or end its code", () => {
    const text = slackMessage(
      new Runs().next([scanned("r/a`<!channel>:1\n@here", [finding({ package: "<https://evil.example|x>&" })])]),
      undefined,
    )?.text;
    expect(text).to.include("`r/a'&lt;!channel&gt;:1 @here`").and.include("`&lt;https://evil.example|x&gt;&amp;`");
    expect(text).to.not.match(/<[!@h]/);
  });
});

describe("a JSON message", () => {
  it("has the whole of a run", () => {
    const runs = new Runs();
    expect(jsonMessage(runs.next([scanned("r/a:1", [old]), scanned("r/gone:1", [])]), link).first).to.equal(true);
    const report = runs.next([scanned("r/a:1", [other]), failed("r/b:1", "no route")], {}, [
      { kind: "warning", about: "r/c", message: "no tag" },
    ]);
    const message = jsonMessage(report, link);
    expect(message).to.deep.include({
      version: 1,
      run: "registry-scan-2",
      verdict: "errors",
      first: false,
      new: [{ image: "r/a:1", ...other }],
      fixed: [{ image: "r/a:1", ...old }],
      omitted: { new: 0, fixed: 0 },
      errors: [{ about: "r/b:1", message: "no route" }],
      warnings: [{ about: "r/c", message: "no tag" }],
      removed: ["r/gone:1"],
      link: "https://scans.example/runs/registry-scan-2/index.html",
    });
  });

  it("is bounded", () => {
    const many = Array.from({ length: maximumListed + 5 }, (_, index) => finding({ id: `CVE-${index}`, severity: index ? "LOW" : "HIGH" }));
    const message = jsonMessage(new Runs().next([scanned("r/a:1", many)]), undefined);
    expect(message.new).to.have.length(maximumListed);
    expect(message.new[0]?.severity).to.equal("HIGH");
    expect(message.omitted).to.deep.equal({ new: 5, fixed: 0 });
  });
});

describe("the outbox", () => {
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

  it("delivers a run's message once, in order, however often the run is added", async () => {
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

  it("sends again what was refused, as after a restart, and says why without the address", async () => {
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
      "receiver json is busy or broken: 503",
      "receiver json refuses: 404",
      "receiver json cannot be reached (UND_ERR_SOCKET)",
      "receiver json takes messages again",
    ]);
  });

  it("waits as long as a receiver asks it to", async () => {
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

  it("lets a receiver that is away hold up no other", async () => {
    const box = outbox(receiver("slack", "http://127.0.0.1:9/x"), receiver("json", url));
    await box.add(new Runs().next([scanned("r/a:1", [old])]));
    box.start();
    await until(() => box.undelivered()["json"] === 0);
    expect(box.undelivered()).to.deep.equal({ slack: 1, json: 0 });
  });

  it("never follows a redirect, nor tells an address that it cannot read", async () => {
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
    expect(said.join("\n")).to.include("a redirect, which is not followed: 307").and.include("must begin with http:// or https://");
  });

  it("keeps addresses and tokens out of its files and words", async () => {
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

  it("drops what belongs to a receiver that is gone, and what was not added to its end", async () => {
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

  it("sends Alertmanager what is active, in chunks, and at each start again", async () => {
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

/** With `ALERTMANAGER` as the path of its program. */
describe("a real Alertmanager", function () {
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

  it("is told of a finding once, also when it was away, hears of it again after its restart, and that it is fixed", async () => {
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
      expect(first.undelivered(), "while it is away").to.deep.equal({ alertmanager: 1 });
      await begin();
      await until(() => notified("firing").length >= 2);
      await first.add(runs.next([scanned("r/a:1", [old]), scanned("r/b:1", [old])]));
      await until(() => first.undelivered()["alertmanager"] === 0);
      await sleep(3000);
      expect(notified("firing")).to.have.members(["r/a:1", "r/b:1"]);

      await end();
      await begin();
      expect(await active(), "after a restart that lost all").to.be.empty;
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
