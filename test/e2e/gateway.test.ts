import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { eventually, get, inPod, type KubernetesObject, kubectl, portForward, runningPods, serviceUrl } from "./support/cluster.ts";
import { checkEnvironment, environment, knownFinding } from "./support/environment.ts";
import { scan } from "./support/load.ts";
import { Project } from "./support/project.ts";
import { type Reply, send } from "./support/request.ts";

const stack = "e2e-gateway";

describe("the gateway", () => {
  let project: Project;
  let server: string;
  let tokens: Record<string, string> = {};

  const settings = (gateway: Record<string, unknown>) => ({
    // Each of the two gateways sends one request at a time to each server, so that a test can fill the queue.
    gateway: {
      enabled: true,
      requestsPerServer: 2,
      clients: [{ name: "ci" }, { name: "web" }],
      tls: { enabled: true, plainHttp: true },
      ...gateway,
    },
    server: { drainSeconds: 5 },
  });
  const up = async (gateway: Record<string, unknown> = {}) => {
    await project.writeStack(stack, settings(gateway));
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    tokens = JSON.parse(await project.output(stack, "tokens"));
  };
  const gatewayPods = () => runningPods(stack, "gateway");
  const logs = (...flags: string[]) =>
    kubectl("logs", "-n", stack, "-l", "app.kubernetes.io/component=gateway", "--all-containers", "--tail=-1", ...flags);

  /** Calls a method of the cache as the client `ci`, with other headers if given. */
  const post = (method: string, body: string | Buffer, headers: Record<string, string | number> = {}): Promise<Reply> =>
    send(`${server}/twirp/trivy.cache.v1.Cache/${method}`, body, { "Trivy-Token": tokens["ci"] ?? "", ...headers });

  /** The body of a client's upload of a layer with `count` packages. */
  const blob = (count: number) => {
    const packages = Array.from({ length: count }, (_, index) => {
      const name = `package-${index}`;
      return {
        id: `${name}@1.0.0-r0`,
        name,
        version: "1.0.0-r0",
        arch: "x86_64",
        src_name: name,
        src_version: "1.0.0-r0",
        licenses: ["GPL-2.0-only"],
      };
    });
    return JSON.stringify({ diff_id: `sha256:${"0".repeat(64)}`, blob_info: { schema_version: 2, package_infos: [{ packages }] } });
  };

  before(async () => {
    await checkEnvironment();
    project = await Project.create();
    await project.writeStack(stack, {});
    await project.must("pulumi", ["stack", "init", stack]);
    await up();
    server = await serviceUrl(stack);
  });
  after(() => project?.remove());

  it("HAProxy accepts the gateway's configuration without warnings", async () => {
    for (const pod of await gatewayPods()) {
      for (const file of ["edge.cfg", "balancer.cfg"]) {
        // Both containers have the image, and only the balancer has the servers' token.
        const check = ["env", "ADDRESS=::", "SERVER_TOKEN=x", "haproxy", "-c", "-f", `/etc/trivy-gateway/configuration/${file}`];
        const { ok, output } = await inPod(stack, pod, ...check);
        expect(ok, output).to.equal(true);
        expect(output).not.to.match(/WARNING|ALERT/);
      }
    }
  });

  it("the gateway accepts each client's token and rejects every other one, the servers' own included", async () => {
    for (const token of [tokens["ci"], tokens["web"]])
      expect(await scan(environment.alpine, { server, token })).to.deep.include(knownFinding);
    const { items } = await get("secrets", "-n", stack);
    const internal = items.find(({ data }: KubernetesObject) => data["token"]).data["token"];
    for (const token of [undefined, `${tokens["ci"]}x`, Buffer.from(internal, "base64").toString()]) {
      const refusal = await scan(environment.alpine, { server, token }).catch((error: Error) => error.message);
      expect(refusal).to.include("twirp error unauthenticated");
    }
  });

  it("clients verify the gateway's TLS certificate", async () => {
    const caCertificate = await project.caCertificate(stack);
    const { url, close } = await portForward(stack, "service/trivy", 443);
    try {
      expect(url).to.match(/^https:/);
      expect(await scan(environment.alpine, { server: url, token: tokens["ci"], caCertificate })).to.deep.include(knownFinding);
      const other = join(project.folder, "other.crt");
      await writeFile(other, (await get("configmap", "kube-root-ca.crt", "-n", stack)).data["ca.crt"]);
      const refusal = await scan(environment.alpine, { server: url, token: tokens["ci"], caCertificate: other }).catch(
        (error: Error) => error.message,
      );
      expect(refusal).to.match(/x509|certificate/);
    } finally {
      close();
    }
  });

  it("a server's error response is passed on without a retry", async () => {
    const { status, body } = await post("PutBlob", "no JSON");
    expect(status).to.equal(400);
    expect(JSON.parse(body).code).to.equal("malformed");
  });

  it("uploads of several MB pass; those over the limit or without a length are rejected", async () => {
    const large = await post("PutBlob", blob(40_000));
    expect(large, "8 MB of one layer's packages").to.include({ status: 200 });
    const tooLarge = await post("PutBlob", "", { "Content-Length": 65 * 2 ** 20 });
    expect([tooLarge.status, JSON.parse(tooLarge.body).code]).to.deep.equal([413, "resource_exhausted"]);
    const unknown = await post("PutBlob", "{}", { "Transfer-Encoding": "chunked" });
    expect([unknown.status, JSON.parse(unknown.body).code]).to.deep.equal([411, "invalid_argument"]);
  });

  it("a client with one request is served before another client's queue of requests", async () => {
    const packages = Array.from({ length: 4000 }, (_, index) => ({
      id: `package-${index}`,
      name: `package-${index}`,
      version: "1.0.0-r0",
    }));
    const body = JSON.stringify({ diff_id: `sha256:${"0".repeat(64)}`, blob_info: { schema_version: 2, package_infos: [{ packages }] } });
    const put = (client: string) => post("PutBlob", body, { "Trivy-Token": tokens[client] ?? "" });
    const begun = new Date().toISOString();
    let sent = 0;
    let busy = true;
    const greedy = Array.from({ length: 40 }, async () => {
      while (busy) {
        expect((await put("ci")).status).to.equal(200);
        sent++;
      }
    });
    await eventually("a queue", async () => sent > 100 || undefined);
    for (let count = 0; count < 30; count++) expect((await put("web")).status).to.equal(200);
    busy = false;
    await Promise.all(greedy);
    // The time in the gateway's queue: that of the whole request depends on the CPU that is left for this process.
    const waits = (client: string, lines: readonly string[]) =>
      lines
        .map((line) => JSON.parse(line))
        .filter((entry) => entry.client === client && entry.path.endsWith("/PutBlob"))
        .map(({ ms_queue }): number => ms_queue)
        .sort((a, b) => a - b);
    const median = (all: readonly number[]) => all[all.length >> 1] ?? Number.NaN;
    // A node whose CPU is busy writes a line late, and HAProxy drops lines rather than wait for it.
    const [many, few] = await eventually("the single requests in the log", async () => {
      const lines = (await logs(`--since-time=${begun}`)).split("\n").filter((line) => line.startsWith("{"));
      const [ci, web] = [waits("ci", lines), waits("web", lines)];
      return web.length >= 25 ? ([ci, web] as const) : undefined;
    });
    console.log(`      40 concurrent requests of one client waited ${median(many)} ms each, single requests of another ${median(few)} ms`);
    expect(median(few)).to.be.below(median(many) * 0.6);
  });

  it("the gateway logs each request as JSON and counts requests by client, without secrets", async () => {
    const text = await logs();
    const lines = text.split("\n").filter((line) => line.startsWith("{"));
    const entries = lines.map((line) => JSON.parse(line));
    expect(entries.find(({ client, path, status }) => client === "web" && path.endsWith("/Scan") && status === 200)).to.include({
      method: "POST",
      reason: "",
    });
    for (const secret of Object.values(tokens)) expect(text.includes(secret), "a token in the log").to.equal(false);
    const metrics = await Promise.all(
      (await gatewayPods()).map(async (pod) => {
        const { url, close } = await portForward(stack, `pod/${pod}`, 8405);
        try {
          const [own, clients] = await Promise.all(["/metrics", "/metrics/clients"].map(async (path) => (await fetch(url + path)).text()));
          expect(own).to.include("haproxy_server_status");
          return clients ?? "";
        } finally {
          close();
        }
      }),
    );
    const sum = (name: string, client: string) =>
      metrics
        .map((page) => Number(new RegExp(`^trivy_gateway_client_${name}\\{client="${client}"\\} (\\d+)$`, "m").exec(page)?.[1]))
        .reduce((total, count) => total + count, 0);
    expect(sum("requests_total", "ci")).to.be.above(100);
    expect(sum("requests_total", "web")).to.be.above(30).and.below(sum("requests_total", "ci"));
    expect(sum("received_bytes_total", "ci")).to.be.above(100 * 2 ** 16);
    expect(sum("queue_milliseconds_total", "ci")).to.be.above(0);
  });

  it("a client over the rate limit is asked to retry, other clients are not", async () => {
    await up({ rateLimit: 60 });
    // Wait until the old gateways are gone.
    await eventually("the new gateways", async () => {
      const { items } = await get("pods", "-n", stack, "-l", "app.kubernetes.io/component=gateway");
      return items.length === 2 || undefined;
    });
    const replies = await Promise.all(Array.from({ length: 70 }, () => post("MissingBlobs", "{}")));
    const refused = replies.filter(({ status }) => status === 503);
    expect(refused).to.have.length.within(9, 69);
    expect(JSON.parse(refused[0]?.body ?? "{}").code).to.equal("unavailable");
    expect((await post("MissingBlobs", "{}", { "Trivy-Token": tokens["web"] ?? "" })).status).to.equal(200);
    expect(await logs()).to.match(/"reason": "rate-limit"/);
  });

  it("disabling the gateway removes it, and clients reach the servers directly", async () => {
    await project.writeStack(stack, { server: { drainSeconds: 5 } });
    await project.pulumi(stack, "up", "--yes", "--skip-preview");
    expect(await gatewayPods()).to.deep.equal([]);
    const token = await project.output(stack, "token");
    const found = await eventually("a scan", () => scan(environment.alpine, { server, token }).catch(() => undefined));
    expect(found).to.deep.include(knownFinding);
    await project.destroy(stack);
  });
});
