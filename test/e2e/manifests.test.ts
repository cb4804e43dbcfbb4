import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { manifests } from "../../commands/render/manifests.ts";
import { ScanService } from "../../components/scan-service.ts";
import { record } from "../../recorder/record.ts";
import { checkSettings, type Settings } from "../../stacks/index.ts";
import { arbitrarySettings } from "../support/arbitrary-settings.ts";
import { certificate } from "../support/certificate.ts";
import { must } from "../support/command.ts";
import { apply, deleteNamespaces, kubectl, portForward } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";

/** A registry scan with every setting, so that each manifest that few stacks have is checked as well. */
const registryScan = {
  enabled: true,
  schedule: "30 2 * * MON-FRI",
  timeZone: "Europe/Berlin",
  targets: [{ image: "registry.example.com/team/app:1.0" }, { repository: "ghcr.io/team/app", tags: ["v*"], versions: ">=1.2", newest: 3 }],
  strict: true,
  severities: ["HIGH", "CRITICAL"],
  ignoreUnfixed: true,
  scanners: ["vuln", "secret", "misconfig", "license"],
  ignoreFile: "vulnerabilities:\n  - id: CVE-2021-36159\n",
  vex: ['{ "@context": "https://openvex.dev/ns/v0.2.0" }'],
  credentials: [{ registry: "ghcr.io", username: "robot", password: { secure: "v1:AAAA" } }],
  plainHttp: true,
  caCertificates: certificate,
  cidrs: ["10.20.0.0/16"],
  javaRepositories: ["registry.example.com/trivy-java-db:1"],
  parallelism: 8,
  timeout: "5m",
  deadline: "2h",
  workVolume: "8Gi",
  resources: { limits: { cpu: "2", memory: "4Gi" } },
  reports: {
    keep: 10,
    size: "4Gi",
    storageClass: "fast",
    cycloneDx: true,
    url: "https://reports.example.com",
    viewers: ["monitoring"],
    bucket: { endpoint: "https://s3.example.com", name: "reports", prefix: "trivy/", existingSecret: "bucket" },
    resources: { limits: { cpu: "1" } },
  },
  alerts: [
    { name: "on-call", type: "alertmanager", url: "http://alertmanager.monitoring.svc:9093", authorization: { secure: "v1:BBBB" } },
    { name: "chat", type: "slack", url: { secure: "v1:CCCC" } },
    { name: "archive", type: "json", existingSecret: { name: "archive", key: "hook" } },
  ],
};

/** A dry run that validates every field and treats the API server's warnings as errors. */
const strictly = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--warnings-as-errors"];

describe("the manifests of `npm start`", () => {
  const environments = ["dev", "staging", "prod"];
  const stacks = environments.map((name) => `e2e-manifests-${name}`);
  const [applied = ""] = stacks.slice(1);
  const scanning = "e2e-manifests-scan";
  let project: Project;

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    for (const [index, stack] of stacks.entries()) {
      await project.writeStack(stack, { server: { drainSeconds: 1 } }, environments[index]);
    }
    await project.writeStack(scanning, { proxy: { https: "http://10.0.0.9:3128" }, registryScan }, "staging");
    for (const stack of [...stacks, scanning]) await project.must("npm", ["start", "--", stack]);
  });
  after(async () => {
    await deleteNamespaces(...stacks, scanning);
    await project?.remove();
  });

  const out = (stack: string) => join(project.folder, "out", stack);

  for (const stack of [...stacks, scanning])
    it(`the API server accepts the manifests of ${stack} without warnings, Pod Security included`, async () => {
      const [namespace = ""] = (await readdir(out(stack))).filter((file) => /^\d+-namespace-/.test(file));
      // A dry run needs the namespace, whose labels select the Pod Security level.
      await kubectl("apply", "--server-side", "-f", join(out(stack), namespace));
      await kubectl(...strictly, "-f", out(stack));
    });

  it("`trivy config` finds no misconfiguration of medium or higher severity in the manifests", async () => {
    const args = ["config", "--skip-check-update", "--exit-code", "1", "--severity", "MEDIUM,HIGH,CRITICAL"];
    const { exitCode, stdout, stderr } = await project.run("trivy", [...args, "--ignorefile", ".trivyignore.yaml", "out"]);
    expect(exitCode, stdout + stderr).to.equal(0);
    for (const workload of ["deployment-trivy-server", "cronjob-trivy-registry-scan", "statefulset-trivy-reports"])
      expect(stdout).to.contain(`${workload}.yaml`);
  });

  it("`kubectl apply` of the manifests brings up a service that scans", async () => {
    await kubectl("apply", "--server-side", "-f", out(applied));
    const workloads = ["statefulset/redis", "deployment/trivy-server", "deployment/trivy-gateway"];
    await kubectl("rollout", "status", ...workloads, "-n", applied, "--timeout=300s");
    // The cluster has only a hash of the client's token; the file records the generated token in a comment.
    const [secrets = ""] = (await readdir(out(applied))).filter((file) => /secrets\.yaml$/.test(file));
    const [, token] =
      /^# generated trivy-gateway-token-ci-1 [0-9a-f]{8}: (\S+)$/m.exec(await readFile(join(out(applied), secrets), "utf8")) ?? [];
    expect(token).to.match(/^[A-Za-z0-9]{32}$/);
    const { url, close } = await portForward(applied);
    try {
      expect(await scan(environment.alpine, { server: url, token })).to.deep.include(knownFinding);
    } finally {
      close();
    }
  });
});

describe("the manifests of random valid settings", () => {
  const namespace = "e2e-random";
  const count = 30;

  before(checkEnvironment);
  after(() => deleteNamespaces(namespace));

  it(`the API server accepts the manifests of ${count} random stacks without warnings`, async () => {
    const seed = Date.now();
    const drawn = fc.sample(arbitrarySettings({ mistakes: false }), { seed, numRuns: count * 20 });
    const accepted = drawn.flatMap((settings) => settingsIn(namespace, settings)).slice(0, count);
    expect(accepted).to.have.length(count);
    const objects = [];
    for (const settings of accepted) {
      const { resources } = await record(() => new ScanService("trivy", { ...settings, instance: namespace }));
      objects.push(...manifests(resources).map(({ body }) => body));
    }
    // The namespace is really created, because the dry run of its contents needs it. Not every cluster has the kinds of the Gateway API and of
    // the Prometheus operator.
    const [own, rest] = [objects.filter(({ kind }) => kind === "Namespace"), objects.filter(({ kind }) => kind !== "Namespace")];
    await apply(...own.slice(0, 1));
    const items = rest.filter(({ apiVersion }) => !/^(gateway\.networking\.k8s\.io|monitoring\.coreos\.com)\//.test(String(apiVersion)));
    expect(items.length).to.be.above(count * 5);
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
    await must("kubectl", [...strictly, "-f", "-"], { input }).catch((error) => {
      throw new Error(`with the seed ${seed}: ${error.message}`);
    });
  });
});

function settingsIn(namespace: string, settings: Record<string, unknown>): Settings[] {
  try {
    return [checkSettings({ ...settings, namespace: { name: namespace } })];
  } catch {
    return [];
  }
}
