/**
 * The synthetic scan: scans one known package through the service as a client does, and reports the outcome to the exporter. The package is
 * analysed here, so that the scan depends on nothing but the service: its Service, token, gateway, one server, the cache and the database.
 *
 * Exits with 1 if the scan failed. Environment: SERVICE_URL, EXPORTER_URL, EXPORTER_TOKEN, TRIVY_TOKEN if the service requires one, and what
 * Trivy's client reads.
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { ProbeResult } from "./configuration.ts";

/** A vulnerability that every build of the database has, and a package with it. */
const known = { vulnerability: "CVE-2021-36159", release: "3.10.9", name: "apk-tools", version: "2.10.6-r0" } as const;

/** Milliseconds for the scan: longer than Trivy's client retries. */
const timeout = 90_000;

/** Milliseconds until a new pod may connect to the service: NetworkPolicies take effect some time after its start. */
const patience = 20_000;

const { SERVICE_URL: service = "", EXPORTER_URL: exporter = "", EXPORTER_TOKEN: token = "", ...environment } = process.env;

/** Waits until the service accepts connections, because Trivy's client does not retry one that is refused; or until that takes too long. */
async function waitForService(): Promise<void> {
  const { hostname, port, protocol } = new URL(service);
  for (const end = Date.now() + patience; Date.now() < end; await sleep(500)) {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port) || (protocol === "https:" ? 443 : 80),
      timeout: 2_000,
    });
    const connected = await Promise.race([once(socket, "connect"), once(socket, "timeout").then(() => false)]).catch(() => false);
    socket.destroy();
    if (connected) return;
  }
}

async function scan(): Promise<Omit<ProbeResult, "seconds">> {
  const root = mkdtempSync(join(tmpdir(), "probe-"));
  const put = (folder: string, file: string, text: string) => {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, file), text);
  };
  put("etc", "alpine-release", `${known.release}\n`);
  put("lib/apk/db", "installed", `P:${known.name}\nV:${known.version}\nA:x86_64\nL:GPL-2.0-only\no:${known.name}\n\n`);
  const options = ["--scanners", "vuln", "--format", "json", "--quiet", "--skip-version-check", "--disable-telemetry"];
  try {
    const { stdout } = await promisify(execFile)("trivy", ["rootfs", "--server", service, ...options, root], {
      env: environment,
      timeout,
      maxBuffer: 2 ** 26,
    });
    if (stdout.includes(`"${known.vulnerability}"`)) return { outcome: "success" };
    return { outcome: "finding-missing", reason: `the scan succeeded, but did not find ${known.vulnerability}` };
  } catch (error) {
    const { killed, stderr, message } = error as Error & { readonly killed?: boolean; readonly stderr?: string };
    const reason = killed ? `no answer within ${timeout / 1000} s` : stderr?.trim().split("\n").at(-1) || message;
    return { outcome: "scan-failed", reason: reason.slice(0, 1000) };
  }
}

/** Reports a result. The exporter may be starting, so this retries for half a minute. */
async function report(result: ProbeResult): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const { status } = await fetch(`${exporter}/probe`, { method: "POST", headers, body: JSON.stringify(result), redirect: "error" });
      if (status === 204) return;
      throw new Error(`HTTP ${status}`);
    } catch (error) {
      if (attempt === 10) return console.error(`the exporter did not accept the result: ${(error as Error).message}`);
      await sleep(3_000);
    }
  }
}

await waitForService();
const start = performance.now();
const outcome = await scan();
const result = { ...outcome, seconds: (performance.now() - start) / 1000 };
console.log(JSON.stringify(result));
await report(result);
process.exit(result.outcome === "success" ? 0 : 1);
