import { expect } from "chai";
import { type CommandResult, must } from "../support/command.ts";
import { addAdministrator, apply, deleteNamespaces, eventually, get, kubectl, redis } from "./support/cluster.ts";
import { checkEnvironment, environment } from "./support/environment.ts";
import { Project } from "./support/project.ts";

const stack = "e2e-status";

describe("`npm run status` of a deployed stack", () => {
  let project: Project;
  before(async () => {
    await checkEnvironment();
    await deleteNamespaces(stack);
    project = await Project.create();
    await project.writeStack(stack, {
      server: { replicas: 2 },
      gateway: { enabled: true, clients: [{ name: "ci" }] },
      redis: { monitors: ["monitoring"] },
      registryScan: { enabled: true, targets: [{ image: environment.alpine }], reports: { size: "1Gi" } },
    });
    await project.must("npm", ["run", "up", "--", stack, "--yes"]);
  });
  after(async () => {
    await project?.remove();
  });

  const status = (...flags: string[]) => project.run("npm", ["run", "--silent", "status", "--", stack, ...flags]);
  const json = async () => JSON.parse((await status("--json")).stdout);

  /** Waits until `status` reports a problem, and returns when it no longer does after `repair`. */
  async function reported(problem: RegExp, repair: () => Promise<unknown>): Promise<void> {
    let last: CommandResult | undefined;
    const has = async () => {
      last = await status();
      return (last.exitCode === 1 && problem.test(last.stdout.replaceAll(/\n {2}/g, " "))) || undefined;
    };
    await eventually(String(problem), has, 90).catch((error) => {
      throw new Error(`${error.message}: ${last?.stdout}${last?.stderr}`);
    });
    await repair();
    await eventually("the end of the problem", async () => (await status()).exitCode === 0 || undefined, 120);
  }

  it("a stack that works is OK, with its versions, its database and its cache", async () => {
    const { exitCode, stdout, stderr } = await status();
    expect(exitCode, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/^Servers +2 of 2 ready, Trivy 0\.\d+\.\d+$/m);
    expect(stdout).to.match(/^Gateway +2 of 2 ready$/m);
    expect(stdout).to.match(/^Database +built 20.* UTC, .* ago, on all servers$/m);
    expect(stdout).to.match(/^Cache +\d.* MiB of \d+ MiB, .*evicted/m);
    expect(stdout)
      .to.match(/\nOK\n$/)
      .and.not.contain("\u001b");
    const { status: verdict, servers, redis } = await json();
    expect(verdict).to.equal("ok");
    expect(servers).to.have.length(2);
    expect(redis.maxBytes).to.be.above(0);
  });

  it("servers that were scaled to 0 are reported", async () => {
    await kubectl("scale", "deployment", "trivy-server", "-n", stack, "--replicas=0");
    await reported(/! trivy-server is scaled to 0; run/, () => kubectl("scale", "deployment", "trivy-server", "-n", stack, "--replicas=2"));
  });

  it("a workload that was deleted is reported", async () => {
    const { metadata, spec } = await get("deployment", "redis-exporter", "-n", stack);
    await kubectl("delete", "deployment", "redis-exporter", "-n", stack);
    const { name, namespace, labels } = metadata;
    const restored = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name, namespace, labels }, spec };
    await reported(/! redis-exporter does not exist; run `npm run up/, () => apply(restored));
  });

  it("an image that differs from the settings and cannot be pulled is reported, twice", async () => {
    const { spec } = await get("deployment", "trivy-server", "-n", stack);
    const [{ image }] = spec.template.spec.containers;
    const set = (to: string) => kubectl("set", "image", "deployment/trivy-server", `trivy=${to}`, "-n", stack);
    await set(image.replace(/:[^:]+$/, ":0.0.0"));
    await reported(/! trivy-server-\S+: the image \S+:0\.0\.0 cannot be pulled: .*\n! trivy-server-\S+ run \S+:0\.0\.0 instead of/s, () =>
      set(image),
    );
  });

  it("pods that a quota refuses are reported", async () => {
    const metadata = { name: "compute", namespace: stack };
    await apply({ apiVersion: "v1", kind: "ResourceQuota", metadata, spec: { hard: { "limits.cpu": "1" } } });
    await kubectl("delete", "pod", "redis-0", "-n", stack);
    await reported(/! redis: the cluster refuses its pods: failed quota: compute: must specify limits\.cpu/, () =>
      kubectl("delete", "resourcequota", "compute", "-n", stack),
    );
  });

  it("pods for which no node is right are reported", async () => {
    const selector = (value: object | null) =>
      kubectl(
        "patch",
        "deployment",
        "trivy-gateway",
        "-n",
        stack,
        "-p",
        JSON.stringify({ spec: { template: { spec: { nodeSelector: value } } } }),
      );
    await selector({ disk: "golden" });
    await reported(/! trivy-gateway-\S+: cannot be scheduled: .*; check scheduling\.nodeSelector/, () => selector(null));
  });

  it("a container that ends again and again is reported with its log", async () => {
    const arguments_ = (args: string[]) =>
      kubectl(
        "patch",
        "deployment",
        "trivy-server",
        "-n",
        stack,
        "--type=json",
        "-p",
        JSON.stringify([{ op: "replace", path: "/spec/template/spec/containers/0/args", value: args }]),
      );
    await arguments_(["server", "--no-such-flag"]);
    await reported(/! trivy-server-\S+: container trivy ended with exit code 1.*; its log: .*no-such-flag/, () => arguments_(["server"]));
  });

  it("a cache that is nearly full is reported", async () => {
    await addAdministrator(stack);
    await eventually("Redis with an administrator", async () => (await redis(stack, "ping")).includes("PONG") || undefined, 120);
    const maxMemory = async (value: string) => redis(stack, "config", "set", "maxmemory", value);
    const [, used = ""] = /^used_memory:(\d+)/m.exec(await redis(stack, "info", "memory")) ?? [];
    await maxMemory(String(Math.round(Number(used) * 1.1)));
    await reported(/! Redis is (nearly full|too small): .*; raise redis\.maxMemory or shorten redis\.ttl/, () => maxMemory("512mb"));
  });

  it("a database that is too old is reported with the servers that have it", async function () {
    const { E2E_SCRATCH_DATABASE: scratch, E2E_PUSH_DATABASE: push } = process.env;
    if (!scratch || !push) return this.skip();
    await must("sh", ["-c", `${push} ${scratch}`]);
    const { spec } = await get("deployment", "trivy-server", "-n", stack);
    const repository = (value: string) => kubectl("set", "env", "deployment/trivy-server", `TRIVY_DB_REPOSITORY=${value}`, "-n", stack);
    const [{ env }] = spec.template.spec.containers;
    await repository(scratch);
    await reported(
      /! trivy-server-\S+, trivy-server-\S+: the vulnerability database is 2 days old; check that database\.repositories/,
      () => repository(env.find(({ name }: { name: string }) => name === "TRIVY_DB_REPOSITORY").value),
    );
  });

  it("a registry scan that is suspended is reported", async () => {
    const suspend = (value: boolean) =>
      kubectl("patch", "cronjob", "trivy-registry-scan", "-n", stack, "-p", JSON.stringify({ spec: { suspend: value } }));
    await suspend(true);
    await reported(/! The registry scan is suspended; run/, () => suspend(false));
  });

  it("policies that have no effect are reported", async () => {
    // The network plugin of the tests enforces policies: these allow what the stack's own forbid, which is the same as none.
    const everything = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "everything", namespace: stack } };
    await apply({ ...everything, spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"], ingress: [{}], egress: [{}] } });
    await reported(/The cluster does not enforce network policies/, () => kubectl("delete", "networkpolicy", "everything", "-n", stack));
  });

  it("a certificate that has expired is reported with its Secret", async () => {
    const { items } = await get("secrets", "-n", stack);
    const secret = items.find(({ metadata }: { metadata: { name: string } }) => metadata.name.includes("users"));
    const crt = (value: string | null) => JSON.stringify({ data: { "old.crt": value } });
    await kubectl("patch", "secret", secret.metadata.name, "-n", stack, "-p", crt(Buffer.from(expired).toString("base64")));
    await reported(/! The certificate in the Secret \S+ expired on 2020-/, () =>
      kubectl("patch", "secret", secret.metadata.name, "-n", stack, "-p", crt(null)),
    );
  });

  it("a stack that is not in the cluster is reported with exit code 2", async () => {
    await project.writeStack("e2e-status-absent", {});
    const { exitCode, stderr } = await project.run("npm", ["run", "--silent", "status", "--", "e2e-status-absent"]);
    expect(exitCode).to.equal(2);
    expect(stderr).to.contain("is not up in the namespace e2e-status-absent");
  });
});

/** Valid in January 2020. */
const expired = `-----BEGIN CERTIFICATE-----
MIIBIjCByqADAgECAhATt1MPfQyNgJeJKX4lsiIVMAoGCCqGSM49BAMCMBIxEDAO
BgNVBAMTB2V4cGlyZWQwHhcNMjAwMTAxMDAwMDAwWhcNMjAwMTMxMDAwMDAwWjAS
MRAwDgYDVQQDEwdleHBpcmVkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExSnU
5zR5hWUboHtEmdgNKGHjuZezot5D45zZ/dQ3MNwjVX7q+oUOKI1z4JFrj9CSvn+D
Ws6kZHXfuYFCYnDPiKMCMAAwCgYIKoZIzj0EAwIDRwAwRAIgcsR+o3meNGVv575m
crk1jCR5PjtiwDrSfdSMyav27NICIGlPIykjQ8AaDBCUS0bwnh3Vns8A0R/Iy8Ry
F46R1aGf
-----END CERTIFICATE-----`;
