import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";

const script = resolve("components/cache/start-redis.sh");
const isInstalled = (program: string) => spawnSync(program, ["--version"]).error === undefined;
const pathOf = (program: string) => spawnSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).stdout.trim();

/** Skipped for a program that is not installed. */
for (const [name, programs] of [
  ["Redis", ["redis-server", "redis-check-aof"]],
  ["Valkey", ["valkey-server", "valkey-check-aof"]],
] as const)
  describe(`the start of ${name}`, () => {
    let folder: string;
    let port: number;
    let child: ChildProcess | undefined;
    let output = "";
    const volume = (...names: string[]) => join(folder, "volume", ...names);

    before(function () {
      if (![...programs, "redis-cli"].every(isInstalled)) this.skip();
    });
    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), "redis-"));
      for (const folders of ["volume", "bin"]) mkdirSync(join(folder, folders));
      mount("32m");
      // The image has one of the two.
      for (const program of programs) symlinkSync(pathOf(program), join(folder, "bin", program));
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      port = (server.address() as AddressInfo).port;
      server.close();
      const configuration = `bind 127.0.0.1\nport ${port}\ndir ${volume()}\nappendonly yes\nappendfsync everysec\nsave ""\naof-load-truncated yes\nmaxmemory 8000000\n`;
      writeFileSync(join(folder, "redis.conf"), configuration);
    });
    afterEach(async () => {
      await stop("SIGKILL");
      unmount();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Makes the volume a file system of its own, where the tests may. */
    const mount = (size: string) => spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", volume()]).status === 0;
    const unmount = () => spawnSync("umount", ["--lazy", volume()], { stdio: "ignore" });

    function start(): void {
      output = "";
      const path = [join(folder, "bin"), "/usr/bin", "/bin"].join(":");
      child = spawn("sh", [script, join(folder, "redis.conf"), volume()], { env: { PATH: path }, detached: true });
      for (const stream of [child.stdout, child.stderr])
        stream?.setEncoding("utf8").on("data", (text: string) => {
          output += text;
        });
    }
    async function stop(signal: NodeJS.Signals): Promise<number | null> {
      if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
      const ended = once(child, "exit");
      // The shell alone gets SIGTERM, as from Kubernetes; SIGKILL ends all of the container.
      process.kill(signal === "SIGKILL" ? -child.pid : child.pid, signal);
      return (await ended)[0] as number | null;
    }
    const cli = (...args: string[]) => spawnSync("redis-cli", ["-p", `${port}`, ...args], { encoding: "utf8" }).stdout.trim();
    async function ready(): Promise<void> {
      for (let tries = 0; cli("ping") !== "PONG"; tries++) {
        if (tries > 100 || child?.exitCode !== null) throw new Error(`it does not answer:\n${output}`);
        await sleep(50);
      }
    }
    /** Waits for a line of the log, which arrives when this process is idle. */
    async function said(line: RegExp): Promise<void> {
      for (let tries = 0; !line.test(output) && tries < 40; tries++) await sleep(50);
      expect(output).to.match(line);
    }
    const entries = () => Number(cli("dbsize"));

    /** Fills the volume with a base file of 100 entries and an incremental one of 100 more. */
    async function fill(): Promise<void> {
      start();
      await ready();
      const set = (prefix: string) => {
        const input = Array.from({ length: 100 }, (_, index) => `set ${prefix}${index} ${"v".repeat(1000)}\n`).join("");
        spawnSync("redis-cli", ["-p", `${port}`], { input });
      };
      set("a");
      cli("bgrewriteaof");
      while (cli("info", "persistence").match(/aof_rewrite_in_progress:1|aof_rewrite_scheduled:1/)) await sleep(50);
      set("b");
      expect(entries()).to.equal(200);
      expect(await stop("SIGTERM"), "SIGTERM reaches the server, which ends by itself").to.equal(0);
    }
    const file = (pattern: string) => globSync(volume("appendonlydir", pattern))[0] ?? "";
    const overwrite = (path: string, at: number, bytes: Buffer) => {
      const data = readFileSync(path);
      bytes.copy(data, at);
      writeFileSync(path, data);
    };

    it("a volume that is in order keeps its entries, also after a truncated last one", async () => {
      await fill();
      truncateSync(file("*.incr.aof"), readFileSync(file("*.incr.aof")).length - 100);
      start();
      await ready();
      expect(entries()).to.equal(199);
      expect(output).not.to.include("trivy-server:");
      expect(existsSync(volume("appendonlydir.unreadable"))).to.equal(false);
    });

    const damages: Readonly<Record<string, () => void>> = {
      "a block of zeros in the middle": () => overwrite(file("*.incr.aof"), 8000, Buffer.alloc(4096)),
      "random bytes at the end": () => writeFileSync(file("*.incr.aof"), Buffer.alloc(500, 7), { flag: "a" }),
      "zeros at the end": () => writeFileSync(file("*.incr.aof"), Buffer.alloc(500), { flag: "a" }),
      "a broken manifest": () => writeFileSync(file("*.manifest"), "garbage\n"),
      "a base file of another version": () => overwrite(file("*.base.rdb"), 0, Buffer.from("REDIS9999")),
      "a damaged base file": () => overwrite(file("*.base.rdb"), 1500, Buffer.alloc(400)),
      "no base file": () => rmSync(file("*.base.rdb")),
      "a file in the place of the folder": () => {
        rmSync(volume("appendonlydir"), { recursive: true });
        writeFileSync(volume("appendonlydir"), "x");
      },
    };
    for (const [damage, apply] of Object.entries(damages))
      it(`${damage}: the data is set aside, and the next start keeps the new data`, async () => {
        await fill();
        apply();
        start();
        await ready();
        expect(entries()).to.equal(0);
        await said(
          /^trivy-server: the append-only file could not be read and was set aside in appendonlydir\.unreadable, and Redis starts empty$/m,
        );
        expect(existsSync(volume("appendonlydir.unreadable"))).to.equal(true);
        expect(readFileSync(volume("started-empty"), "utf8")).to.match(/^the append-only file could not be read/);
        cli("set", "new", "1");
        expect(await stop("SIGTERM")).to.equal(0);
        start();
        await ready();
        expect([entries(), output.includes("trivy-server:")]).to.deep.equal([1, false]);
        expect(existsSync(volume("started-empty")), "reported until the next start").to.equal(false);
      });

    it("of several damaged files only the last is kept", async () => {
      await fill();
      for (const text of ["first\n", "second\n"]) {
        writeFileSync(file("*.manifest"), text);
        start();
        await ready();
        expect(readFileSync(globSync(volume("appendonlydir.unreadable/*.manifest"))[0] ?? "", "utf8")).to.equal(text);
        await stop("SIGTERM");
      }
    });

    it("when Redis ends for another reason, its data stays and the container ends with its status", async () => {
      await fill();
      writeFileSync(join(folder, "redis.conf"), "no-such-directive yes\n", { flag: "a" });
      start();
      const [code] = await once(child as ChildProcess, "exit");
      expect(code).to.equal(1);
      expect(existsSync(volume("appendonlydir.unreadable"))).to.equal(false);
      expect(file("*.manifest")).not.to.equal("");
    });

    describe("on a volume that is full", () => {
      beforeEach(function () {
        unmount();
        if (!mount("1m")) this.skip();
      });
      it("damaged data is not kept if it leaves too little space for a new cache", async () => {
        await fill();
        writeFileSync(file("*.manifest"), "garbage\n");
        start();
        await ready();
        await said(/trivy-server: too little space is left for a new cache/);
        expect(existsSync(volume("appendonlydir.unreadable"))).to.equal(false);
      });

      const occupy = () => spawnSync("sh", ["-c", `cat /dev/zero >${volume("others")} 2>/dev/null`]);

      it("what was set aside and the leftovers of rewrites are removed first, and the cache stays", async () => {
        await fill();
        cpSync(volume("appendonlydir"), volume("appendonlydir.unreadable"), { recursive: true });
        writeFileSync(volume("temp-rewriteaof-bg-7.aof"), Buffer.alloc(100_000));
        occupy();
        start();
        await ready();
        expect(entries()).to.equal(200);
        expect(existsSync(volume("temp-rewriteaof-bg-7.aof"))).to.equal(false);
      });

      it("Redis starts without data, or without the volume", async () => {
        await fill();
        occupy();
        start();
        await ready();
        expect(entries()).to.equal(0);
        await said(/trivy-server: the volume was full, so the cache on it was removed/);
        await stop("SIGTERM");
        rmSync(volume("appendonlydir"), { recursive: true });
        occupy();
        spawnSync("sh", ["-c", `cat /dev/zero >>${volume("others")} 2>/dev/null`]);
        start();
        await ready();
        await said(/trivy-server: the volume cannot be written \(No space left on device\)/);
        cli("set", "new", "1");
        expect([entries(), cli("config", "get", "appendonly")]).to.deep.equal([1, "appendonly\nno"]);
      });
    });

    it("a volume that belongs to another owner", async function () {
      if (process.getuid?.() !== 0) this.skip();
      chmodSync(volume(), 0o700);
      chmodSync(folder, 0o755);
      const path = [join(folder, "bin"), "/usr/bin", "/bin"].join(":");
      const user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", script, join(folder, "redis.conf"), volume()];
      const { stdout, stderr } = spawnSync("setpriv", user, {
        env: { PATH: path },
        encoding: "utf8",
        timeout: 2000,
        killSignal: "SIGKILL",
      });
      expect(stdout + stderr).to.match(/trivy-server: the volume cannot be written \(.*\): Redis starts without it/);
    });
  });
