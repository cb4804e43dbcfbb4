/**
 * A registry and Trivy servers on the loopback interface, with images made for the tests. Needs trivy, crane and registry (CNCF Distribution) on the PATH,
 * and in LAB_PUSH_DATABASE the command that pushes a vulnerability database to the reference that is appended to it. The database must know
 * CVE-2021-36159 (CRITICAL) in Alpine 3.10's apk-tools before 2.10.7-r0 and CVE-2020-100002 (HIGH) in pkg-00002 before 1.0.1-r0.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { must } from "./command.ts";

export const labToken = "lab-t0ken";

/** Returns what is missing to run the lab. */
export function missingForLab(): string[] {
  const programs = ["trivy", "crane", "registry"].filter((program) => spawnSync(program, ["--help"]).error);
  return process.env["LAB_PUSH_DATABASE"] ? programs : [...programs, "LAB_PUSH_DATABASE"];
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Packages of an Alpine image: name to version. */
export type Packages = Readonly<Record<string, string>>;

export interface ImageOptions {
  /** Files by path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Alpine's version and packages. */
  readonly alpine?: { readonly release: string; readonly packages?: Packages };
  /** Such as linux/arm64. @default linux/amd64 */
  readonly platform?: string;
}

export class TrivyLab {
  readonly folder = mkdtempSync(join(tmpdir(), "trivy-lab-"));
  #registry = "";
  readonly #processes: ChildProcess[] = [];
  #images = 0;

  static async create(): Promise<TrivyLab> {
    const lab = new TrivyLab();
    const port = await freePort();
    lab.#registry = `127.0.0.1:${port}`;
    const configuration = join(lab.folder, "registry.yml");
    writeFileSync(
      configuration,
      `version: 0.1\nstorage: {filesystem: {rootdirectory: ${lab.folder}/registry}}\nhttp: {addr: "${lab.#registry}"}\nlog: {level: error, accesslog: {disabled: true}}\n`,
    );
    lab.#start("registry", ["serve", configuration]);
    await answers(`http://${lab.#registry}/v2/`);
    return lab;
  }

  /** Returns the reference of a repository with its tag. */
  reference(name: string): string {
    return `${this.#registry}/${name}`;
  }

  /** Pushes a database of this age (such as 48h) and starts a server with it. Returns the server's URL. */
  async server(age?: string): Promise<string> {
    const database = this.reference(`trivy-db-${age ?? "new"}:2`);
    const [program = "", ...args] = (process.env["LAB_PUSH_DATABASE"] ?? "").split(" ");
    await must(program, [...args.flatMap((arg) => (arg === "-to" && age ? ["-age", age, arg] : [arg])), database]);
    const port = await freePort();
    const cache = join(this.folder, `server-${port}`);
    this.#start(
      "trivy",
      ["server", "--listen", `127.0.0.1:${port}`, "--token", labToken, "--db-repository", database, "--cache-dir", cache, "--insecure"],
      { TRIVY_SERVER: undefined, TRIVY_TOKEN: undefined },
    );
    await answers(`http://127.0.0.1:${port}/version`);
    return `http://127.0.0.1:${port}`;
  }

  /** Pushes an image of one layer and returns its reference. */
  async image(name: string, { files = {}, alpine, platform = "linux/amd64" }: ImageOptions): Promise<string> {
    const root = join(this.folder, `image-${this.#images++}`);
    mkdirSync(root);
    const installed = Object.entries(alpine?.packages ?? {}).map(
      ([name, version]) => `P:${name}\nV:${version}\nA:x86_64\nL:MIT\no:${name}\n\n`,
    );
    const all: Record<string, string> = {
      ...(alpine && { "etc/alpine-release": `${alpine.release}\n` }),
      ...(installed.length > 0 && { "lib/apk/db/installed": installed.join("") }),
      ...files,
    };
    for (const [path, content] of Object.entries(all)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    await must("tar", ["-C", root, "-cf", `${root}.tar`, "."]);
    const reference = this.reference(name);
    await must("crane", ["append", "--insecure", "--oci-empty-base", "--new_layer", `${root}.tar`, "--new_tag", reference]);
    await must("crane", ["mutate", "--insecure", "--set-platform", platform, "--tag", reference, reference]);
    return reference;
  }

  /** Pushes an index of images and returns its reference. */
  async index(name: string, ...images: string[]): Promise<string> {
    const reference = this.reference(name);
    await must("crane", ["index", "append", "--insecure", "--tag", reference, ...images.flatMap((image) => ["--manifest", image])]);
    return reference;
  }

  close(): void {
    for (const child of this.#processes) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  #start(program: string, args: string[], env: NodeJS.ProcessEnv = {}): void {
    this.#processes.push(spawn(program, args, { stdio: "ignore", env: { ...process.env, ...env } }));
  }
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (
      await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    await setTimeout(100);
  }
  throw new Error(`${url} does not answer`);
}
