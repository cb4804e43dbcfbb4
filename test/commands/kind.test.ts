import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { images } from "../../components/shared/images.ts";
import { run } from "../support/command.ts";

const root = join(import.meta.dirname, "../..");

describe("npm run kind", () => {
  let folder: string;
  const file = (name: string) => join(folder, name);
  const kind = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    run(process.execPath, [join(root, "commands/kind.ts"), ...args], {
      env: {
        PATH: [folder, process.env["PATH"]].join(delimiter),
        ...{ GITHUB_ENV: file("env"), GITHUB_PATH: file("path"), RUNNER_TEMP: folder },
        ...env,
      },
    });

  /** Writes a program that logs its arguments and answers as the real one does. */
  function writeStandIn(name: string, answers: Record<string, string>): void {
    const cases = Object.entries(answers).map(([pattern, answer]) => `  "${pattern}"*) echo '${answer}' ;;`);
    writeFileSync(file(name), `#!/bin/sh\necho "${name} $*" >>'${file("log")}'\ncase "$*" in\n${cases.join("\n")}\nesac\n`);
    chmodSync(file(name), 0o755);
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "kind-"));
    writeStandIn("kind", {});
    writeStandIn("sudo", {});
    writeStandIn("kubectl", { "--kubeconfig": "10.96.0.1" });
    writeStandIn("docker", { inspect: "172.18.0.2", "network inspect": "fc00:f853::/64 172.18.0.0/16 ", create: "0123abcd" });
  });
  after(() => rmSync(folder, { recursive: true }));

  it("the cluster is created, its Services get a route, and the next steps get the tests' environment", async () => {
    const { exitCode, stderr } = await kind(["v1.35.0"]);
    expect([exitCode, stderr]).to.deep.equal([0, ""]);
    const log = readFileSync(file("log"), "utf8");
    expect(log).to.contain("kind create cluster --image=kindest/node:v1.35.0");
    expect(log).to.contain("sudo ip route add 10.96.0.0/16 via 172.18.0.2");
    expect(log).to.contain(`docker create ${images.trivy}\ndocker cp 0123abcd:/usr/local/bin/trivy ${file("bin")}`);
    expect(readFileSync(file("env"), "utf8")).to.equal(`KUBECONFIG=${file("kubeconfig")}\nE2E_CLIENT_CIDR=172.18.0.0/16\n`);
    expect(readFileSync(file("path"), "utf8")).to.equal(`${file("bin")}\n`);
  });

  it("without a version, or outside GitHub Actions, the usage is shown and nothing is created", async () => {
    rmSync(file("log"));
    for (const [args, env] of [
      [[], {}],
      [["latest"], {}],
      [["v1.35.0"], { GITHUB_ENV: "" }],
    ] as const) {
      const { exitCode, stderr } = await kind([...args], env);
      expect(exitCode).to.equal(2);
      expect(stderr).to.contain("Usage: npm run kind");
    }
    expect(() => readFileSync(file("log"))).to.throw("ENOENT");
  });
});
