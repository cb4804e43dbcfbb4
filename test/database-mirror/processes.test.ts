/**
 * The mirror's program with the real trivy, crane and registry, on the loopback interface. What is missing on the PATH skips the tests: see
 * support/trivy-lab.ts; further openssl, and unshare for a volume of its own.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as forward } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { must } from "../support/command.ts";
import { missingForLab, TrivyLab } from "../support/trivy-lab.ts";

const program = join(import.meta.dirname, "../../database-mirror/main.ts");
const login = Buffer.from("reader:s3cret").toString("base64");

/** A registry in front of the lab's, with TLS and a login. */
class PrivateRegistry {
  /** Method and path of each request that was allowed. */
  readonly requests: string[] = [];
  readonly #server: Server;

  constructor(registry: string, certificate: { readonly key: string; readonly cert: string }) {
    this.#server = createServer(certificate, ({ method = "", url = "", headers }, response) => {
      if (headers.authorization !== `Basic ${login}`) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="private"' }).end();
        return;
      }
      this.requests.push(`${method} ${url}`);
      const passed = forward(`http://${registry}${url}`, { method, headers: { accept: headers.accept ?? "*/*" } }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      passed.on("error", () => response.destroy()).end();
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  get downloads(): number {
    return this.requests.filter((request) => request.startsWith("GET ") && request.includes("/blobs/")).length;
  }

  close(): void {
    this.#server.close().closeAllConnections();
  }
}

interface MirrorOptions {
  readonly repositories: readonly string[];
  readonly data: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Size of a volume of its own for the data. @default none, the data outlives the process */
  readonly volume?: string;
}

/** A process of the mirror. */
class Mirror {
  log = "";
  readonly process: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(folder: string, { repositories, data, env, volume }: MirrorOptions) {
    mkdirSync(data, { recursive: true });
    mkdirSync(join(folder, "tmp"), { recursive: true });
    const configuration = join(folder, `${readdirSync(folder).length}.json`);
    const sources = [{ artifact: "vulnerabilities", repositories }];
    writeFileSync(configuration, JSON.stringify({ sources, plainHttp: false, interval: 1, keep: 3 }));
    const mount = `mount -t tmpfs -o size=${volume} none "$MIRROR_DATA" && exec node "$0"`;
    const [command = "", ...args] = volume
      ? ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, program]
      : [process.execPath, program];
    const ports = { REGISTRY_PORT: "0", METRICS_PORT: "0", ADMIN_PORT: "0" };
    this.process = spawn(command, args, {
      env: {
        ...process.env,
        ...{ DOCKER_CONFIG: join(folder, "anonymous"), SSL_CERT_DIR: "/etc/ssl/certs", TMPDIR: join(folder, "tmp") },
        ...{ MIRROR_CONFIGURATION: configuration, MIRROR_DATA: data, MIRROR_TLS: folder },
        ...ports,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.log += text;
      });
    this.#ended = new Promise((resolve) => this.process.once("exit", () => resolve()));
  }

  /** Waits until the log has a line. */
  async logs(pattern: RegExp): Promise<void> {
    for (let time = 0; !pattern.test(this.log); time++) {
      if (time > 400) throw new Error(`no ${pattern} in the mirror's log:\n${this.log}`);
      await sleep(100);
    }
  }

  /** Returns the ports of the registry and of the metrics. */
  async ports(): Promise<readonly [registry: number, metrics: number]> {
    await this.logs(/on the ports/);
    const [, registry, metrics] = /on the ports (\d+), (\d+)/.exec(this.log) ?? [];
    return [Number(registry), Number(metrics)];
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${(await this.ports())[1]}/metrics`)).text();
  }

  /** Returns the digest that the mirror serves, as crane and a server see it. */
  async served(authorities: string): Promise<string> {
    const reference = `localhost:${(await this.ports())[0]}/trivy-db:2`;
    return (await must("crane", ["digest", reference], { env: { SSL_CERT_FILE: authorities } })).stdout.trim();
  }

  kill(): Promise<void> {
    this.process.kill("SIGKILL");
    return this.#ended;
  }
}

describe("the mirror's program", () => {
  let lab: TrivyLab;
  let folder: string;
  let registry: PrivateRegistry;
  let source: string;
  let certificate: string;
  const mirrors: Mirror[] = [];

  const start = (options: Partial<MirrorOptions>) => {
    const data = mkdtempSync(join(folder, "data-"));
    const mirror = new Mirror(folder, { repositories: [source], data, env: trusted(), ...options });
    mirrors.push(mirror);
    return mirror;
  };
  const trusted = () => ({ DOCKER_CONFIG: join(folder, "login"), SSL_CERT_DIR: `/etc/ssl/certs:${join(folder, "authorities")}` });
  const push = async (age: string) => {
    const [command = "", ...args] = (process.env["LAB_PUSH_DATABASE"] ?? "").split(" ");
    await must(command, [...args.slice(0, -1), "-age", age, ...args.slice(-1), lab.reference("trivy-db:2")]);
    return (await must("crane", ["digest", lab.reference("trivy-db:2")])).stdout.trim();
  };

  before(async function () {
    if (missingForLab().length > 0) this.skip();
    lab = await TrivyLab.create();
    folder = mkdtempSync(join(tmpdir(), "mirror-process-"));
    certificate = join(folder, "authorities", "ca.pem");
    for (const name of ["authorities", "login", "anonymous"]) mkdirSync(join(folder, name));
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    const made = spawnSync("openssl", ["req", ...options, ...names, "-keyout", join(folder, "tls.key"), "-out", certificate]);
    if (made.error) this.skip();
    const [key, cert] = [readFileSync(join(folder, "tls.key"), "utf8"), readFileSync(certificate, "utf8")];
    writeFileSync(join(folder, "tls.crt"), cert);
    registry = new PrivateRegistry(lab.reference("").slice(0, -1), { key, cert });
    const host = await registry.open();
    source = `${host}/trivy-db:2`;
    writeFileSync(join(folder, "login/config.json"), JSON.stringify({ auths: { [host]: { auth: login } } }));
  });
  afterEach(() => Promise.all(mirrors.splice(0).map((mirror) => mirror.kill())));
  after(() => {
    registry?.close();
    lab?.close();
    if (folder) rmSync(folder, { recursive: true });
  });

  it("a source that requires a login and has a private authority is mirrored with both, and with neither missing", async () => {
    const digest = await push("3h");
    const [mirror, anonymous, untrusting] = [
      start({}),
      start({ env: { SSL_CERT_DIR: trusted().SSL_CERT_DIR } }),
      start({ env: { DOCKER_CONFIG: trusted().DOCKER_CONFIG } }),
    ];
    await Promise.all([mirror.logs(/trivy-db: sha256/), anonymous.logs(/401|unauthori[sz]ed/i), untrusting.logs(/x509|certificate/)]);
    expect(await mirror.served(certificate)).to.equal(digest);
    for (const { log } of [anonymous, untrusting]) expect(log).not.to.match(/trivy-db: sha256/);
    expect(await anonymous.metrics()).to.match(/upstream_requests_total\{[^}]*kind="digest",result="failed"\} [1-9]/);
    expect(mirror.log + anonymous.log + untrusting.log).not.to.include(login);
  });

  it("while the name of its source cannot be resolved, the mirror serves the last good build, also after a restart", async () => {
    const data = mkdtempSync(join(folder, "data-"));
    const digest = await push("2h");
    const first = start({ data });
    await first.logs(/trivy-db: sha256/);
    await first.kill();
    const second = start({ data, repositories: ["registry.invalid/trivy-db:2"] });
    await second.logs(/registry\.invalid.*(no such host|lookup)/);
    expect(await second.served(certificate)).to.equal(digest);
    expect(await second.metrics()).to.match(/last_success_timestamp_seconds\{[^}]*\} \d{10}/);
  });

  it("a kill at any moment leaves no incomplete build, and a complete one is not downloaded again", async function () {
    this.timeout(120_000);
    const data = mkdtempSync(join(folder, "data-"));
    const digest = await push("1h");
    let kills = 0;
    for (let delay = 100; ; delay += 250, kills++) {
      const mirror = start({ data });
      await sleep(delay);
      await mirror.kill();
      if (mirror.log.includes(digest)) break;
      if (delay > 20_000) throw new Error(mirror.log);
    }
    expect(kills).to.be.above(3);
    expect(readdirSync(join(data, "trivy-db/builds"))).to.deep.equal([digest.slice("sha256:".length)]);
    const { downloads } = registry;
    const last = start({ data });
    expect(await last.served(certificate)).to.equal(digest);
    const before = registry.requests.length;
    for (let time = 0; registry.requests.length < before + 3 && time < 100; time++) await sleep(100);
    expect(registry.requests.slice(before)).to.include("HEAD /v2/trivy-db/manifests/2");
    expect(registry.downloads).to.equal(downloads);
  });

  it("on a full volume, the build in use stays, the log names the setting, and a new build is taken when there is space", async function () {
    if (spawnSync("unshare", ["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", tmpdir()]).status !== 0) this.skip();
    const old = await push("50m");
    const data = mkdtempSync(join(folder, "data-"));
    const mirror = start({ data, volume: "18m" });
    await mirror.logs(/trivy-db: sha256/);
    // The process's own view of the file system, in which the volume is mounted.
    const volume = join("/proc", String(mirror.process.pid), "root", data);
    writeFileSync(join(volume, "filler"), Buffer.alloc(2 << 20));
    const next = await push("40m");
    await mirror.logs(/the volume has \d+ bytes left, and the new build needs \d+; raise database\.mirror\.size/);
    expect(await mirror.served(certificate)).to.equal(old);
    rmSync(join(volume, "filler"));
    await mirror.logs(new RegExp(next));
    expect(await mirror.served(certificate)).to.equal(next);
  });
});
