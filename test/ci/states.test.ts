import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { ci } from "../support/ci-runners.ts";
import { GateLab, labImages as image } from "../support/gate.ts";

const page = join(ci, "../docs/guides/ci.md");
const marks = ["<!-- states: UPDATE_SNAPSHOTS=1 mocha test/ci/states.test.ts -->", "<!-- /states -->"] as const;

/** What a reader finds in each place. An empty text means that there must be nothing. */
interface Shown {
  readonly log: string;
  readonly junit: string;
  readonly sarif: string;
  readonly gitlab: string;
  readonly summary: string;
}

interface State {
  /** The state in the words of the documentation. */
  readonly state: string;
  readonly exitCode: number;
  readonly images: readonly string[];
  readonly env?: Readonly<Record<string, string>> | ((lab: GateLab) => Promise<Record<string, string>> | Record<string, string>);
  readonly files?: Readonly<Record<string, string>>;
  readonly shown: Shown;
}

const nothing = { sarif: "", summary: "passed" };

const states: readonly State[] = [
  {
    state: "scanned, nothing found",
    exitCode: 0,
    images: [image.fixed],
    shown: { log: "passed: 1 clean", junit: "passed", gitlab: "success", ...nothing },
  },
  {
    state: "findings",
    exitCode: 1,
    images: [image.vulnerable],
    shown: { log: "stopped", junit: "failure", sarif: "error", gitlab: "vulnerability", summary: "stopped" },
  },
  {
    state: "findings, all known from the baseline",
    exitCode: 0,
    images: [image.vulnerable],
    env: ({ lab }) => ({ SCAN_GATE_BASELINE: lab.reference(image.base) }),
    shown: {
      log: "known from the baseline",
      junit: "skipped",
      sarif: "suppressed",
      gitlab: "vulnerability",
      summary: "Known from the baseline",
    },
  },
  {
    state: "no baseline, nothing found",
    exitCode: 0,
    images: [image.fixed],
    env: ({ lab }) => ({ SCAN_GATE_BASELINE: lab.reference("team/missing:1") }),
    shown: { log: "warning", junit: "passed", sarif: "", gitlab: "success, a message", summary: "cannot be scanned" },
  },
  {
    state: "no baseline, with `baseline-required`, even with findings",
    exitCode: 2,
    images: [image.vulnerable],
    env: ({ lab }) => ({ SCAN_GATE_BASELINE: lab.reference("team/missing:1"), SCAN_GATE_BASELINE_REQUIRED: "true" }),
    shown: { log: "no verdict", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "cannot be scanned" },
  },
  {
    state: "distribution without updates, nothing found",
    exitCode: 0,
    images: [image.endOfLife],
    shown: { log: "warning", junit: "skipped", sarif: "warning", gitlab: "success, a message", summary: "end of life" },
  },
  {
    state: "the same with `end-of-life: fail`",
    exitCode: 1,
    images: [image.endOfLife],
    env: { SCAN_GATE_END_OF_LIFE: "fail" },
    shown: { log: "stopped", junit: "failure", sarif: "error", gitlab: "vulnerability", summary: "end of life" },
  },
  {
    state: "the same with `end-of-life: ignore`",
    exitCode: 0,
    images: [image.endOfLife],
    env: { SCAN_GATE_END_OF_LIFE: "ignore" },
    shown: { log: "passed: 1 clean", junit: "passed", gitlab: "success", ...nothing },
  },
  {
    state: "image without known packages",
    exitCode: 0,
    images: [image.empty],
    shown: { log: "warning", junit: "skipped", sarif: "warning", gitlab: "success, a message", summary: "finds no packages" },
  },
  {
    state: "the same with `unrecognised: fail`",
    exitCode: 1,
    images: [image.empty],
    env: { SCAN_GATE_UNRECOGNISED: "fail" },
    shown: { log: "stopped", junit: "failure", sarif: "error", gitlab: "vulnerability", summary: "finds no packages" },
  },
  {
    state: "database too old, nothing found",
    exitCode: 2,
    images: [image.fixed],
    env: ({ oldServer }) => ({ TRIVY_SERVER: oldServer }),
    shown: { log: "no verdict", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "database is too old" },
  },
  {
    state: "database too old, with `on-unreachable: warn`",
    exitCode: 0,
    images: [image.fixed],
    env: ({ oldServer }) => ({ TRIVY_SERVER: oldServer, SCAN_GATE_ON_UNREACHABLE: "warn" }),
    shown: { log: "warning", junit: "passed", sarif: "", gitlab: "success, a message", summary: "database is too old" },
  },
  {
    state: "database too old, findings",
    exitCode: 1,
    images: [image.vulnerable],
    env: ({ oldServer }) => ({ TRIVY_SERVER: oldServer }),
    shown: { log: "stopped", junit: "failure", sarif: "error", gitlab: "vulnerability", summary: "stopped" },
  },
  {
    state: "service unreachable",
    exitCode: 2,
    images: [image.fixed],
    env: { TRIVY_SERVER: "http://127.0.0.1:1" },
    shown: { log: "is unreachable", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "is unreachable" },
  },
  {
    state: "service unreachable, with `on-unreachable: warn`",
    exitCode: 0,
    images: [image.fixed],
    env: { TRIVY_SERVER: "http://127.0.0.1:1", SCAN_GATE_ON_UNREACHABLE: "warn" },
    shown: { log: "warning", junit: "skipped", sarif: "no file", gitlab: "success, a message", summary: "not scanned" },
  },
  {
    state: "token rejected",
    exitCode: 2,
    images: [image.fixed],
    env: { TRIVY_TOKEN: "wrong" },
    shown: { log: "TRIVY_TOKEN is wrong", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "rejected the token" },
  },
  {
    state: "a proxy or a login page answers (HTTP 403)",
    exitCode: 2,
    images: [image.fixed],
    env: async (lab) => ({
      TRIVY_SERVER: await lab.answering((_, response) =>
        response.writeHead(403).end("<html><b>Access denied</b> by policy\u001b[2J ##[error]x</html>"),
      ),
    }),
    shown: {
      log: 'HTTP 403, "Access denied by policy',
      junit: "error",
      sarif: "no file",
      gitlab: "failure, a message",
      summary: "in front of it",
    },
  },
  {
    state: "a login page answers (HTTP 200)",
    exitCode: 2,
    images: [image.fixed],
    env: async (lab) => ({
      TRIVY_SERVER: await lab.answering((_, response) =>
        response.writeHead(200, { "Content-Type": "text/html" }).end("<html>Please log in</html>"),
      ),
    }),
    shown: { log: 'HTTP 200, "Please log in"', junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "in front of it" },
  },
  {
    state: "a redirect to a login page (HTTP 302)",
    exitCode: 2,
    images: [image.fixed],
    env: async (lab) => ({
      TRIVY_SERVER: await lab.answering((request, response) =>
        request.url === "/login"
          ? response.writeHead(200, { "Content-Type": "text/html" }).end("<html>Please log in</html>")
          : response.writeHead(302, { Location: "/login" }).end("Found"),
      ),
    }),
    shown: { log: "in front of it", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "in front of it" },
  },
  {
    state: "image missing",
    exitCode: 2,
    images: ["team/missing:1"],
    shown: { log: "MANIFEST_UNKNOWN", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "no verdict" },
  },
  {
    state: "image without a variant for a platform",
    exitCode: 2,
    images: [image.fixed],
    env: { SCAN_GATE_PLATFORMS: "linux/s390x" },
    shown: {
      log: "no variant for the platform linux/s390x",
      junit: "error",
      sarif: "no file",
      gitlab: "failure, a message",
      summary: "no variant",
    },
  },
  {
    state: "one of several platforms has findings",
    exitCode: 1,
    images: [image.multi],
    env: { SCAN_GATE_PLATFORMS: "all" },
    shown: {
      log: "stopped: 1 clean, 1 with findings",
      junit: "failure",
      sarif: "error",
      gitlab: "vulnerability",
      summary: "(linux/arm64)",
    },
  },
  {
    state: "Trivy's exit code and its document disagree",
    exitCode: 2,
    images: [image.vulnerable],
    env: (lab) => ({ SCAN_GATE_TRIVY: lab.program("client", '[ "$1" != image ] || { trivy "$@"; exit 0; }\nexec trivy "$@"') }),
    shown: { log: "its document has 1 findings", junit: "error", sarif: "no file", gitlab: "failure, a message", summary: "no verdict" },
  },
  {
    state: "client too old",
    exitCode: 2,
    images: [image.fixed],
    env: (lab) => ({ SCAN_GATE_TRIVY: lab.program("client", 'echo "Version: 0.55.0"') }),
    shown: { log: "which is too old", junit: "no file", sarif: "no file", gitlab: "no file", summary: "no file" },
  },
  {
    state: "invalid settings",
    exitCode: 2,
    images: [image.fixed],
    env: { TRIVY_SEVERITY: "high" },
    shown: { log: "the settings are invalid", junit: "no file", sarif: "no file", gitlab: "no file", summary: "no file" },
  },
  {
    state: "invalid ignore file",
    exitCode: 2,
    images: [image.fixed],
    files: { ".trivyignore.yaml": "vulnerabilities: [\n" },
    shown: { log: "is not a valid ignore file", junit: "no file", sarif: "no file", gitlab: "no file", summary: "no file" },
  },
];

describe("the states of the scan gate, with the real client and service", function () {
  this.timeout(120_000);
  let gate: GateLab;

  before(async function () {
    gate = await GateLab.create(this);
  });
  after(() => gate?.close());
  beforeEach(() => gate.begin());
  afterEach(() => gate.end());

  it("the table in docs/guides/ci.md is the one of the cases", () => {
    const header = ["state", "exit code", "log", "JUnit", "SARIF", "GitLab's report", "summary"];
    const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
    const rows = states.map(({ state, exitCode, shown: { log, junit, sarif, gitlab, summary } }) =>
      line([state, exitCode, `\`${log}\``, junit, sarif || "no result", gitlab, summary === "no file" ? summary : `\`${summary}\``]),
    );
    const table = [line(header), line(header.map(() => "---")), ...rows].join("\n");
    const text = readFileSync(page, "utf8");
    const [from, to] = marks.map((mark) => text.indexOf(mark)) as [number, number];
    expect(from, "the mark in docs/guides/ci.md").to.be.above(0);
    const expected = `${text.slice(0, from)}${marks[0]}\n${table}\n${text.slice(to)}`;
    if (process.env["UPDATE_SNAPSHOTS"]) writeFileSync(page, expected);
    else expect(text).to.equal(expected);
  });

  for (const { state, exitCode: expected, images, env, files = {}, shown } of states)
    it(`state "${state}": exit code ${expected}, and every report agrees`, async () => {
      for (const [path, content] of Object.entries(files)) gate.write(path, content);
      const variables = typeof env === "function" ? await env(gate) : env;
      const { exitCode, output, reports } = await gate.run({ images, ...(variables && { env: variables }) });
      expect(exitCode, output).to.equal(expected);
      expect(output).to.include(shown.log);
      const { junit, sarif, gitlab, summary } = reports;
      expect(junit?.outcome ?? "no file", output).to.equal(shown.junit);
      expect(Object.values(sarif).find(({ outcome }) => outcome !== "")?.outcome ?? Object.values(sarif)[0]?.outcome ?? "no file").to.equal(
        shown.sarif,
      );
      expect(gitlab?.outcome ?? "no file").to.equal(shown.gitlab);
      expect(summary ?? "no file").to.include(shown.summary);
      if (junit) expect(junit.failures > 0, "JUnit fails with the gate").to.equal(exitCode === 1);
      if (gitlab) expect(gitlab.status).to.equal(exitCode === 2 ? "failure" : "success");
    });

  it("every implementation of awk writes the same reports", async () => {
    const installed = ["mawk", "gawk", "original-awk", "busybox"].filter((name) => spawnSync("which", [name]).status === 0);
    expect(installed).not.to.deep.equal([]);
    const written: unknown[] = [];
    for (const name of installed) {
      gate.write("../bin/awk", `#!/bin/sh\nexec ${name} ${name === "busybox" ? "awk " : ""}"$@"\n`, 0o755);
      const env = { SCAN_GATE_BASELINE: gate.lab.reference(image.base) };
      const { exitCode, output, reports } = await gate.run({ images: [image.vulnerable], env });
      expect(exitCode, output).to.equal(0);
      const { sarif, codeQuality, gitlab, junit } = reports;
      written.push({ sarif, codeQuality, vulnerabilities: gitlab?.vulnerabilities, junit });
      expect(written.at(-1), name).to.deep.equal(written[0]);
    }
  });

  // posh implements POSIX and no more, and treats an empty `$@` as unset, as old shells do.
  it("dash, bash, BusyBox's shell, and mksh and posh where installed, come to the same verdict", async () => {
    const installed = ["mksh", "posh"].filter((name) => !spawnSync(name, ["-c", ":"]).error).map((name) => [name]);
    for (const shell of [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], ...installed]) {
      const { exitCode, output } = await gate.run({ images: [image.vulnerable, image.fixed], shell });
      expect(exitCode, `${shell}: ${output}`).to.equal(1);
      expect(output).to.include("stopped: 1 clean, 1 with findings, 0 without a verdict");
    }
  });
});
