/**
 * The mirror of the vulnerability database. In addition to the variables in support/environment.ts: E2E_SCRATCH_REPOSITORY, a repository path on a
 * registry with plain HTTP that tests may push to; E2E_HOST, the address by which pods reach this machine; E2E_PUSH_NEW_DATABASE and
 * E2E_PUSH_DATABASE, commands that push a database that was built now or two days ago to the repository that is appended.
 */
import { expect } from "chai";
import { must } from "../support/command.ts";
import { eventually, get, type KubernetesObject, kubectl, portForward, restarts, runningPods, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { load, scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { changed, DatabaseRepository, type PushedBuild, type Trouble, Upstream } from "./support/upstream.ts";

const { E2E_SCRATCH_REPOSITORY: scratch, E2E_HOST: host, E2E_PUSH_NEW_DATABASE: pushNew, E2E_PUSH_DATABASE: pushOld } = process.env;

const stack = "e2e-database";
const mirror = "trivy-database";

describe("the database mirror", function () {
  if (!scratch || !host || !pushNew || !pushOld) {
    it.skip("needs E2E_SCRATCH_REPOSITORY, E2E_HOST, E2E_PUSH_NEW_DATABASE and E2E_PUSH_DATABASE");
    return;
  }
  this.timeout(900_000);

  const [registry = "", ...path] = `${scratch}/mirror/trivy-db`.split("/");
  const repository = new DatabaseRepository([registry, ...path].join("/"));
  const upstream = new Upstream(registry);
  let project: Project;
  let server: string;
  let token: string;

  const settings = (mirrorSettings: object = {}, database: object = {}) => ({
    // Little CPU, so that ten servers leave room for the stacks of other tests.
    server: { replicas: 2, drainSeconds: 5, resources: { requests: { cpu: "10m" } } },
    database: {
      repositories: [`${upstream.address}/${path.join("/")}:2`],
      ...database,
      mirror: { enabled: true, fallback: false, interval: "5s", ...mirrorSettings },
    },
  });
  const up = async (mirrorSettings?: object, database?: object) => {
    await project.writeStack(stack, settings(mirrorSettings, database));
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
  };

  /** Pushes a database, built now or two days ago, and returns it. */
  async function push(command: string): Promise<PushedBuild> {
    const [program = "", ...args] = `${command} ${registry}/${path.join("/")}:2`.split(" ");
    await must(program, args);
    return repository.current();
  }

  /** Returns the mirror's metrics, by name with labels. */
  async function metrics(): Promise<ReadonlyMap<string, number>> {
    const { url, close } = await portForward(stack, `pod/${mirror}-0`, 8080);
    try {
      const text = await (await fetch(`${url}/metrics`)).text();
      return new Map([...text.matchAll(/^(trivy_mirror_\S+) (\S+)$/gm)].map(([, name = "", value]) => [name, Number(value)]));
    } finally {
      close();
    }
  }
  const metric = (name: string, labels = "") => `trivy_mirror_${name}{repository="trivy-db"${labels}}`;

  /** Returns the digest of the build that is served. */
  const served = async () => [...(await metrics()).keys()].flatMap((name) => /build_info\{.*digest="([^"]+)"/.exec(name)?.[1] ?? [])[0];
  const waitForBuild = ({ digest }: PushedBuild) =>
    eventually(`the mirror's build ${digest}`, async () => (await served().catch(() => undefined)) === digest || undefined, 90);

  /** Waits for the end of a rollout, and of the old servers: a node may still route connections to one that is about to exit. */
  const rolledOut = async () => {
    await kubectl("rollout", "status", "deployment/trivy-server", "-n", stack, "--timeout=240s");
    await eventually("the old servers' end", async () => {
      const { items } = await get("pods", "-n", stack, "-l", "app.kubernetes.io/component=server");
      return items.every(({ metadata }: KubernetesObject) => !metadata.deletionTimestamp) || undefined;
    });
  };
  const scaleTo = async (replicas: number) => {
    await kubectl("scale", "deployment/trivy-server", "-n", stack, `--replicas=${replicas}`);
    await rolledOut();
  };
  const restart = async () => {
    await kubectl("rollout", "restart", "deployment/trivy-server", "-n", stack);
    await rolledOut();
  };
  /** Returns when the database of every server was built. */
  async function databases(): Promise<string[]> {
    const pods = await runningPods(stack, "server");
    const texts = await Promise.all(
      pods.map((pod) => kubectl("exec", "-n", stack, pod, "-c", "trivy", "--", "cat", "/var/lib/trivy/db/metadata.json")),
    );
    return texts.map((text) => JSON.parse(text).UpdatedAt);
  }

  before(async () => {
    await checkEnvironment();
    await upstream.open(host);
    project = await Project.create();
  });
  after(async () => {
    await project?.remove();
    if (upstream.trouble !== "refuses") await upstream.close();
  });

  it("servers get the database from the mirror, over TLS that they verify", async () => {
    const build = await push(pushNew);
    await project.writeStack(stack, settings());
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    server = await serviceUrl(stack);
    token = await project.output(stack, "token");
    expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
    expect(upstream.downloads(build.layer)).to.equal(1);
    expect(await served()).to.equal(build.digest);
    const [pod = ""] = await runningPods(stack, "server");
    const log = await kubectl("logs", "-n", stack, pod, "-c", "trivy");
    expect(log).to.include(`repo="trivy-database.${stack}.svc/trivy-db:2"`).and.not.include(upstream.address);
    const { env } = (await get("pod", pod, "-n", stack)).spec.containers[0];
    expect(env.map(({ name }: KubernetesObject) => name)).not.to.include("TRIVY_INSECURE");
  });

  it("the upstream is queried once for each build, however many servers there are", async () => {
    for (const replicas of [2, 5, 10]) {
      const build = await push(pushNew);
      await waitForBuild(build);
      await scaleTo(replicas);
      await restart();
      expect(upstream.downloads(build.layer), `${replicas} servers`).to.equal(1);
      const builds = await databases();
      expect(builds).to.have.length(replicas);
      expect(new Set(builds).size, "different databases").to.equal(1);
    }
    await scaleTo(2);
  });

  it("bad builds are refused, with the reason, and the build in use stays", async () => {
    const good = await repository.current();
    const bad: readonly (readonly [reason: string, push: () => Promise<unknown>])[] = [
      ["older", () => push(pushOld)],
      ["size", () => repository.push(good.data.subarray(0, 1000))],
      ["broken", () => repository.push(good.data.subarray(0, Math.floor(good.data.length * 0.9)))],
      ["manifest", () => repository.push(good.data, { type: "application/vnd.oci.image.layer.v1.tar+gzip" })],
      ["schema", () => repository.push(changed(good.data, '"Version":2', '"Version":1'))],
      ["canary", () => repository.push(changed(good.data, "CVE-2021-36159", "CVE-2021-36158"))],
    ];
    for (const [reason, pushBad] of bad) {
      await pushBad();
      const name = metric("refused_builds_total", `,reason="${reason}"`);
      await eventually(`the refusal: ${reason}`, async () => ((await metrics()).get(name) === 1 ? true : undefined), 60);
      const now = await metrics();
      expect(now.get(metric("upstream_refused", `,reason="${reason}"`)), reason).to.equal(1);
      expect(await served(), reason).to.equal(good.digest);
    }
    // Another good build ends the refusal.
    await waitForBuild(await push(pushNew));
    expect([...(await metrics()).keys()].filter((name) => name.includes("upstream_refused"))).to.deep.equal([]);
  });

  for (const trouble of ["refuses", "hangs", "429", "404", "garbage"] as const satisfies readonly Trouble[])
    it(`servers start while the upstream ${/\d/.test(trouble) ? `answers ${trouble}` : trouble}`, async () => {
      // A page that is no manifest is a refused build, everything else a failed request.
      const symptom =
        trouble === "garbage"
          ? metric("refused_builds_total", ',reason="manifest"')
          : metric("upstream_requests_total", ',kind="digest",result="failed"');
      const before = (await metrics()).get(symptom) ?? 0;
      await upstream.fail(trouble);
      await restart();
      if (trouble === "refuses") await scaleTo(6);
      expect(new Set(await databases()).size).to.equal(1);
      expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
      // A query that hangs ends after a minute.
      await eventually("the failure in the metrics", async () => ((await metrics()).get(symptom) ?? 0) > before || undefined, 100);
      await upstream.fail(undefined);
      if (trouble === "refuses") await scaleTo(2);
    });

  it("a kill of the mirror loses no scan, and no build is downloaded again", async () => {
    const { layer } = await repository.current();
    const before = upstream.downloads(layer);
    const result = await load({ server, token, images: environment.images, scans: 30 }, async () => {
      await kubectl("delete", "pod", `${mirror}-0`, "-n", stack, "--grace-period=0", "--force");
      await kubectl("rollout", "status", `statefulset/${mirror}`, "-n", stack, "--timeout=120s");
    });
    expect(result, JSON.stringify(result.reasons)).to.include({ failed: 0, wrong: 0 });
    await restart();
    expect(upstream.downloads(layer)).to.equal(before);
  });

  it("a pinned build is served within a minute, and the servers use it", async () => {
    const { url, close } = await portForward(stack, `pod/${mirror}-0`, 8082);
    const kept = (await (await fetch(`${url}/builds`)).json()) as { builds: { digest: string; updatedAt: string }[] }[];
    close();
    const builds = kept[0]?.builds ?? [];
    expect(builds).to.have.length(3);
    const oldest = builds[2] as (typeof builds)[number];
    const start = Date.now();
    await up({ pin: oldest.digest });
    await waitForBuild({ digest: oldest.digest, layer: "" });
    expect(Date.now() - start).to.be.below(60_000);
    for (const built of await databases()) expect(new Date(built).toISOString()).to.equal(oldest.updatedAt);
    await up({ pin: `sha256:${"0".repeat(64)}` });
    expect((await metrics()).get(metric("pin_missing"))).to.equal(1);
    expect(await kubectl("logs", "-n", stack, `${mirror}-0`)).to.match(
      /database\.mirror\.pin is sha256:0{64}, which is not among the builds/,
    );
    expect(await served()).to.equal(builds[0]?.digest);
  });

  it("servers start from the other repositories while the mirror is down, where that is allowed", async () => {
    await up({ fallback: true });
    await kubectl("scale", `statefulset/${mirror}`, "-n", stack, "--replicas=0");
    await kubectl("wait", "--for=delete", `pod/${mirror}-0`, "-n", stack, "--timeout=60s");
    await restart();
    expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
    const pods = (await get("pods", "-n", stack, "-l", "app.kubernetes.io/component=server")).items;
    for (const pod of pods) if (!pod.metadata.deletionTimestamp) expect(restarts(pod)).to.equal(0);
  });
});
