import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stackCluster } from "../../commands/stack-cluster.ts";
import { record } from "../../recorder/record.ts";
import { readSettings } from "../../stacks/index.ts";
import { kubeconfigProblem } from "../../stacks/kubeconfig.ts";

const kubeconfig = (user: object) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "kind-x",
    contexts: [{ name: "kind-x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: "https://127.0.0.1:6443" } }],
    users: [
      { name: "y", user: { token: "t" } },
      { name: "x", user },
    ],
  });

const program = kubeconfig({ exec: { apiVersion: "client.authentication.k8s.io/v1", command: "sh", args: ["-c", "id"] } });
const provider = kubeconfig({ "auth-provider": { name: "gcp", config: { "cmd-path": "sh" } } });
const harmless = kubeconfig({ token: "t" });

describe("a kubeconfig in a stack's file", () => {
  const folder = mkdtempSync(join(tmpdir(), "kubeconfig-"));
  const inside = join(folder, "project");
  before(() => {
    mkdirSync(inside);
    writeFileSync(join(inside, "program.yaml"), program);
    writeFileSync(join(folder, "machine.yaml"), program);
  });
  after(() => rmSync(folder, { recursive: true }));

  it("a kubeconfig that names a program is refused, as content and as a file of the project", () => {
    for (const [given, key] of [
      [program, "exec"],
      [provider, "auth-provider"],
      [program.replace(/^\{/, "{\n"), "exec"],
      ["program.yaml", "exec"],
      [join(inside, "program.yaml"), "exec"],
      ["../project/program.yaml", "exec"],
    ] as const)
      expect(kubeconfigProblem(given, inside), given).to.match(new RegExp(`^has ${key}, a program that would run on every machine`));
  });

  it("a kubeconfig without programs, and a file of the machine, are accepted", () => {
    for (const given of [harmless, "../machine.yaml", join(folder, "machine.yaml"), "missing.yaml", ": not YAML {"])
      expect(kubeconfigProblem(given, inside), given).to.equal(undefined);
  });

  it("the program reports it with the other mistakes, before the provider reads it", async () => {
    const config = { "kubernetes:kubeconfig": program, server: { replicas: 0 } };
    const error = await record(() => readSettings(), { config }).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message.split("\n").map((line) => line.slice(0, 42))).to.deep.equal([
      "2 settings of this stack cannot be used:",
      "  kubernetes:kubeconfig has exec, a program".slice(0, 42),
      "  trivy-server:server.replicas is 0; use a".slice(0, 42),
    ]);
  });

  it("commands refuse it before they connect to the cluster", async () => {
    const file = { stack: "evil", config: { "kubernetes:kubeconfig": provider } };
    const error = await stackCluster(file, () => Promise.reject(new Error("not needed"))).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).to.match(/^kubernetes:kubeconfig of the stack evil has auth-provider, a program/);
  });
});
