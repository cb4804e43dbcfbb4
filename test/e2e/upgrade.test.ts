import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { parseDigest } from "../../commands/changes/digest.ts";
import { announcedChanges } from "./support/changelog.ts";
import { eventually, get, inPod, runningPods, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { MissingCommit, type PreviousVersion, previousVersion } from "./support/history.ts";
import { load, scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

const root = join(import.meta.dirname, "../..");
const stack = "e2e-upgrade";
const settings = {
  server: { replicas: 2 },
  gateway: { enabled: true, clients: [{ name: "team" }] },
  registryScan: { enabled: true, plainHttp: true, schedule: "0 0 1 1 *", targets: [{ image: environment.alpine }] },
};

/** Operations that end an object of the cluster. */
const ends = /replace|delete/;
/** Objects with a generated name are replaced whenever their content changes; the old one is deleted when nothing uses it any more. */
const generated = /^kubernetes:core\/v1:(ConfigMap|Secret)$/;

describe("an upgrade from the previous version", () => {
  let previous: PreviousVersion;
  let project: Project;
  let client: { server: string; token: string };
  /** What must be the same afterwards. */
  let before_: Record<string, string>;

  before(async function () {
    await checkEnvironment();
    previous = await previousVersion(root).catch((error: unknown) => {
      if (!(error instanceof MissingCommit) || !error.shallow) throw error;
      console.warn(error.message);
      return this.skip();
    });
    project = await Project.create({ commit: previous.commit });
    await project.writeStack(stack, settings);
    await project.must("pulumi", ["stack", "init", stack]);
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    client = { server: await serviceUrl(stack), token: JSON.parse(await project.output(stack, "tokens")).team };
    await eventually("a good scan", async () => (await scan(environment.alpine, client).catch(() => [])).length > 0 || undefined);
    for (const image of environment.images) await scan(image, client);
    before_ = await identities();
  });

  after(async () => {
    if (!project) return;
    await project.writeStack(stack, settings);
    await project.run("pulumi", ["up", "--stack", stack, "--yes", "--skip-preview", "--non-interactive"]);
    await project.remove();
  });

  it("the preview replaces and deletes only what the changelog announces", async () => {
    await project.upgrade();
    const { stdout } = await project.pulumi(stack, "preview", "--json");
    const steps = parseDigest(stdout)?.steps ?? [];
    expect(steps.length, "steps of the preview").to.be.above(0);
    const ended = steps
      .filter(({ op, newState, oldState }) => ends.test(op) && !generated.test((newState ?? oldState)?.type ?? ""))
      .map(({ urn }) => urn.split("::").at(-1) ?? urn);
    const announced = announcedChanges(await readFile(join(root, "CHANGELOG.md"), "utf8"), previous.release);
    expect([...new Set(ended)].filter((name) => !announced.has(name))).to.deep.equal([]);
  });

  it("no scan is lost while the stack is upgraded under load", async () => {
    const options = { ...client, images: [environment.alpine, ...environment.images], scans: 60, unique: "half" } as const;
    const result = await load(options, () => project.pulumi(stack, "up", "--yes", "--skip-preview"));
    console.log(`      ${result.scans} scans, longest ${result.slowest.toFixed(1)} s, longest gap ${result.gap.toFixed(1)} s`);
    expect(result.reasons).to.deep.equal({});
    expect(result).to.include({ failed: 0, wrong: 0 });
    expect(result.good).to.be.at.least(60);
  });

  it("the namespace, the volumes and the cached layers are the same as before", async () => {
    expect(await identities()).to.deep.equal(before_);
    expect(await scan(environment.alpine, client)).to.deep.include(knownFinding);
  });

  it("nothing is left to change", () => project.pulumi(stack, "preview", "--expect-no-changes"));

  it("the servers run the present version's image", async () => {
    const [pod = ""] = await runningPods(stack, "server");
    const { spec } = await get("pod", pod, "-n", stack);
    const { images } = await import("../../components/shared/images.ts");
    expect(spec.containers[0].image).to.equal(process.env["E2E_TRIVY_IMAGE"] || images.trivy);
  });

  /** Returns the identities of what holds data, and the digest of a cached image's analysis. */
  async function identities(): Promise<Record<string, string>> {
    const uid = async (...name: string[]): Promise<string> => (await get(...name)).metadata.uid;
    const key = before_?.["key"] ?? (await redis("grep -aoh 'fanal::artifact::[a-z0-9:]*' /data/appendonlydir/*.aof | head -n 1"));
    expect(key, "a key of the layer cache").to.match(/^fanal::artifact::sha256:/);
    return {
      key,
      value: await redis(`redis-cli --user trivy --no-auth-warning get '${key}' | sha256sum`),
      namespace: await uid("namespace", stack),
      redis: await uid("persistentvolumeclaim", "redis", "-n", stack),
      reports: await uid("persistentvolumeclaim", "trivy-reports", "-n", stack),
    };
  }

  async function redis(script: string): Promise<string> {
    const { ok, output } = await inPod(stack, "redis-0", "sh", "-c", script);
    if (!ok) throw new Error(output);
    return output;
  }
});
