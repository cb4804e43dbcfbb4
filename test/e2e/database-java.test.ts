/**
 * The mirror of the Java database, behind the gateway. In addition to the variables in support/environment.ts: E2E_SCRATCH_REPOSITORY, a repository
 * path on a registry with plain HTTP that tests may push to, and `tar`.
 */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect } from "chai";
import { must, run } from "../support/command.ts";
import { eventually, kubectl, portForward, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment } from "./support/environment.ts";
import { Project } from "./support/project.ts";
import { DatabaseRepository } from "./support/upstream.ts";

const { E2E_SCRATCH_REPOSITORY: scratch } = process.env;
const stack = "e2e-java";

/** The smallest archive of Java classes: an empty ZIP file. */
const jar = Buffer.concat([Buffer.from("PK\x05\x06"), Buffer.alloc(18)]);

describe("the mirror of the Java database", function () {
  if (!scratch) {
    it.skip("needs E2E_SCRATCH_REPOSITORY");
    return;
  }
  this.timeout(600_000);

  const path = `${scratch}/mirror/trivy-java-db`;
  let folder: string;
  let project: Project;
  let server: string;
  let tokens: Record<string, string>;

  /** Returns the layer of a Java database that knows one archive. */
  async function javaDatabase(): Promise<Buffer> {
    const database = new DatabaseSync(join(folder, "trivy-java.db"));
    database.exec(`CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
      CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, FOREIGN KEY(artifact_id) REFERENCES artifacts(id));
      INSERT INTO artifacts VALUES (1, 'com.example', 'known');`);
    const sha1 = createHash("sha1").update(jar).digest();
    database.prepare("INSERT INTO indices VALUES (1, '1.2.3', ?, 'jar')").run(sha1);
    database.close();
    const now = new Date();
    const next = new Date(now.getTime() + 72 * 3600_000);
    await writeFile(join(folder, "metadata.json"), JSON.stringify({ Version: 1, NextUpdate: next, UpdatedAt: now }));
    await must("tar", ["-czf", "javadb.tar.gz", "trivy-java.db", "metadata.json"], { cwd: folder });
    return readFile(join(folder, "javadb.tar.gz"));
  }

  /** Scans the archive as a client of the gateway whose registry login is `token`, and returns Trivy's result. */
  async function scanArchive(token: string) {
    const host = new URL(server).host;
    const auth = Buffer.from(`any:${token}`).toString("base64");
    const home = await mkdtemp(join(folder, "client-"));
    await writeFile(join(home, "config.json"), JSON.stringify({ auths: { [host]: { auth } } }));
    await mkdir(join(home, "root"));
    await writeFile(join(home, "root/app.jar"), jar);
    const args = ["rootfs", "--server", server, "--java-db-repository", `${host}/trivy-java-db:1`, "--cache-dir", join(home, "cache")];
    return run(
      "trivy",
      [...args, "--list-all-pkgs", "--format", "json", "--disable-telemetry", "--skip-version-check", join(home, "root")],
      {
        env: { DOCKER_CONFIG: home, TRIVY_TOKEN: tokens["team-a"] ?? "" },
        timeout: 120_000,
      },
    );
  }

  before(async () => {
    await checkEnvironment();
    folder = await mkdtemp(join(tmpdir(), "java-"));
    const repository = new DatabaseRepository(path, "1");
    await repository.push(await javaDatabase(), { type: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip", file: "javadb.tar.gz" });
    project = await Project.create();
    await project.writeStack(stack, {
      server: { replicas: 1, drainSeconds: 1 },
      gateway: { enabled: true, replicas: 1, clients: [{ name: "team-a" }] },
      database: { mirror: { enabled: true, interval: "20m", java: { enabled: true, repositories: [`${path}:1`] } } },
    });
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    server = await serviceUrl(stack);
    tokens = JSON.parse(await project.output(stack, "tokens"));
    await eventually("the Java database", async () => {
      const { url, close } = await portForward(stack, "pod/trivy-database-0", 8080);
      const text = await (await fetch(`${url}/metrics`)).text();
      close();
      return /^trivy_mirror_builds\{repository="trivy-java-db"\} 1$/m.test(text) || undefined;
    });
  });
  after(async () => {
    await project?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  it("a client of the gateway identifies an archive with the mirror's database", async () => {
    const { exitCode, stdout, stderr } = await scanArchive(tokens["team-a"] ?? "");
    expect(exitCode, stderr).to.equal(0);
    const packages = JSON.parse(stdout).Results.flatMap(
      ({ Packages = [] }: { Packages?: { Name: string; Version: string }[] }) => Packages,
    );
    expect(packages.map(({ Name, Version }: { Name: string; Version: string }) => `${Name} ${Version}`)).to.deep.equal([
      "com.example:known 1.2.3",
    ]);
  });

  it("a client without a valid token cannot download it", async () => {
    const { exitCode, stderr } = await scanArchive("not-a-token-of-any-client");
    expect(exitCode).not.to.equal(0);
    expect(stderr).to.include("log in with a token as the password");
    const anonymous = await fetch(`${server}/v2/trivy-java-db/manifests/1`);
    expect([anonymous.status, anonymous.headers.get("www-authenticate")]).to.deep.equal([401, "Basic realm=trivy"]);
  });

  it("the gateway passes on nothing else of the mirror", async () => {
    const authorization = `Basic ${Buffer.from(`any:${tokens["team-a"]}`).toString("base64")}`;
    const status = async (url: string, method = "GET") => (await fetch(`${server}${url}`, { method, headers: { authorization } })).status;
    expect(await status("/v2/")).to.equal(200);
    expect(await status("/v2/trivy-db/manifests/2")).to.equal(401);
    expect(await status("/starting")).to.equal(401);
    expect(await status("/v2/trivy-java-db/manifests/1", "DELETE")).to.equal(405);
  });

  it("while the mirror is down, the gateway answers 503, after which Trivy tries the next repository", async () => {
    await kubectl("scale", "statefulset/trivy-database", "-n", stack, "--replicas=0");
    const authorization = `Basic ${Buffer.from(`any:${tokens["team-a"]}`).toString("base64")}`;
    await eventually("the status 503", async () => {
      const { status } = await fetch(`${server}/v2/trivy-java-db/manifests/1`, { headers: { authorization } });
      return status === 503 || undefined;
    });
  });
});
