import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { bundledPrograms } from "../../../components/registry-scan/bundle.ts";
import type { ScanConfiguration } from "../../../registry-scan/protocol/configuration.ts";
import type { ScanResult } from "../../../registry-scan/protocol/findings.ts";
import type { ScanPolicy } from "../../../registry-scan/protocol/policy.ts";
import { message } from "../../support/protobuf.ts";
import { ReportsStub } from "../../support/reports-stub.ts";

const scanPath = "/twirp/trivy.scanner.v1.Scanner/Scan";

/** Behaves as the image's name says; its arguments, and variables that it must not see, are appended to a file. */
const trivy = `#!/bin/sh
[ "$1" != --version ] || { echo "Version: \${STUB_VERSION:-0.74.0}"; exit; }
echo "$* GOGC=$GOGC token=$TRIVY_TOKEN reports=$REPORTS_TOKEN pwd=$(pwd)" >> "$STUBS/calls"
if [ "$1" = convert ]; then
  while [ $# -gt 1 ]; do [ "$1" = --output ] && echo '{"bomFormat":"CycloneDX"}' > "$2"; shift; done; exit 0
fi
output=; for last; do [ "$before" = --output ] && output=$last; before=$last; done
case $last in
  */bad*) printf '2026-01-01T00:00:00Z\\tFATAL\\tFatal error\\trun error: image scan error: MANIFEST_UNKNOWN: manifest unknown\\n' >&2; exit 1 ;;
  */flaky*) [ -e "$STUBS/flaky" ] || { touch "$STUBS/flaky"; echo 'x	FATAL	Fatal error	run error: once' >&2; exit 1; } ;;
  */slow*) if [ ! -e "$STUBS/slow" ]; then touch "$STUBS/slow"; trap 'touch $STUBS/ended; kill $!; exit 1' TERM; sleep 60 & wait; exit 1; fi ;;
  */late*) sleep 0.3; printf 'x\\tFATAL\\tFatal error\\trun error: twirp error internal: aborted: context deadline exceeded\\n' >&2; exit 1 ;;
  */paused*) touch "$STUBS/paused"; until [ -e "$STUBS/go" ]; do sleep 0.05; done ;;
  */asking*) node -e 'fetch(process.argv[1] + "${scanPath}", { method: "POST", body: process.argv[2] }).then(({ status }) => process.exit(status === 200 ? 0 : 9))' "$3" "$last" || exit ;;
  */hanging*) trap 'touch $STUBS/ended; kill $!; exit 1' TERM; sleep 60 & wait; exit 1 ;;
esac
case $last in
  */vulnerable*) findings='"Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"p","Severity":"HIGH"}]' ;;
  *) findings='"Vulnerabilities":[]' ;;
esac
echo "{\\"SchemaVersion\\":2,\\"Results\\":[{\\"Target\\":\\"t\\",\\"Class\\":\\"os-pkgs\\",$findings}]}" > "$output"
`;
const crane = `#!/bin/sh
[ -z "$TRIVY_TOKEN$REPORTS_TOKEN" ] || exit 9
for last; do :; done
case "$1 $last" in
  "ls "*denied*) echo "Error: reading tags for $last: GET https://r.example/v2/denied/tags/list: UNAUTHORIZED: authentication required" >&2; exit 1 ;;
  "ls "*) printf '1.0\\n1.1\\nlatest\\n' ;;
  digest*/bad*) echo "Error: MANIFEST_UNKNOWN: manifest unknown" >&2; exit 1 ;;
  digest*:latest) printf 'sha256:%064d\\n' 11 ;;
  digest*:1.1) printf 'sha256:%064d\\n' 11 ;;
  digest*) printf 'sha256:%064d\\n' $(printf %s "$last" | cksum | cut -d' ' -f1) ;;
esac
`;

interface Pod {
  readonly process: ChildProcess;
  /** The container that runs trivy and crane. */
  readonly tools: ChildProcess;
  readonly output: () => string;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

/** Ports for the containers that run trivy and crane; below those that the system gives out. */
let ports = 20_000 + (process.pid % 1000) * 10;

/** Returns the ids of a process's children. */
const childrenOf = async ({ pid }: ChildProcess): Promise<string[]> =>
  (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter((child) => child !== "");

describe("a pod of a registry scan", () => {
  let folder: string;
  let reports: ReportsStub;
  const pods: Pod[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "scan-test-"));
    for (const [name, text] of Object.entries({ trivy, crane })) {
      await writeFile(join(folder, name), text);
      await chmod(join(folder, name), 0o755);
    }
    reports = new ReportsStub();
    await reports.listen();
  });
  afterEach(async () => {
    for (const { process, tools } of pods.splice(0)) for (const child of [process, tools]) child.kill("SIGKILL");
    await reports.close();
    await rm(folder, { recursive: true, force: true });
  });

  const policy: ScanPolicy = { severities: ["HIGH", "CRITICAL"], ignoreUnfixed: true, scanners: ["vuln"] };
  async function configure(settings: Partial<ScanConfiguration> = {}): Promise<void> {
    const configuration: ScanConfiguration = {
      ...{
        targets: [{ image: "r.example/good:1" }],
        strict: false,
        policy,
      },
      ...{ plainHttp: false, timeout: 60, deadline: 120, cycloneDx: false, vex: [], service: "http://trivy", reports: reports.url },
      ...settings,
    };
    await writeFile(join(folder, "scan.json"), JSON.stringify(configuration));
  }

  function pod(index: number, environment: Record<string, string> = {}, program = resolve("registry-scan/worker/main.ts")): Pod {
    const port = `${ports++}`;
    const tools = startTools(
      program === join(folder, "scan.js") ? join(folder, "tools.js") : resolve("registry-scan/tools/main.ts"),
      port,
      environment,
    );
    const child = spawn(process.execPath, [program, join(folder, "scan.json")], {
      env: {
        ...{ TOOLS_PORT: port, TERMINATION_LOG: join(folder, "last-words") },
        ...{
          JOB: "run",
          JOB_UID: "1",
          JOB_COMPLETION_INDEX: `${index}`,
          TRIVY_TOKEN: "trivy-token-of-the-test",
          REPORTS_TOKEN: reports.token,
        },
        ...environment,
      },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const made = { process: child, tools, output: () => output, ended: new Promise<number | null>((done) => child.once("close", done)) };
    pods.push(made);
    return made;
  }

  /** Starts the container that runs trivy and crane, which has no token. */
  function startTools(program: string, port: string, { STUB_VERSION }: Record<string, string> = {}): ChildProcess {
    const env = { TOOLS_PORT: port, PATH: `${folder}:${process.env["PATH"]}`, TMPDIR: folder, HOME: folder, STUBS: folder };
    return spawn(process.execPath, [program, join(folder, "scan.json")], {
      env: { ...env, ...(STUB_VERSION !== undefined && { STUB_VERSION }) },
      stdio: "ignore",
    });
  }

  /** Writes the programs as pods mount them, and returns the path of the worker's. */
  async function bundle(): Promise<string> {
    for (const [name, text] of Object.entries(bundledPrograms())) await writeFile(join(folder, name), text);
    return join(folder, "scan.js");
  }

  async function until(what: string, condition: () => unknown): Promise<void> {
    for (let tries = 0; !(await condition()); tries++) {
      if (tries > 400) throw new Error(`not within 20 s: ${what}\n${pods.map((each) => each.output()).join("\n---\n")}`);
      await delay(50);
    }
  }
  const calls = async () => (await readFile(join(folder, "calls"), "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  const exists = async (name: string) => (await readdir(folder)).includes(name);

  for (const packaging of ["source", "bundle"] as const)
    it(`pods run from ${packaging} scan all targets together, retry and name failures, and the first ends with the verdict`, async () => {
      const program = packaging === "bundle" ? await bundle() : undefined;
      await configure({
        targets: [
          { repository: "r.example/team/app" },
          { image: "r.example/bad:1" },
          { image: "r.example/flaky:1" },
          { image: "r.example/vulnerable:1" },
          { repository: "r.example/denied" },
          { repository: "r.example/team/app", tags: ["x-*"] },
        ],
      });
      const [first, second] = [pod(0, {}, program), pod(1, {}, program)];
      expect(await second.ended, second.output()).to.equal(0);
      expect(await first.ended, first.output()).to.equal(2);

      expect(reports.entries.map(({ target, tries, result }) => [target.names.join(" "), tries, result?.outcome])).to.deep.equal([
        ["r.example/team/app:1.0", 1, "scanned"],
        ["r.example/team/app:1.1 r.example/team/app:latest", 1, "scanned"],
        ["r.example/bad:1", 3, "failed"],
        ["r.example/flaky:1", 2, "scanned"],
        ["r.example/vulnerable:1", 1, "scanned"],
      ]);
      const bad = reports.entries[2]?.result;
      expect(bad?.outcome === "failed" && bad.reason).to.equal("MANIFEST_UNKNOWN: manifest unknown");
      expect(reports.problems).to.deep.equal([
        { kind: "error", about: "r.example/denied", message: "its tags cannot be listed: UNAUTHORIZED: authentication required" },
        { kind: "warning", about: "r.example/team/app", message: "no tag matches `x-*`" },
      ]);
      expect(reports.start?.partial).to.equal(false);
      expect(first.output())
        .to.include("5 images to scan")
        .and.include("4 of 5 scanned, 1 failed")
        .and.include("summary: 4 scanned, 1 failed");
      expect(await readFile(join(folder, "last-words"), "utf8")).to.equal("summary: 4 scanned, 1 failed");
      expect(first.output() + second.output()).to.match(/could not scan r.example\/bad:1 \(attempt \d of 3\): MANIFEST_UNKNOWN/);
      expect(first.output() + second.output()).not.to.include("-token-of-the-test");

      const [call] = await calls();
      expect(call).to.match(/^image --server http:\/\/127\.0\.0\.1:\d+ --image-src remote /);
      expect(call).to.include("--severity HIGH,CRITICAL").and.include("--ignore-unfixed").and.include("--list-all-pkgs=false");
      expect(call).to.include("token= reports= ").and.not.include("--insecure");
      expect(
        (await readdir(folder)).filter((name) => name.startsWith("scan-")),
        "no folder is left behind",
      ).to.deep.equal([]);
    });

  describe("with images that an earlier run scanned", () => {
    let service: Server;
    /** The answers of the scan service, by image. */
    let answers: Map<string, Buffer | number>;
    let requests: { readonly image: string; readonly token: string | undefined }[];
    const [one, other] = ["r.example/asking:1", "r.example/asking-vulnerable:1"];

    beforeEach(async () => {
      answers = new Map();
      requests = [];
      service = createServer(async (request, response) => {
        let image = "";
        for await (const chunk of request.setEncoding("utf8")) image += chunk;
        image = image.replace(/@.*/, ":1");
        requests.push({ image, token: request.headers["trivy-token"]?.toString() });
        const answer = answers.get(image) ?? resultFor("1.0");
        response.writeHead(typeof answer === "number" ? answer : 200).end(typeof answer === "number" ? "" : answer);
      });
      await new Promise<void>((listening) => service.listen(0, "127.0.0.1", listening));
    });
    afterEach(() => {
      service.close();
      service.closeAllConnections();
    });

    const resultFor = (version: string) => message([3, message([1, "t"], [2, message([1, "CVE-1"], [3, version])])]);

    /** @returns the exit code, the images for which a client was started, and the results */
    async function run(settings: Partial<ScanConfiguration> = {}, environment: Record<string, string> = {}) {
      const { known } = reports;
      await reports.close();
      reports = new ReportsStub(known);
      await reports.listen();
      await rm(join(folder, "calls"), { force: true });
      requests = [];
      const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
      await configure({ targets: [{ image: one }, { image: other }], service: url, ...settings });
      const lead = pod(0, environment);
      const code = await lead.ended;
      const clients = (await calls()).map((call) => /(\S+)@sha256:\S+ GOGC/.exec(call)?.[1]).sort();
      return { code, clients: clients.map((name) => `${name}:1`), results: reports.entries.map(({ result }) => withoutTime(result)) };
    }
    const withoutTime = (result: ScanResult | undefined) => result && { ...result, seconds: 0 };

    it("a pod repeats the clients' requests and starts a client only where the answer has changed", async () => {
      const first = await run();
      expect(first.clients).to.have.members([one, other]);
      const again = await run();
      expect(again.clients).to.deep.equal([]);
      expect(again.results).to.deep.equal(first.results);
      expect(requests.map(({ token }) => token)).to.deep.equal(["trivy-token-of-the-test", "trivy-token-of-the-test"]);

      answers.set(other, resultFor("1.1"));
      expect((await run()).clients).to.deep.equal([other]);
      expect((await run()).clients, "the new answer is the known one").to.deep.equal([]);
    });

    it("a pod starts a client when the service has no valid answer", async () => {
      await run();
      answers.set(one, 503);
      answers.set(other, Buffer.from("no answer of a scan"));
      const { clients, code } = await run();
      // The clients have none either: all their tries fail.
      expect([code, clients.length]).to.deep.equal([2, 4]);
    });

    it("a pod starts clients when the client, its options or their files have changed", async () => {
      const ignoreFile = join(folder, "ignore");
      await writeFile(ignoreFile, "CVE-2\n");
      const both = [other, one];
      expect((await run({ ignoreFile })).clients).to.have.members(both);
      expect((await run({ ignoreFile })).clients).to.deep.equal([]);
      await writeFile(ignoreFile, "CVE-3\n");
      expect((await run({ ignoreFile })).clients).to.have.members(both);
      expect((await run({ ignoreFile, policy: { ...policy, ignoreUnfixed: false } })).clients).to.have.members(both);
      expect((await run({ ignoreFile, policy: { ...policy, ignoreUnfixed: false } }, { STUB_VERSION: "0.75.0" })).clients).to.have.members(
        both,
      );
      expect((await run({ ignoreFile, policy: { ...policy, ignoreUnfixed: false } }, { STUB_VERSION: "0.75.0" })).clients).to.deep.equal(
        [],
      );
    });

    it("a pod always starts clients when ignored findings expire, or CycloneDX documents are created", async () => {
      const ignoreFile = join(folder, "ignore");
      const both = [other, one];
      for (const text of ["CVE-2 exp:2099-01-01\n", "vulnerabilities:\n  - id: CVE-2\n    expired_at: 2099-01-01\n"]) {
        await writeFile(ignoreFile, text);
        expect((await run({ ignoreFile })).clients).to.have.members(both);
        expect((await run({ ignoreFile })).clients).to.have.members(both);
      }
      await run();
      await run({ cycloneDx: true });
      expect(reports.documents.size).to.equal(2);
    });
  });

  it("the first pod ends with 0 without findings, and with 1 with findings", async () => {
    await configure();
    expect(await pod(0).ended).to.equal(0);
    await reports.close();
    reports = new ReportsStub();
    await reports.listen();
    await configure({ targets: [{ image: "r.example/vulnerable:1" }] });
    expect(await pod(0).ended).to.equal(1);
  });

  it("a pod scans only the images in IMAGES, and refuses invalid ones", async () => {
    await configure();
    expect(await pod(0, { IMAGES: " r.example/vulnerable:1\n alpine:3 " }).ended).to.equal(1);
    expect(reports.entries.map(({ target }) => target.names[0])).to.deep.equal(["r.example/vulnerable:1", "docker.io/library/alpine:3"]);
    expect(reports.start?.partial).to.equal(true);

    const wrong = pod(0, { IMAGES: "r.example/App:1 alpine" });
    expect(await wrong.ended).to.equal(2);
    expect(wrong.output()).to.match(
      /^IMAGES: `r.example\/App:1` has the invalid repository .*\nIMAGES: `alpine` has neither a tag nor a digest.*\n$/,
    );
  });

  it("a pod sends a CycloneDX document of the same scan, and passes files and registries to the client", async () => {
    const settings = { ignoreFile: "/etc/ignore.yaml", vex: ["/a.json", "/b.json"], javaRepositories: ["r.example/java:1"] };
    await configure({ cycloneDx: true, plainHttp: true, ...settings });
    expect(await pod(0).ended).to.equal(0);
    expect([...reports.documents]).to.deep.equal([["0", '{"bomFormat":"CycloneDX"}\n']]);
    const [image, convert] = await calls();
    expect(image).to.include("--ignorefile /etc/ignore.yaml --vex /a.json --vex /b.json --java-db-repository r.example/java:1");
    expect(image).to.include("--insecure").and.not.include("--list-all-pkgs");
    expect(convert).to.match(/^convert --quiet --format cyclonedx /);
  });

  it("a pod that is killed during a scan continues when it is started again", async () => {
    await configure({ targets: [{ image: "r.example/slow:1" }, { image: "r.example/good:1" }], plainHttp: true });
    const first = pod(0);
    await until("the slow one is scanned", () => exists("slow"));
    first.process.kill("SIGKILL");
    await first.ended;
    const again = pod(0);
    expect(await again.ended, again.output()).to.equal(0);
    expect(again.output()).to.include("continuing a run that is already planned: 0 of 2 scanned");
    expect(reports.requests.filter((request) => request === "PUT /plan").length).to.equal(1);
    expect(reports.entries.map(({ tries, result }) => [tries, result?.outcome])).to.deep.equal([
      [2, "scanned"],
      [1, "scanned"],
    ]);
  });

  it("SIGTERM ends the client and the pod, without a verdict", async () => {
    await configure({ targets: [{ image: "r.example/slow:1" }] });
    const first = pod(0);
    await until("the slow one is scanned", () => exists("slow"));
    first.process.kill("SIGTERM");
    expect(await first.ended).to.equal(143);
    await until("the client received SIGTERM", () => exists("ended"));
    expect(reports.entries[0]?.result).to.equal(undefined);
    expect(first.output()).to.include("stopping: the pod is terminated");
  });

  it("when the client's container ends, its scan is tried again in the next one", async () => {
    await configure({ targets: [{ image: "r.example/slow:1" }] });
    const first = pod(0);
    await until("the slow one is scanned", () => exists("slow"));
    const { spawnargs } = first.tools;
    const port = String(ports - 1);
    first.tools.kill("SIGKILL");
    await until("its end is noticed", () => first.output().includes("(attempt 1 of 3): the client was killed, probably because"));
    const again = startTools(spawnargs[1] ?? "", port);
    try {
      expect(await first.ended, first.output()).to.equal(0);
    } finally {
      again.kill("SIGKILL");
    }
  });

  it("the client's processes see no token, and are no children of the process that has them", async () => {
    await configure({ targets: [{ image: "r.example/paused:1" }] });
    const first = pod(0);
    await until("a scan is under way", () => exists("paused"));
    expect(await childrenOf(first.process)).to.deep.equal([]);
    const clients = await childrenOf(first.tools);
    expect(clients).to.not.be.empty;
    for (const pid of [`${first.tools.pid}`, ...clients])
      expect(await readFile(`/proc/${pid}/environ`, "utf8"))
        .not.to.include("-token-of-the-test")
        .and.not.include(reports.token);
    await writeFile(join(folder, "go"), "");
    expect(await first.ended, first.output()).to.equal(0);
  });

  it("the run's deadline ends the client, and is the reason of the failure", async () => {
    await configure({ targets: [{ image: "r.example/hanging:1" }], deadline: 2 });
    const first = pod(0);
    expect(await first.ended, first.output()).to.equal(2);
    await until("the client received SIGTERM", () => exists("ended"));
    expect(first.output()).to.include("the run's deadline of 2 s was reached");
  });

  it("a scan that reaches its timeout is reported as such", async () => {
    await configure({ targets: [{ image: "r.example/late:1" }], timeout: 0.2 });
    const first = pod(0);
    expect(await first.ended).to.equal(2);
    expect(first.output()).to.include("could not scan r.example/late:1 (attempt 3 of 3): the scan took longer than 0.2 s, the `timeout`");
  });

  it("a result that the reports server refuses is sent as a failure with its reason", async () => {
    await configure();
    reports.refusesFindings = true;
    const first = pod(0);
    expect(await first.ended, first.output()).to.equal(2);
    const result = reports.entries[0]?.result;
    expect(result?.outcome === "failed" && result.reason).to.equal("its result was refused: too large");
    expect(first.output()).to.include("could not scan r.example/good:1 (attempt 3 of 3): its result was refused: too large");
  });

  it("a long summary is logged whole, and cut at a character for the termination message", async () => {
    await configure();
    reports.summary = "ü".repeat(3000);
    const first = pod(0);
    expect(await first.ended, first.output()).to.equal(0);
    expect(first.output()).to.include(reports.summary);
    const message = await readFile(join(folder, "last-words"), "utf8");
    expect(message).to.match(/^ü+…$/);
    expect(Buffer.byteLength(message)).to.be.within(4090, 4096);
  });

  it("a run waits while another one is in progress, at most until its deadline", async () => {
    await configure();
    reports.running = "run-0";
    const first = pod(0);
    await until("the conflict is logged", () => first.output().includes("run run-0 is still under way"));
    reports.running = undefined;
    expect(await first.ended).to.equal(0);
    expect(first.output().match(/still under way/g)?.length).to.equal(1);

    reports.running = "run-0";
    await configure({ deadline: 1 });
    const second = pod(0);
    expect(await second.ended).to.equal(2);
    expect(second.output()).to.include("run run-0 was still under way after 1 s, the deadline of this run");
  });

  it("a pod waits for a reports server that is unavailable", async () => {
    await configure({ targets: [{ image: "r.example/paused:1" }, { image: "r.example/good:1" }] });
    const first = pod(0);
    await until("a scan is under way", () => exists("paused"));
    await reports.close();
    await writeFile(join(folder, "go"), "");
    await until("its absence is noticed", () => first.output().includes(`the reports server at ${reports.url} is unavailable (`));
    await reports.listen();
    expect(await first.ended, first.output()).to.equal(0);
    expect(first.output()).to.include("the reports server is available again after");
    expect(reports.entries.map(({ tries, result }) => [tries, result?.outcome])).to.deep.equal([
      [1, "scanned"],
      [1, "scanned"],
    ]);
  });

  it("a pod that cannot work never ends like a clean run", async () => {
    await configure();
    const refused = pod(0, { REPORTS_TOKEN: "another" });
    expect(await refused.ended).to.equal(2);
    expect(refused.output())
      .to.match(/refuses the token \(REPORTS_TOKEN\)/)
      .and.not.include("another");

    reports.broken = 404;
    const broken = pod(0);
    expect(await broken.ended).to.equal(2);
    expect(broken.output()).to.include("HTTP 404");
    reports.broken = undefined;

    const nameless = pod(0, { JOB: "" });
    expect(await nameless.ended).to.equal(2);
    expect(nameless.output()).to.match(/^JOB, .* is missing in the environment/);

    await configure({ targets: [{ repository: "r.example/a:1" }, { repository: "a", versions: "new" }], timeout: 0, service: "trivy" });
    const wrong = pod(0);
    expect(await wrong.ended).to.equal(2);
    expect(
      wrong
        .output()
        .split("\n")
        .map((line) => line.replace(/^\S+ /, "")),
    ).to.deep.equal([
      "`targets[0].repository` is `r.example/a:1`, which is an image, not a repository; remove its tag or digest, or set it as `image`",
      "`targets[1].versions` is `new`, which is not a valid range of semantic versions; use one such as `>=1.4 <3`, `^2.1` or `1.x`",
      "`timeout` is not more than 0",
      "`service` is `trivy`, which is not a valid URL",
      "",
    ]);

    await writeFile(join(folder, "scan.json"), "{");
    const unreadable = pod(0);
    expect(await unreadable.ended).to.equal(2);
    expect(unreadable.output()).to.match(/scan.json: the text is not valid JSON: /);

    await rm(join(folder, "scan.json"));
    const absent = pod(0);
    expect(await absent.ended).to.equal(2);
    expect(absent.output()).to.match(/scan.json cannot be read: ENOENT/);
  });
});
