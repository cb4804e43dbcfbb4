import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ci } from "./ci-runners.ts";
import { run } from "./command.ts";
import { codeQualityReport, gitlabReport, junitReport, sarifLog } from "./gate-reports.ts";
import { labToken, missingForLab, TrivyLab } from "./trivy-lab.ts";

/** Names of images in the lab. */
export const labImages = {
  /** 1 CRITICAL, with a fixed version. */
  vulnerable: "team/app:2",
  /** An older build with the same finding in another version of the package. */
  base: "team/app:1",
  fixed: "team/app:3",
  endOfLife: "team/old:1",
  empty: "team/static:1",
  /** Clean for linux/amd64, vulnerable for linux/arm64. */
  multi: "team/multi:1",
} as const;

export interface GateOptions {
  /** Names of images in the lab, or complete references. */
  readonly images?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly shell?: readonly string[];
  /** Arguments instead of images. */
  readonly args?: readonly string[];
}

/** Runs the scan gate with the real client and service. */
export class GateLab {
  readonly lab: TrivyLab;
  readonly server: string;
  readonly oldServer: string;
  /** The working directory of the gate. */
  workspace = "";
  readonly #servers: Server[] = [];

  private constructor(lab: TrivyLab, server: string, oldServer: string) {
    this.lab = lab;
    this.server = server;
    this.oldServer = oldServer;
  }

  /** Starts the lab, or skips the tests where a program is missing. */
  static async create(test: Mocha.Context): Promise<GateLab> {
    const missing = missingForLab();
    if (missing.length > 0) {
      console.log(`      skipped without ${missing.join(", ")}`);
      test.skip();
    }
    const lab = await TrivyLab.create();
    const gate = new GateLab(lab, await lab.server(), await lab.server("100h"));
    await lab.image(labImages.base, { alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.5-r0" } } });
    await lab.image(labImages.vulnerable, { alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.6-r0" } } });
    await lab.image(labImages.fixed, { alpine: { release: "3.22.1", packages: { "apk-tools": "2.14.9-r0" } } });
    await lab.image(labImages.endOfLife, { alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.7-r0" } } });
    await lab.image(labImages.empty, { files: { "app/server": "one binary" } });
    await lab.image("team/arm:1", { alpine: { release: "3.10.9", packages: { "apk-tools": "2.10.6-r0" } }, platform: "linux/arm64" });
    await lab.index(labImages.multi, lab.reference(labImages.fixed), lab.reference("team/arm:1"));
    return gate;
  }

  /** Starts a server that answers each request like this, and returns its URL. */
  async answering(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    this.lab.close();
  }

  /** Begins a test with an empty working directory, in which `sleep` does not wait. */
  begin(): void {
    this.workspace = mkdtempSync(join(tmpdir(), "gate-"));
    this.write("../bin/sleep", "#!/bin/sh\n", 0o755);
  }

  end(): void {
    rmSync(this.workspace, { recursive: true, force: true });
  }

  /** Writes a file into the working directory. */
  write(path: string, content: string, mode = 0o644): void {
    const file = join(this.workspace, "work", path);
    mkdirSync(join(file, ".."), { recursive: true });
    mkdirSync(join(this.workspace, "work"), { recursive: true });
    writeFileSync(file, content, { mode });
  }

  /** Writes a shell script into the working directory and returns its path. */
  program(path: string, content: string): string {
    this.write(path, `#!/bin/sh\n${content}\n`, 0o755);
    return join(this.workspace, "work", path);
  }

  async run({ images = [], env = {}, shell = ["/bin/sh"], args }: GateOptions) {
    const [program = "", ...first] = shell;
    const references = images.map((name) => (name.includes("127.0.0.1") ? name : this.lab.reference(name)));
    const { exitCode, stdout, stderr } = await run(program, [...first, join(ci, "scan-gate.sh"), ...(args ?? references)], {
      cwd: join(this.workspace, "work"),
      env: {
        PATH: `${this.workspace}/bin:${process.env["PATH"]}`,
        HOME: this.workspace,
        TMPDIR: this.workspace,
        TRIVY_SERVER: this.server,
        TRIVY_TOKEN: labToken,
        TRIVY_CACHE_DIR: join(this.workspace, "cache"),
        TRIVY_INSECURE: "true",
        SCAN_GATE_REPORTS: "sarif,junit,gitlab,codequality",
        ...env,
      },
      extendEnv: false,
    });
    const output = stdout + stderr;
    expect(output, "the token in the output").not.to.include(labToken);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    expect(output, "control characters in the output").not.to.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    expect(
      readdirSync(this.workspace).filter((name) => name.startsWith("tmp.")),
      "temporary files left behind",
    ).to.deep.equal([]);
    return { exitCode, output, reports: readReports(join(this.workspace, "work/scan-gate")) };
  }
}

export interface Reports {
  readonly junit?: ReturnType<typeof junitReport>;
  /** By name of the file. */
  readonly sarif: Readonly<Record<string, ReturnType<typeof sarifLog>>>;
  readonly gitlab?: ReturnType<typeof gitlabReport>;
  readonly codeQuality?: ReturnType<typeof codeQualityReport>;
  readonly summary?: string;
}

/** Reads and validates the reports in a folder. */
function readReports(folder: string): Reports {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // No report was written.
  }
  const text = (name: string) => readFileSync(join(folder, name), "utf8");
  return {
    ...(names.includes("junit.xml") && { junit: junitReport(text("junit.xml")) }),
    sarif: Object.fromEntries(names.filter((name) => name.endsWith(".sarif")).map((name) => [name, sarifLog(text(name))])),
    ...(names.includes("gl-container-scanning-report.json") && { gitlab: gitlabReport(text("gl-container-scanning-report.json")) }),
    ...(names.includes("gl-code-quality-report.json") && { codeQuality: codeQualityReport(text("gl-code-quality-report.json")) }),
    ...(names.includes("summary.md") && { summary: text("summary.md") }),
  };
}
