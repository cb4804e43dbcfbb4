import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { operate } from "../../../commands/up/stack.ts";
import { UserError } from "../../../commands/user-error.ts";

const inherited = { ...process.env };
const uid = "0f0f";
const labels = { "app.kubernetes.io/part-of": "trivy-server", "app.kubernetes.io/instance": "dev" };
const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "trivy", uid, labels } };
const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "gone", namespace: "trivy" } };
const resource = (object: { kind: string }, more: object = {}) => ({
  ...{ urn: `urn:pulumi:dev::trivy-server::kubernetes:core/v1:${object.kind}::x`, type: `kubernetes:core/v1:${object.kind}`, custom: true },
  ...{ inputs: object, ...more },
});

describe("npm run up|preview|refresh|destroy", () => {
  let server: Server;
  let folder: string;
  /** Objects in the cluster by path. */
  let objects: Record<string, object>;
  before(async () => {
    server = createServer((request, response) => {
      const path = request.url ?? "";
      const reply = (status: number, body: object) =>
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      if (path.endsWith("/selfsubjectaccessreviews")) return reply(201, { status: { allowed: true } });
      if (path === "/api/v1")
        return reply(200, {
          resources: [
            { name: "namespaces", kind: "Namespace", namespaced: false },
            { name: "configmaps", kind: "ConfigMap", namespaced: true },
          ],
        });
      const object = objects[path];
      return object ? reply(200, object) : reply(404, { kind: "Status", message: "not found" });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "up-"));
    objects = {};
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Runs an operation with a Pulumi CLI that only notes how it is called, and returns its calls. */
  async function run(args: string[], { state, context = "kind-test" }: { state?: object; context?: string } = {}) {
    const calls = join(folder, "calls");
    if (state) writeFileSync(join(folder, "state.json"), JSON.stringify({ version: 3, deployment: state }));
    const script = `#!/bin/sh
      [ "$1" = version ] && { echo v3.999.0; exit; }
      echo "$*" >>'${calls}'
      case "$1 $2" in
        "stack export") cat '${folder}/state.json' 2>/dev/null || { echo "error: no stack named 'dev' found" >&2; exit 255; } ;;
        "stack import") cat >'${folder}/imported.json' ;;
        "stack output") echo '{"portForward": "kubectl port-forward x", "token": "[secret]"}' ;;
        "up --stack") [ ! -e '${folder}/events' ] || cat '${folder}/events' >"$(echo "$*" | sed 's/.*--event-log //')"
          [ ! -e '${folder}/broken' ] || { echo "error: incorrect passphrase" >&2; exit 255; } ;;
      esac
    `;
    writeFileSync(join(folder, "pulumi"), script);
    chmodSync(join(folder, "pulumi"), 0o755);
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    writeFileSync(
      join(folder, "kubeconfig"),
      JSON.stringify({
        "current-context": context,
        contexts: [{ name: context, context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster: { server: address } }],
        users: [{ name: "u", user: { token: "t0ken" } }],
      }),
    );
    const env: Record<string, string> = {
      PATH: [folder, inherited["PATH"]].join(delimiter),
      HOME: folder,
      KUBECONFIG: join(folder, "kubeconfig"),
      PULUMI_BACKEND_URL: `file://${folder}/backend`,
      // On a terminal, the operations would ask questions.
      CI: "true",
    };
    Object.assign(process.env, env);
    const [stdout, stderr]: string[][] = [[], []];
    const { log, error } = console;
    Object.assign(console, { log: (line: string) => stdout?.push(line), error: (line: string) => stderr?.push(line) });
    try {
      const status = await operate(args).catch((refusal: unknown) => {
        if (!(refusal instanceof UserError)) throw refusal;
        stderr?.push(refusal.message);
        return refusal.status ?? 1;
      });
      const noted = existsSync(calls)
        ? readFileSync(calls, "utf8")
            .trim()
            .replaceAll(/ --event-log \S+/g, "")
            .split("\n")
        : [];
      return { status, stdout: stdout?.join("\n"), stderr: stderr?.join("\n"), calls: noted };
    } finally {
      Object.assign(console, { log, error });
      for (const key of Object.keys(env)) {
        delete process.env[key];
        if (inherited[key] !== undefined) process.env[key] = inherited[key];
      }
    }
  }

  it("up creates a new stack on a local cluster without a question or a preview, and prints the next steps", async () => {
    const { status, stdout, stderr, calls } = await run(["up", "dev"]);
    expect(status, stderr).to.equal(0);
    expect(calls).to.deep.equal([
      "stack export --stack dev --non-interactive",
      "stack init dev --no-select",
      "up --stack dev --yes --skip-preview",
      "stack output --json --stack dev --non-interactive",
    ]);
    expect(stderr).to.match(/^Cluster: context kind-test, http:\S+ \(local\); namespace trivy$/m);
    expect(stdout)
      .to.contain("kubectl port-forward x")
      .and.contain("stack output token --show-secrets --stack dev")
      .and.contain("npm run destroy -- dev");
  });

  it("up recovers the state of an interrupted run before it continues", async () => {
    objects = { "/api/v1/namespaces/trivy": namespace };
    const state = {
      resources: [],
      pending_operations: [
        { type: "creating", resource: resource(namespace) },
        { type: "creating", resource: resource(configMap) },
      ],
    };
    const { status, stderr, calls } = await run(["up", "dev", "--diff"], { state });
    expect(status, stderr).to.equal(0);
    expect(calls.slice(1, 3)).to.deep.equal(["stack import --stack dev --non-interactive", "up --stack dev --yes --diff"]);
    expect(stderr).to.contain("creating x: it exists and is adopted").and.contain("creating x: forgotten");
    const { deployment } = JSON.parse(readFileSync(join(folder, "imported.json"), "utf8"));
    expect(deployment.resources.map(({ id }: { id: string }) => id)).to.deep.equal(["trivy"]);
    expect(deployment).to.not.have.property("pending_operations");

    const pending = [{ type: "updating", resource: resource(configMap) }];
    const updating = { resources: [resource(namespace, { outputs: namespace })], pending_operations: pending };
    const refreshed = await run(["up", "dev"], { state: updating });
    expect(refreshed.stderr).to.contain("updating x");
    expect(refreshed.calls).to.include("refresh --stack dev --yes --skip-preview");
    const preview = await run(["preview", "dev"], { state: updating });
    expect(preview.stderr).to.contain("the next `npm run up -- dev` will resolve");
    expect(preview.calls.at(-1)).to.equal("preview --stack dev");
  });

  it("the lock of a killed run is removed, and that of a running one is respected", async () => {
    objects = { "/api/v1/namespaces/trivy": namespace };
    const state = { resources: [resource(namespace, { outputs: namespace })] };
    const locks = join(folder, "backend/.pulumi/locks/organization/trivy-server/dev");
    mkdirSync(locks, { recursive: true });
    const lock = (pid: number) =>
      writeFileSync(
        join(locks, "a.json"),
        JSON.stringify({ pid, username: "ann", hostname: hostname(), timestamp: "2026-11-22T10:00:00Z" }),
      );
    lock(process.pid);
    const refused = await run(["destroy", "dev", "--yes"], { state });
    expect(refused).to.include({ status: 1 });
    expect(refused.stderr).to.contain(`process ${process.pid} of ann`).and.contain("is running on this machine");
    expect(refused.calls.join()).to.not.contain("destroy");
    lock(2 ** 30);
    const { status, stderr, calls } = await run(["destroy", "dev"], { state });
    expect(status, stderr).to.equal(0);
    expect(calls.slice(-2)).to.deep.equal(["cancel --yes --stack dev --non-interactive", "destroy --stack dev --yes"]);
    expect(stderr).to.contain("was killed; its lock has been removed");
  });

  it("Pulumi is not started for a cluster that is not local unless the user approves", async () => {
    const { status, stderr, calls } = await run(["up", "dev"], { context: "prod" });
    expect({ status, calls }).to.deep.equal({ status: 1, calls: [] });
    expect(stderr).to.contain("context prod is not a local cluster").and.contain("npm run up -- dev --yes");
    expect((await run(["up", "dev", "--yes"], { context: "prod" })).calls).to.include("up --stack dev --yes --skip-preview");
  });

  it("a stack that does not exist cannot be refreshed or destroyed", async () => {
    for (const operation of ["refresh", "destroy"]) {
      const { status, stderr } = await run([operation, "dev"]);
      expect(status).to.equal(1);
      expect(stderr).to.contain(`There is no stack dev in file://${folder}/backend: nothing to ${operation}.`);
    }
  });

  it("a refresh does not forget a stack in another cluster unless the user approves", async () => {
    const state = { resources: [resource(namespace, { outputs: namespace })] };
    const { status, stderr, calls } = await run(["refresh", "dev"], { state });
    expect(status).to.equal(1);
    expect(stderr).to.contain("would forget all of them").and.contain("npm run refresh -- dev --yes");
    expect(calls).to.have.length(1);
    expect((await run(["refresh", "dev", "--yes"], { state })).calls.at(-1)).to.equal("refresh --stack dev --yes");
  });

  it("up explains the engine's error and exits with its exit code", async () => {
    writeFileSync(join(folder, "broken"), "");
    const { status, stderr } = await run(["up", "dev"]);
    expect(status).to.equal(255);
    expect(stderr).to.contain("are encrypted with a passphrase, which is not set");
  });
});
