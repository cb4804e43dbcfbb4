import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { liveness } from "../../commands/engine/locks.ts";
import type { CommandResult } from "../support/command.ts";
import { apply, deleteNamespaces, eventually, kubectl, namespaceObject } from "./support/cluster.ts";
import { checkEnvironment } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-problems";
const visitor = "e2e-visitor";

describe("problems that `npm run up` reports or repairs", () => {
  let project: Project;
  before(async () => {
    await checkEnvironment();
    project = await Project.create({ newcomer: true });
    await project.writeStack(stack, { server: { replicas: 1 } }, "dev");
  });
  after(async () => {
    await project?.remove();
    await deleteNamespaces(stack, visitor);
  });

  const operation = (name: string, env: NodeJS.ProcessEnv = {}, ...flags: string[]) =>
    project.run("npm", ["run", "--silent", name, "--", stack, ...flags], { env });
  const up = (env?: NodeJS.ProcessEnv) => operation("up", env, "--yes");
  const good = ({ exitCode, stdout, stderr }: CommandResult) => expect(exitCode, stdout + stderr).to.equal(0);
  const refused = ({ exitCode, stdout, stderr }: CommandResult, ...messages: (string | RegExp)[]) => {
    expect(exitCode, stdout + stderr).to.equal(1);
    for (const message of messages) typeof message === "string" ? expect(stderr).to.include(message) : expect(stderr).to.match(message);
    expect(stdout + stderr, "a stack trace").not.to.match(/^\s+at .*[:(]\d+/m);
    expect(stderr.trim().split("\n"), "one message").to.have.length.below(16);
  };
  const kubeconfig = async (name: string, change: (config: ClientConfig) => void) => {
    const config: ClientConfig = JSON.parse(await kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"));
    change(config);
    const file = join(project.folder, name);
    await writeFile(file, JSON.stringify(config), { mode: 0o600 });
    return { KUBECONFIG: file };
  };
  const locks = () => join(project.folder, ".pulumi-local/state/.pulumi/locks/organization/trivy-server", stack);
  const pendingCreations = async () => {
    const file = join(project.folder, ".pulumi-local/state/.pulumi/stacks/trivy-server", `${stack}.json`);
    if (!existsSync(file)) return [];
    const text = await readFile(file, "utf8");
    // The engine may be writing the file.
    if (!text.trimEnd().endsWith("}")) return [];
    const operations: { type: string; resource: { type: string } }[] = JSON.parse(text).checkpoint.latest?.pending_operations ?? [];
    return operations.filter(({ type }) => type === "creating").map(({ resource }) => resource.type);
  };

  describe("before anything is created", () => {
    afterEach(async () => {
      expect(await kubectl("get", "all,secrets,configmaps", "-n", stack, "--ignore-not-found", "-o", "name")).not.to.match(/trivy|redis/);
    });

    it("a missing kubeconfig is reported", async () => {
      refused(await up({ KUBECONFIG: join(project.folder, "none") }), "No kubeconfig", "none");
    });

    it("a missing context is reported with the existing ones", async () => {
      const env = await kubeconfig("lost.json", (config) => {
        for (const context of config.contexts) context.name = "found";
        config["current-context"] = "lost";
      });
      refused(await up(env), "no context lost", "Contexts: found");
    });

    it("an unreachable cluster is reported with its address", async () => {
      const env = await kubeconfig("gone.json", (config) => {
        for (const { cluster } of config.clusters) cluster.server = "https://127.0.0.1:64999";
      });
      refused(await up(env), /cannot be reached at https:\/\/127\.0\.0\.1:64999: .*ECONNREFUSED/);
    });

    it("rejected credentials are reported without being shown", async () => {
      const env = await kubeconfig("stranger.json", (config) => {
        for (const user of config.users) user.user = { token: "nobody-s-token" };
      });
      const result = await up(env);
      refused(result, "does not accept your credentials");
      expect(result.stdout + result.stderr).not.to.include("nobody-s-token");
    });

    it("all missing permissions are reported at once", async () => {
      const metadata = { name: visitor, namespace: visitor };
      await apply(namespaceObject(visitor), { apiVersion: "v1", kind: "ServiceAccount", metadata });
      const token = (await kubectl("create", "token", visitor, "-n", visitor)).trim();
      const env = await kubeconfig("visitor.json", (config) => {
        for (const user of config.users) user.user = { token };
      });
      const result = await up(env);
      refused(
        result,
        `system:serviceaccount:${visitor}:${visitor} may not`,
        /namespaces: .*create/,
        `deployments.apps in namespace ${stack}:`,
        `secrets in namespace ${stack}:`,
      );
      expect(result.stdout + result.stderr).not.to.include(token);
    });

    it("without a terminal, a cluster that is not local needs --yes", async () => {
      const env = await kubeconfig("prod.json", (config) => {
        for (const context of config.contexts) context.name = "prod";
        config["current-context"] = "prod";
      });
      for (const name of ["up", "destroy"])
        refused(await operation(name, env), "context prod is not a local cluster", `npm run ${name} -- ${stack} --yes`);
    });

    it("a namespace of another owner or another stack is not taken over", async () => {
      await apply(namespaceObject(stack));
      refused(await up(), `namespace ${stack} exists already`, "create: false");
      await kubectl("label", "namespace", stack, "app.kubernetes.io/part-of=trivy-server", "app.kubernetes.io/instance=prod");
      refused(await up(), `namespace ${stack} belongs to the stack prod`, `Pulumi.${stack}.yaml`);
      await deleteNamespaces(stack);
    });

    it("a stack without a file is reported with the existing stacks", async () => {
      refused(await project.run("npm", ["run", "--silent", "up", "--", "nope", "--yes"]), "Pulumi.nope.yaml does not exist", stack);
    });
  });

  describe("interruptions while objects are created", () => {
    const pidFile = () => join(project.folder, "up.pid");
    /** Starts a run and waits until the engine has begun to create an object of a matching type; some types take only a moment. */
    const startUntil = async (kind: RegExp) => {
      const finished = project.run("sh", ["-c", `echo $$ >up.pid; exec node commands/up/stack.ts up ${stack} --yes`]);
      let ended: CommandResult | undefined;
      void finished.then((result) => {
        ended = result;
      });
      while (!(await pendingCreations()).some((type) => kind.test(type))) {
        if (ended) throw new Error(`${kind} was never pending: ${ended.stdout}${ended.stderr}`);
        await sleep(10);
      }
      return { finished, pid: Number(await readFile(pidFile(), "utf8")) };
    };

    it("after ^C the engine finishes pending operations, and the next run continues", async () => {
      const { finished, pid } = await startUntil(/StatefulSet|Deployment/);
      process.kill(pid, "SIGINT");
      const { exitCode, stdout, stderr } = await finished;
      expect(exitCode).not.to.equal(0);
      expect(stderr).to.include(`Interrupted. Completed changes are recorded; \`npm run up -- ${stack}\` continues from there.`);
      expect(stdout + stderr).not.to.match(/^\s+at .*[:(]\d+/m);
      good(await up());
      good(await operation("preview", {}, "--expect-no-changes"));
      good(await operation("destroy", {}, "--yes"));
    });

    /** Kills a run and its engine, and waits until both processes are seen as gone, which can take a while on a busy machine. */
    const kill = async (pid: number) => {
      const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
      const processes = stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
      const run = [pid, ...processes.filter(([, parent]) => parent === pid).map(([child = 0]) => child)];
      for (const one of run) process.kill(one, "SIGKILL");
      for (const one of run)
        await eventually(`the end of ${one}`, async () => liveness({ host: hostname(), pid: one }) === "ended" || undefined);
    };
    const recovered = async () => {
      const begun = await pendingCreations();
      const result = await up();
      good(result);
      expect(result.stderr).to.include("was killed; its lock has been removed");
      if (begun.length > 0) expect(result.stderr).to.include("An earlier run was interrupted");
      expect(await pendingCreations()).to.deep.equal([]);
      good(await operation("preview", {}, "--expect-no-changes"));
    };

    it("after a kill at the first object the next run repairs the state", async () => {
      const { finished, pid } = await startUntil(/^kubernetes:/);
      await kill(pid);
      expect((await finished).signal).to.equal("SIGKILL");
      await recovered();
      good(await operation("destroy", {}, "--yes"));
    });

    it("after a kill during the wait for a Deployment the next run adopts it", async () => {
      const { finished, pid } = await startUntil(/:Deployment$/);
      await eventually("the Deployment", async () => {
        const name = await kubectl("get", "deployment", "-n", stack, "--ignore-not-found", "-o", "name");
        return name.trim() || undefined;
      });
      await kill(pid);
      expect((await finished).signal).to.equal("SIGKILL");
      await recovered();
    });
  });

  describe("a deployed stack", () => {
    before(async () => good(await up()));

    it("a wrong passphrase is reported without being shown", async () => {
      const result = await up({ PULUMI_CONFIG_PASSPHRASE: "hunter22" });
      refused(result, "The passphrase in PULUMI_CONFIG_PASSPHRASE does not decrypt", ".pulumi-local/passphrase");
      expect(result.stderr).not.to.include("hunter22");
      good(await operation("preview", {}, "--expect-no-changes"));
    });

    it("a lock of another machine or of a running process is respected; one of a dead process is removed", async () => {
      const lock = (host: string, pid: number) =>
        writeFile(join(locks(), "test.json"), JSON.stringify({ pid, username: "ann", hostname: host, timestamp: "2026-11-22T10:00:00Z" }));
      await mkdir(locks(), { recursive: true });
      await lock("elsewhere", 4711);
      refused(await up(), "process 4711 of ann on elsewhere, since 2026-11-22T10:00:00Z", `npm run pulumi -- cancel --stack ${stack}`);
      await lock(hostname(), process.pid);
      refused(await up(), `process ${process.pid} of ann`, "is running on this machine");
      await lock(hostname(), spawnSync("true").pid);
      const result = await operation("preview", {}, "--expect-no-changes");
      good(result);
      expect(result.stderr).to.include("its lock has been removed");
    });

    it("a deleted passphrase file is reported instead of replaced", async () => {
      const file = join(project.folder, ".pulumi-local/passphrase");
      const passphrase = await readFile(file, "utf8");
      await rm(file);
      refused(await up(), `The passphrase of the local state is missing: ${file}`);
      await writeFile(file, passphrase, { mode: 0o600 });
    });

    it("a cluster that does not contain the stack is refused until a refresh", async () => {
      await deleteNamespaces(stack);
      const question = `The stack ${stack} is up in a cluster that has the namespace ${stack} with the uid`;
      refused(await up(), question, "The context is probably wrong", `npm run refresh -- ${stack}`);
      refused(await operation("destroy", {}, "--yes"), question);
      good(await operation("refresh", {}, "--yes"));
      good(await up());
    });
  });
});

interface ClientConfig {
  "current-context": string;
  contexts: { name: string }[];
  clusters: { name: string; cluster: { server: string } }[];
  users: { name: string; user: object }[];
}
