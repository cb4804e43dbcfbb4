/**
 * Databases without a source in the cluster's network: builds that are pushed by hand, and copies to a registry. In addition to the variables in
 * support/environment.ts: E2E_SCRATCH_REPOSITORY, a repository path on a registry with plain HTTP that tests may push to, and E2E_PUSH_NEW_DATABASE and
 * E2E_PUSH_DATABASE, commands that push a database that was built now or two days ago to the repository that is appended.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { must } from "../support/command.ts";
import { apply, eventually, get, type KubernetesObject, kubectl, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { DatabaseRepository } from "./support/upstream.ts";

const { E2E_SCRATCH_REPOSITORY: scratch, E2E_PUSH_NEW_DATABASE: pushNew, E2E_PUSH_DATABASE: pushOld } = process.env;

describe("databases without internet access", function () {
  if (!scratch || !pushNew || !pushOld) {
    it.skip("needs E2E_SCRATCH_REPOSITORY, E2E_PUSH_NEW_DATABASE and E2E_PUSH_DATABASE");
    return;
  }
  this.timeout(600_000);

  const source = `${scratch}/offline/trivy-db`;
  const repository = new DatabaseRepository(source);
  let project: Project;
  let folder: string;

  /** Pushes a database to the source, built now or two days ago, and returns it. */
  async function push(command: string) {
    const [program = "", ...args] = `${command} ${source}:2`.split(" ");
    await must(program, args);
    return repository.current();
  }

  const checkScan = async (stack: string) => {
    const [server, token] = [await serviceUrl(stack), await project.output(stack, "token")];
    expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
  };

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    folder = await mkdtemp(join(tmpdir(), "offline-"));
  });
  after(async () => {
    await project?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  describe("pushed by hand", () => {
    const stack = "e2e-offline";
    const file = () => join(folder, "db.tar.gz");
    const database = (...args: string[]) => project.run("npm", ["run", "--silent", "database", "--", stack, ...args]);

    it("the servers start as soon as a build is pushed, with no egress but DNS, Redis and the mirror", async () => {
      await writeFile(file(), (await push(pushNew)).data);
      await project.writeStack(stack, {
        server: { replicas: 1, drainSeconds: 1 },
        database: { repositories: undefined, mirror: { enabled: true, offline: true } },
      });
      await project.must("pulumi", ["stack", "init", stack]);
      const up = project.pulumi(stack, "up", "--yes", "--skip-preview");
      await kubectl("wait", "--for=create", "pod/trivy-database-0", "-n", stack, "--timeout=120s");
      await kubectl("wait", "--for=condition=Ready", "pod/trivy-database-0", "-n", stack, "--timeout=120s");
      expect((await database()).stdout).to.equal("trivy-db\n  no build yet\n");
      const pushed = await database("push", file());
      expect(pushed.exitCode, pushed.stderr).to.equal(0);
      expect(pushed.stdout).to.match(/^trivy-db: sha256:[0-9a-f]{64}, built /);
      await up;
      await checkScan(stack);
      expect((await database()).stdout).to.match(/^trivy-db\n {2}sha256:[0-9a-f]{64}\n {4}built .*, 1 MB, from push {2}\(served\)\n$/);
      const { items } = await get("networkpolicies", "-n", stack);
      const egress = items.flatMap(({ spec }: { spec: { egress?: { to?: { ipBlock?: { cidr: string } }[] }[] } }) => spec.egress ?? []);
      const blocks = egress.flatMap(({ to = [] }: { to?: { ipBlock?: { cidr: string } }[] }) =>
        to.flatMap(({ ipBlock }) => ipBlock?.cidr ?? []),
      );
      // The DNS caches on nodes, and the resolver of a cloud.
      for (const block of blocks) expect(block).to.match(/^169\.254\.\d+\.\d+\/32$/);
      const ofAddresses = egress.filter(({ to = [] }: { to?: { ipBlock?: object }[] }) => to.some(({ ipBlock }) => ipBlock));
      expect(ofAddresses).to.have.length(1);
      expect(ofAddresses[0].ports).to.deep.equal([
        { port: 53, protocol: "UDP" },
        { port: 53, protocol: "TCP" },
      ]);
    });

    it("a build that is not newer or is broken is refused with one line, and the old one stays", async () => {
      const again = await database("push", file());
      expect([again.exitCode, again.stderr]).to.satisfy(
        ([code, text]: [number, string]) => code === 1 && /^The mirror refuses .*db\.tar\.gz: the database is of .*, not newer/m.test(text),
      );
      await writeFile(file(), (await repository.current()).data.subarray(0, -2000));
      const broken = await database("push", file());
      expect(broken.exitCode).to.equal(1);
      expect(broken.stderr)
        .to.match(/^The mirror refuses .*: Trivy cannot use the database/m)
        .and.not.match(/^ +at /m);
      expect((await database()).stdout.match(/sha256:/g)).to.have.length(1);
    });

    it("a file with another name, or that does not exist, is refused before anything is sent", async () => {
      for (const [path, message] of [
        [join(folder, "other.tar.gz"), /is not called db\.tar\.gz or javadb\.tar\.gz/],
        [join(folder, "javadb.tar.gz"), /cannot be read: ENOENT/],
      ] as const) {
        const { exitCode, stderr } = await database("push", path);
        expect(exitCode).to.equal(1);
        expect(stderr).to.match(message);
      }
    });
  });

  describe("copied to a registry", () => {
    const stack = "e2e-copy";
    const target = `${scratch}/copy/trivy-db`;
    const copies = new DatabaseRepository(target);

    /** Runs a job of the CronJob, and returns whether it succeeded, and its log. */
    async function copy(name: string): Promise<{ readonly succeeded: boolean; readonly log: string }> {
      const job = ["create", "job", name, "--from=cronjob/trivy-database", "-n", stack, "--dry-run=client", "-o", "json"];
      const { spec, ...object } = JSON.parse(await kubectl(...job));
      await apply({ ...object, spec: { ...spec, backoffLimit: 0 } });
      const { status } = await eventually(
        "the end of the job",
        async () => {
          const found = await get("job", name, "-n", stack);
          return found.status.succeeded || found.status.failed ? found : undefined;
        },
        120,
      );
      return { succeeded: status.succeeded === 1, log: await kubectl("logs", `job/${name}`, "-n", stack, "-c", "copy") };
    }

    before(async () => {
      const build = await push(pushNew);
      // The first build is there before the servers start: the CronJob's first run may be an hour away.
      await copies.push(build.data);
      await project.writeStack(stack, {
        server: { replicas: 1, drainSeconds: 1 },
        database: { repositories: [`${source}:2`], mirror: { enabled: true, to: `${target}:2`, fallback: false } },
        monitoring: { enabled: true, namespaces: ["monitoring"], discovery: "annotations", probe: { enabled: false } },
      });
      await project.must("pulumi", ["stack", "init", stack]);
      const login = { registry: scratch.split("/")[0] ?? "", username: "any", password: "any" };
      for (const [key, value] of Object.entries(login))
        await project.pulumi(stack, "config", "set", "--path", "--secret", `trivy-server:database.mirror.credentials[0].${key}`, value);
      await project.pulumi(stack, "up", "--yes", "--skip-preview");
    });

    /** Returns a metric of the exporter with its labels and its value, as it is served. */
    async function exported(metric: string): Promise<string[]> {
      const read = "fetch('http://127.0.0.1:8080/metrics').then((response) => response.text()).then(console.log)";
      const text = await kubectl("exec", "-n", stack, "deployment/trivy-exporter", "--", "node", "-e", read);
      return text.split("\n").filter((line) => line.startsWith(metric));
    }
    const lastSuccess = async () => {
      const [line = ""] = await exported('trivy_database_copy_last_success_timestamp_seconds{artifact="vulnerabilities"}');
      return Number(line.split(" ").at(-1));
    };

    it("a job copies a new build with its digest, and tags it with its time", async () => {
      const build = await push(pushNew);
      const started = await lastSuccess();
      const { succeeded, log } = await copy("first");
      expect(succeeded, log).to.equal(true);
      expect(await lastSuccess()).to.be.above(started);
      expect((await copies.current()).digest).to.equal(build.digest);
      const tags = await copies.tags();
      expect(tags.filter((tag) => /^built-\d{4}-\d\d-/.test(tag))).to.have.length.above(0);
      expect(tags).to.include("2");
      await kubectl("rollout", "restart", "deployment/trivy-server", "-n", stack);
      await kubectl("rollout", "status", "deployment/trivy-server", "-n", stack, "--timeout=120s");
      await checkScan(stack);
      const again = await copy("again");
      expect([again.succeeded, again.log]).to.deep.equal([true, `${target}:2 has the newest build of ${source}:2\n`]);
    });

    it("an older build is refused with one line, and the copy stays", async () => {
      const { digest } = await copies.current();
      await push(pushOld);
      const { succeeded, log } = await copy("older");
      expect(succeeded).to.equal(false);
      expect(log.trim()).to.match(/^\S+: refused \(older\): the database is of .*, not newer than that of .*$/);
      expect(await exported("trivy_database_copy_refused")).to.deep.equal([
        'trivy_database_copy_refused{artifact="vulnerabilities",reason="older"} 1',
      ]);
      expect((await copies.current()).digest).to.equal(digest);
    });

    it("a registry that cannot be pushed to is reported with one line that names the setting", async () => {
      await push(pushNew);
      const { items } = await get("configmaps", "-n", stack);
      const config = items.find(({ data }: KubernetesObject) => data?.["copy.json"]);
      const data = { "copy.json": config.data["copy.json"].replace(`${target}:2`, "10.0.0.1:1/a/trivy-db:2") };
      await kubectl("patch", "configmap", config.metadata.name, "-n", stack, "-p", JSON.stringify({ data }));
      const { succeeded, log } = await copy("unreachable");
      expect(succeeded).to.equal(false);
      expect(log.trim().split("\n")).to.have.length(1);
      expect(log).to.match(
        /database\.mirror\.to is 10\.0\.0\.1:1\/a\/trivy-db:2, and that registry cannot be used: .*; check the login in database\.mirror\.credentials/,
      );
    });
  });
});
