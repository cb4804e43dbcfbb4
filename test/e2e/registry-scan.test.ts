/**
 * Scheduled registry scans through a service with a gateway and TLS, with a real Alertmanager. In addition to the environment of
 * `support/environment.ts`, `crane` must be on the PATH.
 *
 * | variable | description | default |
 * | --- | --- | --- |
 * | E2E_SCRATCH_REPOSITORY | repository prefix to which the tests may push images | required |
 * | E2E_HOST | this machine's address, as reached from pods | required |
 * | E2E_ALERTMANAGER_IMAGE | image of Alertmanager | quay.io/prometheus/alertmanager:v0.28.1 |
 * | E2E_CHROMIUM | command of Chromium, which renders the report pages | chromium |
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { runOf } from "../../registry-scan/index.ts";
import { type CommandResult, must } from "../support/command.ts";
import {
  addAdministrator,
  apply,
  deleteNamespaces,
  eventually,
  get,
  inPod,
  type KubernetesObject,
  kubectl,
  portForward,
  redis,
  runningPods,
} from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { Project } from "./support/project.ts";
import { Receiver } from "./support/receivers.ts";

const stack = "e2e-registry-scan";
const monitoring = "e2e-monitoring";
const { E2E_SCRATCH_REPOSITORY: scratch = "", E2E_HOST: host = "", E2E_CHROMIUM: chromium = "chromium" } = process.env;
const { E2E_ALERTMANAGER_IMAGE: alertmanagerImage = "quay.io/prometheus/alertmanager:v0.28.1", TRIVY_INSECURE } = process.env;

const crane = (...args: string[]) => must("crane", [...args, ...(TRIVY_INSECURE ? ["--insecure"] : [])]);
const copy = (from: string, to: string) => crane("copy", from, `${scratch}/${to}`);
/** Pushes an image with the same layers and another digest. */
const variant = (from: string, to: string) => crane("mutate", from, "--label", `variant=${to}`, "--tag", `${scratch}/${to}`);

const fetchJson = async (url: string): Promise<KubernetesObject> => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
};

describe("the registry scan", () => {
  let project: Project;
  const receiver = new Receiver();
  let receiverUrl: string;
  let reports: Awaited<ReturnType<typeof portForward>>;
  let alertmanager: Awaited<ReturnType<typeof portForward>>;

  const settings = (scan: Record<string, unknown> = {}) => ({
    server: { replicas: 2 },
    gateway: { enabled: true, tls: { enabled: true } },
    registryScan: {
      enabled: true,
      schedule: "0 3 1 1 *",
      targets: [
        { repository: `${scratch}/app`, versions: ">=1" },
        { repository: `${scratch}/app`, tags: ["nightly-*"] },
        { image: `${scratch}/web:latest` },
      ],
      plainHttp: Boolean(TRIVY_INSECURE),
      cidrs: [`${host}/32`],
      javaRepositories: [`${scratch}/trivy-java-db:1`],
      parallelism: 4,
      reports: { cycloneDx: true, url: "https://reports.example.com", viewers: [monitoring] },
      alerts: [
        { name: "alertmanager", type: "alertmanager", url: `http://alertmanager.${monitoring}.svc:9093` },
        { name: "team", type: "slack", url: `${receiverUrl}/slack` },
        { name: "program", type: "json", url: `${receiverUrl}/json`, authorization: "Bearer of-the-receiver" },
      ],
      ...scan,
    },
  });
  const write = async (scan?: Record<string, unknown>) => {
    await project.writeStack(stack, settings(scan));
    // `pulumi config set --secret` encrypts the secret settings in the stack's file.
    for (const [index, name] of ["url", "url", "authorization"].entries()) {
      const at = `trivy-server:registryScan.alerts[${index === 0 ? 1 : 2}].${name}`;
      const value = index === 2 ? "Bearer of-the-receiver" : `${receiverUrl}/${index === 0 ? "slack" : "json"}`;
      await project.pulumi(stack, "config", "set", "--path", "--secret", at, value);
    }
  };
  const up = () => project.pulumi(stack, "up", "--yes", "--skip-preview");

  /** Starts a run with `npm run scan` and waits for its end. */
  const scan = async (...images: string[]): Promise<{ result: CommandResult; run: string }> => {
    const result = await project.run("npm", ["run", "--silent", "scan", "--", stack, ...images], { timeout: 600_000 });
    const [, name = ""] = /^Run: (\S+)$/m.exec(result.stderr) ?? [];
    return { result, run: name };
  };
  const report = (name: string): Promise<KubernetesObject> => fetchJson(`${reports.url}/runs/${name}/report.json`);
  const reopen = async () => {
    reports?.close();
    await kubectl("rollout", "status", "statefulset/trivy-reports", "-n", stack, "--timeout=120s");
    reports = await portForward(stack, "service/trivy-reports");
  };
  const alerts = async (): Promise<KubernetesObject[]> => fetchJson(`${alertmanager.url}/api/v2/alerts?active=true`);
  const settled = () =>
    eventually("the delivery of all alerts", async () => (await metric("undelivered")).every((line) => / 0$/.test(line)) || undefined);
  const metric = async (name: string): Promise<string[]> =>
    (await metrics()).split("\n").filter((line) => !line.startsWith("#") && line.includes(name));
  const metrics = async (): Promise<string> => {
    const { url, close } = await portForward(stack, "pod/trivy-reports-0", 8083);
    try {
      return await (await fetch(`${url}/metrics`)).text();
    } finally {
      close();
    }
  };

  before(async () => {
    await checkEnvironment();
    if (!scratch || !host) throw new Error("E2E_SCRATCH_REPOSITORY and E2E_HOST must be set; see the comment at the top of this file");
    receiverUrl = await receiver.open(host);
    await Promise.all([copy(environment.alpine, "app:1.0"), copy(environment.alpine, "app:1.0.0"), copy(environment.alpine, "web:latest")]);
    await variant(environment.alpine, "app:1.1");
    await variant(environment.alpine, "app:nightly-1");
    await variant(environment.alpine, "app:0.9");
    // No image, but an artifact whose tag is a version.
    await copy(process.env["E2E_DATABASE"] ?? "ghcr.io/aquasecurity/trivy-db:2", "app:2.0");
    await apply(...alertmanagerObjects());
    project = await Project.create();
    await project.writeStack(stack, settings());
    await project.must("pulumi", ["stack", "init", stack]);
    await write();
    await up();
    await kubectl("rollout", "status", "deployment/alertmanager", "-n", monitoring, "--timeout=120s");
    alertmanager = await portForward(monitoring, "service/alertmanager", 9093);
    await reopen();
  });
  after(async () => {
    reports?.close();
    alertmanager?.close();
    await receiver.close();
    await project?.remove();
    await deleteNamespaces(monitoring);
  });

  let first: string;

  describe("the first run", () => {
    let result: CommandResult;
    before(async () => {
      ({ result, run: first } = await scan());
    });

    it("a run scans each image once, however many tags it has, and exits with 1 for findings", async () => {
      expect(result.exitCode, result.stdout + result.stderr).to.equal(1);
      expect(result.stdout)
        .to.include("3 images to scan")
        .and.match(/3 of 3 scanned, 0 failed/);
      const { verdict, images, problems } = await report(first);
      expect(verdict).to.equal("findings");
      expect(problems).to.have.length(1);
      expect(problems[0]).to.deep.include({ kind: "warning", about: `${scratch}/app` });
      expect(problems[0].message).to.match(/^one tag is no image/);
      const names = ["app:1.0", "app:1.0.0", "app:1.1", "app:nightly-1", "web:latest"].map((name) => `${scratch}/${name}`);
      expect(images.map(({ name }: KubernetesObject) => name)).to.have.members(names);
      for (const { findings } of images)
        expect(
          findings.some(
            ({ id, package: name, fixed }: KubernetesObject) =>
              id === knownFinding.VulnerabilityID && name === knownFinding.PkgName && fixed === knownFinding.FixedVersion,
          ),
        ).to.equal(true);
      const { items } = await get("jobs", "-n", stack);
      expect(items.map(({ spec }: KubernetesObject) => spec.completionMode)).to.deep.equal(["Indexed"]);
    });

    it("the scan's own gateway client is not among the stack's tokens", async () => {
      const { reports: _, ...others } = JSON.parse((await project.pulumi(stack, "stack", "output", "--json", "--show-secrets")).stdout);
      expect(Object.keys(others.tokens)).to.deep.equal(["default"]);
    });

    it("the reports server provides a page, SARIF, CycloneDX and metrics", async () => {
      const page = await (await fetch(`${reports.url}/runs/${first}/`)).text();
      expect(page)
        .to.include(knownFinding.Severity)
        .and.include(`${scratch}/web:latest`)
        .and.not.match(/<script[^>]+src=|<link[^>]+href="http/);
      const sarif = await fetchJson(`${reports.url}/runs/${first}/report.sarif`);
      expect(sarif.version).to.equal("2.1.0");
      expect(JSON.stringify(sarif)).to.include(knownFinding.VulnerabilityID);
      const imagePage = page.match(/href="(images\/[^"]+\.html)"/)?.[1] ?? "";
      const details = await (await fetch(`${reports.url}/runs/${first}/${imagePage}`)).text();
      const [, document] = /href="\.\.\/(cyclonedx\/[^"]+)"/.exec(details) ?? [];
      expect((await fetchJson(`${reports.url}/runs/${first}/${document}`)).bomFormat).to.equal("CycloneDX");
      expect(await metric("trivy_registry_scan_findings")).to.not.be.empty;
      expect(await metric("images")).to.not.be.empty;
      expect((await fetch(`${reports.url}/metrics`)).status, "next to the pages").to.equal(404);
    });

    it("`npm run where` says which images have a vulnerability", async () => {
      const where = (...args: string[]) => project.run("npm", ["run", "--silent", "where", "--", stack, ...args]);
      const found = await where(knownFinding.VulnerabilityID.toLowerCase());
      expect(found.exitCode, found.stderr).to.equal(1);
      const today = new Date().toISOString().slice(0, 10);
      expect(found.stdout).to.match(new RegExp(`^${scratch}/web:latest +${knownFinding.VulnerabilityID} .*${today}$`, "m"));
      expect(found.stdout.trim()).to.match(/\n5 findings in 5 of 5 images$/);
      const some = JSON.parse((await where(knownFinding.PkgName, "--image", "/web", "--versions", "<2.10.7", "--json")).stdout);
      expect(some.matches.map(({ image }: KubernetesObject) => image)).to.deep.equal([`${scratch}/web:latest`]);
      const none = await where("CVE-1999-0001");
      expect([none.exitCode, none.stdout.trim()]).to.deep.equal([0, "Not found in the last scans of 5 images."]);
      expect((await where(knownFinding.PkgName, "--versions", "new")).exitCode).to.equal(2);
    });

    it("each receiver is notified once, in its own format", async () => {
      await settled();
      const [message, ...more] = receiver.at("/json");
      expect(more).to.deep.equal([]);
      expect(message?.headers.authorization).to.equal("Bearer of-the-receiver");
      expect(message?.body).to.include({
        version: 1,
        run: first,
        verdict: "findings",
        first: true,
        link: `https://reports.example.com/runs/${first}/index.html`,
      });
      expect(receiver.at("/slack").map(({ body }) => body.text)).to.have.lengthOf(1);
      const critical = (await alerts()).filter(({ labels }) => labels.severity === "CRITICAL" && labels.package === "apk-tools");
      expect(critical.map(({ labels }) => labels.image)).to.include(`${scratch}/app:1.0`);
      const keys = critical.map(({ labels }) => labels.image);
      expect(new Set(keys).size).to.equal(keys.length);
    });

    it("Chromium renders the report page in light and dark mode, without scripts", async () => {
      const folder = await mkdtemp(join(tmpdir(), "screenshot-"));
      try {
        const page = join(folder, "page.html");
        const html = await (await fetch(`${reports.url}/runs/${first}/`)).text();
        expect(html).to.not.include("<script");
        await writeFile(page, html);
        const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", `--user-data-dir=${folder}/profile`];
        const draw = async (picture: string, ...more: string[]) => {
          const file = join(folder, picture);
          await must(chromium, [...flags, ...more, `--screenshot=${file}`, "--window-size=1280,1600", `file://${page}`]);
          return readFile(file);
        };
        const [light, dark] = [await draw("light.png"), await draw("dark.png", "--blink-settings=preferredColorScheme=0")];
        for (const picture of [light, dark]) {
          expect(picture.subarray(1, 4).toString()).to.equal("PNG");
          expect(picture.length, "an empty page is smaller").to.be.above(30_000);
        }
        expect(light.equals(dark)).to.equal(false);
        const { stdout } = await must(chromium, [...flags, "--dump-dom", `file://${page}`]);
        expect(stdout).to.include(`${scratch}/app:1.0`).and.include("<table");
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  });

  describe("later runs", () => {
    it("a repeated run finds nothing new and notifies no receiver twice", async () => {
      const before = { slack: receiver.at("/slack").length, alerts: (await alerts()).length };
      const { result, run: name } = await scan();
      expect(result.exitCode).to.equal(1);
      await settled();
      const { totals } = await report(name);
      expect(totals).to.include({ fresh: 0, gone: 0 });
      expect(receiver.at("/json").at(-1)?.body).to.deep.include({ run: name, first: false, new: [], fixed: [] });
      expect(receiver.at("/slack")).to.have.lengthOf(before.slack);
      expect(await alerts()).to.have.lengthOf(before.alerts);
    });

    it("a fixed finding resolves its alert, and a receiver that was down is notified once, later", async () => {
      await copy(environment.fixed, "web:latest");
      receiver.answer = 503;
      const before = receiver.at("/json").length;
      const { run: name } = await scan();
      const { images } = await report(name);
      const image = images.find((one: KubernetesObject) => one.name === `${scratch}/web:latest`);
      expect(image.gone.map(({ id }: KubernetesObject) => id)).to.include(knownFinding.VulnerabilityID);
      await eventually(
        "the end of the alerts",
        async () => !(await alerts()).some(({ labels }) => labels.image === `${scratch}/web:latest`) || undefined,
      );
      expect((await metric("undelivered")).filter((line) => / [1-9]/.test(line))).to.have.lengthOf(2);
      // Undelivered alerts survive the server's pod.
      await kubectl("delete", "pod", "trivy-reports-0", "-n", stack);
      await reopen();
      receiver.answer = 200;
      await eventually("the missed notification", async () => receiver.at("/json").length > before || undefined, 120);
      await settled();
      const late = receiver.at("/json").slice(before);
      expect(late.map(({ body }) => body.run)).to.deep.equal([name]);
      expect(late[0]?.body.fixed.map(({ image }: KubernetesObject) => image)).to.include(`${scratch}/web:latest`);
    });

    it("`kubectl create job --from` starts a run as well", async () => {
      await kubectl("create", "job", "by-hand", "--from=cronjob/trivy-registry-scan", "-n", stack);
      const name = runOf("by-hand", (await get("job", "by-hand", "-n", stack)).metadata.uid);
      await eventually("the end of the run", async () => (await fetch(`${reports.url}/runs/${name}/report.json`)).ok || undefined, 180);
      expect(await report(name)).to.include({ run: name, verdict: "findings" });
    });
  });

  describe("runs without CycloneDX documents", () => {
    /** Starts a run and counts its requests at the gateway: the first kind that a client sends, and the last. */
    const counted = async () => {
      const begun = new Date().toISOString();
      const { result, run: name } = await scan();
      expect(result.exitCode, result.stdout + result.stderr).to.equal(1);
      const { images } = await report(name);
      const gateway = [
        "logs",
        "-n",
        stack,
        "-l",
        "app.kubernetes.io/component=gateway",
        "-c",
        "balancer",
        "--tail=-1",
        `--since-time=${begun}`,
      ];
      const log = await kubectl(...gateway);
      const times = (method: string) => log.split(`/${method}"`).length - 1;
      const found = images.map(({ name, error, findings }: KubernetesObject) => [
        name,
        error,
        findings.map(({ id }: KubernetesObject) => id),
      ]);
      const [, count] = /(\d+) images to scan/.exec(result.stdout) ?? [];
      return { count: Number(count), first: times("MissingBlobs"), last: times("Scan"), found };
    };

    it("unchanged images are scanned without a client, unless the cache has lost them", async () => {
      await write({ reports: { url: "https://reports.example.com", viewers: [monitoring] } });
      await up();
      await reopen();
      const scanned = await counted();
      const { count } = scanned;
      expect(scanned).to.include({ first: count, last: count });
      const asked = await counted();
      expect(asked).to.deep.equal({ ...scanned, first: 0 });

      await addAdministrator(stack);
      await redis(stack, "flushall");
      const lost = await counted();
      expect(lost.found).to.deep.equal(scanned.found);
      // Some images share layers, so that one client's upload serves the others.
      expect(lost.first).to.be.within(1, count);
      await write();
      await up();
      await reopen();
    });
  });

  describe("runs with failures", () => {
    it("an image that cannot be scanned ends the run with 2 and its reason, keeps other alerts, and a second run waits", async () => {
      // A registry that does not respond until the second run waits, so that the first one is still running then on any machine.
      const { promise: secondWaits, resolve: release } = Promise.withResolvers<void>();
      const registry = createServer((_, response) => void secondWaits.then(() => response.writeHead(404).end()));
      await new Promise<void>((resolve) => registry.listen(0, host, resolve));
      const { port } = registry.address() as AddressInfo;
      const podLogs = () => kubectl("logs", "-n", stack, "-l", "app.kubernetes.io/component=registry-scan", "--tail=-1").catch(() => "");
      const waits = async () => (await podLogs()).includes("is still under way") || undefined;
      const failing = scan(`${scratch}/app:1.0`, `${scratch}/app:missing`, `${host}:${port}/team/held:1.0`);
      await eventually("the start of the run", async () => (await metric("running")).some((line) => / 1$/.test(line)) || undefined, 180);
      const second = scan(`${scratch}/app:1.1`);
      await eventually("the second run waits", waits, 180).finally(release);
      const [{ result, run: name }, other] = await Promise.all([failing, second]).finally(() => registry.close());
      expect(result.exitCode).to.equal(2);
      expect(result.stdout).to.match(/app:missing: .*MANIFEST_UNKNOWN|app:missing: .*not found/i);
      const { verdict, images, finishedAt } = await report(name);
      expect(verdict).to.equal("errors");
      expect(images.find((image: KubernetesObject) => image.name.endsWith(":missing"))).to.deep.include({ attempts: 3, findings: [] });
      expect((await alerts()).some(({ labels }) => labels.image === `${scratch}/app:nightly-1`)).to.equal(true);
      expect(other.result.stdout).to.include(`run ${name} is still under way`);
      expect((await report(other.run)).images.map((image: KubernetesObject) => image.scannedAt > finishedAt)).to.deep.equal([true]);
    });

    it("a run of 300 images loses none when a scanning pod, a server and the reports server are deleted", async () => {
      const tags = Array.from({ length: 297 }, (_, index) => `many:${index}`);
      for (let from = 0; from < tags.length; from += 8)
        await Promise.all(tags.slice(from, from + 8).map((tag) => variant(environment.alpine, tag)));
      const images = [...tags, "many:gone-1", "many:gone-2", "many:gone-3"].map((tag) => `${scratch}/${tag}`);
      const running = scan(...images);
      const pods = await eventually("scanning pods", async () => {
        const { items } = await get(
          "pods",
          "-n",
          stack,
          "-l",
          "app.kubernetes.io/component=registry-scan",
          "--field-selector=status.phase=Running",
        );
        return items.length === 4 ? items : undefined;
      });
      await sleep(5000);
      const victim = pods.find(
        ({ metadata }: KubernetesObject) => metadata.annotations["batch.kubernetes.io/job-completion-index"] === "2",
      );
      await kubectl("delete", "pod", victim.metadata.name, "-n", stack, "--grace-period=0", "--force");
      const [server = ""] = await runningPods(stack, "server");
      await kubectl("delete", "pod", server, "-n", stack, "--wait=false");
      await kubectl("delete", "pod", "trivy-reports-0", "-n", stack);
      const { result, run: name } = await running;
      await reopen();
      expect(result.exitCode, result.stdout + result.stderr).to.equal(2);
      const { totals, images: reported } = await report(name);
      expect(totals).to.include({ scanned: 297, failed: 3 });
      const failed = reported.filter(({ error }: KubernetesObject) => error !== undefined);
      expect(failed.map((image: KubernetesObject) => image.name)).to.have.members(images.slice(297));
      for (const image of failed) expect(image.attempts).to.equal(3);
    });
  });

  describe("images of several platforms", () => {
    const [multi, edge] = [`${scratch}/multi:1.0`, `${scratch}/edge:1.0`];
    before(async function () {
      if (!environment.unfixed) return this.skip();
      // The image for arm64 has another finding than that for amd64.
      await crane("mutate", environment.unfixed, "--set-platform", "linux/arm64", "--tag", `${scratch}/multi:arm64`);
      await crane("index", "append", "-m", environment.alpine, "-m", `${scratch}/multi:arm64`, "--tag", multi);
      await crane("index", "append", "-m", `${scratch}/multi:arm64`, "--tag", edge);
    });
    const ids = (image: KubernetesObject) => image.findings.map(({ id }: KubernetesObject) => id);

    it("an image for arm64 alone is scanned as well, and of several platforms linux/amd64", async () => {
      const { result, run: name } = await scan(edge, multi);
      expect(result.exitCode, result.stdout + result.stderr).to.equal(1);
      const { images } = await report(name);
      const of = (image: string) => images.find((one: KubernetesObject) => one.name === image);
      expect(ids(of(edge))).not.to.include(knownFinding.VulnerabilityID);
      expect(ids(of(multi))).to.include(knownFinding.VulnerabilityID);
    });

    it("with the setting, each platform has a result of its own", async () => {
      await write({ platforms: ["all"] });
      await up();
      await reopen();
      const { result, run: name } = await scan(multi);
      expect(result.exitCode, result.stdout + result.stderr).to.equal(1);
      const { images } = await report(name);
      expect(images.map((image: KubernetesObject) => [image.name, image.platform, image.error])).to.deep.equal([
        [multi, "linux/amd64", undefined],
        [`${multi} (linux/arm64)`, "linux/arm64", undefined],
      ]);
      expect(ids(images[0])).to.include(knownFinding.VulnerabilityID);
      expect(ids(images[1]).length).to.be.above(0);
      expect(ids(images[1])).not.to.include(knownFinding.VulnerabilityID);
      await write();
      await up();
      await reopen();
    });
  });

  describe("scheduled runs", () => {
    it("scheduled runs never overlap and end at their deadline with a report of the missing images", async () => {
      // A registry that resolves an image's tag but never returns its manifest.
      const registry = createServer((request, response) => {
        if (request.url === "/v2/") response.end("{}");
        else if (request.method === "HEAD")
          response
            .writeHead(200, {
              "content-type": "application/vnd.docker.distribution.manifest.v2+json",
              "content-length": 500,
              "docker-content-digest": `sha256:${"0f".repeat(32)}`,
            })
            .end();
      });
      await new Promise<void>((resolve) => registry.listen(0, host, resolve));
      const { port } = registry.address() as AddressInfo;
      try {
        await write({
          schedule: "* * * * *",
          deadline: "40s",
          timeout: "40s",
          parallelism: 2,
          targets: [{ image: `${host}:${port}/team/never:1.0` }, { image: `${scratch}/app:1.0` }],
        });
        await up();
        await reopen();
        const job = await eventually(
          "a Job",
          async () => {
            const { items } = await get("jobs", "-n", stack);
            return items.find(({ metadata }: KubernetesObject) => /^trivy-registry-scan-\d{8}$/.test(metadata.name));
          },
          90,
        );
        const name = runOf(job.metadata.name, job.metadata.uid);
        await eventually(
          "the report at the deadline",
          async () => (await fetch(`${reports.url}/runs/${name}/report.json`)).ok || undefined,
          180,
        );
        const { ended, verdict, images } = await report(name);
        expect([ended, verdict]).to.deep.equal(["deadline", "errors"]);
        const [never] = images.filter((image: KubernetesObject) => image.name.includes("never"));
        expect(never.error).to.match(/deadline/);
        expect(images.find((image: KubernetesObject) => image.name === `${scratch}/app:1.0`).error).to.equal(undefined);
        const { items } = await get("jobs", "-n", stack);
        expect(items.filter(({ status }: KubernetesObject) => status.active > 0).length).to.be.at.most(1);
      } finally {
        registry.closeAllConnections();
        registry.close();
      }
    });

    it("the reports server's pod can reach neither Redis nor the API server's credentials, nor write its programs", async () => {
      const fetching =
        "fetch('http://redis:6379', {signal: AbortSignal.timeout(3000)}).then(() => 'open', (error) => error.cause?.code ?? error.name).then(console.log)";
      const { output } = await inPod(stack, "trivy-reports-0", "node", "-e", fetching);
      // Redis would accept the connection without an HTTP response. Network plugins block by refusing or by dropping packets.
      expect(output).to.match(/^(ECONNREFUSED|TimeoutError|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/);
      expect((await inPod(stack, "trivy-reports-0", "ls", "/var/run/secrets/kubernetes.io")).ok).to.equal(false);
      expect((await inPod(stack, "trivy-reports-0", "touch", "/app/x")).output).to.match(/Read-only file system/i);
    });

    it("destroying the stack leaves no object in the cluster", () => project.destroy(stack));
  });
});

function alertmanagerObjects(): object[] {
  const labels = { app: "alertmanager" };
  const metadata = { name: "alertmanager", namespace: monitoring, labels };
  // Some builds of Alertmanager read their templates from the file system.
  const templates = { "default.tmpl": "", "email.tmpl": "" };
  const configuration = { route: { receiver: "none", group_by: ["image"] }, receivers: [{ name: "none" }] };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: monitoring } },
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "alertmanager.yml": JSON.stringify(configuration), ...templates } },
    { apiVersion: "v1", kind: "Service", metadata, spec: { selector: labels, ports: [{ name: "web", port: 9093 }] } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: "alertmanager",
                image: alertmanagerImage,
                args: ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/tmp/alertmanager", "--cluster.listen-address="],
                ports: [{ containerPort: 9093 }],
                volumeMounts: ["/etc/alertmanager", "/usr/share/prometheus/alertmanager"].map((mountPath) => ({
                  name: "config",
                  mountPath,
                })),
              },
            ],
            volumes: [{ name: "config", configMap: { name: "alertmanager" } }],
          },
        },
      },
    },
  ];
}
